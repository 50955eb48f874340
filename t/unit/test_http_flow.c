/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of lib/net: pausing, stopping, connections and bodies that are sent. */
#include "http_call.h"

static void pause_through(void **state, const char *path, apr_uint64_t every, int gzip, int at_least)
{
    call_t call = {.f = *state, .pause_every = every};
    p2p_http_request_t r = request_for(&call, "GET", path);

    r.gzip = gzip;
    ask(&call, &r);
    assert_string_equal(call.code, "");
    assert_int_equal(call.got, 1000000);
    assert_false(call.bad);
    assert_int_equal(call.calls_while_paused, 0);
    assert_true(call.pauses >= at_least);
}

static void test_pause(void **state)
{
    pause_through(state, "whole/1000000", 1, 0, 50);
    pause_through(state, "chunked/1000000", 1, 0, 50);
    pause_through(state, "gzip/1000000", 1, 1, 50);
    pause_through(state, "whole/1000000", 999999, 0, 1);
    pause_through(state, "gzip/1000000", 0, 1, 0);
}

static long peak_kb(void)
{
    char line[256];
    long kb = 0;
    FILE *in = fopen("/proc/self/status", "r");

    while (in && fgets(line, sizeof line, in)) sscanf(line, "VmHWM: %ld", &kb);
    if (in) fclose(in);
    return kb;
}

/* 200 MB in 200 kB (a tenth where it runs under another program, which is slow), paused again and again: it comes as it is taken, and
 * memory stays what it was. */
static void test_bomb(void **state)
{
    call_t call = {.f = *state, .pause_every = 1 << 20};
    int mb = getenv("P2P_TEST_EXEC") ? 20 : 200;
    p2p_http_request_t r = request_for(&call, "GET", mb == 20 ? "bomb/20" : "bomb/200");
    long before = peak_kb();

    r.gzip = 1;
    ask(&call, &r);
    assert_string_equal(call.code, "");
    assert_int_equal(call.got, mb << 20);
    assert_int_equal(call.calls_while_paused, 0);
    assert_true(call.pauses > mb * 3 / 4);
    if (!getenv("P2P_SANITIZED") && !getenv("P2P_TEST_EXEC")) assert_true(peak_kb() - before < 4096);
    call = (call_t){.f = *state};
    r.max_bytes = 1 << 20;
    ask(&call, &r);
    assert_string_equal(call.code, "too-large");
    assert_true(call.got <= 1 << 20);
}

static void test_odd_gzip(void **state)
{
    static const char *const codes[] = {"", "cut-short", "cut-short", "", "cut-short"};

    for (int i = 1; i <= 4; i++) {
        call_t call = {.f = *state};
        p2p_http_request_t r = request_for(&call, "GET", apr_psprintf(call.f->p, "oddgzip/%d", i));

        r.gzip = 1;
        ask(&call, &r);
        assert_string_equal(call.code, codes[i]);
        if (i == 3) assert_string_equal(call.text, "abcabc");
    }
}

static void test_pause_is_no_stall(void **state)
{
    call_t call = {.f = *state, .pause_every = 1, .hold = 1};
    p2p_http_request_t r = request_for(&call, "GET", "whole/500000");
    apr_time_t until;

    r.stall_timeout = 100000;
    assert_null(p2p_http_start(call.f->http, &r, &call.transfer));
    while (!call.paused) assert_null(call.f->http->poll(call.f->http, -1, 100000, NULL));
    for (until = apr_time_now() + 400000; apr_time_now() < until;)
        assert_null(call.f->http->poll(call.f->http, -1, 10000, NULL));
    call.pause_every = 0;
    go_on(&call);
    run(call.f, &call, 1);
    assert_string_equal(call.code, "");
    assert_int_equal(call.got, 500000);
}

/* ---- A clock that goes on by so much with each round of the loop ---- */

static apr_time_t fast_now, fast_step;

static apr_time_t fast_clock(void *baton)
{
    (void)baton;
    return fast_now;
}

static void make_fast(fixture_t *f)
{
    p2p_http_curl_settings_t settings = {NULL, "p2p-test"};
    static p2p_clock_t clock = {fast_clock, fast_clock, NULL};

    assert_null(p2p_http_curl_make(f->p, &settings, &clock, &f->http));
}

static void run_fast(call_t *call)
{
    apr_time_t end = apr_time_now() + apr_time_from_sec(60);

    while (!call->done) {
        assert_true(apr_time_now() < end);
        assert_null(call->f->http->poll(call->f->http, -1, 5000, NULL));
        fast_now += fast_step;
    }
}

