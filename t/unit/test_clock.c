/* SPDX-License-Identifier: Apache-2.0 */
/* Times: what is read, what is refused, how they are written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>

#include "base/clock.h"

static apr_pool_t *pool;

static void expect_time(const char *text, const char *iso)
{
    apr_time_t t;

    if (!p2p_time_parse(text, strlen(text), &t)) fail_msg("refused: %s", text);
    assert_string_equal(p2p_time_iso(pool, t), iso);
}

static void parses(void **state)
{
    (void)state;
    expect_time("2026-11-22T09:31:54.024Z", "2026-11-22T09:31:54.024Z");
    expect_time("2026-11-22T09:31:54Z", "2026-11-22T09:31:54.000Z");
    expect_time("2026-11-22T09:31:54.0249999999999Z", "2026-11-22T09:31:54.024Z");
    expect_time("2026-11-22T09:31:54+05:30", "2026-11-22T04:01:54.000Z");
    expect_time("2026-12-31T20:31:54-14:00", "2027-01-01T10:31:54.000Z");
    expect_time("2026-06-30T23:59:60Z", "2026-07-01T00:00:00.000Z");
    expect_time("2026", "2026-01-01T00:00:00.000Z");
    expect_time("2026-11", "2026-11-01T00:00:00.000Z");
    expect_time("2024-02-29", "2024-02-29T00:00:00.000Z");
    expect_time("2000-02-29", "2000-02-29T00:00:00.000Z");
    expect_time("1929-03-01", "1929-03-01T00:00:00.000Z");
    expect_time("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z");
    expect_time("0001-01-01", "0001-01-01T00:00:00.000Z");
    expect_time("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z");
}

static void microseconds(void **state)
{
    apr_time_t t;

    (void)state;
    assert_true(p2p_time_parse("1970-01-01T00:00:01.5000019Z", 28, &t));
    assert_int_equal(t, 1500001);
    assert_true(p2p_time_parse("1970-01-01junk", 10, &t));
    assert_int_equal(t, 0);
}

static void refuses(void **state)
{
    static const char *const bad[] = {
        "", "202", "20266", "2026-", "2026-1", "2026-13", "2026-00", "2026-11-", "2026-11-31",
        "2026-02-29", "1900-02-29", "2026-11-00", "0000-01-01", "2026-11-22T", "2026-11-22T09:31Z",
        "2026-11-22T09:31:54", "2026-11-22T24:00:00Z", "2026-11-22T09:60:54Z", "2026-11-22T09:31:61Z",
        "2026-11-22T09:31:54.Z", "2026-11-22T09:31:54z", "2026-11-22t09:31:54Z", "2026-11-22 09:31:54Z",
        "2026-11-22T09:31:54+14:30", "2026-11-22T09:31:54+15:00", "2026-11-22T09:31:54+0530",
        "2026-11-22T09:31:54+05:60", "2026-11-22T09:31:54ZZ", "-2026", "+2026", "2026T09:31:54Z",
        "2026-11T09:31:54Z", " 2026", "2026 "};
    apr_time_t t;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (p2p_time_parse(bad[i], strlen(bad[i]), &t)) fail_msg("accepted: %s", bad[i]);
    }
}

/* Each day of 400 years there and back: the calendar of this file against that of the C library. */
static void every_day(void **state)
{
    char text[P2P_ISO_TIME_LEN + 1];
    apr_int64_t day;
    apr_time_t t;

    (void)state;
    for (day = -80000; day < 80000; day++) {
        p2p_time_format(text, apr_time_from_sec(day * 86400));
        assert_true(p2p_time_parse(text, strlen(text), &t));
        assert_int_equal(t, apr_time_from_sec(day * 86400));
    }
}

static void clamps(void **state)
{
    (void)state;
    assert_string_equal(p2p_time_iso(pool, INT64_MAX), "9999-12-31T23:59:59.999Z");
    assert_string_equal(p2p_time_iso(pool, INT64_MIN), "0000-01-01T00:00:00.000Z");
    assert_string_equal(p2p_time_iso(pool, -1), "1969-12-31T23:59:59.999Z");
}

static void clocks_run(void **state)
{
    p2p_clock_t clock = p2p_clock_system();
    apr_time_t before = clock.monotonic(clock.baton), wall = clock.now(clock.baton);

    (void)state;
    assert_true(clock.monotonic(clock.baton) >= before);
    assert_true(wall > apr_time_from_sec(1700000000));
    assert_true(llabs((long long)(apr_time_now() - wall)) < APR_USEC_PER_SEC * 60);
}

static int set_up(void **state)
{
    (void)state;
    apr_initialize();
    return apr_pool_create(&pool, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    apr_terminate();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses), cmocka_unit_test(microseconds), cmocka_unit_test(refuses),
        cmocka_unit_test(every_day), cmocka_unit_test(clamps), cmocka_unit_test(clocks_run)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
