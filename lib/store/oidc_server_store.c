/* SPDX-License-Identifier: Apache-2.0 */
/* Definitions: finding, storing, changing and removing them. */
#include "store/oidc_server_store.h"

#include <string.h>
#include "store/sealed.h"

#define TABLE "p2p_oidc_server"
#define COUNTER "oidc_server"

p2p_error_t *p2p_oidc_server_list(p2p_db_t *db, apr_pool_t *p, apr_array_header_t **servers)
{
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_SERVER_LIST, &rows));
    *servers = apr_array_make(p, rows.count, sizeof(p2p_oidc_server_t));
    for (int i = 0; i < rows.count; i++) {
        p2p_oidc_server_t *server = apr_array_push(*servers);

        memset(server, 0, sizeof *server);
        server->pid = p2p_rows_int(&rows, i, 0);
        server->name = rows.cell[i][1];
    }
    return NULL;
}

static p2p_error_t *open_key_file(apr_pool_t *p, const p2p_keyring_t *keyring, p2p_oidc_server_t *server)
{
    return p2p_unseal_column(p, keyring, TABLE, "key_file", server->pid, server->key_file, &server->key_file);
}

/* The sealed columns, for a row's number. */
static p2p_error_t *open_secrets(apr_pool_t *p, const p2p_keyring_t *keyring, p2p_oidc_server_t *server)
{
    P2P_TRY(p2p_unseal_column(p, keyring, TABLE, "client_secret", server->pid, server->client_secret,
                              &server->client_secret));
    P2P_TRY(p2p_unseal_column(p, keyring, TABLE, "key_text", server->pid, server->key_text,
                              &server->key_text));
    return open_key_file(p, keyring, server);
}

static p2p_error_t *seal_secrets(apr_pool_t *p, const p2p_keyring_t *keyring, const p2p_oidc_server_t *server,
                                 p2p_oidc_server_t *sealed)
{
    *sealed = *server;
    P2P_TRY(p2p_seal_column(p, keyring, TABLE, "client_secret", server->pid, server->client_secret,
                            &sealed->client_secret));
    P2P_TRY(p2p_seal_column(p, keyring, TABLE, "key_text", server->pid, server->key_text, &sealed->key_text));
    return p2p_seal_column(p, keyring, TABLE, "key_file", server->pid, server->key_file, &sealed->key_file);
}

/* A row in the order of sql.c's SERVER_COLUMNS, its secrets still sealed. */
static p2p_oidc_server_t *from_row(apr_pool_t *p, const p2p_rows_t *rows, int row)
{
    p2p_oidc_server_t *server = apr_pcalloc(p, sizeof *server);
    const char **cell = rows->cell[row];

    server->pid = p2p_rows_int(rows, row, 0);
    server->version = p2p_rows_int(rows, row, 1);
    server->name = cell[2];
    server->issuer = cell[3];
    server->id_namespace = cell[4];
    server->client_id = cell[5];
    server->client_secret = cell[6];
    server->key_text = cell[7];
    server->key_file = cell[8];
    server->auth_well_known = cell[9];
    server->scopes = cell[10];
    server->fhir_endpoint = cell[11];
    server->token_endpoint = cell[12];
    server->custom_token_params = cell[13];
    server->response_type = cell[14];
    server->organization_id = cell[15];
    server->notes = cell[16];
    server->archived = p2p_rows_int(rows, row, 17) != 0;
    server->last_updated = p2p_rows_int(rows, row, 18);
    server->client_secret_set = *cell[6] != '\0';
    server->key_text_set = *cell[7] != '\0';
    return server;
}

static p2p_error_t *no_such_server(apr_pool_t *p)
{
    return p2p_error_make(p, P2P_E_NOT_FOUND, "no-such-server",
                          "There is no OIDC server definition of this number.");
}

