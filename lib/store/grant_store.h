/* SPDX-License-Identifier: Apache-2.0 */
/* Grants: one refresh at a time across all runners, marked before it is sent, the rotated token durable
 * before it is used. */
#ifndef P2P_STORE_GRANT_STORE_H
#define P2P_STORE_GRANT_STORE_H

#include "base/seal.h"
#include "model/grant.h"
#include "store/db.h"

/* The grant with its tokens opened. Errors: P2P_E_NOT_FOUND "no-such-grant". */
p2p_error_t *p2p_grant_get(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, apr_int64_t id,
                           p2p_grant_t **grant);

/* Asks for the right to refresh: *mine is 1 where no other refresh of this grant is under way (one is, for at
 * most 60 s by the database's clock) and the grant is still at version; then grant_id is marked for owner. */
p2p_error_t *p2p_grant_begin_refresh(p2p_db_t *db, apr_pool_t *p, apr_int64_t grant_id, apr_int64_t version,
                                     const char *owner, int *mine);

/* Stores what the token endpoint gave (refresh_token "" where it did not rotate: the old one stays),
 * remembers the new refresh token's alias, takes the mark away; one transaction. Errors: P2P_E_LOST where the
 * mark is not owner's any more. */
p2p_error_t *p2p_grant_end_refresh(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring,
                                   apr_int64_t grant_id,
                                   const char *owner, const char *access_token, apr_time_t access_expires,
                                   const char *refresh_token);

/* Takes the mark away without new tokens; ended = 1 where the source said the grant is worth nothing
 * (invalid_grant). */
p2p_error_t *p2p_grant_abandon_refresh(p2p_db_t *db, apr_pool_t *p, apr_int64_t grant_id, const char *owner,
                                       int ended);

#endif
