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

/* The same without secret and keys; an archived one is not found either. */
p2p_error_t *p2p_oidc_server_get_active(p2p_db_t *db, apr_pool_t *p, apr_int64_t pid, p2p_oidc_server_t **server);

/* p2p_oidc_server_get for an administrator: of what is sealed the name of the key file alone is opened. */
p2p_error_t *p2p_oidc_server_show(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, apr_int64_t pid,
                                  p2p_oidc_server_t **server);

/* The definition with this issuer, archived or not, everything opened; NULL where there is none. */
p2p_error_t *p2p_oidc_server_find(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const char *issuer,
                                  p2p_oidc_server_t **server);

/* What a search is for; "" lets everything pass. */
typedef struct p2p_oidc_server_filter_t {
    const char *name;         /* stands somewhere in the name, upper or lower case */
    const char *issuer;       /* exactly, without trailing slash */
    const char *organization; /* its id, exactly */
    int archived;             /* archived ones, too */
} p2p_oidc_server_filter_t;

/* Definitions behind the number after, pid ascending, at most limit, as p2p_oidc_server_show tells them. Array of p2p_oidc_server_t * in
 * p. */
p2p_error_t *p2p_oidc_server_search(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const p2p_oidc_server_filter_t *filter,
                                    apr_int64_t after, int limit, apr_array_header_t **servers);

/* The changes below are made in the open transaction. */

/* From here to the end of the transaction nobody else stores or changes a definition's issuer. */
p2p_error_t *p2p_oidc_server_hold_issuers(p2p_db_t *db, apr_pool_t *p);

/* Where an issuer is taken: by which definition. */
typedef struct p2p_oidc_server_other_t {
    apr_int64_t pid;
    int archived;
} p2p_oidc_server_other_t;

/* Stores a new definition; pid, version and id_namespace are set. Errors: P2P_E_CONFLICT "issuer-exists", *other tells whose it is. */
p2p_error_t *p2p_oidc_server_insert(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, p2p_oidc_server_t *server,
                                    p2p_oidc_server_other_t *other);

/* What an update leaves as it is. */
enum { P2P_KEEP_CLIENT_SECRET = 1, P2P_KEEP_KEY_TEXT = 2 };

/* Replaces what is stored of server->pid, which has to be at server->version still; version is set. id_namespace stays. Errors:
 * P2P_E_CONFLICT "edit-conflict", or "issuer-exists" as above. */
p2p_error_t *p2p_oidc_server_update(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, p2p_oidc_server_t *server, int keep,
                                    p2p_oidc_server_other_t *other);

/* Holds a definition that a job is about to refer to, until the end of the transaction. Errors: P2P_E_NOT_FOUND "no-such-server", also for one
 * that is archived. */
p2p_error_t *p2p_oidc_server_hold(p2p_db_t *db, apr_pool_t *p, apr_int64_t pid);

/* Holds a definition that is to be removed, until the end of the transaction; *version is its. Errors: P2P_E_NOT_FOUND "no-such-server". */
p2p_error_t *p2p_oidc_server_lock(p2p_db_t *db, apr_pool_t *p, apr_int64_t pid, apr_int64_t *version);

/* What hangs on a definition; nothing is counted beyond P2P_USE_MOST. */
#define P2P_USE_MOST 1000
typedef struct p2p_oidc_server_use_t {
    apr_int64_t jobs, members; /* exchanges that have not ended; source patients that are bound: of all targets */
    int exchanged;             /* a member is bound, or an exchange is kept: removing it archives it */
} p2p_oidc_server_use_t;

/* Errors: P2P_E_NOT_FOUND "no-such-server". */
p2p_error_t *p2p_oidc_server_use(p2p_db_t *db, apr_pool_t *p, apr_int64_t pid, p2p_oidc_server_use_t *use);

/* Removes one that is locked, with what is left of its tests; or archives it where an exchange, a test that is under way, a grant or a member's
 * binding refers to it. */
p2p_error_t *p2p_oidc_server_remove(p2p_db_t *db, apr_pool_t *p, apr_int64_t pid);

/* Creates or updates each of the servers by its issuer, all or none, in a transaction of its own; pids are set; *created and *updated
 * count. id_namespace of an existing one stays; one that is equal is left as it is and counted nowhere. */
p2p_error_t *p2p_oidc_server_import(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring,
                                    apr_array_header_t *servers, int *created, int *updated);

/* The same, and each that was created or updated is in the audit, by who. */
p2p_error_t *p2p_oidc_server_import_by(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const char *who,
                                       apr_array_header_t *servers, int *created, int *updated);

#endif
