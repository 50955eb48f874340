/* SPDX-License-Identifier: Apache-2.0 */
/* Back-off, with a clock and jitter that the test drives: how long it waits each time, when it gives up, what small requests make of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>

#include "exchange/ask.h"
#include "fake_http.h"

static apr_pool_t *pool;
static fake_http_t net;
static p2p_clock_t clock_;
static p2p_trouble_t trouble;
static unsigned jitter;

static unsigned random_(void *baton)
{
    (void)baton;
    return jitter;
}

static int begin(void **state)
{
    (void)state;
    apr_pool_create(&pool, NULL);
    fake_http_make(&net, pool, &clock_);
    jitter = 0x8000;
    trouble = (p2p_trouble_t){.clock = &clock_, .lasts = apr_time_from_sec(3600), .random = random_};
    return 0;
}

static int end(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

static apr_interval_time_t next(int attempts, const char *retry_after)
{
    apr_table_t *fields = apr_table_make(pool, 1);
    apr_interval_time_t delay = -1;

    if (retry_after) apr_table_set(fields, "Retry-After", retry_after);
    return p2p_trouble_next(&trouble, attempts, fields, &delay) ? delay : -1;
}

#define SECONDS(n) apr_time_from_sec(n)
#define assert_about(delay, ms) assert_in_range(delay, apr_time_from_msec(ms) * 99 / 100, apr_time_from_msec(ms) * 101 / 100)

static void doubles(void **state)
{
    int i;

    (void)state;
    for (i = 1; i <= 10; i++) assert_about(next(i, NULL), 500 << (i - 1));
    assert_about(next(11, NULL), 300000);
    assert_about(next(10000, NULL), 300000);
    jitter = 0;
    assert_about(next(1, NULL), 375);
    assert_about(next(20, NULL), 225000);
    jitter = 0xffff;
    assert_about(next(1, NULL), 625);
    assert_about(next(20, NULL), 375000);
}

static void as_told(void **state)
{
    char date[APR_RFC822_DATE_LEN];

    (void)state;
    assert_true(next(1, "7") == SECONDS(7));
    assert_int_equal(trouble.why, P2P_TROUBLE_ASKS);
    assert_true(next(9, "7") == SECONDS(7));
    assert_true(next(1, "0") == apr_time_from_msec(500));
    apr_rfc822_date(date, net.now + SECONDS(90));
    assert_in_range(next(1, date), SECONDS(89), SECONDS(90));
    assert_true(next(1, "Sun, 06 Nov 1994 08:49:37 GMT") == apr_time_from_msec(500));
    assert_about(next(1, "soon"), 500);
    assert_int_equal(trouble.why, P2P_TROUBLE_FAILS);
    net.now += SECONDS(3000);
    assert_true(next(1, "86400") == SECONDS(600)); /* the last attempt, when the time is over */
}

static void lasts(void **state)
{
    (void)state;
    assert_true(next(1, NULL) > 0);
    net.now += SECONDS(3599);
    assert_true(next(12, NULL) == SECONDS(1));
    net.now += SECONDS(1);
    assert_true(next(13, NULL) == -1);
    assert_true(next(1, NULL) == -1); /* whatever is asked for: it is the peer that is in trouble */
    p2p_trouble_over(&trouble);
    assert_true(p2p_trouble_lasting(&trouble) == 0);
    assert_about(next(1, NULL), 500);
}

/* What an earlier runner noted: only what lands ends it. */
static void recalled(void **state)
{
    (void)state;
    p2p_trouble_recall(&trouble, SECONDS(3590));
    p2p_trouble_over(&trouble);
    assert_true(next(1, "60") == SECONDS(10));
    net.now += SECONDS(10);
    assert_true(next(2, NULL) == -1);
    p2p_trouble_landed(&trouble);
    assert_about(next(1, NULL), 500);
    p2p_trouble_recall(&trouble, 0);
    assert_true(p2p_trouble_lasting(&trouble) == 0);
}

