/* SPDX-License-Identifier: Apache-2.0 */
/* Definitions in the database. Client secrets and keys are sealed there and opened here. */
#ifndef P2P_STORE_OIDC_SERVER_STORE_H
#define P2P_STORE_OIDC_SERVER_STORE_H

#include "base/seal.h"
#include "model/oidc_server.h"
#include "store/db.h"

/* All definitions that are not archived, pid ascending; only pid and name are set. Array of p2p_oidc_server_t
 * in p. */
p2p_error_t *p2p_oidc_server_list(p2p_db_t *db, apr_pool_t *p, apr_array_header_t **servers);

/* One definition, archived or not; the secret and the keys are opened with keyring (NULL: left blank).
 * Errors: P2P_E_NOT_FOUND "no-such-server". */
p2p_error_t *p2p_oidc_server_get(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, apr_int64_t pid,
                                 p2p_oidc_server_t **server);

/* Creates or updates each of the servers by its issuer, all or none; pids are set; *created and *updated
 * count. id_namespace of an existing one stays; an archived one is active again; one that is equal is left as
 * it is and counted nowhere. */
p2p_error_t *p2p_oidc_server_import(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring,
                                    apr_array_header_t *servers, int *created, int *updated);

#endif
