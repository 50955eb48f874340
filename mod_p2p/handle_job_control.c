/* SPDX-License-Identifier: Apache-2.0 */
/* Batch jobs that are there: their list, stopping one, beginning it again. */
#include <http_protocol.h>
#include <apr_strings.h>

#include "audit.h"
#include "body.h"
#include "caller.h"
#include "dbd.h"
#include "handlers.h"
#include "job_reply.h"
#include "mod_p2p.h"
#include "problem.h"
#include "query.h"
#include "reply.h"
#include "store/job_store.h"
#include "store/oidc_server_store.h"
#include "supervise.h"

#define PAGE_JOBS 50
#define DAY apr_time_from_sec(86400)

/* ---- The list ---- */

typedef struct list_t {
    const p2p_job_way_t *way;
    p2p_job_filter_t filter;
    const char *status, *server, *kind; /* as they were asked for; NULL: any */
    apr_array_header_t *jobs;
} list_t;

/* One more than a page holds tells whether there is a next page. */
static p2p_error_t *read_list(p2p_db_t *db, request_rec *r, void *baton)
{
    list_t *list = baton;
    p2p_viewer_t viewer = p2p_job_viewer(r, list->way);
    p2p_oidc_server_t *server;

    if (list->kind) viewer.kind = list->kind;
    if (list->way->server_id) P2P_TRY(p2p_oidc_server_get(db, r->pool, NULL, list->way->server_id, &server));
    return p2p_job_list(db, r->pool, &viewer, &list->filter, &list->jobs);
}

static const char *scope_of(request_rec *r, const list_t *list)
{
    return apr_psprintf(r->pool, "%s %" APR_INT64_T_FMT " %s %s %s", list->way->administration ? "all jobs" : "jobs", list->filter.server_id,
                        list->status ? list->status : "", list->kind ? list->kind : "", p2p_caller(r)->client);
}

static int read_status(request_rec *r, list_t *list)
{
    if (!list->status) return OK;
    list->filter.status = p2p_job_status_parse(list->status);
    if (list->filter.status != P2P_JOB_UNKNOWN) return OK;
    return p2p_problem(r, HTTP_BAD_REQUEST, "bad-status",
                       "status must be STARTING, STARTED, STOPPING, STOPPED, COMPLETED, FAILED or ABANDONED.");
}

static int read_server(request_rec *r, list_t *list)
{
    p2p_match_t match;

    if (!list->server) return OK;
    if (!p2p_route_fits(P2P_ROUTE_ID, list->server, &match))
        return p2p_problem(r, HTTP_BAD_REQUEST, "bad-server", "server must be the pid of an OIDC server definition.");
    list->filter.server_id = match.ids[0];
    return OK;
}

/* Which kinds there are is for runners to know: one that is not known here has no jobs. */
static int read_kind(request_rec *r, list_t *list)
{
    apr_size_t len = list->kind ? strspn(list->kind, "abcdefghijklmnopqrstuvwxyz0123456789-") : 0;

    if (!list->kind || (len && !list->kind[len])) return OK;
    return p2p_problem(r, HTTP_BAD_REQUEST, "bad-kind", "kind must be p2p-exchange or another kind of job, such as definition-test.");
}

static int read_query(request_rec *r, list_t *list)
{
    static const char *const names[] = { "status", "page", NULL }, *const more_names[] = { "status", "server", "kind", "page", NULL };
    apr_table_t *query;
    const char *page;
    int answer = p2p_query(r, list->way->administration ? more_names : names, &query);

    if (answer != OK) return answer;
    list->filter = (p2p_job_filter_t){ list->way->server_id, P2P_JOB_UNKNOWN, APR_INT64_MAX, PAGE_JOBS + 1 };
    list->status = apr_table_get(query, "status");
    list->server = apr_table_get(query, "server");
    list->kind = apr_table_get(query, "kind");
    answer = read_status(r, list);
    if (answer == OK) answer = read_server(r, list);
    if (answer == OK) answer = read_kind(r, list);
    page = apr_table_get(query, "page");
    return answer == OK && page ? p2p_cursor_read(r, scope_of(r, list), page, &list->filter.before, 1) : answer;
}

static const p2p_job_t *job_at(const list_t *list, int i)
{
    return APR_ARRAY_IDX(list->jobs, i, const p2p_job_t *);
}

static const char *next_of(request_rec *r, const list_t *list)
{
    const char *query = apr_pstrcat(r->pool, p2p_query_pair(r->pool, "status", list->status),
                                    p2p_query_pair(r->pool, "server", list->server), p2p_query_pair(r->pool, "kind", list->kind), NULL);

    if (list->jobs->nelts <= PAGE_JOBS) return NULL;
    return p2p_cursor_link(r, query, scope_of(r, list), &job_at(list, PAGE_JOBS - 1)->id, 1);
}

static json_object *job_json(request_rec *r, const list_t *list, int i)
{
    if (list->way->administration) return p2p_job_administered(r->pool, job_at(list, i), NULL);
    return p2p_job_public(r->pool, job_at(list, i));
}

static json_object *list_json(request_rec *r, const list_t *list)
{
    json_object *doc = p2p_json_own(r->pool, json_object_new_object()), *jobs = json_object_new_array();

    json_object_object_add(doc, "jobs", jobs);
    for (int i = 0; i < list->jobs->nelts && i < PAGE_JOBS; i++)
        json_object_array_add(jobs, json_object_get(job_json(r, list, i)));
    p2p_json_add_str(doc, "next", next_of(r, list));
    return doc;
}

