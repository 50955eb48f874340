/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of lib/net: answers and their faults, what a request may say, whole answers, waiting. */
#include "http_call.h"
#include "net/http_tally.h"
#include "net/http_timer.h"

static call_t get(fixture_t *f, const char *path)
{
    call_t call = {.f = f};
    p2p_http_request_t r = request_for(&call, "GET", path);

    ask(&call, &r);
    return call;
}

static void test_whole(void **state)
{
    call_t call = get(*state, "whole/1000000");

    assert_int_equal(call.status, 200);
    assert_string_equal(call.code, "");
    assert_int_equal(call.got, 1000000);
    assert_false(call.bad);
    assert_int_equal(call.heads, 1);
    assert_int_equal(call.head_status, 200);
}

static void test_chunked(void **state)
{
    call_t call = get(*state, "chunked/300500");

    assert_string_equal(call.code, "");
    assert_int_equal(call.got, 300500);
    assert_false(call.bad);
}

static void test_status(void **state)
{
    static const int statuses[] = {404, 401, 302, 503};

    for (int i = 0; i < 4; i++) {
        call_t call = get(*state, apr_psprintf(((fixture_t *)*state)->p, "status/%d", statuses[i]));
        assert_int_equal(call.status, statuses[i]);
        assert_string_equal(call.code, "");
        assert_int_equal(call.got, 2);
    }
}

static void assert_broken(void **state, const char *path, const char *code, int status)
{
    call_t call = get(*state, path);

    assert_string_equal(call.code, code);
    assert_int_equal(call.status, status);
    assert_non_null(strstr(call.sentence, "http://127.0.0.1:"));
    assert_null(strstr(call.sentence, path));
}

static void test_cut(void **state)
{
    assert_broken(state, "cut/5000", "cut-short", 200);
    assert_broken(state, "cutchunks/5000", "cut-short", 200);
    assert_broken(state, "nothing/", "cut-short", 0);
    assert_broken(state, "nohttp/", "cut-short", 0);
}

static void test_unreachable(void **state)
{
    int open = port, listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;

    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    port = ntohs(at.sin_port); /* bound, not listening */
    assert_broken(state, "whole/1", "unreachable", 0);
    port = open;
    close(listener);
}

/* A host that is not known is in the way of no other. */
static void test_unknown_host(void **state)
{
    fixture_t *f = *state;
    call_t call = {.f = f};
    p2p_http_request_t r = request_for(&call, "GET", "");

    /* A label of more than 63 letters is in no DNS: nobody has to be asked. */
    r.url = apr_psprintf(f->p, "http://%s.invalid/", (char *)memset(apr_pcalloc(f->p, 71), 'a', 70));
    ask(&call, &r);
    assert_string_equal(call.code, "unreachable");
    test_whole(state);
    test_whole(state);
}

/* What may be well later is counted by peer; what stays as it is, is not. */
static void test_tally(void **state)
{
    static const struct { const char *path; int counts; } asked[] = {
        {"whole/10", 0}, {"status/503", 1}, {"status/429", 1}, {"status/404", 0}, {"status/401", 0}, {"status/501", 0}, {"cut/5000", 1}, {"nothing/", 1},
    };
    fixture_t *f = *state, peer = *f;
    apr_int64_t tally = 0, expected = 0;

    peer.http = p2p_http_tally_make(f->p, f->http, &tally);
    for (apr_size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        call_t call = get(&peer, asked[i].path);

        assert_int_equal(call.done, 1);
        expected += asked[i].counts;
        assert_int_equal(tally, expected);
        get(f, asked[i].path); /* another peer's */
        assert_int_equal(tally, expected);
    }
    p2p_http_tally_add(peer.http);
    p2p_http_tally_add(f->http);
    assert_int_equal(tally, expected + 1);
}

static void test_too_large(void **state)
{
    call_t call = {.f = *state};
    p2p_http_request_t r = request_for(&call, "GET", "whole/20001");

    r.max_bytes = 20000;
    ask(&call, &r);
    assert_string_equal(call.code, "too-large");
    assert_true(call.got <= 20000);
    assert_broken(state, "fields/", "too-large", 0);

    call = (call_t){.f = *state};
    r = request_for(&call, "GET", "whole/20000");
    r.max_bytes = 20000;
    ask(&call, &r);
    assert_string_equal(call.code, "");
}