static p2p_error_t *get(p2p_db_t *db, apr_pool_t *p, apr_int64_t pid, p2p_oidc_server_t **server)
{
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_SERVER_GET, &rows, pid));
    if (!rows.count) return no_such_server(p);
    *server = from_row(p, &rows, 0);
    return NULL;
}

p2p_error_t *p2p_oidc_server_get(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, apr_int64_t pid,
                                 p2p_oidc_server_t **server)
{
    P2P_TRY(get(db, p, pid, server));
    if (keyring) return open_secrets(p, keyring, *server);
    (*server)->client_secret = (*server)->key_text = (*server)->key_file = "";
    return NULL;
}

p2p_error_t *p2p_oidc_server_get_active(p2p_db_t *db, apr_pool_t *p, apr_int64_t pid, p2p_oidc_server_t **server)
{
    P2P_TRY(p2p_oidc_server_get(db, p, NULL, pid, server));
    return (*server)->archived ? no_such_server(p) : NULL;
}

static p2p_error_t *show(apr_pool_t *p, const p2p_keyring_t *keyring, p2p_oidc_server_t *server)
{
    server->client_secret = server->key_text = "";
    return open_key_file(p, keyring, server);
}

p2p_error_t *p2p_oidc_server_show(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, apr_int64_t pid,
                                  p2p_oidc_server_t **server)
{
    P2P_TRY(get(db, p, pid, server));
    return show(p, keyring, *server);
}

p2p_error_t *p2p_oidc_server_find(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const char *issuer,
                                  p2p_oidc_server_t **server)
{
    p2p_rows_t rows;

    *server = NULL;
    P2P_TRY(p2p_db_select(db, p, P2P_SQL_SERVER_BY_ISSUER, &rows, issuer));
    if (!rows.count) return NULL;
    *server = from_row(p, &rows, 0);
    return open_secrets(p, keyring, *server);
}

p2p_error_t *p2p_oidc_server_search(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const p2p_oidc_server_filter_t *filter,
                                    apr_int64_t after, int limit, apr_array_header_t **servers)
{
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_SERVER_SEARCH, &rows, after, filter->issuer, filter->issuer, filter->organization,
                          filter->organization, filter->name, (apr_int64_t)filter->archived, (apr_int64_t)limit));
    *servers = apr_array_make(p, rows.count + 1, sizeof(p2p_oidc_server_t *));
    for (int i = 0; i < rows.count; i++) {
        p2p_oidc_server_t *server = from_row(p, &rows, i);

        P2P_TRY(show(p, keyring, server));
        APR_ARRAY_PUSH(*servers, p2p_oidc_server_t *) = server;
    }
    return NULL;
}

p2p_error_t *p2p_oidc_server_use(p2p_db_t *db, apr_pool_t *p, apr_int64_t pid, p2p_oidc_server_use_t *use)
{
    const apr_int64_t most = P2P_USE_MOST;
    p2p_oidc_server_t *server;
    p2p_rows_t rows;

    P2P_TRY(get(db, p, pid, &server));
    P2P_TRY(p2p_db_select(db, p, P2P_SQL_SERVER_USE, &rows, pid, most, pid, pid, most, pid, pid, most, pid, pid, pid));
    use->jobs = p2p_rows_int(&rows, 0, 0);
    if (use->jobs > most) use->jobs = most;
    use->members = p2p_rows_int(&rows, 0, 1);
    use->exchanged = use->members > 0 || p2p_rows_int(&rows, 0, 2) > 0;
    return NULL;
}

/* ---- Changes ---- */

p2p_error_t *p2p_oidc_server_hold_issuers(p2p_db_t *db, apr_pool_t *p)
{
    p2p_rows_t rows;

    return p2p_db_select(db, p, P2P_SQL_COUNTER_ADD, &rows, COUNTER, (apr_int64_t)0);
}

