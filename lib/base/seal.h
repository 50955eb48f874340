/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing: what opens a door or names a member is AES-256-GCM text in the database, bound to its place there.
 */
#ifndef P2P_BASE_SEAL_H
#define P2P_BASE_SEAL_H

#include <apr_pools.h>
#include "base/error.h"

#define P2P_KEY_BYTES 32

/* The sealing keys: the first seals, all open. */
typedef struct p2p_keyring_t p2p_keyring_t;

/* Where a sealed value lives: it opens nowhere else. All four go into the associated data, with the key's id.
 */
typedef struct p2p_seal_place_t {
    const char *table, *column; /* "p2p_grant", "access_token" */
    apr_int64_t row;
} p2p_seal_place_t;

/* A new key file's text: one line "p2p-key <id> <base64 of 32 random bytes>\n", the id 8 random hex digits.
 */
p2p_error_t *p2p_key_generate(apr_pool_t *p, const char **text);

/* An empty ring in p; its memory is wiped when p is destroyed. */
p2p_keyring_t *p2p_keyring_make(apr_pool_t *p);

/* Adds the key of one key file's text. Errors: P2P_E_INVALID "bad-key" (form, length, an id that is there
 * already). */
p2p_error_t *p2p_keyring_add(p2p_keyring_t *ring, const char *text);

/* Number of keys, and the text of the i-th as p2p_keyring_add takes it (in p), to hand the ring to the
 * runner. */
int p2p_keyring_count(const p2p_keyring_t *ring);
const char *p2p_keyring_text(apr_pool_t *p, const p2p_keyring_t *ring, int i);

/* Its id, 8 hex digits, or NULL. */
const char *p2p_keyring_id(const p2p_keyring_t *ring, int i);

/* Seals len bytes: "v1.<key id>.<base64url of nonce, ciphertext and tag>" in p. An empty value seals to "".
 */
p2p_error_t *p2p_seal(apr_pool_t *p, const p2p_keyring_t *ring, const p2p_seal_place_t *place,
                      const char *plain, apr_size_t len, const char **sealed);

/* Opens it: plain text in p, NUL-terminated; len may be NULL. "" opens to "". Errors: P2P_E_INTERNAL
 * "key-missing" (the key, by its id, is not in the ring), "cannot-open" (the value was moved, changed or damaged). */
p2p_error_t *p2p_unseal(apr_pool_t *p, const p2p_keyring_t *ring, const p2p_seal_place_t *place,
                        const char *sealed, const char **plain, apr_size_t *len);

/* Is it one of p2p_unseal's errors? */
int p2p_is_unopenable(const p2p_error_t *error);

/* HMAC-SHA256 of text under a key derived (HKDF, the purpose as info) from the i-th key of the ring, as 64
 * hex digits in p. Finds a value again without storing it: look up under each key of the ring, store under
 * the first. */
const char *p2p_keyed_hash(apr_pool_t *p, const p2p_keyring_t *ring, int i, const char *purpose, const char *text);

/* len random bytes from OpenSSL. Errors: P2P_E_INTERNAL. */
p2p_error_t *p2p_random(apr_pool_t *p, void *bytes, apr_size_t len);

/* A random UUID (version 4, RFC 9562) in p. */
p2p_error_t *p2p_uuid4(apr_pool_t *p, const char **uuid);

#endif
