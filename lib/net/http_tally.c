/* SPDX-License-Identifier: Apache-2.0 */
/* A loop in front of a loop, which tells each request where it is counted. */
#include "net/http_tally.h"

typedef struct tally_t {
    p2p_http_t http; /* first */
    p2p_http_t *loop;
} tally_t;

static p2p_error_t *start(p2p_http_t *http, const p2p_http_request_t *request, p2p_http_transfer_t **transfer)
{
    tally_t *t = (tally_t *)http;
    p2p_http_request_t counted = *request;

    counted.tally = http->tally;
    return t->loop->start(t->loop, &counted, transfer);
}

static p2p_http_timer_t *after(p2p_http_t *http, apr_interval_time_t delay, void (*fn)(void *baton), void *baton)
{
    tally_t *t = (tally_t *)http;

    return t->loop->after(t->loop, delay, fn, baton);
}

static p2p_error_t *poll_loop(p2p_http_t *http, int wake_fd, apr_interval_time_t timeout, int *woken)
{
    tally_t *t = (tally_t *)http;

    return t->loop->poll(t->loop, wake_fd, timeout, woken);
}

p2p_http_t *p2p_http_tally_make(apr_pool_t *p, p2p_http_t *loop, apr_int64_t *tally)
{
    tally_t *t = apr_pcalloc(p, sizeof *t);

    t->http = (p2p_http_t){start, loop->resume, loop->cancel, after, loop->cancel_timer, poll_loop, tally};
    t->loop = loop;
    return &t->http;
}

void p2p_http_tally_add(p2p_http_t *http)
{
    if (http->tally) ++*http->tally;
}

void p2p_http_tally_end(apr_int64_t *tally, int status, const p2p_error_t *error)
{
    if (tally && (error ? error->kind == P2P_E_UNAVAILABLE : p2p_http_may_pass(status))) ++*tally;
}