static void test_stall(void **state)
{
    call_t call = {.f = *state};
    p2p_http_request_t r = request_for(&call, "GET", "stall/100");

    r.stall_timeout = 200000;
    ask(&call, &r);
    assert_string_equal(call.code, "stalled");
    assert_int_equal(call.got, 100);

    call = (call_t){.f = *state};
    r = request_for(&call, "GET", "trickle/25");
    r.stall_timeout = 200000;
    ask(&call, &r);
    assert_string_equal(call.code, "");
    assert_int_equal(call.got, 25);
}

static void test_credentials(void **state)
{
    call_t call = {.f = *state};
    apr_array_header_t *fields = apr_array_make(call.f->p, 1, sizeof(const char *));
    p2p_http_auth_t bearer = {.bearer = "abc.def"}, basic = {.basic = "me:a:b"};
    p2p_http_request_t r = request_for(&call, "GET", "head/?a=b%20c");

    APR_ARRAY_PUSH(fields, const char *) = "Accept: application/fhir+json";
    r.fields = fields;
    r.auth = &bearer;
    ask(&call, &r);
    assert_non_null(strstr(call.text, "GET /head/?a=b%20c HTTP/1.1\r\n"));
    assert_non_null(strstr(call.text, "\r\nAuthorization: Bearer abc.def\r\n"));
    assert_non_null(strstr(call.text, "\r\nAccept: application/fhir+json\r\n"));
    call = (call_t){.f = *state};
    r.auth = &basic;
    ask(&call, &r);
    assert_non_null(strstr(call.text, "\r\nAuthorization: Basic bWU6YTpi\r\n"));
    call = get(*state, "head/");
    assert_null(strstr(call.text, "Authorization"));
}

static void test_refused_input(void **state)
{
    static const char *const urls[] = {"file:///etc/passwd", "http://u:p@127.0.0.1/", "nonsense", ""};
    static const char *const lines[] = {"A: b\r\nC: d", "A", ": b", "A:", "A: \x01"};
    call_t call = {.f = *state};
    p2p_http_request_t r;

    for (int i = 0; i < 4; i++) {
        r = request_for(&call, "GET", "");
        r.url = urls[i];
        assert_string_equal(p2p_http_start(call.f->http, &r, NULL)->code, "bad-url");
    }
    for (int i = 0; i < 5; i++) {
        r = request_for(&call, "GET", "");
        r.fields = apr_array_make(call.f->p, 1, sizeof(const char *));
        APR_ARRAY_PUSH((apr_array_header_t *)r.fields, const char *) = lines[i];
        assert_string_equal(p2p_http_start(call.f->http, &r, NULL)->code, "bad-field");
    }
    r = request_for(&call, "GET", "");
    r.auth = &(p2p_http_auth_t){.bearer = "token\r\nX-Evil: yes"};
    assert_string_equal(p2p_http_start(call.f->http, &r, NULL)->code, "bad-field");
}

static void on_whole(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len,
                     const p2p_error_t *error)
{
    call_t *call = baton;

    on_done(call, status, error);
    assert_non_null(body);
    assert_int_equal(strlen(body), len);
    assert_int_equal(fields == NULL, status == 0);
    call->got = len;
    snprintf(call->text, sizeof call->text, "%.100s", body);
}

static call_t fetch(fixture_t *f, const char *path, apr_uint64_t most)
{
    call_t call = {.f = f};
    p2p_http_request_t r = request_for(&call, "GET", path);

    r.max_bytes = most;
    assert_null(p2p_http_fetch(f->http, f->p, &r, on_whole, &call, &call.transfer));
    run(f, &call, 1);
    return call;
}

static void test_fetch(void **state)
{
    call_t call = fetch(*state, "chunked/50000", 50000);

    assert_int_equal(call.got, 50000);
    assert_string_equal(call.code, "");
    call = fetch(*state, "chunked/50000", 49999);
    assert_string_equal(call.code, "too-large");
    call = fetch(*state, "nothing/", 10);
    assert_string_equal(call.code, "cut-short");
    call = fetch(*state, "status/404", 10);
    assert_string_equal(call.text, "no");
}

static void count(void *baton)
{
    ++*(int *)baton;
}

