/* SPDX-License-Identifier: Apache-2.0 */
/* What sealing shares with the key ring and with nobody else. */
#ifndef P2P_BASE_SEAL_KEYS_H
#define P2P_BASE_SEAL_KEYS_H

#include "base/encode.h"
#include "base/seal.h"

#define P2P_KEY_ID_LEN 8 /* hex digits */

typedef struct p2p_key_t {
    char id[P2P_KEY_ID_LEN + 1];
    unsigned char bytes[P2P_KEY_BYTES];
} p2p_key_t;

/* The i-th key, or NULL. */
const p2p_key_t *p2p_keyring_at(const p2p_keyring_t *ring, int i);

/* The key whose id the first 8 characters of text are, or NULL. */
const p2p_key_t *p2p_keyring_find(const p2p_keyring_t *ring, const char *text);

/* Do the first 8 characters of text have the form of an id? */
int p2p_key_id_is(const char *text);

#endif
