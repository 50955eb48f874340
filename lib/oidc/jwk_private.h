/* SPDX-License-Identifier: Apache-2.0 */
/* One key of a set, for what verifies with it. The JOSE library stays behind jwk.c. */
#ifndef P2P_OIDC_JWK_PRIVATE_H
#define P2P_OIDC_JWK_PRIVATE_H

#include "base/json.h"
#include "oidc/jwk.h"

typedef enum { P2P_JWK_RSA, P2P_JWK_P256, P2P_JWK_P384, P2P_JWK_P521 } p2p_jwk_kind_t;

/* Strings are never NULL. */
typedef struct p2p_jwk_t {
    p2p_jwk_kind_t kind;
    const char *key_id;      /* "": it has none */
    const char *algorithm;   /* the one that it is for; "": any of its kind */
    apr_size_t signature;    /* bytes of what it signs */
    struct _cjose_jwk_int *jose;
} p2p_jwk_t;

/* A member of a key or header that may be missing: *text is "" then. 0 where it is no text. */
int p2p_jwk_text(json_object *doc, const char *name, const char **text);

/* Is it one of the nine algorithms that are taken? */
int p2p_jwk_algorithm(const char *name);

/* Is the key of the algorithm's kind, and for no other algorithm? */
int p2p_jwk_fits(const p2p_jwk_t *key, const char *algorithm);

/* The key number i, from 0, of p2p_jwk_set_count. */
const p2p_jwk_t *p2p_jwk_at(const p2p_jwk_set_t *set, int i);

/* Was the compact JWS signed with the key, by the algorithm that its header names? The caller has looked at the header: p2p_jwk_fits, and a
 * signature of the key's length. Several threads may ask at a time. */
int p2p_jwk_verifies(const p2p_jwk_t *key, const char *jws, apr_size_t len);

#endif
