/* SPDX-License-Identifier: Apache-2.0 */
/* Definitions that administrators create, replace and change, each in one transaction. */
#include <http_protocol.h>
#include <apr_strings.h>

#include "audit.h"
#include "body.h"
#include "dbd.h"
#include "handlers.h"
#include "mod_p2p.h"
#include "oidc/server_keys.h"
#include "problem.h"
#include "reply.h"
#include "shared.h"
#include "store/oidc_server_store.h"

typedef struct edit_t {
    request_rec *r;
    apr_int64_t pid;
    json_object *body;
    int patch;                     /* a merge patch, not the whole */
    p2p_if_match_t match;
    apr_array_header_t *errors;    /* of fields */
    p2p_oidc_server_t *server;     /* what became of it */
    p2p_oidc_server_other_t other; /* whose the issuer is */
} edit_t;

/* Rolls back; what the caller is told stands in edit. */
static p2p_error_t *refused(apr_pool_t *p)
{
    return p2p_error_make(p, P2P_E_INVALID, "refused", "The change is refused.");
}

static const p2p_keyring_t *keyring_of(const edit_t *edit)
{
    return p2p_config(edit->r->server)->spec.keyring;
}

/* Applies every rule to doc. A key file is looked at where the caller names it, not when he changes something else. */
static p2p_error_t *judge(edit_t *edit, json_object *doc, p2p_oidc_server_t *server)
{
    const p2p_spec_t *spec = &p2p_config(edit->r->server)->spec;
    p2p_oidc_server_t given;

    p2p_oidc_server_read(edit->r->pool, doc, spec->allow_http, "", server, edit->errors);
    given = *server;
    if (!json_object_object_get_ex(edit->body, "keyFile", NULL)) given.key_file = "";
    p2p_oidc_server_check_keys(edit->r->pool, &given, spec->key_dir, "", edit->errors);
    return edit->errors->nelts ? refused(edit->r->pool) : NULL;
}

static p2p_error_t *create(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    edit_t *edit = baton;
    p2p_oidc_server_t server;

    P2P_TRY(judge(edit, edit->body, &server));
    P2P_TRY(p2p_oidc_server_insert(db, p, keyring_of(edit), &server, &edit->other));
    p2p_audit_object(edit->r, "oidc_server", server.pid);
    p2p_audit_status(edit->r, HTTP_CREATED);
    return p2p_oidc_server_show(db, p, keyring_of(edit), server.pid, &edit->server);
}

/* What is only written stays where the body does not name it: nobody can send back what he is never shown. */
static int kept(json_object *body)
{
    return (json_object_object_get_ex(body, "clientSecret", NULL) ? 0 : P2P_KEEP_CLIENT_SECRET) |
           (json_object_object_get_ex(body, "keyText", NULL) ? 0 : P2P_KEEP_KEY_TEXT);
}

/* The document that is to be. */
static json_object *result_of(const edit_t *edit, const p2p_oidc_server_t *old)
{
    if (edit->patch) return p2p_oidc_server_merge(edit->r->pool, old, edit->body);
    if (!json_object_object_get_ex(edit->body, "archived", NULL)) p2p_json_add_bool(edit->body, "archived", old->archived);
    return edit->body;
}

static p2p_error_t *change(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    edit_t *edit = baton;
    p2p_oidc_server_t *old, server;

    P2P_TRY(p2p_oidc_server_show(db, p, keyring_of(edit), edit->pid, &old));
    edit->match = p2p_if_match(edit->r, old->version);
    if (edit->match == P2P_MATCH_STALE) return refused(p);
    P2P_TRY(judge(edit, result_of(edit, old), &server));
    server.pid = old->pid;
    server.version = old->version;
    P2P_TRY(p2p_oidc_server_update(db, p, keyring_of(edit), &server, kept(edit->body), &edit->other));
    return p2p_oidc_server_show(db, p, keyring_of(edit), edit->pid, &edit->server);
}

static p2p_error_t *work(p2p_db_t *db, request_rec *r, void *baton)
{
    return p2p_db_transaction(db, r->pool, ((const edit_t *)baton)->pid ? change : create, baton);
}

static const char *path_of(request_rec *r, apr_int64_t pid)
{
    return apr_psprintf(r->pool, "%s/admin/oidc_servers/%" APR_INT64_T_FMT, p2p_dir(r)->prefix, pid);
}

static int refuse(const edit_t *edit, const p2p_error_t *error)
{
    int raced = edit->match == P2P_MATCH_EXACT && !strcmp(error->code, "edit-conflict");

    if (edit->errors->nelts) return p2p_problem_fields(edit->r, edit->errors);
    if (edit->match == P2P_MATCH_STALE || raced) return p2p_problem(edit->r, HTTP_PRECONDITION_FAILED, NULL, NULL);
    if (edit->other.pid) apr_table_setn(edit->r->err_headers_out, "Location", path_of(edit->r, edit->other.pid));
    return p2p_problem_error(edit->r, error);
}

/* Reads the body and makes the change; OK, or what the handler is to return. */
static int run(edit_t *edit)
{
    request_rec *r = edit->r;
    p2p_error_t *error;
    int answer = p2p_body(r, &edit->body);

    if (answer != OK) return answer;
    edit->errors = p2p_field_errors(r->pool);
    error = p2p_dbd_with(r, work, edit);
    if (error) return refuse(edit, error);
    p2p_shared_bump(r->server);
    return OK;
}

static int reply(const edit_t *edit, int status)
{
    return p2p_reply(edit->r, status, p2p_oidc_server_admin(edit->r->pool, edit->server),
                     p2p_etag_version(edit->r->pool, edit->server->version));
}

int p2p_handle_admin_server_post(request_rec *r, const p2p_match_t *match)
{
    edit_t edit = { .r = r };
    int answer = run(&edit);

    (void)match;
    if (answer != OK) return answer;
    apr_table_setn(r->headers_out, "Location", path_of(r, edit.server->pid));
    return reply(&edit, HTTP_CREATED);
}

int p2p_handle_admin_server_put(request_rec *r, const p2p_match_t *match)
{
    edit_t edit = { .r = r, .pid = match->ids[0] };
    int answer = run(&edit);

    return answer == OK ? reply(&edit, HTTP_OK) : answer;
}

int p2p_handle_admin_server_patch(request_rec *r, const p2p_match_t *match)
{
    edit_t edit = { .r = r, .pid = match->ids[0], .patch = 1 };
    int answer = run(&edit);

    return answer == OK ? reply(&edit, HTTP_OK) : answer;
}
