/* SPDX-License-Identifier: Apache-2.0 */
/* What enqueueing a job needs of grants; all of it inside a transaction. */
#ifndef P2P_STORE_GRANT_PRIVATE_H
#define P2P_STORE_GRANT_PRIVATE_H

#include <apr_strings.h>
#include "store/grant_store.h"

/* The keyed hash, with one of the keys of store/hash_keys.h, that leads from a refresh token to its grant. */
const char *p2p_grant_alias(apr_pool_t *p, const p2p_keyring_t *hashes, int key, apr_int64_t server_id,
                            const char *refresh_token);

/* The grant that this refresh token, current or older, belongs to; *id is 0 where it was never seen. */
p2p_error_t *p2p_grant_find(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *hashes, apr_int64_t server_id,
                            const char *refresh_token, apr_int64_t *id);

/* Inserts a grant of a known id. */
p2p_error_t *p2p_grant_create(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring,
                              const p2p_grant_t *grant);

/* Gives a grant that has none an access token. */
p2p_error_t *p2p_grant_set_access(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, apr_int64_t id,
                                  const char *access_token);

#endif
