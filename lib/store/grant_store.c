/* SPDX-License-Identifier: Apache-2.0 */
/* Grants, one refresh at a time. */
#include "store/grant_store.h"

#include <string.h>
#include "store/grant_private.h"
#include "store/hash_keys.h"
#include "store/sealed.h"

#define TABLE "p2p_grant"

p2p_error_t *p2p_grant_get(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, apr_int64_t id,
                           p2p_grant_t **out)
{
    p2p_grant_t *grant = apr_pcalloc(p, sizeof *grant);
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_GRANT_GET, &rows, id));
    if (!rows.count) return p2p_error_make(p, P2P_E_NOT_FOUND, "no-such-grant",
                                           "The job's grant does not exist.");
    grant->id = id;
    grant->version = p2p_rows_int(&rows, 0, 1);
    grant->oidc_server_id = p2p_rows_int(&rows, 0, 2);
    grant->kind = rows.cell[0][3];
    P2P_TRY(p2p_unseal_column(p, keyring, TABLE, "access_token", id, rows.cell[0][4], &grant->access_token));
    P2P_TRY(p2p_unseal_column(p, keyring, TABLE, "refresh_token", id, rows.cell[0][5],
                              &grant->refresh_token));
    grant->access_expires = p2p_rows_int(&rows, 0, 6);
    grant->ended = p2p_rows_int(&rows, 0, 7) != 0;
    grant->in_doubt = p2p_rows_int(&rows, 0, 8) != 0;
    *out = grant;
    return NULL;
}

const char *p2p_grant_alias(apr_pool_t *p, const p2p_keyring_t *hashes, int key, apr_int64_t server_id,
                            const char *refresh_token)
{
    /* The same text from two authorization servers is two tokens. */
    return p2p_keyed_hash(p, hashes, key, "refresh-token",
                          apr_psprintf(p, "%" APR_INT64_T_FMT " %s", server_id, refresh_token));
}

p2p_error_t *p2p_grant_find(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *hashes, apr_int64_t server_id,
                            const char *refresh_token, apr_int64_t *id)
{
    p2p_rows_t rows;

    *id = 0;
    for (int key = 0; *refresh_token && !*id && key < p2p_keyring_count(hashes); key++) {
        P2P_TRY(p2p_db_select(db, p, P2P_SQL_ALIAS_GET, &rows,
                              p2p_grant_alias(p, hashes, key, server_id, refresh_token)));
        if (rows.count) *id = p2p_rows_int(&rows, 0, 0);
    }
    return NULL;
}

p2p_error_t *p2p_grant_create(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring,
                              const p2p_grant_t *grant)
{
    const char *access, *refresh;

    P2P_TRY(p2p_seal_column(p, keyring, TABLE, "access_token", grant->id, grant->access_token, &access));
    P2P_TRY(p2p_seal_column(p, keyring, TABLE, "refresh_token", grant->id, grant->refresh_token, &refresh));
    return p2p_db_exec(db, p, P2P_SQL_GRANT_INSERT, NULL, grant->id, grant->oidc_server_id, grant->kind,
                       access,
                       refresh);
}

p2p_error_t *p2p_grant_set_access(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, apr_int64_t id,
                                  const char *access_token)
{
    const char *sealed;

    P2P_TRY(p2p_seal_column(p, keyring, TABLE, "access_token", id, access_token, &sealed));
    return p2p_db_exec(db, p, P2P_SQL_GRANT_SET_ACCESS, NULL, sealed, id);
}

p2p_error_t *p2p_grant_begin_refresh(p2p_db_t *db, apr_pool_t *p, apr_int64_t grant_id, apr_int64_t version,
                                     const char *owner, int *mine)
{
    return p2p_db_exec(db, p, P2P_SQL_GRANT_BEGIN_REFRESH, mine, owner, grant_id, version);
}

typedef struct refresh_t {
    const p2p_keyring_t *keyring;
    p2p_keyring_t *hashes;
    apr_int64_t grant_id;
    const char *owner, *access_token, *refresh_token;
    apr_time_t access_expires;
} refresh_t;

static p2p_error_t *remember(p2p_db_t *db, apr_pool_t *p, const refresh_t *refresh)
{
    p2p_grant_t *grant;

    if (!*refresh->refresh_token) return NULL;
    P2P_TRY(p2p_grant_get(db, p, refresh->keyring, refresh->grant_id, &grant));
    return p2p_db_exec(db, p, P2P_SQL_ALIAS_INSERT, NULL,
                       p2p_grant_alias(p, refresh->hashes, 0, grant->oidc_server_id, refresh->refresh_token),
                       refresh->grant_id);
}

static p2p_error_t *store_refresh(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    const refresh_t *refresh = baton;
    const char *access, *token;
    int changed;

    P2P_TRY(p2p_seal_column(p, refresh->keyring, TABLE, "access_token", refresh->grant_id,
                            refresh->access_token,
                            &access));
    P2P_TRY(p2p_seal_column(p, refresh->keyring, TABLE, "refresh_token", refresh->grant_id,
                            refresh->refresh_token,
                            &token));
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_GRANT_END_REFRESH, &changed, access,
                        (apr_int64_t)refresh->access_expires, token,
                        token, refresh->grant_id, refresh->owner));
    if (!changed) {
        return p2p_error_make(p, P2P_E_LOST, "lease-lost",
                              "The refresh of this grant is not this runner's any more.");
    }
    return remember(db, p, refresh);
}

p2p_error_t *p2p_grant_end_refresh(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring,
                                   apr_int64_t grant_id,
                                   const char *owner, const char *access_token, apr_time_t access_expires,
                                   const char *refresh_token)
{
    refresh_t refresh = {keyring, NULL, grant_id, owner, access_token, refresh_token, access_expires};

    P2P_TRY(p2p_hash_keys(db, p, keyring, &refresh.hashes));
    return p2p_db_transaction(db, p, store_refresh, &refresh);
}

p2p_error_t *p2p_grant_abandon_refresh(p2p_db_t *db, apr_pool_t *p, apr_int64_t grant_id, const char *owner,
                                       int ended)
{
    return p2p_db_exec(db, p, ended ? P2P_SQL_GRANT_END : P2P_SQL_GRANT_ABANDON_REFRESH, NULL, grant_id,
                       owner);
}
