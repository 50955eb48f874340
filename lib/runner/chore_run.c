/* SPDX-License-Identifier: Apache-2.0 */
/* A chore from its beginning to its end, as far as that is the same for all. */
#include "runner/chore_run.h"
#include "net/http_within.h"
#include "store/chore_store.h"

#define DATABASE_AGAIN apr_time_from_sec(1)
#define CONNECTIONS 64   /* it does not wait behind exchanges with the same peer */
#define LEAST_BYTES 1024 /* in a stall time-out */

static void on_timer(void *baton);

static void look_after(p2p_chore_run_t *run, apr_interval_time_t delay)
{
    p2p_http_t *http = run->context->http;

    if (run->timer) http->cancel_timer(run->timer);
    run->timer = http->after(http, delay, on_timer, run);
}

static void over(p2p_chore_run_t *run)
{
    run->is_over = 1;
    run->ended(run->baton);
}

static void write_end(p2p_chore_run_t *run)
{
    apr_pool_t *p;
    p2p_error_t *error;
    int again;

    apr_pool_clear(run->asking);
    apr_pool_create(&p, run->pool);
    error = run->write(run, p);
    if (error) p2p_log_error(run->context->log, P2P_LOG_WARN, "The end of a job is not noted", error);
    again = error && error->kind != P2P_E_LOST;
    apr_pool_destroy(p);
    if (again) look_after(run, DATABASE_AGAIN);
    else over(run);
}

static void on_timer(void *baton)
{
    p2p_chore_run_t *run = baton;

    run->timer = NULL;
    if (run->write) write_end(run);
    else run->begin(run);
}

void *p2p_chore_run_make(apr_size_t size, p2p_exchange_context_t *context, const p2p_chore_t *chore, void (*begin)(void *work),
                         void (*ended)(void *baton), void *baton)
{
    p2p_chore_run_t *run;
    apr_pool_t *pool;

    apr_pool_create(&pool, NULL);
    run = apr_pcalloc(pool, size);
    run->pool = pool;
    apr_pool_create(&run->asking, pool);
    run->context = context;
    run->http = context->http;
    run->chore = chore;
    run->begin = begin;
    run->ended = ended;
    run->baton = baton;
    look_after(run, 0);
    return run;
}

void p2p_chore_run_end(p2p_chore_run_t *run, p2p_error_t *(*write)(void *work, apr_pool_t *p))
{
    run->write = write;
    look_after(run, 0);
}

void p2p_chore_run_ask(p2p_chore_run_t *run, p2p_http_request_t *request, apr_interval_time_t limit, p2p_http_whole_fn done)
{
    const p2p_error_t *error;

    request->connections = CONNECTIONS;
    request->turn = (apr_uint64_t)run->chore->job.id;
    request->stall_timeout = limit;
    request->least_bytes = LEAST_BYTES;
    request->gzip = 1;
    error = p2p_http_within(run->http, run->asking, request, limit, done, run);
    if (error) done(run, 0, NULL, "", 0, error);
}

void p2p_chore_run_get(p2p_chore_run_t *run, const char *url, const char *accept, apr_uint64_t max_bytes, p2p_http_whole_fn done)
{
    apr_array_header_t *fields = apr_array_make(run->asking, 1, sizeof(const char *));
    p2p_http_request_t request = {.method = "GET", .url = url, .fields = fields, .max_bytes = max_bytes};

    APR_ARRAY_PUSH(fields, const char *) = accept;
    p2p_chore_run_ask(run, &request, P2P_CHORE_ANSWER, done);
}

apr_interval_time_t p2p_chore_run_doubled(apr_interval_time_t least, apr_interval_time_t most, apr_int64_t times)
{
    while (times-- > 0 && least < most) least *= 2;
    return least < most ? least : most;
}

apr_time_t p2p_chore_run_now(const p2p_chore_run_t *run)
{
    return run->context->clock->monotonic(run->context->clock->baton);
}

apr_int64_t p2p_chore_run_since(const p2p_chore_run_t *run, apr_time_t begin)
{
    return apr_time_as_msec(p2p_chore_run_now(run) - begin);
}

static p2p_error_t *write_stopped(void *work, apr_pool_t *p)
{
    const p2p_chore_run_t *run = work;

    return p2p_chore_finish(run->context->db, p, run->chore, run->context->owner, P2P_JOB_STOPPED, "", NULL);
}

static p2p_error_t *write_nothing(void *work, apr_pool_t *p)
{
    (void)work, (void)p;
    return NULL;
}

void p2p_chore_run_tick(void *work)
{
    p2p_chore_run_t *run = work;
    int stopping = 0;
    p2p_error_t *error;
    apr_pool_t *p;

    if (run->is_over || run->write) return;
    apr_pool_create(&p, run->pool);
    error = p2p_job_progress(run->context->db, p, &run->chore->job, run->context->owner, &(p2p_job_state_t){.wait_code = ""}, &stopping);
    if (error && error->kind == P2P_E_LOST) p2p_chore_run_end(run, write_nothing);
    else if (stopping) p2p_chore_run_end(run, write_stopped);
    apr_pool_destroy(p);
}

int p2p_chore_run_busy(const void *work)
{
    (void)work;
    return 0;
}

void p2p_chore_run_destroy(void *work)
{
    p2p_chore_run_t *run = work;

    if (run->timer) run->context->http->cancel_timer(run->timer);
    apr_pool_destroy(run->pool);
}
