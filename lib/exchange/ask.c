/* SPDX-License-Identifier: Apache-2.0 */
/* Small requests. */
#include "exchange/ask.h"

#include <apr_strings.h>

#define ANSWER_MAX (16 << 20) /* a CapabilityStatement may be large */
#define STALL_TIMEOUT apr_time_from_sec(30)

typedef struct asking_t {
    p2p_ask_t ask;
    p2p_answer_fn fn;
    void *baton;
    apr_pool_t *pool, *attempt_pool;
    apr_array_header_t *fields;
    p2p_http_text_t text;
    p2p_http_transfer_t *transfer;
    p2p_http_timer_t *timer;
    int attempts;
    p2p_trouble_t own;     /* where nobody shares it */
    const p2p_error_t *error; /* that kept the request from being started */
} asking_t;

static void attempt(asking_t *asking);

static apr_status_t cancel(void *data)
{
    asking_t *asking = data;

    if (asking->transfer) asking->ask.http->cancel(asking->transfer);
    if (asking->timer) asking->ask.http->cancel_timer(asking->timer);
    if (asking->timer) asking->ask.trouble->asks_at = 0;
    asking->transfer = NULL;
    asking->timer = NULL;
    return APR_SUCCESS;
}

static void on_timer(void *baton)
{
    asking_t *asking = baton;

    asking->timer = NULL;
    asking->ask.trouble->asks_at = 0;
    if (asking->error) asking->fn(asking->baton, 0, "", 0, asking->error);
    else attempt(asking);
}

static void come_again(asking_t *asking, apr_interval_time_t delay)
{
    const p2p_clock_t *clock = asking->ask.clock;

    asking->ask.trouble->asks_at = clock->monotonic(clock->baton) + delay;
    asking->timer = asking->ask.http->after(asking->ask.http, delay, on_timer, asking);
}

/* Two jobs may write the same Organization at once: a server that sees that answers one of them 409 or 412; that is no trouble. */
static int may_be_tried_again(asking_t *asking, int status, const apr_table_t *fields, const p2p_error_t *error,
                              apr_interval_time_t *delay)
{
    p2p_trouble_t *trouble = asking->ask.trouble;

    if (error ? error->kind == P2P_E_UNAVAILABLE : p2p_retry_status(status))
        return p2p_trouble_next(trouble, asking->attempts, fields, delay);
    return !error && asking->ask.body && (status == 409 || status == 412)
           && p2p_trouble_next(&asking->own, asking->attempts, fields, delay);
}

static void on_answer(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len,
                      const p2p_error_t *error)
{
    asking_t *asking = baton;
    apr_interval_time_t delay;

    asking->transfer = NULL;
    if (may_be_tried_again(asking, status, fields, error, &delay)) come_again(asking, delay);
    else asking->fn(asking->baton, error ? 0 : status, body, len, error);
}

static void attempt(asking_t *asking)
{
    p2p_http_request_t request = {0};
    p2p_error_t *error;

    if (asking->attempt_pool) apr_pool_destroy(asking->attempt_pool);
    apr_pool_create(&asking->attempt_pool, asking->pool);
    request.method = asking->ask.method;
    request.url = asking->ask.url;
    request.fields = asking->fields;
    request.body = asking->ask.body ? &asking->text.body : NULL;
    request.auth = asking->ask.auth;
    request.max_bytes = ANSWER_MAX;
    request.stall_timeout = STALL_TIMEOUT;
    request.gzip = 1;
    request.least_bytes = P2P_LEAST_BYTES;
    request.connections = asking->ask.connections;
    request.turn = asking->ask.turn;
    asking->attempts++;
    error = p2p_http_fetch(asking->ask.http, asking->attempt_pool, &request, on_answer, asking, &asking->transfer);
    if (!error) return;
    asking->error = p2p_error_copy(asking->pool, error);
    asking->timer = asking->ask.http->after(asking->ask.http, 0, on_timer, asking);
}

void p2p_ask(apr_pool_t *p, const p2p_ask_t *ask, p2p_answer_fn fn, void *baton)
{
    asking_t *asking = apr_pcalloc(p, sizeof *asking);

    asking->ask = *ask;
    asking->own.clock = ask->clock;
    if (!ask->trouble) asking->ask.trouble = &asking->own;
    asking->fn = fn;
    asking->baton = baton;
    asking->pool = p;
    asking->fields = apr_array_make(p, 3, sizeof(const char *));
    APR_ARRAY_PUSH(asking->fields, const char *) = "Accept: application/fhir+json";
    if (ask->body) APR_ARRAY_PUSH(asking->fields, const char *) = "Content-Type: application/fhir+json";
    if (ask->field) APR_ARRAY_PUSH(asking->fields, const char *) = ask->field;
    p2p_http_text(&asking->text, ask->body, ask->body_len);
    apr_pool_pre_cleanup_register(p, asking, cancel);
    attempt(asking);
}
