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
    p2p_job_way_t way;
    const char *key;            /* Idempotency-Key; "" for none */
    json_object *doc;
    apr_array_header_t *errors; /* of fields */
    p2p_job_t *job;             /* new, or the one that is already running, or that of the key */
    int again, is_others; /* the order is for another member than the caller may act for */
} order_t;

typedef struct read_t {
    const p2p_job_way_t *way;
    p2p_job_t *job;
} read_t;

static int is_others(request_rec *r, const p2p_job_order_t *work)
{
    const char *own = p2p_caller(r)->patient;

    return own && *work->target_patient && strcmp(own, work->target_patient);
}

static p2p_error_t *enqueue(p2p_db_t *db, request_rec *r, void *baton)
{
    order_t *order = baton;
    const p2p_spec_t *spec = &p2p_config(r->server)->spec;
    p2p_oidc_server_t *server;
    p2p_job_order_t work = { 0 };

    P2P_TRY(p2p_oidc_server_get_active(db, r->pool, order->way.server_id, &server));
    p2p_job_order_read(r->pool, order->doc, server, &work, order->errors);
    order->is_others = is_others(r, &work);
    if (order->errors->nelts || order->is_others) return NULL;
    return p2p_job_hide_running(db, r, &order->way, p2p_job_enqueue_once(db, r->pool, spec->keyring, spec->target, server, &work,
                                p2p_caller(r)->client, order->key, &order->job, &order->again), &order->job);
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
    order_t order = { .way = { .server_id = match->ids[0] }, .errors = p2p_field_errors(r->pool) };
    p2p_error_t *error;
    int answer = read_key(r, &order.key);

    if (answer == OK) answer = p2p_body(r, &order.doc);
    if (answer != OK) return answer;
    p2p_audit_tell(r, tell_order, &order);
    error = p2p_dbd_with(r, enqueue, &order);
    if (error) return p2p_refuse_job(r, &order.way, error, order.job);
    if (order.is_others)
        return p2p_problem(r, HTTP_FORBIDDEN, "other-patient", "targetPayer.patientId must be the member that these credentials are limited to.");
    if (order.errors->nelts) return p2p_problem_fields(r, order.errors);
    if (!order.again) p2p_wake(r->server);
    return p2p_reply_queued(r, &order.way, order.job);
}

static p2p_error_t *read_job(p2p_db_t *db, request_rec *r, void *baton)
{
    read_t *read = baton;
    p2p_viewer_t viewer = p2p_job_viewer(r, read->way);

    return p2p_job_find(db, r->pool, &viewer, read->way->server_id, read->way->id, &read->job);
}

int p2p_job_show(request_rec *r, const p2p_job_way_t *way)
{
    read_t read = { .way = way };
    p2p_error_t *error = p2p_dbd_with(r, read_job, &read);

    if (error) return p2p_problem_error(r, error);
    return p2p_reply_job(r, way, HTTP_OK, read.job);
}

int p2p_handle_job(request_rec *r, const p2p_match_t *match)
{
    return p2p_job_show(r, &(p2p_job_way_t){ .server_id = match->ids[0], .id = match->ids[1] });
}