/* It changes when a row comes, goes or changes. */
static const char *list_etag(request_rec *r, const list_t *list)
{
    json_object *rows = p2p_json_own(r->pool, json_object_new_array());

    for (int i = 0; i < list->jobs->nelts; i++) {
        json_object_array_add(rows, json_object_new_int64(job_at(list, i)->id));
        json_object_array_add(rows, json_object_new_int64(job_at(list, i)->version));
    }
    return p2p_etag_doc(r->pool, rows);
}

int p2p_job_show_list(request_rec *r, const p2p_job_way_t *way)
{
    list_t list = { .way = way };
    p2p_error_t *error;
    int answer = read_query(r, &list);

    if (answer != OK) return answer;
    error = p2p_dbd_with(r, read_list, &list);
    if (error) return p2p_problem_error(r, error);
    return p2p_reply(r, HTTP_OK, list_json(r, &list), list_etag(r, &list));
}

int p2p_handle_jobs(request_rec *r, const p2p_match_t *match)
{
    return p2p_job_show_list(r, &(p2p_job_way_t){ .server_id = match->ids[0] });
}

/* ---- What both changes share ---- */

typedef struct change_t {
    const p2p_job_way_t *way;
    p2p_job_t *job;
    int exact, stale; /* If-Match came; and did not fit */
    p2p_job_restart_t how;
} change_t;

/* Does the If-Match of the request, if there is one, name the job as it is? */
static void look_at_condition(request_rec *r, change_t *change)
{
    p2p_if_match_t match = p2p_if_match(r, change->job->version);

    change->exact = match != P2P_MATCH_ANY;
    change->stale = match == P2P_MATCH_STALE;
}

static p2p_error_t *find(p2p_db_t *db, request_rec *r, change_t *change)
{
    p2p_viewer_t viewer = p2p_job_viewer(r, change->way);

    P2P_TRY(p2p_job_find(db, r->pool, &viewer, change->way->server_id, change->way->id, &change->job));
    look_at_condition(r, change);
    return NULL;
}

static int refuse(request_rec *r, const change_t *change, const p2p_error_t *error)
{
    if (change->exact && !strcmp(error->code, "changed")) return p2p_problem(r, HTTP_PRECONDITION_FAILED, NULL, NULL);
    return p2p_refuse_job(r, change->way, error, change->job);
}

/* ---- Stopping ---- */

static p2p_error_t *stop(p2p_db_t *db, request_rec *r, void *baton)
{
    change_t *change = baton;

    P2P_TRY(find(db, r, change));
    return change->stale ? NULL : p2p_job_stop(db, r->pool, change->exact, &change->job);
}

static int stop_answer(const change_t *change)
{
    return change->job->status == P2P_JOB_STOPPED ? HTTP_OK : HTTP_ACCEPTED;
}

static void tell_stop(request_rec *r, void *change)
{
    p2p_audit_status(r, stop_answer(change));
}

int p2p_job_do_stop(request_rec *r, const p2p_job_way_t *way)
{
    change_t change = { .way = way };
    p2p_error_t *error;

    p2p_audit_tell(r, tell_stop, &change);
    error = p2p_dbd_with(r, stop, &change);
    if (error) return refuse(r, &change, error);
    if (change.stale) return p2p_problem(r, HTTP_PRECONDITION_FAILED, NULL, NULL);
    p2p_wake(r->server);
    return p2p_reply_job(r, way, stop_answer(&change), change.job);
}

int p2p_handle_job_stop(request_rec *r, const p2p_match_t *match)
{
    return p2p_job_do_stop(r, &(p2p_job_way_t){ .server_id = match->ids[0], .id = match->ids[1] });
}

/* ---- Beginning again ---- */

static p2p_error_t *restart(p2p_db_t *db, request_rec *r, void *baton)
{
    change_t *change = baton;

    P2P_TRY(find(db, r, change));
    change->how.exact = change->exact;
    if (change->stale) return NULL;
    return p2p_job_hide_running(db, r, change->way, p2p_job_restart(db, r->pool, p2p_config(r->server)->spec.keyring, &change->how,
                                &change->job), &change->job);
}

static int has_body(const request_rec *r)
{
    const char *length = apr_table_get(r->headers_in, "Content-Length");

    return apr_table_get(r->headers_in, "Transfer-Encoding") || (length && apr_strtoi64(length, NULL, 10) != 0);
}

static int read_tokens(request_rec *r, p2p_job_restart_t *how)
{
    apr_array_header_t *errors = p2p_field_errors(r->pool);
    json_object *doc;
    int answer;

    how->access_token = how->refresh_token = "";
    if (!has_body(r)) return OK;
    answer = p2p_body(r, &doc);
    if (answer != OK) return answer;
    p2p_job_order_tokens(r->pool, doc, &how->access_token, &how->refresh_token, errors);
    return errors->nelts ? p2p_problem_fields(r, errors) : OK;
}

int p2p_job_do_restart(request_rec *r, const p2p_job_way_t *way)
{
    change_t change = { .way = way };
    p2p_error_t *error;
    int answer = read_tokens(r, &change.how);

    if (answer != OK) return answer;
    p2p_audit_status(r, HTTP_ACCEPTED);
    change.how.within = p2p_config(r->server)->spec.restart_within * DAY;
    error = p2p_dbd_with(r, restart, &change);
    if (error) return refuse(r, &change, error);
    if (change.stale) return p2p_problem(r, HTTP_PRECONDITION_FAILED, NULL, NULL);
    p2p_wake(r->server);
    return p2p_reply_queued(r, way, change.job);
}

int p2p_handle_job_restart(request_rec *r, const p2p_match_t *match)
{
    return p2p_job_do_restart(r, &(p2p_job_way_t){ .server_id = match->ids[0], .id = match->ids[1] });
}
