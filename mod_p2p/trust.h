/* SPDX-License-Identifier: Apache-2.0 */
/* What verifies the tokens of each trusted issuer (P2PTrustIssuer), kept by each child of httpd and looked up anew every few seconds. Issuers go by
 * their number in the specification's trusts. */
#ifndef P2P_MOD_TRUST_H
#define P2P_MOD_TRUST_H

#include <httpd.h>

#include "introspect.h"
#include "model/trust.h"
#include "oidc/jwk.h"

typedef struct p2p_trust_store_t p2p_trust_store_t;

typedef struct p2p_verifier_t {
    const p2p_trust_t *trust;
    apr_uint64_t generation;        /* another number for every change of what follows, in this child */
    const p2p_jwk_set_t *keys;      /* NULL: by introspection */
    p2p_introspection_t introspection;
} p2p_verifier_t;

/* child_init hook. */
void p2p_trust_child(apr_pool_t *p, server_rec *s);

/* The number of the issuer (without trailing slash), and of the first that is asked about opaque tokens; -1: none. */
int p2p_trust_of_issuer(request_rec *r, const char *issuer);
int p2p_trust_of_opaque(request_rec *r);

/* What verifies its tokens, good as long as r lives. Errors: P2P_E_UNAVAILABLE "keys-unknown" where that is not known yet (a runner has been
 * asked), P2P_E_REFUSED "token-untrusted-issuer" where it is a definition that is not there, or archived. */
p2p_error_t *p2p_trust_verifier(request_rec *r, int number, p2p_verifier_t *verifier);

/* A token names a key that is not among the published ones: has them fetched anew, if that was not asked for just now. */
void p2p_trust_ask(request_rec *r, int number);

#endif
