/* SPDX-License-Identifier: Apache-2.0 */
/* A request to the loopback server and what came of it, for tests of lib/net. */
#ifndef P2P_T_HTTP_CALL_H
#define P2P_T_HTTP_CALL_H

#include "loopback.h"
#include "net/http_curl.h"

/* The client's side: a request and what came of it. */

typedef struct fixture_t {
    apr_pool_t *p;
    p2p_clock_t clock;
    p2p_http_t *http;
} fixture_t;

typedef struct call_t {
    fixture_t *f;
    p2p_http_transfer_t *transfer;
    apr_uint64_t got, pause_every, stop_at;
    int bad, calls_while_paused, paused, pauses, hold;
    int begun, head_status, heads, done, status;
    const char *code, *sentence;
    char text[2000];
    struct call_t *cancel_other;
} call_t;

static int make(void **state)
{
    fixture_t *f = calloc(1, sizeof *f);
    p2p_http_curl_settings_t settings = {NULL, "p2p-test"};

    apr_pool_create(&f->p, NULL);
    f->clock = p2p_clock_system();
    *state = f;
    return p2p_http_curl_make(f->p, &settings, &f->clock, &f->http) != NULL;
}

static int unmake(void **state)
{
    fixture_t *f = *state;

    apr_pool_destroy(f->p);
    free(f);
    return 0;
}

static void on_head(void *baton, const p2p_http_head_t *head)
{
    call_t *call = baton;

    call->heads++;
    call->head_status = head->status;
    if (head->status == 200 && apr_table_get(head->fields, "X-TWO"))
        assert_string_equal(apr_table_get(head->fields, "X-TWO"), "a");
}

static void go_on(void *baton)
{
    call_t *call = baton;

    call->paused = 0;
    call->f->http->resume(call->transfer);
}

static p2p_http_flow_t on_data(void *baton, const char *bytes, apr_size_t len)
{
    call_t *call = baton;
    apr_uint64_t before = call->got;

    call->calls_while_paused += call->paused;
    for (apr_size_t i = 0; i < len; i++) call->bad |= bytes[i] != pattern(call->got + i);
    if (call->got + len < sizeof call->text) memcpy(call->text + call->got, bytes, len);
    call->got += len;
    if (call->cancel_other) {
        call->f->http->cancel(call->cancel_other->transfer);
        call->cancel_other = NULL;
    }
    if (call->stop_at && call->got >= call->stop_at) return P2P_HTTP_STOP;
    if (!call->pause_every || before / call->pause_every == call->got / call->pause_every) return P2P_HTTP_GO;
    call->paused = 1;
    call->pauses++;
    if (!call->hold) call->f->http->after(call->f->http, 1000, go_on, call);
    return P2P_HTTP_PAUSE;
}

static void on_done(void *baton, int status, const p2p_error_t *error)
{
    call_t *call = baton;

    call->done++;
    call->status = status;
    call->code = error ? apr_pstrdup(call->f->p, error->code) : "";
    call->sentence = error ? apr_pstrdup(call->f->p, error->sentence) : "";
}

static p2p_http_request_t request_for(call_t *call, const char *method, const char *path)
{
    p2p_http_request_t r = {.method = method, .stall_timeout = apr_time_from_sec(5), .connections = 4, .baton = call};

    r.url = apr_psprintf(call->f->p, "http://127.0.0.1:%d/%s", port, path);
    r.head = on_head;
    r.data = on_data;
    r.done = on_done;
    return r;
}

/* Until n calls are done; a minute at most, which only a loaded machine under valgrind needs. */
static void run(fixture_t *f, call_t *calls, int n)
{
    apr_time_t end = apr_time_now() + apr_time_from_sec(60);

    for (;;) {
        int done = 0;
        for (int i = 0; i < n; i++) done += calls[i].done;
        if (done >= n) return;
        assert_true(apr_time_now() < end);
        assert_null(f->http->poll(f->http, -1, 100000, NULL));
    }
}

static void ask(call_t *call, const p2p_http_request_t *r)
{
    assert_null(p2p_http_start(call->f->http, r, &call->transfer));
    assert_int_equal(call->done, 0);
    run(call->f, call, 1);
    assert_int_equal(call->done, 1);
}

#endif
