/* SPDX-License-Identifier: Apache-2.0 */
/* Definitions, as the portal reads them. */
#include "dbd.h"
#include "definition_cache.h"
#include "handlers.h"
#include "model/oidc_server.h"
#include "problem.h"
#include "reply.h"
#include "store/oidc_server_store.h"

typedef struct read_t {
    apr_int64_t pid;
    p2p_oidc_server_t *server;
    apr_array_header_t *servers;
} read_t;

static p2p_error_t *read_list(p2p_db_t *db, request_rec *r, void *baton)
{
    return p2p_oidc_server_list(db, r->pool, &((read_t *)baton)->servers);
}

static p2p_error_t *read_one(p2p_db_t *db, request_rec *r, void *baton)
{
    read_t *read = baton;

    return p2p_oidc_server_get_active(db, r->pool, read->pid, &read->server);
}

int p2p_handle_oidc_servers(request_rec *r, const p2p_match_t *match)
{
    read_t read = { 0 };
    p2p_error_t *error = p2p_dbd_with(r, read_list, &read);
    json_object *doc = p2p_json_own(r->pool, json_object_new_object());
    json_object *list = json_object_new_array();

    (void)match;
    json_object_object_add(doc, "servers", list);
    if (error) return p2p_problem_error(r, error);
    for (int i = 0; i < read.servers->nelts; i++) {
        const p2p_oidc_server_t *server = &APR_ARRAY_IDX(read.servers, i, p2p_oidc_server_t);

        json_object_array_add(list, json_object_get(p2p_oidc_server_listed(r->pool, server)));
    }
    return p2p_reply(r, HTTP_OK, doc, p2p_etag_doc(r->pool, doc));
}

int p2p_handle_oidc_server(request_rec *r, const p2p_match_t *match)
{
    read_t read = { .pid = match->ids[0] };
    p2p_definition_doc_t doc;
    p2p_error_t *error;

    if (p2p_definition_cache_get(r, read.pid, &doc)) return p2p_reply_text(r, HTTP_OK, doc.text, doc.len, doc.etag);
    error = p2p_dbd_with(r, read_one, &read);
    if (error) return p2p_problem_error(r, error);
    doc.text = p2p_json_print(r->pool, p2p_oidc_server_public(r->pool, read.server), &doc.len);
    doc.etag = p2p_etag_version(r->pool, read.server->version);
    p2p_definition_cache_put(r, read.pid, &doc);
    return p2p_reply_text(r, HTTP_OK, doc.text, doc.len, doc.etag);
}
