/* SPDX-License-Identifier: Apache-2.0 */
/* Whose tokens open our API: an issuer, how they are verified, and what their scopes mean (P2PTrustIssuer). */
#ifndef P2P_MODEL_TRUST_H
#define P2P_MODEL_TRUST_H

#include <apr_tables.h>
#include "base/json.h"

typedef enum {
    P2P_TRUST_PUBLISHED,     /* by the key set that the issuer publishes; a runner fetches it */
    P2P_TRUST_KEYS,          /* by the keys of a file */
    P2P_TRUST_INTROSPECTION, /* by asking the issuer (RFC 7662) */
    P2P_TRUST_DEFINITION     /* as the definition of this issuer says: its keys, else by introspection with its client, else the published set */
} p2p_trust_kind_t;

/* Strings are never NULL; arrays are of const char *. */
typedef struct p2p_trust_t {
    p2p_trust_kind_t kind;
    const char *issuer;                    /* without trailing slash */
    const char *jwks_uri;                  /* of PUBLISHED; "": as the issuer's discovery document says */
    const char *keys;                      /* of KEYS: the JWK or JWK set */
    const char *introspection_endpoint;    /* of INTROSPECTION; "": as the issuer's discovery document says */
    const char *client_id, *client_secret; /* of INTROSPECTION: ours */
    apr_array_header_t *audiences;         /* at least one; a token has to name one of them */
    apr_array_header_t *portal_scopes, *administrator_scopes; /* one of them in a token makes it a portal's, an administrator's */
} p2p_trust_t;

/* An array of p2p_trust_t as JSON that the runner gets: without keys, clients and scopes, of which it has no need. Owned by p. */
json_object *p2p_trust_print(apr_pool_t *p, const apr_array_header_t *trusts);

/* Back again, in p. Errors: P2P_E_INVALID "bad-spec". */
p2p_error_t *p2p_trust_parse(apr_pool_t *p, json_object *doc, apr_array_header_t **trusts);

#endif
