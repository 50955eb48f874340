/* SPDX-License-Identifier: Apache-2.0 */
/* Which requests to a FHIR server ask for Provenance: $everything, and searches with _revinclude=Provenance:target. */
#ifndef P2P_FHIR_INJECTION_REQUEST_H
#define P2P_FHIR_INJECTION_REQUEST_H

#include <apr_pools.h>

typedef struct p2p_injection_request_t {
    int post;                 /* POST; else GET or HEAD */
    const char *path;         /* of the URL, percent-encoded or not */
    const char *query;        /* behind "?", percent-encoded; NULL: none */
    const char *content_type; /* of the body; NULL: none */
    const char *body;         /* of a POST, len bytes; need not end with NUL; NULL: none */
    apr_size_t len;
} p2p_injection_request_t;

/* Does the request ask for Provenance, as far as the request tells?
 * - Its path ends with $everything, of any type or instance, and _type, where given (query, form or Parameters), has Provenance
 *   in it.
 * - Or _revinclude (also :iterate, :recurse) is Provenance:target, or begins so and goes on with a type, in the query; of a POST
 *   the path has to end with _search, and a form body counts as the query does.
 * A body of $everything that is neither a form nor JSON tells nothing: then it does not ask. Parameters may be repeated. Takes time in
 * proportion to len; pool p is used for a Parameters body only. */
int p2p_injection_asked(apr_pool_t *p, const p2p_injection_request_t *request);

/* Does it depend on the body: a POST whose path ends with $everything or _search? */
int p2p_injection_needs_body(const p2p_injection_request_t *request);

#endif
