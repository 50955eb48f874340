/* SPDX-License-Identifier: Apache-2.0 */
/* Batch jobs: ordering an exchange, and how it goes. */
#include <http_core.h>
#include <apr_strings.h>

#include "audit.h"
#include "body.h"
#include "caller.h"
#include "dbd.h"
#include "handlers.h"
#include "job_reply.h"
#include "mod_p2p.h"
#include "model/job.h"
#include "problem.h"
#include "reply.h"
#include "store/job_store.h"
#include "store/oidc_server_store.h"
#include "supervise.h"

#define KEY_MAX 255 /* characters of an Idempotency-Key */

/* A POST on its way through the database. */
typedef struct order_t {
    apr_int64_t server_id;
    const char *key;            /* Idempotency-Key; "" for none */
    json_object *doc;
    apr_array_header_t *errors; /* of fields */
    p2p_job_t *job;             /* new, or the one that is already running, or that of the key */
    int again;
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
    return p2p_job_enqueue_once(db, r->pool, spec->keyring, spec->target, server, &work, p2p_caller(r)->client, order->key, &order->job,
                                &order->again);
}

const char *p2p_job_path(request_rec *r, const p2p_job_t *job)
{
    return apr_psprintf(r->pool, "%s/api/oidc_servers/%" APR_INT64_T_FMT "/batch_job/%" APR_INT64_T_FMT,
                        p2p_dir(r)->prefix, job->oidc_server_id, job->id);
}

int p2p_reply_job(request_rec *r, int status, const p2p_job_t *job)
{
    return p2p_reply(r, status, p2p_job_public(r->pool, job), p2p_etag_version(r->pool, job->version));
}

int p2p_reply_queued(request_rec *r, const p2p_job_t *job)
{
    apr_table_setn(r->headers_out, "Location", p2p_job_path(r, job));
    apr_table_setn(r->headers_out, "Retry-After", "2");
    return p2p_reply_job(r, HTTP_ACCEPTED, job);
}

int p2p_refuse_job(request_rec *r, const p2p_error_t *error, const p2p_job_t *running)
{
    if (!strcmp(error->code, "already-running") && running)
        apr_table_setn(r->err_headers_out, "Location", p2p_job_path(r, running));
    return p2p_problem_error(r, error);
}

/* The key of a POST that is to be taken once, without the white space around it. */
static int read_key(request_rec *r, const char **key)
{
    const char *text = apr_table_get(r->headers_in, "Idempotency-Key");
    apr_size_t len;

    *key = "";
    if (!text) return OK;
    while (*text == ' ' || *text == '\t') text++;
    for (len = strlen(text); len && (text[len - 1] == ' ' || text[len - 1] == '\t'); ) len--;
    for (apr_size_t i = 0; i < len; i++) {
        if (text[i] < ' ' || text[i] > '~') len = 0;
    }
    if (!len || len > KEY_MAX)
        return p2p_problem(r, HTTP_BAD_REQUEST, "bad-idempotency-key", "Idempotency-Key must be 1 to 255 printable ASCII characters.");
    *key = apr_pstrmemdup(r->pool, text, len);
    return OK;
}

/* The job is there, or was. */
static void tell_order(request_rec *r, void *baton)
{
    const order_t *order = baton;

    p2p_audit_object(r, "batch_job", order->job->id);
    p2p_audit_status(r, HTTP_ACCEPTED);
}

int p2p_handle_job_post(request_rec *r, const p2p_match_t *match)
{
    order_t order = { .server_id = match->ids[0], .errors = p2p_field_errors(r->pool) };
    p2p_error_t *error;
    int answer = read_key(r, &order.key);

    if (answer == OK) answer = p2p_body(r, &order.doc);
    if (answer != OK) return answer;
    p2p_audit_tell(r, tell_order, &order);
    error = p2p_dbd_with(r, enqueue, &order);
    if (error) return p2p_refuse_job(r, error, order.job);
    if (order.errors->nelts) return p2p_problem_fields(r, order.errors);
    if (!order.again) p2p_wake(r->server);
    return p2p_reply_queued(r, order.job);
}

static p2p_error_t *read_job(p2p_db_t *db, request_rec *r, void *baton)
{
    read_t *read = baton;

    return p2p_job_find(db, r->pool, p2p_caller(r)->client, read->server_id, read->id, &read->job);
}

int p2p_handle_job(request_rec *r, const p2p_match_t *match)
{
    read_t read = { .server_id = match->ids[0], .id = match->ids[1] };
    p2p_error_t *error = p2p_dbd_with(r, read_job, &read);

    if (error) return p2p_problem_error(r, error);
    return p2p_reply_job(r, HTTP_OK, read.job);
}
