/* SPDX-License-Identifier: Apache-2.0 */
/* Where people sign in (P2PSignIn): the endpoints that a runner has read from the issuer's document. */
#ifndef P2P_MOD_SIGN_IN_H
#define P2P_MOD_SIGN_IN_H

#include <httpd.h>

#include "base/error.h"

#define P2P_SIGN_IN_KEPT apr_time_from_sec(10)  /* what was read is good for so long */
#define P2P_SIGN_IN_AGAIN apr_time_from_sec(2)  /* ... and that nothing was to be had */

/* Strings live as long as the request. */
typedef struct p2p_sign_in_t {
    const char *authorization_endpoint, *token_endpoint;
    int names_issuer;   /* the provider's answer always does (RFC 9207) */
    const char *origin; /* of the token endpoint, as a Content-Security-Policy can have it */
} p2p_sign_in_t;

/* Are the client's id and the scopes, parted by blanks, what RFC 6749 takes (appendices A.1 and A.4)? Errors: P2P_E_INVALID "bad-sign-in". */
p2p_error_t *p2p_sign_in_check(apr_pool_t *p, const char *client, const char *scopes);

/* child_init hook. */
void p2p_sign_in_child(apr_pool_t *p, server_rec *s);

/* What is known; NULL without P2PSignIn, and for as long as nothing is: then a runner is asked to find it out. The database is read now and then, and
 * where it is away, what was known before goes on to hold. */
const p2p_sign_in_t *p2p_sign_in(request_rec *r);

/* openapi.json with the scheme oauth2 beside each bearer token, and all other bytes as they are; page itself where nothing is known. */
const struct p2p_page_t *p2p_sign_in_openapi(request_rec *r, const struct p2p_page_t *page);

#endif
