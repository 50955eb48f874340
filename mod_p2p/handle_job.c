/* SPDX-License-Identifier: Apache-2.0 */
/* Batch jobs: ordering an exchange, and how it goes. */
#include <http_core.h>
#include <apr_strings.h>

#include "body.h"
#include "dbd.h"
#include "handlers.h"
#include "mod_p2p.h"
#include "model/job.h"
#include "problem.h"
#include "reply.h"
#include "store/job_store.h"
#include "store/oidc_server_store.h"
#include "supervise.h"

/* A POST on its way through the database. */
typedef struct order_t {
    apr_int64_t server_id;
    json_object *doc;
    apr_array_header_t *errors; /* of fields */
    p2p_job_t *job;             /* new, or the one that is already running */
} order_t;

typedef struct read_t {
    apr_int64_t server_id, id;
    p2p_job_t *job;
} read_t;

static p2p_error_t *enqueue(p2p_db_t *db, request_rec *r, void *baton)
{
    order_t *order = baton;
    const p2p_spec_t *spec = &p2p_config(r->server)->spec;
    p2p_oidc_server_t *server;
    p2p_job_order_t work = { 0 };

    P2P_TRY(p2p_oidc_server_get(db, r->pool, NULL, order->server_id, &server));
    if (server->archived) {
        return p2p_error_make(r->pool, P2P_E_NOT_FOUND, "no-such-server",
                              "There is no OIDC server definition of this number.");
    }
    p2p_job_order_read(r->pool, order->doc, server, &work, order->errors);
    if (order->errors->nelts) return NULL;
    return p2p_job_enqueue(db, r->pool, spec->keyring, spec->target, server, &work, r->user ? r->user : "",
                           &order->job);
}

/* The absolute path of a job, as the caller reaches it. */
static const char *job_path(request_rec *r, const p2p_job_t *job)
{
    return apr_psprintf(r->pool, "%s/api/oidc_servers/%" APR_INT64_T_FMT "/batch_job/%" APR_INT64_T_FMT,
                        p2p_dir(r)->prefix, job->oidc_server_id, job->id);
}

static int reply_job(request_rec *r, int status, const p2p_job_t *job)
{
    return p2p_reply(r, status, p2p_job_public(r->pool, job), p2p_etag_version(r->pool, job->version));
}

/* A conflict with a running job tells where that one is. */
static int refuse(request_rec *r, const order_t *order, const p2p_error_t *error)
{
    if (order->job) apr_table_setn(r->err_headers_out, "Location", job_path(r, order->job));
    return p2p_problem_error(r, error);
}

int p2p_handle_job_post(request_rec *r, const p2p_match_t *match)
{
    order_t order = { .server_id = match->ids[0], .errors = p2p_field_errors(r->pool) };
    p2p_error_t *error;
    int answer = p2p_body(r, &order.doc);

    if (answer != OK) return answer;
    error = p2p_dbd_with(r, enqueue, &order);
    if (error) return refuse(r, &order, error);
    if (order.errors->nelts) return p2p_problem_fields(r, order.errors);
    p2p_wake(r->server);
    apr_table_setn(r->headers_out, "Location", job_path(r, order.job));
    apr_table_setn(r->headers_out, "Retry-After", "2");
    return reply_job(r, HTTP_ACCEPTED, order.job);
}

static p2p_error_t *read_job(p2p_db_t *db, request_rec *r, void *baton)
{
    read_t *read = baton;

    return p2p_job_get(db, r->pool, read->server_id, read->id, &read->job);
}

int p2p_handle_job(request_rec *r, const p2p_match_t *match)
{
    read_t read = { .server_id = match->ids[0], .id = match->ids[1] };
    p2p_error_t *error = p2p_dbd_with(r, read_job, &read);

    if (error) return p2p_problem_error(r, error);
    return reply_job(r, HTTP_OK, read.job);
}
