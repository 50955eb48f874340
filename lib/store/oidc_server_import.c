/* SPDX-License-Identifier: Apache-2.0 */
/* Importing many definitions at once. */
#include "store/oidc_server_store.h"

#include <string.h>
#include <apr_strings.h>
#include "store/audit_store.h"

typedef struct import_t {
    const p2p_keyring_t *keyring;
    const char *who; /* NULL: nothing is noted in the audit */
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
           !strcmp(a->organization_id, b->organization_id) && !strcmp(a->notes, b->notes) && a->archived == b->archived;
}

static p2p_error_t *note(p2p_db_t *db, apr_pool_t *p, const import_t *import, const char *action, int status, apr_int64_t pid)
{
    p2p_audit_row_t row = {.client = import->who, .role = "administrator", .address = "local", .action = action, .status = status};

    if (!import->who) return NULL;
    row.object = apr_psprintf(p, "oidc_server/%" APR_INT64_T_FMT, pid);
    return p2p_audit_add(db, p, &row);
}

static p2p_error_t *create(p2p_db_t *db, apr_pool_t *p, import_t *import, p2p_oidc_server_t *server)
{
    p2p_oidc_server_other_t other;

    import->created++;
    P2P_TRY(p2p_oidc_server_insert(db, p, import->keyring, server, &other));
    return note(db, p, import, "create", 201, server->pid);
}

static p2p_error_t *update(p2p_db_t *db, apr_pool_t *p, import_t *import, p2p_oidc_server_t *server,
                           const p2p_oidc_server_t *old)
{
    p2p_oidc_server_other_t other;

    server->pid = old->pid;
    server->version = old->version;
    server->id_namespace = old->id_namespace;
    if (same(server, old)) return NULL;
    import->updated++;
    P2P_TRY(p2p_oidc_server_update(db, p, import->keyring, server, 0, &other));
    return note(db, p, import, "replace", 200, server->pid);
}

static p2p_error_t *import_all(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    import_t *import = baton;

    import->created = import->updated = 0;
    P2P_TRY(p2p_oidc_server_hold_issuers(db, p));
    for (int i = 0; i < import->servers->nelts; i++) {
        p2p_oidc_server_t *server = &APR_ARRAY_IDX(import->servers, i, p2p_oidc_server_t), *old;

        P2P_TRY(p2p_oidc_server_find(db, p, import->keyring, server->issuer, &old));
        P2P_TRY(old ? update(db, p, import, server, old) : create(db, p, import, server));
    }
    return NULL;
}

p2p_error_t *p2p_oidc_server_import_by(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const char *who,
                                       apr_array_header_t *servers, int *created, int *updated)
{
    import_t import = {.keyring = keyring, .who = who, .servers = servers};

    P2P_TRY(p2p_db_transaction(db, p, import_all, &import));
    *created = import.created;
    *updated = import.updated;
    return NULL;
}

p2p_error_t *p2p_oidc_server_import(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring,
                                    apr_array_header_t *servers, int *created, int *updated)
{
    return p2p_oidc_server_import_by(db, p, keyring, NULL, servers, created, updated);
}
