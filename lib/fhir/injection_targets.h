/* SPDX-License-Identifier: Apache-2.0 */
/* What one injected Provenance names, and its text. */
#ifndef P2P_FHIR_INJECTION_TARGETS_H
#define P2P_FHIR_INJECTION_TARGETS_H

#include "base/buf.h"
#include "fhir/injection.h"

typedef struct p2p_injection_targets_t {
    p2p_buf_t references; /* each followed by a line feed */
    unsigned count;
} p2p_injection_targets_t;

/* An entry as far as it matters; each text may be NULL. */
typedef struct p2p_injection_entry_t {
    const char *full_url, *type, *version;
} p2p_injection_entry_t;

void p2p_injection_targets_init(p2p_injection_targets_t *targets);
void p2p_injection_targets_free(p2p_injection_targets_t *targets);

/* Adds the entry's reference: its fullUrl where that is absolute (an http or https URL, or a urn); a URL goes on with
 * /_history/version, where that is a version. Returns 0 where it is not, and adds nothing. */
int p2p_injection_targets_add(p2p_injection_targets_t *targets, const p2p_injection_entry_t *entry);

/* Are they as many as one Provenance should name: P2P_INJECTION_TARGETS_MAX, or fewer very long ones? */
int p2p_injection_targets_full(const p2p_injection_targets_t *targets);

/* Writes the entry of the Provenance that names them, a comma before it, in several runs of bytes, each valid during the call;
 * returns how many bytes. The targets are none afterwards. */
apr_size_t p2p_injection_targets_write(p2p_injection_targets_t *targets, const p2p_injection_settings_t *settings,
                                       p2p_injection_write_fn write, void *baton);

#endif
