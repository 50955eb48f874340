/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens that callers bring: signed ones (RFC 7519, RFC 9068) and what an introspection endpoint says of opaque ones (RFC 7662). */
#ifndef P2P_OIDC_TOKEN_H
#define P2P_OIDC_TOKEN_H

#include <apr_tables.h>
#include <apr_time.h>
#include "base/json.h"
#include "oidc/jwk.h"

#define P2P_TOKEN_BYTES 16384      /* longer ones are refused unread */
#define P2P_TOKEN_SIGNATURES 2     /* so many are checked at most */
#define P2P_TOKEN_LEEWAY apr_time_from_sec(30)

/* What a token says of itself before anything is verified: enough to find whose it claims to be. */
typedef struct p2p_token_peek_t {
    const char *issuer; /* without trailing slash; "" where it has none */
    const char *key_id; /* "" where it has none */
} p2p_token_peek_t;

/* Has the text the form of a signed token (three parts)? Anything else is opaque. */
int p2p_token_is_jwt(const char *token);

/* Is it what is left of a signed token that was cut: its whole header, and no signature? */
int p2p_token_is_cut(apr_pool_t *p, const char *token);

/* Errors: P2P_E_REFUSED "token-malformed". */
p2p_error_t *p2p_token_peek(apr_pool_t *p, const char *token, p2p_token_peek_t *peek);

/* What a token has to be. */
typedef struct p2p_token_rules_t {
    const char *issuer;                  /* without trailing slash */
    const apr_array_header_t *audiences; /* of const char *; the token names at least one of them */
    apr_time_t now;
} p2p_token_rules_t;

/* What a token says that has been verified. Strings are in the pool of the call, never NULL. */
typedef struct p2p_token_claims_t {
    const char *client_id; /* client_id, else azp, else sub */
    const char *subject;
    const char *scopes;    /* parted by single spaces: scope or scp, a text or an array */
    apr_time_t expires;
    json_object *all;      /* all claims */
} p2p_token_claims_t;

/* Verifies a signed token: RS256/384/512, PS256/384/512, ES256/384/512 by the type and curve of the key; its kid's key, or where it has
 * none (or the keys have none) at most P2P_TOKEN_SIGNATURES that fit; no crit. *checks (may be NULL) is how many signatures were checked.
 * Errors, P2P_E_REFUSED, each a sentence for the portal without any of the token's words: "token-malformed", "token-algorithm",
 * "token-unknown-key" (no key of that kid, or none that fits), "token-signature", and those of p2p_token_judge. */
p2p_error_t *p2p_token_verify(apr_pool_t *p, const char *token, const p2p_jwk_set_t *keys, const p2p_token_rules_t *rules,
                              p2p_token_claims_t *claims, int *checks);

/* Applies the rules to claims that are known to be the issuer's: iss, aud, exp (required), nbf. introspected: the answer of an introspection
 * endpoint, where active has to be true and iss may be missing. Errors: "token-malformed", "token-inactive", "token-wrong-issuer",
 * "token-wrong-audience", "token-expired", "token-not-yet-valid". */
p2p_error_t *p2p_token_judge(apr_pool_t *p, json_object *all, int introspected, const p2p_token_rules_t *rules,
                             p2p_token_claims_t *claims);

/* Is one of the scopes (of const char *) among the claims'? */
int p2p_token_has_scope(const p2p_token_claims_t *claims, const apr_array_header_t *scopes);

#endif
