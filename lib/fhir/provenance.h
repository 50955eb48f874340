/* SPDX-License-Identifier: Apache-2.0 */
/* The Provenance of a part (Da Vinci PDex, profile pdex-provenance): what was written, when it was received, from which payer. */
#ifndef P2P_FHIR_PROVENANCE_H
#define P2P_FHIR_PROVENANCE_H

#include <apr_time.h>
#include "base/buf.h"

#define P2P_PROVENANCE_TARGETS_MAX 1000

typedef struct p2p_provenance_t {
    const char *id;
    apr_time_t recorded;      /* when the part was received */
    const char *organization; /* id of the source payer's Organization at the target */
    const char *url;          /* of the part; what stands behind "?" is left out */
    const char *sha256;       /* of the part's bytes, hex; "" where it did not come whole */
} p2p_provenance_t;

/* Writes its beginning; then each target; then its end. */
void p2p_provenance_begin(p2p_buf_t *out, const p2p_provenance_t *provenance);
void p2p_provenance_target(p2p_buf_t *out, int first, const char *type, const char *id, const char *version);
void p2p_provenance_end(p2p_buf_t *out, const p2p_provenance_t *provenance);

#endif