/* A byte each 20 ms of the peer's time; a round of the loop takes about 5 ms, or a second of ours. */
static call_t dribble(fixture_t *f, const char *path, apr_uint64_t least, apr_uint64_t pause_every)
{
    call_t call = {.f = f, .pause_every = pause_every};
    p2p_http_request_t r = request_for(&call, "GET", path);

    fast_step = apr_time_from_sec(1);
    r.stall_timeout = apr_time_from_sec(60);
    r.least_bytes = least;
    assert_null(p2p_http_start(f->http, &r, &call.transfer));
    run_fast(&call);
    return call;
}

static void test_dribble(void **state)
{
    fixture_t *f = *state;
    call_t call;

    make_fast(f);
    call = dribble(f, "trickle/300", 1024, 0);
    assert_string_equal(call.code, "stalled");
    assert_non_null(strstr(call.sentence, "next to nothing for 60 seconds"));
    assert_true(call.got > 0 && call.got < 300);
    call = dribble(f, "trickle/60", 4, 0); /* as many as asked for */
    assert_string_equal(call.code, "");
    assert_int_equal(call.got, 60);
    call = dribble(f, "trickle/60", 1024, 1); /* it is us who pause */
    assert_string_equal(call.code, "");
    assert_int_equal(call.got, 60);
}

/* It thinks for some 50 seconds, then takes 20 for a few bytes: too slow only where both were counted together. */
static void test_thinking_is_no_dribble(void **state)
{
    fixture_t *f = *state;
    call_t call;

    make_fast(f);
    call = dribble(f, "mull/5", 1024, 0);
    assert_string_equal(call.code, "");
    assert_int_equal(call.got, 5);
}

static apr_size_t read_slowly(void *baton, apr_uint64_t offset, char *out, apr_size_t room)
{
    (void)baton;
    (void)room;
    nap(2);
    out[0] = pattern(offset);
    return 1;
}

static void test_dribbling_upload(void **state)
{
    fixture_t *f = *state;
    call_t call = {.f = f};
    p2p_http_body_t body = {read_slowly, NULL, 1000};
    p2p_http_request_t r = request_for(&call, "PUT", "echo/");

    make_fast(f);
    fast_step = apr_time_from_sec(1);
    r.body = &body;
    r.stall_timeout = apr_time_from_sec(60);
    r.least_bytes = 1024;
    assert_null(p2p_http_start(f->http, &r, &call.transfer));
    run_fast(&call);
    assert_string_equal(call.code, "stalled");
}

static void test_stop(void **state)
{
    call_t call = {.f = *state, .stop_at = 30000};
    p2p_http_request_t r = request_for(&call, "GET", "whole/1000000");

    ask(&call, &r);
    assert_string_equal(call.code, "stopped");
}

static void test_cancel(void **state)
{
    call_t calls[4] = {{.f = *state}, {.f = *state}, {.f = *state}, {.f = *state}};
    fixture_t *f = *state;

    for (int i = 0; i < 4; i++) {
        p2p_http_request_t r = request_for(&calls[i], "GET", i == 1 ? "stall/10" : "whole/100000");
        r.connections = 2;
        assert_null(p2p_http_start(f->http, &r, &calls[i].transfer));
    }
    calls[0].cancel_other = &calls[1]; /* runs, from within a callback */
    f->http->cancel(calls[3].transfer); /* waits */
    while (calls[0].done + calls[2].done < 2) assert_null(f->http->poll(f->http, -1, 100000, NULL));
    assert_int_equal(calls[1].done + calls[3].done, 0);
    assert_int_equal(calls[2].got, 100000);
}

static void on_begun(void *baton)
{
    call_t *call = baton;

    assert_int_equal(call->begun++ + call->heads + call->done, 0);
}

static void test_connections(void **state)
{
    enum { MANY = 40 };
    call_t calls[MANY];
    fixture_t *f = *state;

    shared->most = 0;
    for (int i = 0; i < MANY; i++) {
        p2p_http_request_t r;
        calls[i] = (call_t){.f = f};
        r = request_for(&calls[i], "GET", "slow/1");
        r.connections = 3;
        r.begun = on_begun;
        assert_null(p2p_http_start(f->http, &r, &calls[i].transfer));
        assert_int_equal(calls[i].begun, 0); /* from the loop */
    }
    assert_null(f->http->poll(f->http, -1, 0, NULL));
    for (int i = 0; i < MANY; i++) assert_int_equal(calls[i].begun, i < 3); /* the others are in line */
    run(f, calls, MANY);
    for (int i = 0; i < MANY; i++) assert_string_equal(calls[i].text, "done");
    for (int i = 0; i < MANY; i++) assert_int_equal(calls[i].begun, 1);
    assert_int_equal(shared->most, 3);
}

