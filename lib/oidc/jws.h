/* SPDX-License-Identifier: Apache-2.0 */
/* Signing (RFC 7515). The JOSE library, and the second JSON library that it brings along, stay behind this file. */
#ifndef P2P_OIDC_JWS_H
#define P2P_OIDC_JWS_H

#include <apr_pools.h>
#include "base/error.h"

/* A private key, with the algorithm that it signs by. */
typedef struct p2p_jws_key_t p2p_jws_key_t;

/* Is it an algorithm that can be signed by: RS384, ES384? */
int p2p_jws_algorithm(const char *name);

/* Reads a private key (PEM, without passphrase) in p, where it is wiped with it. key_id may be "". Errors:
 * P2P_E_INVALID "bad-key", whose sentence goes on from the key's name: "must be…" (RS384 takes RSA of 2048 to
 * 8192 bits, ES384 a key on the curve P-384). */
p2p_error_t *p2p_jws_key_read(apr_pool_t *p, const char *pem, const char *algorithm, const char *key_id,
                              p2p_jws_key_t **key);

/* The claims (JSON) as a signed JWT, header alg, kid and typ, in p. Errors: P2P_E_INTERNAL "cannot-sign". */
p2p_error_t *p2p_jws_sign(apr_pool_t *p, const p2p_jws_key_t *key, const char *claims, const char **jwt);

#endif
