/* SPDX-License-Identifier: Apache-2.0 */
/* Asking an issuer what an opaque token is worth (RFC 7662): the one thing that the module talks to the network for. */
#ifndef P2P_MOD_INTROSPECT_H
#define P2P_MOD_INTROSPECT_H

#include <httpd.h>

#include "base/json.h"

typedef struct p2p_introspection_t {
    const char *endpoint;
    const char *client_id, *client_secret;
} p2p_introspection_t;

/* Asks within P2P_INTROSPECT_TIME, from the request's own thread; a few of a child's threads at a time, and none for a while where the issuer
 * failed several times: a slow issuer ties up none but those few. *answer, released with r, is its JSON object. Errors: P2P_E_UNAVAILABLE
 * "introspection-away" (also at once, without asking). */
p2p_error_t *p2p_introspect(request_rec *r, const p2p_introspection_t *how, const char *token, json_object **answer);

/* child_init hook. */
void p2p_introspect_child(apr_pool_t *p, server_rec *s);

#define P2P_INTROSPECT_TIME apr_time_from_sec(3)

#endif
