/* SPDX-License-Identifier: Apache-2.0 */
/* Definitions, as administrators find, read and remove them; and members that are unbound. */
#include <apr_strings.h>

#include "audit.h"
#include "base/uri.h"
#include "body.h"
#include "dbd.h"
#include "handlers.h"
#include "job_reply.h"
#include "mod_p2p.h"
#include "problem.h"
#include "query.h"
#include "reply.h"
#include "shared.h"
#include "store/job_store.h"
#include "store/oidc_server_store.h"

#define PAGE_SERVERS 50

/* ---- The list ---- */

typedef struct list_t {
    p2p_oidc_server_filter_t filter;
    const char *query;            /* the filter as the query of the next page has it, up to its cursor */
    apr_int64_t after;
    apr_array_header_t *servers;
} list_t;

/* One more than a page holds tells whether there is a next page. */
static p2p_error_t *read_list(p2p_db_t *db, request_rec *r, void *baton)
{
    list_t *list = baton;

    return p2p_oidc_server_search(db, r->pool, p2p_config(r->server)->spec.keyring, &list->filter, list->after, PAGE_SERVERS + 1,
                                  &list->servers);
}

/* A parameter of the filter, "" where it is not there; it is added to the query of the next page. */
static const char *take(request_rec *r, const apr_table_t *query, const char *name, list_t *list)
{
    const char *value = apr_table_get(query, name);

    if (!value || !*value) return "";
    list->query = apr_pstrcat(r->pool, list->query, p2p_query_pair(r->pool, name, value), NULL);
    return value;
}

static const char *scope_of(request_rec *r, const list_t *list)
{
    return apr_pstrcat(r->pool, "servers ", list->query, NULL);
}

static int read_query(request_rec *r, list_t *list)
{
    static const char *const names[] = { "name", "issuer", "organization", "archived", "page", NULL };
    const char *archived, *page;
    apr_table_t *query;
    int answer = p2p_query(r, names, &query);

    if (answer != OK) return answer;
    list->query = "";
    list->filter.name = take(r, query, "name", list);
    list->filter.issuer = p2p_uri_trim(r->pool, take(r, query, "issuer", list));
    list->filter.organization = take(r, query, "organization", list);
    archived = take(r, query, "archived", list);
    if (*archived && strcmp(archived, "true") && strcmp(archived, "false"))
        return p2p_problem(r, HTTP_BAD_REQUEST, "bad-query", "archived must be true or false.");
    list->filter.archived = !strcmp(archived, "true");
    page = apr_table_get(query, "page");
    return page ? p2p_cursor_read(r, scope_of(r, list), page, &list->after, 1) : OK;
}

static const p2p_oidc_server_t *server_at(const list_t *list, int i)
{
    return APR_ARRAY_IDX(list->servers, i, const p2p_oidc_server_t *);
}

static const char *next_of(request_rec *r, const list_t *list)
{
    if (list->servers->nelts <= PAGE_SERVERS) return NULL;
    return p2p_cursor_link(r, list->query, scope_of(r, list), &server_at(list, PAGE_SERVERS - 1)->pid, 1);
}

int p2p_handle_admin_servers(request_rec *r, const p2p_match_t *match)
{
    list_t list = { .after = 0 };
    json_object *doc = p2p_json_own(r->pool, json_object_new_object()), *servers = json_object_new_array();
    p2p_error_t *error;
    int answer = read_query(r, &list);

    (void)match;
    json_object_object_add(doc, "servers", servers);
    if (answer != OK) return answer;
    error = p2p_dbd_with(r, read_list, &list);
    if (error) return p2p_problem_error(r, error);
    for (int i = 0; i < list.servers->nelts && i < PAGE_SERVERS; i++)
        json_object_array_add(servers, json_object_get(p2p_oidc_server_admin(r->pool, server_at(&list, i))));
    p2p_json_add_str(doc, "next", next_of(r, &list));
    return p2p_reply(r, HTTP_OK, doc, p2p_etag_doc(r->pool, doc));
}

/* ---- One ---- */

typedef struct read_t {
    apr_int64_t pid;
    p2p_oidc_server_t *server;
} read_t;

static p2p_error_t *read_one(p2p_db_t *db, request_rec *r, void *baton)
{
    read_t *read = baton;

    return p2p_oidc_server_show(db, r->pool, p2p_config(r->server)->spec.keyring, read->pid, &read->server);
}

