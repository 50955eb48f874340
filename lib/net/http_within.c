/* SPDX-License-Identifier: Apache-2.0 */
/* A whole answer within a time: a transfer and a timer, of which one comes first. */
#include "net/http_within.h"
#include "base/uri.h"

typedef struct within_t {
    apr_pool_t *pool;
    p2p_http_t *http;
    const char *url;
    p2p_http_transfer_t *transfer;
    p2p_http_timer_t *timer;
    p2p_http_whole_fn done;
    void *baton;
} within_t;

static apr_status_t cancel(void *data)
{
    within_t *w = data;

    if (w->timer) w->http->cancel_timer(w->timer);
    if (w->transfer) w->http->cancel(w->transfer);
    w->timer = NULL;
    w->transfer = NULL;
    return APR_SUCCESS;
}

static void on_answer(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len, const p2p_error_t *error)
{
    within_t *w = baton;

    w->transfer = NULL;
    cancel(w);
    w->done(w->baton, status, fields, body, len, error);
}

static void on_timer(void *baton)
{
    within_t *w = baton;
    const p2p_error_t *error = p2p_error_make(w->pool, P2P_E_UNAVAILABLE, "timed-out",
                                              "%s gave no whole answer in time. Check that it is up and not overloaded.",
                                              p2p_uri_public(w->pool, w->url, w->url));

    w->timer = NULL;
    cancel(w);
    w->done(w->baton, 0, NULL, "", 0, error);
}

p2p_error_t *p2p_http_within(p2p_http_t *http, apr_pool_t *p, const p2p_http_request_t *request, apr_interval_time_t limit,
                             p2p_http_whole_fn done, void *baton)
{
    within_t *w = apr_pcalloc(p, sizeof *w);

    w->pool = p;
    w->http = http;
    w->url = request->url;
    w->done = done;
    w->baton = baton;
    P2P_TRY(p2p_http_fetch(http, p, request, on_answer, w, &w->transfer));
    w->timer = http->after(http, limit, on_timer, w);
    apr_pool_cleanup_register(p, w, cancel, apr_pool_cleanup_null);
    return NULL;
}