static void attempts(void **state)
{
    (void)state;
    trouble.lasts = 0;
    assert_about(next(P2P_ATTEMPTS - 1, NULL), 4000);
    assert_true(next(1, "100") == SECONDS(60));
    assert_true(next(P2P_ATTEMPTS, NULL) == -1);
}

static void statuses(void **state)
{
    static const int may[] = {408, 425, 429, 500, 502, 503, 504, 520}, never[] = {200, 302, 400, 401, 403, 404, 410, 422, 501, 505, 600};
    unsigned i;

    (void)state;
    for (i = 0; i < sizeof may / sizeof *may; i++) assert_true(p2p_retry_status(may[i]));
    for (i = 0; i < sizeof never / sizeof *never; i++) assert_false(p2p_retry_status(never[i]));
}

/* ---- Small requests ---- */

typedef struct told_t {
    int calls, status;
    const char *code;
} told_t;

static void on_told(void *baton, int status, const char *body, apr_size_t len, const p2p_error_t *error)
{
    told_t *told = baton;

    (void)body;
    (void)len;
    told->calls++;
    told->status = status;
    told->code = error ? apr_pstrdup(pool, error->code) : NULL;
}

static told_t ask(const char *body, p2p_trouble_t *shared)
{
    p2p_ask_t asked = {&net.http, &clock_, body ? "PUT" : "GET", "https://h/fhir/x", NULL, body, body ? strlen(body) : 0, NULL, 1, 0, shared};
    told_t told = {0};

    p2p_ask(pool, &asked, on_told, &told);
    while (!told.calls && fake_step(&net)) continue;
    return told;
}

static void asked_until_well(void **state)
{
    apr_time_t begun = net.now;
    told_t told;

    (void)state;
    fake_answer(&net, 503, "");
    net.answers[net.answer_count++] = (fake_answer_t){.status = 429, .body = "", .retry_after = "120"};
    fake_failure(&net, "unreachable");
    fake_answer(&net, 200, "{}");
    told = ask(NULL, &trouble);
    assert_int_equal(told.status, 200);
    assert_int_equal(net.count, 4);
    assert_in_range(net.now - begun, SECONDS(122), SECONDS(124));
    assert_true(p2p_trouble_lasting(&trouble) > 0); /* only what the job is about shows that all is well */
    assert_true(trouble.asks_at == 0);
}

static void asked_for_so_long(void **state)
{
    apr_time_t begun = net.now;
    told_t told;
    int i;

    (void)state;
    for (i = 0; i < 40; i++) fake_failure(&net, "unreachable");
    told = ask(NULL, &trouble);
    assert_string_equal(told.code, "unreachable");
    assert_in_range(net.now - begun, SECONDS(3600), SECONDS(3601));
    assert_in_range(net.count, 15, 25);
}

static void conflicts_are_few(void **state)
{
    told_t told;
    int i;

    (void)state;
    for (i = 0; i < 40; i++) fake_answer(&net, 409, "");
    told = ask("{}", &trouble);
    assert_int_equal(told.status, 409);
    assert_int_equal(net.count, P2P_ATTEMPTS);
    assert_true(p2p_trouble_lasting(&trouble) == 0);
}

static void alone(void **state)
{
    told_t told;
    int i;

    (void)state;
    for (i = 0; i < 40; i++) fake_answer(&net, 503, "");
    told = ask(NULL, NULL);
    assert_int_equal(told.status, 503);
    assert_int_equal(net.count, P2P_ATTEMPTS);
}

#define RETRY_TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RETRY_TEST(doubles), RETRY_TEST(as_told), RETRY_TEST(lasts), RETRY_TEST(recalled), RETRY_TEST(attempts), RETRY_TEST(statuses),
        RETRY_TEST(asked_until_well), RETRY_TEST(asked_for_so_long), RETRY_TEST(conflicts_are_few), RETRY_TEST(alone)};

    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
