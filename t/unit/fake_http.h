/* SPDX-License-Identifier: Apache-2.0 */
/* A p2p_http_t without a network, with a clock that the test drives: what is asked is noted, answers come from a list. */
#ifndef T_UNIT_FAKE_HTTP_H
#define T_UNIT_FAKE_HTTP_H

#include <apr_strings.h>
#include <string.h>
#include "base/clock.h"
#include "net/http_timer.h"

/* What the next request is answered with; an error where code is set. */
typedef struct fake_answer_t {
    int status;
    const char *body;
    const char *code;        /* "unreachable", "cut-short" … */
    const char *retry_after; /* or NULL */
    const char *field, *value; /* one more header of it; or NULL */
} fake_answer_t;

struct p2p_http_transfer_t {
    p2p_http_request_t request;
    const char *url, *body, *basic, *bearer;
    const char *fields; /* "Name: value" each, with a line feed behind it */
    int is_over;
};

typedef struct fake_http_t {
    p2p_http_t http; /* first */
    apr_pool_t *pool;
    apr_time_t now;  /* both clocks */
    p2p_timers_t *timers;
    p2p_http_transfer_t asked[64];
    int count, answered;
    fake_answer_t answers[64];
    int answer_count;
} fake_http_t;

static p2p_error_t *fake_start(p2p_http_t *http, const p2p_http_request_t *request, p2p_http_transfer_t **transfer)
{
    fake_http_t *f = (fake_http_t *)http;
    p2p_http_transfer_t *t = &f->asked[f->count++];
    char *body = NULL;

    t->request = *request;
    t->url = apr_pstrdup(f->pool, request->url);
    if (request->body) {
        body = apr_pcalloc(f->pool, (apr_size_t)request->body->length + 1);
        request->body->read(request->body->baton, 0, body, (apr_size_t)request->body->length);
    }
    t->body = body;
    t->fields = "";
    for (int i = 0; request->fields && i < request->fields->nelts; i++)
        t->fields = apr_pstrcat(f->pool, t->fields, APR_ARRAY_IDX(request->fields, i, const char *), "\n", NULL);
    t->basic = request->auth && request->auth->basic ? apr_pstrdup(f->pool, request->auth->basic) : NULL;
    t->bearer = request->auth && request->auth->bearer ? apr_pstrdup(f->pool, request->auth->bearer) : NULL;
    if (transfer) *transfer = t;
    if (request->begun) request->begun(request->baton);
    return NULL;
}

static void fake_cancel(p2p_http_transfer_t *t)
{
    t->is_over = 1;
}

static p2p_http_timer_t *fake_after(p2p_http_t *http, apr_interval_time_t delay, void (*fn)(void *baton), void *baton)
{
    fake_http_t *f = (fake_http_t *)http;

    return p2p_timers_add(f->timers, f->now + delay, fn, baton);
}

static void fake_tell(fake_http_t *f, p2p_http_transfer_t *t, const fake_answer_t *answer)
{
    p2p_http_head_t head = {answer->status, apr_table_make(f->pool, 1)};
    p2p_error_t *error = NULL;

    t->is_over = 1;
    if (answer->code) {
        error = p2p_error_make(f->pool, P2P_E_UNAVAILABLE, answer->code, "The peer is %s.", answer->code);
    } else {
        if (answer->retry_after) apr_table_set(head.fields, "Retry-After", answer->retry_after);
        if (answer->field) apr_table_set(head.fields, answer->field, answer->value);
        t->request.head(t->request.baton, &head);
        t->request.data(t->request.baton, answer->body, strlen(answer->body));
    }
    t->request.done(t->request.baton, answer->status, error);
}

/* One step: an answer where a request waits and there is one, else the clock goes to the next timer. Returns 0 where nothing was
 * to be done. */
static int fake_step(fake_http_t *f)
{
    apr_time_t due = p2p_timers_next(f->timers);

    while (f->answered < f->count && f->asked[f->answered].is_over) f->answered++;
    if (f->answered < f->count && f->answer_count) {
        fake_answer_t answer = f->answers[0];
        memmove(f->answers, f->answers + 1, sizeof *f->answers * (size_t)--f->answer_count);
        fake_tell(f, &f->asked[f->answered++], &answer);
        return 1;
    }
    if (due < 0) return 0;
    if (due > f->now) f->now = due;
    return p2p_timers_run(f->timers, f->now) > 0;
}

static __attribute__((unused)) void fake_answer(fake_http_t *f, int status, const char *body)
{
    f->answers[f->answer_count++] = (fake_answer_t){.status = status, .body = body};
}

static __attribute__((unused)) void fake_failure(fake_http_t *f, const char *code)
{
    f->answers[f->answer_count++] = (fake_answer_t){.code = code};
}

static apr_time_t fake_now(void *baton)
{
    return ((fake_http_t *)baton)->now;
}

static void fake_http_make(fake_http_t *f, apr_pool_t *p, p2p_clock_t *clock)
{
    memset(f, 0, sizeof *f);
    f->pool = p;
    f->now = apr_time_now();
    f->timers = p2p_timers_make(p);
    f->http.start = fake_start;
    f->http.cancel = fake_cancel;
    f->http.after = fake_after;
    f->http.cancel_timer = p2p_timers_cancel;
    *clock = (p2p_clock_t){fake_now, fake_now, f};
}

#endif
