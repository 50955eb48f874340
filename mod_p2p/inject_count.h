/* SPDX-License-Identifier: Apache-2.0 */
/* What became of the answers that Provenance was asked for: counted in memory that all children share, shown by mod_status. */
#ifndef P2P_MOD_INJECT_COUNT_H
#define P2P_MOD_INJECT_COUNT_H

#include <httpd.h>

#include "fhir/injection.h"

/* Why an answer passed as it is, before a byte of it was read; behind these come those of p2p_injection_why_t. */
typedef enum p2p_inject_reason_t {
    P2P_INJECT_STATUS,       /* not 200 */
    P2P_INJECT_TYPE,         /* no FHIR JSON, or not in UTF-8 */
    P2P_INJECT_ENCODING,     /* compressed in a way that cannot be undone here */
    P2P_INJECT_FORM,         /* the form of a POST was too long, or compressed: what it asks for is not known */
    P2P_INJECT_BACKEND,      /* the server behind died in the middle */
    P2P_INJECT_WHY,          /* + p2p_injection_why_t; + P2P_INJECTION_FINE: Provenance was added */
    P2P_INJECT_REASONS = P2P_INJECT_WHY + P2P_INJECTION_BROKEN + 1
} p2p_inject_reason_t;

/* Counts an answer to r, and says so at level debug. */
void p2p_inject_count(request_rec *r, int reason);

/* The hook of mod_status. */
int p2p_inject_status(request_rec *r, int flags);

#endif
