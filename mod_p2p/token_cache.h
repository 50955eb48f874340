/* SPDX-License-Identifier: Apache-2.0 */
/* What a child of httpd has found out about tokens, so that one that comes again costs no signature check and no call. */
#ifndef P2P_MOD_TOKEN_CACHE_H
#define P2P_MOD_TOKEN_CACHE_H

#include <apr_pools.h>
#include <apr_time.h>

#include "caller.h"

#define P2P_TOKEN_HASH 32     /* bytes of SHA-256: a token's own text is not kept */
#define P2P_TOKEN_CLIENT 255  /* longest client id of a token, in bytes */

typedef struct p2p_token_cache_t p2p_token_cache_t;

/* What is known of a token. */
typedef struct p2p_verdict_t {
    int trust;               /* number of the issuer that it rests on; -1: none */
    apr_uint64_t generation; /* of the issuer's keys (trust.h): with others it means nothing */
    apr_time_t until;
    const char *refusal;     /* a code, a literal; NULL where the token is good */
    const char *sentence;    /* of a refusal; at most P2P_TOKEN_CLIENT bytes of it are kept */
    const char *client, *patient; /* of a good one: its client id, at most P2P_TOKEN_CLIENT bytes; the member that it is limited to, or NULL */
    p2p_role_t role;
} p2p_verdict_t;

/* An empty one in p, of a fixed size, for all threads of a child. NULL where there is no mutex to be had. */
p2p_token_cache_t *p2p_token_cache_make(apr_pool_t *p);

/* Is the token with this hash known? Then *verdict, strings in p. A verdict that has ended is not. */
int p2p_token_cache_get(p2p_token_cache_t *cache, apr_pool_t *p, const unsigned char *hash, p2p_verdict_t *verdict);

/* Keeps a verdict, in place of one that ends earlier where there is no room. Refusals do not take the room of good ones. */
void p2p_token_cache_put(p2p_token_cache_t *cache, const unsigned char *hash, const p2p_verdict_t *verdict);

#endif