static void test_wake(void **state)
{
    fixture_t *f = *state;
    int ends[2], woken = 0, fired = 0;
    apr_time_t begin = apr_time_now();

    assert_int_equal(pipe(ends), 0);
    assert_null(f->http->poll(f->http, ends[0], 1000, &woken));
    assert_false(woken);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_null(f->http->poll(f->http, ends[0], apr_time_from_sec(5), &woken));
    assert_true(woken);
    assert_int_equal(read(ends[0], &woken, 1), 1);
    close(ends[1]); /* end of file wakes too */
    assert_null(f->http->poll(f->http, ends[0], apr_time_from_sec(5), &woken));
    assert_true(woken);
    f->http->after(f->http, 20000, count, &fired);
    while (!fired) assert_null(f->http->poll(f->http, -1, apr_time_from_sec(5), &woken));
    assert_true(apr_time_now() - begin >= 20000 && apr_time_now() - begin < apr_time_from_sec(2));
    close(ends[0]);
}

static void test_timers(void **state)
{
    p2p_timers_t *timers = p2p_timers_make(((fixture_t *)*state)->p);
    p2p_http_timer_t *some[1000];
    int fired = 0, kept = 0;

    srand(1);
    for (int i = 0; i < 1000; i++) some[i] = p2p_timers_add(timers, rand() % 500, count, &fired);
    for (int i = 0; i < 1000; i += 3) p2p_timers_cancel(some[i]);
    for (int i = 0; i < 1000; i++) kept += i % 3 && some[i]->due <= 250;
    assert_int_equal(p2p_timers_run(timers, 250), kept);
    assert_int_equal(fired, kept);
    assert_true(p2p_timers_next(timers) > 250);
    p2p_timers_run(timers, 500);
    assert_int_equal(fired, 666);
    assert_int_equal(p2p_timers_next(timers), -1);
}

static void test_retry_after(void **state)
{
    apr_table_t *t = apr_table_make(((fixture_t *)*state)->p, 1);
    apr_time_t now = 784111777LL * APR_USEC_PER_SEC, most = apr_time_from_sec(100); /* Sun, 06 Nov 1994 08:49:37 GMT */
    static const struct {
        const char *text;
        apr_interval_time_t wait;
    } cases[] = {
        {"0", 0}, {"7", 7000000}, {" 7 ", 7000000}, {"101", 100000000}, {"99999999999999999999999999", 100000000},
        {"-1", -1}, {"7s", -1}, {"", -1}, {"soon", -1},
        {"Sun, 06 Nov 1994 08:49:39 GMT", 2000000}, {"Sun, 06 Nov 1994 08:49:30 GMT", 0},
        {"Sun, 06 Nov 1995 08:49:30 GMT", 100000000},
    };

    assert_int_equal(p2p_http_retry_after(NULL, now, most), -1);
    assert_int_equal(p2p_http_retry_after(t, now, most), -1);
    for (apr_size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        apr_table_set(t, "retry-after", cases[i].text);
        assert_int_equal(p2p_http_retry_after(t, now, most), cases[i].wait);
    }
}

static void test_rate_limit(void **state)
{
    apr_table_t *t = apr_table_make(((fixture_t *)*state)->p, 1);
    static const struct {
        const char *text;
        apr_interval_time_t wait;
    } cases[] = {
        {"\"requests\";r=0;t=60", 60000000}, {"\"fhirInteractions\"; r=0; t=7", 7000000}, {"\"a\";t=9;r=0", 9000000},
        {"\"a\";r=12;t=60", -1}, {"\"a\";r=0", -1}, {"\"a\";t=60", -1}, {"", -1}, {";;;", -1}, {"r=0;t=99999999999999999999", 100000000},
        {"\"rr=0;tt=5\"", -1},
    };

    for (apr_size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        apr_table_set(t, "RateLimit", cases[i].text);
        assert_int_equal(p2p_http_retry_after(t, 0, apr_time_from_sec(100)), cases[i].wait);
    }
    apr_table_set(t, "Retry-After", "3");
    assert_int_equal(p2p_http_retry_after(t, 0, apr_time_from_sec(100)), 3000000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, unmake)
    const struct CMUnitTest tests[] = {
        TEST(test_whole), TEST(test_chunked), TEST(test_status), TEST(test_cut), TEST(test_unreachable), TEST(test_unknown_host),
        TEST(test_too_large), TEST(test_tally), TEST(test_stall), TEST(test_credentials), TEST(test_refused_input),
        TEST(test_fetch), TEST(test_wake), TEST(test_timers), TEST(test_retry_after), TEST(test_rate_limit),
    };

    apr_initialize();
    atexit(apr_terminate);
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