/* One that allows more connections overtakes those that wait because they allow fewer. */
static void test_overtaking(void **state)
{
    call_t calls[4];
    fixture_t *f = *state;

    for (int i = 0; i < 4; i++) {
        p2p_http_request_t r;
        calls[i] = (call_t){.f = f};
        r = request_for(&calls[i], "GET", i < 2 ? "stall/5" : "whole/5");
        r.connections = i == 3 ? 3 : 2;
        assert_null(p2p_http_start(f->http, &r, &calls[i].transfer));
    }
    run(f, &calls[3], 1);
    assert_int_equal(calls[2].done, 0);
    assert_int_equal(calls[3].got, 5);
}

/* What goes beside the others waits for none of them, and none of them for it; of its own kind it does. */
static void test_beside(void **state)
{
    static const struct { const char *path; int beside; } asked[] = {{"stall/5", 1}, {"whole/5", 1}, {"whole/5", 0}, {"stall/5", 0}, {"whole/5", 0}};
    call_t calls[5];
    fixture_t *f = *state;

    for (int i = 0; i < 5; i++) {
        p2p_http_request_t r;
        calls[i] = (call_t){.f = f};
        r = request_for(&calls[i], "GET", asked[i].path);
        r.connections = 1;
        r.beside = asked[i].beside;
        r.begun = on_begun;
        assert_null(p2p_http_start(f->http, &r, &calls[i].transfer));
    }
    run(f, &calls[2], 1);
    assert_null(f->http->poll(f->http, -1, 0, NULL));
    assert_int_equal(calls[0].begun, 1);
    assert_int_equal(calls[1].begun, 0);
    assert_int_equal(calls[3].begun, 1);
    assert_int_equal(calls[4].begun, 0);
}

/* Owners take turns. Names of the calls in the order in which they were over, where one runs at a time. */
typedef struct queue_t {
    fixture_t *f;
    char order[80];
    int over, come_back; /* how often "x" asks again as soon as it is answered */
} queue_t;

typedef struct waiter_t {
    queue_t *queue;
    char name;
    apr_uint64_t turn;
    int connections;
} waiter_t;

static void ask_for_turn(waiter_t *waiter, const char *path);

static void on_turn(void *baton, int status, const p2p_error_t *error)
{
    waiter_t *waiter = baton;

    assert_null(error);
    assert_int_equal(status, 200);
    waiter->queue->order[waiter->queue->over++] = waiter->name;
    if (waiter->name == 'x' && waiter->queue->come_back-- > 0) ask_for_turn(waiter, "whole/1");
}

static void ask_for_turn(waiter_t *waiter, const char *path)
{
    p2p_http_request_t r = {.method = "GET", .connections = waiter->connections, .turn = waiter->turn, .baton = waiter, .done = on_turn};

    r.url = apr_psprintf(waiter->queue->f->p, "http://127.0.0.1:%d/%s", port, path);
    assert_null(p2p_http_start(waiter->queue->f->http, &r, NULL));
}

/* Starts these, owned by whom their names tell, and waits until n are over. */
static void take_turns(queue_t *queue, const char *names, int n, int connections, const char *path)
{
    apr_time_t end = apr_time_now() + apr_time_from_sec(10);

    for (; *names; names++) {
        waiter_t *waiter = apr_pcalloc(queue->f->p, sizeof *waiter);

        *waiter = (waiter_t){queue, *names, (apr_uint64_t)*names, connections};
        ask_for_turn(waiter, path);
    }
    while (queue->over < n) {
        assert_true(apr_time_now() < end);
        assert_null(queue->f->http->poll(queue->f->http, -1, 100000, NULL));
    }
}

static void test_turns(void **state)
{
    queue_t queue = {.f = *state};
    queue_t again = {.f = *state, .come_back = 3};

    take_turns(&queue, "aaaaaabbc", 9, 1, "whole/1");
    assert_string_equal(queue.order, "abcabaaaa");
    take_turns(&again, "yyyyyx", 9, 1, "whole/1"); /* who always has just one does not go before who has many */
    assert_string_equal(again.order, "yxyxyxyxy");
}

