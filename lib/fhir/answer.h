/* SPDX-License-Identifier: Apache-2.0 */
/* A server's answer to a transaction or batch, and its OperationOutcome when it refuses. */
#ifndef P2P_FHIR_ANSWER_H
#define P2P_FHIR_ANSWER_H

#include <apr_pools.h>
#include "base/error.h"

typedef struct p2p_answer_entry_t {
    int status;         /* 201, 200, 422 …; 0 where the entry tells none */
    const char *version; /* from location's /_history/…, else from etag; "" where it tells none */
    const char *id;      /* at the target: from location (Type/id or an absolute URL, with or without a version), else that of the resource in
                          * the entry; id_len bytes in the body, NULL where it tells none */
    apr_size_t id_len;
    const char *outcome; /* the OperationOutcome's bytes, into the body; NULL where there is none */
    apr_size_t outcome_len;
} p2p_answer_entry_t;

/* Reads a transaction-response or batch-response of len bytes; *entries (in p) are in the order of the request. Errors:
 * P2P_E_INVALID "not-json", "not-fhir". */
p2p_error_t *p2p_answer_read(apr_pool_t *p, const char *body, apr_size_t len, p2p_answer_entry_t **entries, int *count);

/* What an OperationOutcome (or any other answer) of len bytes says, for an administrator: the issues' code, details and diagnostics,
 * joined and cut at 2,000 bytes; of what is no OperationOutcome its first 200 printable bytes. A token, secret or password that stands
 * behind that word (Bearer, Basic, access_token=…) is replaced by "***". In p. */
const char *p2p_outcome_text(apr_pool_t *p, const char *body, apr_size_t len);

#endif
