/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of keyed hashes (base/seal.h): made once, kept sealed in the database, so that what was hashed is found again however often the
 * sealing keys are changed. */
#ifndef P2P_STORE_HASH_KEYS_H
#define P2P_STORE_HASH_KEYS_H

#include "base/seal.h"
#include "store/db.h"

/* The ring that p2p_keyed_hash takes, in p: the first key makes hashes, all find them. Made where the database has none yet: of random bytes,
 * or of the sealing keys where there may be hashes made with those. To be called before an order takes its numbers from the counters, and not from
 * within a transaction. Errors: those of the database, and of a sealing key that is missing. */
p2p_error_t *p2p_hash_keys(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, p2p_keyring_t **hashes);

#endif