/* Sixteen owners of four requests each: never more than four at once, and all have had one before anyone has a second. */
static void test_turns_of_many(void **state)
{
    queue_t queue = {.f = *state};
    int seen[16] = {0};

    shared->most = 0;
    take_turns(&queue, "aaaabbbbccccddddeeeeffffgggghhhhiiiijjjjkkkkllllmmmmnnnnoooopppp", 64, 4, "slow/1");
    assert_int_equal(shared->most, 4);
    /* The first thirteen answers are to the first sixteen requests, whichever of the four under way comes first. */
    for (int i = 0; i < 13; i++) assert_int_equal(seen[queue.order[i] - 'a']++, 0);
}

/* Who has connections at work waits for who has none. */
static void test_turns_by_connections(void **state)
{
    queue_t queue = {.f = *state};

    shared->queued = shared->let_go = 0;
    take_turns(&queue, "aaa", 0, 3, "hold/1");
    while (__sync_fetch_and_add(&shared->queued, 0) < 3)
        assert_null(queue.f->http->poll(queue.f->http, -1, 1000, NULL));
    take_turns(&queue, "a", 0, 3, "whole/1");
    take_turns(&queue, "b", 0, 3, "whole/1");
    shared->let_go = 1;
    take_turns(&queue, "", 2, 3, NULL);
    assert_memory_equal(queue.order, "ab", 2);
    shared->let_go = 3;
    take_turns(&queue, "", 5, 3, NULL);
}

static apr_size_t read_pattern(void *baton, apr_uint64_t offset, char *out, apr_size_t room)
{
    int *again = baton;

    if (!offset) (*again)++;
    if (room > 5000) room = 5000;
    for (apr_size_t i = 0; i < room; i++) out[i] = pattern(offset + i);
    return room;
}

static call_t upload(fixture_t *f, const char *method, const char *path, apr_uint64_t length, int once, int *reads)
{
    call_t call = {.f = f};
    p2p_http_body_t body = {read_pattern, reads, length};
    p2p_http_request_t r = request_for(&call, method, path);

    *reads = 0;
    r.body = &body;
    r.once = once;
    ask(&call, &r);
    return call;
}

static void test_upload(void **state)
{
    int reads;
    call_t call = upload(*state, "POST", "echo/", 777777, 0, &reads);

    assert_string_equal(call.text, "777777 good");
    assert_int_equal(reads, 1);
    call = upload(*state, "PUT", "echo/", 0, 0, &reads);
    assert_string_equal(call.text, "0 good");
    call = upload(*state, "POST", "head/", 0, 0, &reads);
    assert_true(!strncmp(call.text, "POST /head/ HTTP/1.1\r\n", 22));
    assert_null(strstr(call.text, "Expect"));
    assert_null(strstr(call.text, "Content-Type"));
    assert_non_null(strstr(call.text, "User-Agent: p2p-test\r\n"));
}

/* A kept connection that turns out to be closed: the body is read again from its start. */
static void test_upload_again(void **state)
{
    int reads, before = shared->connections;
    call_t call = upload(*state, "POST", "fresh/", 10, 0, &reads);

    assert_string_equal(call.text, "10 good");
    call = upload(*state, "POST", "fresh/", 300000, 0, &reads);
    assert_string_equal(call.text, "300000 good");
    assert_int_equal(reads, 2);
    assert_int_equal(shared->connections - before, 2);
    call = upload(*state, "POST", "fresh/", 300000, 1, &reads);
    assert_string_equal(call.text, "300000 good");
    assert_int_equal(reads, 1);
}

/* The pool goes while requests run, wait and are over: nothing is called, nothing leaks. */
static void test_end(void **state)
{
    fixture_t *f = *state;
    call_t calls[6];

    for (int i = 0; i < 6; i++) {
        p2p_http_request_t r;
        calls[i] = (call_t){.f = f};
        r = request_for(&calls[i], "GET", "stall/5");
        r.connections = 3;
        assert_null(p2p_http_start(f->http, &r, &calls[i].transfer));
    }
    while (!calls[0].got) assert_null(f->http->poll(f->http, -1, 100000, NULL));
    apr_pool_clear(f->p);
    for (int i = 0; i < 6; i++) assert_int_equal(calls[i].done, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, unmake)
    const struct CMUnitTest tests[] = {
        TEST(test_pause), TEST(test_bomb), TEST(test_odd_gzip), TEST(test_pause_is_no_stall), TEST(test_stop), TEST(test_cancel),
        TEST(test_connections), TEST(test_overtaking), TEST(test_beside), TEST(test_turns),
        TEST(test_turns_of_many), TEST(test_turns_by_connections), TEST(test_dribble), TEST(test_dribbling_upload),
        TEST(test_thinking_is_no_dribble), TEST(test_upload), TEST(test_upload_again), TEST(test_end),
    };

    apr_initialize();
    atexit(apr_terminate);
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
