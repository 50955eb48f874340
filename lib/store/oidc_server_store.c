/* SPDX-License-Identifier: Apache-2.0 */
/* Definitions: reading them, and importing many at once. */
#include "store/oidc_server_store.h"

#include <string.h>
#include "store/sealed.h"

#define TABLE "p2p_oidc_server"

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

/* The sealed columns, for a row's number. */
static p2p_error_t *open_secrets(apr_pool_t *p, const p2p_keyring_t *keyring, p2p_oidc_server_t *server)
{
    if (!keyring) {
        server->client_secret = server->key_text = server->key_file = "";
        return NULL;
    }
    P2P_TRY(p2p_unseal_column(p, keyring, TABLE, "client_secret", server->pid, server->client_secret,
                              &server->client_secret));
    P2P_TRY(p2p_unseal_column(p, keyring, TABLE, "key_text", server->pid, server->key_text,
                              &server->key_text));
    return p2p_unseal_column(p, keyring, TABLE, "key_file", server->pid, server->key_file, &server->key_file);
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
static p2p_oidc_server_t *from_row(apr_pool_t *p, const p2p_rows_t *rows)
{
    p2p_oidc_server_t *server = apr_pcalloc(p, sizeof *server);
    const char **cell = rows->cell[0];

    server->pid = p2p_rows_int(rows, 0, 0);
    server->version = p2p_rows_int(rows, 0, 1);
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
    server->archived = p2p_rows_int(rows, 0, 17) != 0;
    return server;
}

p2p_error_t *p2p_oidc_server_get(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, apr_int64_t pid,
                                 p2p_oidc_server_t **server)
{
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_SERVER_GET, &rows, pid));
    if (!rows.count) {
        return p2p_error_make(p, P2P_E_NOT_FOUND, "no-such-server",
                              "There is no OIDC server definition of this number.");
    }
    *server = from_row(p, &rows);
    return open_secrets(p, keyring, *server);
}

typedef struct import_t {
    const p2p_keyring_t *keyring;
    apr_array_header_t *servers;
    int created, updated;
} import_t;

static int same(const p2p_oidc_server_t *a, const p2p_oidc_server_t *b)
{
    return !strcmp(a->name, b->name) && !strcmp(a->client_id, b->client_id) &&
           !strcmp(a->client_secret, b->client_secret) && !strcmp(a->key_text, b->key_text) &&
           !strcmp(a->key_file, b->key_file) && !strcmp(a->auth_well_known, b->auth_well_known) &&
           !strcmp(a->scopes, b->scopes) && !strcmp(a->fhir_endpoint, b->fhir_endpoint) &&
           !strcmp(a->token_endpoint, b->token_endpoint) &&
           !strcmp(a->custom_token_params,
                   b->custom_token_params) && !strcmp(a->response_type, b->response_type) &&
           !strcmp(a->organization_id, b->organization_id) && !strcmp(a->notes, b->notes);
}

static p2p_error_t *conflict(apr_pool_t *p)
{
    return p2p_error_make(p, P2P_E_CONFLICT, "edit-conflict",
                          "Somebody else changed a definition at the same time; import again.");
}

static p2p_error_t *create(p2p_db_t *db, apr_pool_t *p, import_t *import, p2p_oidc_server_t *server)
{
    p2p_oidc_server_t s;
    int changed;

    P2P_TRY(p2p_db_next_id(db, p, "oidc_server", &server->pid));
    server->version = 1;
    server->id_namespace = server->issuer;
    P2P_TRY(seal_secrets(p, import->keyring, server, &s));
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_SERVER_INSERT, &changed, s.pid, s.name, s.issuer, s.id_namespace,
                        s.client_id,
                        s.client_secret, s.key_text, s.key_file, s.auth_well_known, s.scopes, s.fhir_endpoint,
                        s.token_endpoint, s.custom_token_params, s.response_type, s.organization_id, s.notes));
    import->created++;
    return changed == 1 ? NULL : conflict(p);
}

static p2p_error_t *update(p2p_db_t *db, apr_pool_t *p, import_t *import, p2p_oidc_server_t *server,
                           const p2p_oidc_server_t *old)
{
    p2p_oidc_server_t s;
    int changed;

    server->pid = old->pid;
    server->version = old->version;
    server->id_namespace = old->id_namespace;
    if (same(server, old) && !old->archived) return NULL;
    P2P_TRY(seal_secrets(p, import->keyring, server, &s));
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_SERVER_UPDATE, &changed, s.name, s.client_id, s.client_secret,
                        s.key_text,
                        s.key_file, s.auth_well_known, s.scopes, s.fhir_endpoint, s.token_endpoint,
                        s.custom_token_params, s.response_type, s.organization_id, s.notes, s.pid, s.version));
    server->version++;
    import->updated++;
    return changed == 1 ? NULL : conflict(p);
}

static p2p_error_t *import_all(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    import_t *import = baton;

    import->created = import->updated = 0;
    for (int i = 0; i < import->servers->nelts; i++) {
        p2p_oidc_server_t *server = &APR_ARRAY_IDX(import->servers, i, p2p_oidc_server_t), *old;
        p2p_rows_t rows;

        P2P_TRY(p2p_db_select(db, p, P2P_SQL_SERVER_BY_ISSUER, &rows, server->issuer));
        if (!rows.count) {
            P2P_TRY(create(db, p, import, server));
            continue;
        }
        old = from_row(p, &rows);
        P2P_TRY(open_secrets(p, import->keyring, old));
        P2P_TRY(update(db, p, import, server, old));
    }
    return NULL;
}

p2p_error_t *p2p_oidc_server_import(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring,
                                    apr_array_header_t *servers, int *created, int *updated)
{
    import_t import = {.keyring = keyring, .servers = servers};

    P2P_TRY(p2p_db_transaction(db, p, import_all, &import));
    *created = import.created;
    *updated = import.updated;
    return NULL;
}
