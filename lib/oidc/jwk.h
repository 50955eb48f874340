/* SPDX-License-Identifier: Apache-2.0 */
/* Public keys that signatures are verified with (RFC 7517): read from hostile text, kept ready for use. */
#ifndef P2P_OIDC_JWK_H
#define P2P_OIDC_JWK_H

#include <apr_pools.h>
#include "base/error.h"

#define P2P_JWK_SET_BYTES 65536 /* of its text */
#define P2P_JWK_SET_KEYS 32

/* Immutable once it is read, so that several threads may verify with it at a time. */
typedef struct p2p_jwk_set_t p2p_jwk_set_t;

/* Who wrote the text. */
typedef enum {
    P2P_JWK_PUBLISHED, /* an issuer: keys of other kinds and uses (encryption, curves that we do not take) are passed over */
    P2P_JWK_CONFIGURED /* an administrator: anything that would be passed over is a fault */
} p2p_jwk_source_t;

/* Reads a JWK or a JWK set in p: public RSA keys of 2048 to 4096 bits, EC keys on P-256, P-384 and P-521, for signatures. Errors:
 * P2P_E_INVALID "bad-keys", whose sentence goes on from the name of what holds the text ("must …", "has a private key: …"): not JSON, too
 * long, too many, no key that can be used, and with either source private or symmetric keys; nothing of a key is in the sentence. */
p2p_error_t *p2p_jwk_set_read(apr_pool_t *p, const char *text, apr_size_t len, p2p_jwk_source_t source, p2p_jwk_set_t **set);

/* How many keys can be used; at least 1. */
int p2p_jwk_set_count(const p2p_jwk_set_t *set);

#endif