int p2p_handle_admin_server(request_rec *r, const p2p_match_t *match)
{
    read_t read = { .pid = match->ids[0] };
    p2p_error_t *error = p2p_dbd_with(r, read_one, &read);

    if (error) return p2p_problem_error(r, error);
    return p2p_reply(r, HTTP_OK, p2p_oidc_server_admin(r->pool, read.server), p2p_etag_version(r->pool, read.server->version));
}

/* ---- What hangs on it ---- */

typedef struct use_t {
    apr_int64_t pid;
    p2p_oidc_server_use_t use;
} use_t;

static p2p_error_t *read_use(p2p_db_t *db, request_rec *r, void *baton)
{
    use_t *use = baton;

    return p2p_oidc_server_use(db, r->pool, use->pid, &use->use);
}

int p2p_handle_admin_server_use(request_rec *r, const p2p_match_t *match)
{
    use_t use = { .pid = match->ids[0] };
    p2p_error_t *error = p2p_dbd_with(r, read_use, &use);
    json_object *doc = p2p_json_own(r->pool, json_object_new_object());

    if (error) return p2p_problem_error(r, error);
    p2p_json_add_int(doc, "jobsUnderWay", use.use.jobs);
    p2p_json_add_int(doc, "members", use.use.members);
    p2p_json_add_bool(doc, "everExchanged", use.use.exchanged);
    return p2p_reply(r, HTTP_OK, doc, p2p_etag_doc(r->pool, doc));
}

/* An answer without a body. */
static int done(request_rec *r)
{
    p2p_reply_headers(r);
    return HTTP_NO_CONTENT;
}

/* ---- Removing ---- */

typedef struct removal_t {
    request_rec *r;
    apr_int64_t pid;
    p2p_if_match_t match;
} removal_t;

static p2p_error_t *remove_it(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    removal_t *removal = baton;
    apr_int64_t version;

    P2P_TRY(p2p_oidc_server_lock(db, p, removal->pid, &version));
    removal->match = p2p_if_match(removal->r, version);
    if (removal->match == P2P_MATCH_STALE) return p2p_error_make(p, P2P_E_CONFLICT, "stale", "It has changed.");
    return p2p_oidc_server_remove(db, p, removal->pid);
}

static p2p_error_t *remove_one(p2p_db_t *db, request_rec *r, void *baton)
{
    return p2p_db_transaction(db, r->pool, remove_it, baton);
}

int p2p_handle_admin_server_delete(request_rec *r, const p2p_match_t *match)
{
    removal_t removal = { .r = r, .pid = match->ids[0] };
    p2p_error_t *error;

    p2p_audit_status(r, HTTP_NO_CONTENT);
    error = p2p_dbd_with(r, remove_one, &removal);
    if (removal.match == P2P_MATCH_STALE) return p2p_problem(r, HTTP_PRECONDITION_FAILED, NULL, NULL);
    if (error) return p2p_problem_error(r, error);
    p2p_shared_bump(r->server);
    return done(r);
}

/* ---- Unbinding ---- */

typedef struct unbinding_t {
    apr_int64_t pid;
    const char *patient;
    p2p_job_t *running;
} unbinding_t;

static p2p_error_t *unbind(p2p_db_t *db, request_rec *r, void *baton)
{
    unbinding_t *unbinding = baton;
    const p2p_spec_t *spec = &p2p_config(r->server)->spec;
    p2p_oidc_server_t *server;

    P2P_TRY(p2p_oidc_server_get(db, r->pool, NULL, unbinding->pid, &server));
    return p2p_job_unbind(db, r->pool, spec->keyring, spec->target, unbinding->pid, unbinding->patient, &unbinding->running);
}

static int read_patient(request_rec *r, const char **patient)
{
    apr_array_header_t *errors = p2p_field_errors(r->pool);
    json_object *doc;
    int answer = p2p_body(r, &doc);

    if (answer != OK) return answer;
    *patient = p2p_field_text(errors, doc, "", "sourcePatientId", 1024, 0);
    if (!**patient && !errors->nelts) p2p_field_error(errors, "", "sourcePatientId", "is required");
    return errors->nelts ? p2p_problem_fields(r, errors) : OK;
}

int p2p_handle_admin_server_unbind(request_rec *r, const p2p_match_t *match)
{
    unbinding_t unbinding = { .pid = match->ids[0] };
    p2p_error_t *error;
    int answer = read_patient(r, &unbinding.patient);

    if (answer != OK) return answer;
    p2p_audit_status(r, HTTP_NO_CONTENT);
    error = p2p_dbd_with(r, unbind, &unbinding);
    return error ? p2p_refuse_job(r, &(p2p_job_way_t){ .administration = 1 }, error, unbinding.running) : done(r);
}