/* Has another definition the issuer of this one? */
static p2p_error_t *check_issuer(p2p_db_t *db, apr_pool_t *p, const p2p_oidc_server_t *server, p2p_oidc_server_other_t *other)
{
    const p2p_oidc_server_t *found;
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_SERVER_BY_ISSUER, &rows, server->issuer));
    if (!rows.count) return NULL;
    found = from_row(p, &rows, 0);
    if (found->pid == server->pid) return NULL;
    other->pid = found->pid;
    other->archived = found->archived;
    return p2p_error_make(p, P2P_E_CONFLICT, "issuer-exists", found->archived ?
                          "Definition %" APR_INT64_T_FMT " has this issuer and is archived: bring it back with PATCH {\"archived\": false}." :
                          "Definition %" APR_INT64_T_FMT " has this issuer already.", found->pid);
}

static p2p_error_t *conflict(apr_pool_t *p)
{
    return p2p_error_make(p, P2P_E_CONFLICT, "edit-conflict",
                          "Somebody else changed a definition at the same time: look at it and try again.");
}

p2p_error_t *p2p_oidc_server_insert(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, p2p_oidc_server_t *server,
                                    p2p_oidc_server_other_t *other)
{
    p2p_oidc_server_t s;
    int changed;

    P2P_TRY(p2p_db_next_id(db, p, COUNTER, &server->pid));
    P2P_TRY(check_issuer(db, p, server, other));
    server->version = 1;
    server->id_namespace = server->issuer;
    P2P_TRY(seal_secrets(p, keyring, server, &s));
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_SERVER_INSERT, &changed, s.pid, s.name, s.issuer, s.id_namespace,
                        s.client_id, s.client_secret, s.key_text, s.key_file, s.auth_well_known, s.scopes, s.fhir_endpoint,
                        s.token_endpoint, s.custom_token_params, s.response_type, s.organization_id, s.notes,
                        (apr_int64_t)s.archived));
    return changed == 1 ? NULL : conflict(p);
}

p2p_error_t *p2p_oidc_server_update(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, p2p_oidc_server_t *server, int keep,
                                    p2p_oidc_server_other_t *other)
{
    apr_int64_t keep_secret = (keep & P2P_KEEP_CLIENT_SECRET) != 0, keep_text = (keep & P2P_KEEP_KEY_TEXT) != 0;
    p2p_oidc_server_t s;
    int changed;

    P2P_TRY(p2p_oidc_server_hold_issuers(db, p));
    P2P_TRY(check_issuer(db, p, server, other));
    P2P_TRY(seal_secrets(p, keyring, server, &s));
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_SERVER_UPDATE, &changed, s.name, s.issuer, s.client_id, keep_secret, s.client_secret, keep_text,
                        s.key_text, s.key_file, s.auth_well_known, s.scopes, s.fhir_endpoint, s.token_endpoint,
                        s.custom_token_params, s.response_type, s.organization_id, s.notes, (apr_int64_t)s.archived, s.pid, s.version));
    server->version++;
    return changed == 1 ? NULL : conflict(p);
}

p2p_error_t *p2p_oidc_server_hold(p2p_db_t *db, apr_pool_t *p, apr_int64_t pid)
{
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_SERVER_HOLD, &rows, pid));
    return rows.count ? NULL : no_such_server(p);
}

p2p_error_t *p2p_oidc_server_lock(p2p_db_t *db, apr_pool_t *p, apr_int64_t pid, apr_int64_t *version)
{
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_SERVER_LOCK, &rows, pid));
    if (!rows.count) return no_such_server(p);
    *version = p2p_rows_int(&rows, 0, 0);
    return NULL;
}

/* Members are bound for good: with the definition gone, one of the same issuer would derive the same ids and bind anybody to them. */
p2p_error_t *p2p_oidc_server_remove(p2p_db_t *db, apr_pool_t *p, apr_int64_t pid)
{
    int removed;

    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_SERVER_REMOVE, &removed, pid));
    return p2p_db_exec(db, p, removed ? P2P_SQL_SERVER_FORGET_TESTS : P2P_SQL_SERVER_ARCHIVE, NULL, pid);
}
