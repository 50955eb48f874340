/* SPDX-License-Identifier: Apache-2.0 */
/* The Subscription by which a target tells of Tasks (R4, rest-hook). */
#ifndef P2P_FHIR_SUBSCRIPTION_H
#define P2P_FHIR_SUBSCRIPTION_H

#include <apr_tables.h>
#include "base/error.h"

#define P2P_HOOK_REASON "Payer-to-payer: mail on Task events" /* by which we know ours */

/* One as we want it, or as a server says that it is. Text fields are never NULL; "" where it does not say it. */
typedef struct p2p_hook_subscription_t {
    const char *id;     /* "": the target assigns it */
    const char *status; /* requested, active, error, off */
    const char *reason, *criteria, *type, *endpoint;
    const char *payload;               /* a media type; "": deliveries have no body */
    const apr_array_header_t *headers; /* const char *, "Name: value" */
} p2p_hook_subscription_t;

/* The id that one for this endpoint has where we may choose it: the same on each host, in p. */
const char *p2p_hook_subscription_id(apr_pool_t *p, const char *endpoint);

/* As JSON in p, with our reason, a rest-hook. */
const char *p2p_hook_subscription_print(apr_pool_t *p, const p2p_hook_subscription_t *wanted, apr_size_t *len);

/* Reads one; *said is NULL where it is another resource, or has no id. Errors: P2P_E_INVALID for what is no JSON. */
p2p_error_t *p2p_hook_subscription_read(apr_pool_t *p, const char *body, apr_size_t len, p2p_hook_subscription_t **said);

/* Those of a searchset: array of p2p_hook_subscription_t. Errors: P2P_E_INVALID "not-json", "json-cut-short", "not-fhir". */
p2p_error_t *p2p_hook_subscription_read_page(apr_pool_t *p, const char *body, apr_size_t len, apr_array_header_t **all);

/* Do both ask for the same? Ids, statuses and reasons aside. */
int p2p_hook_subscription_same(apr_pool_t *p, const p2p_hook_subscription_t *a, const p2p_hook_subscription_t *b);

/* What one asks for, as 64 hex digits in p, from which nothing of it can be read. */
const char *p2p_hook_subscription_fingerprint(apr_pool_t *p, const p2p_hook_subscription_t *one);

#endif
