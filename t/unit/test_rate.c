/* SPDX-License-Identifier: Apache-2.0 */
/* Rates: what a caller gets, alone, beside others, and from several threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <pthread.h>

#include "base/rate.h"

#define SECOND APR_USEC_PER_SEC

static p2p_rate_row_t *rows;

static int setup(void **state)
{
    (void)state;
    rows = calloc(4, sizeof *rows);
    return rows ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    free(rows);
    return 0;
}

/* How many of some calls at one moment are let through. */
static int taken(apr_uint64_t caller, int per_second, apr_time_t now, int calls)
{
    int count = 0;

    for (int i = 0; i < calls; i++) count += !p2p_rate_take(rows, 4, caller, per_second, now);
    return count;
}

static void burst_then_rate(void **state)
{
    apr_time_t now = 5 * SECOND;

    (void)state;
    assert_int_equal(taken(7, 10, now, 100), 20);
    assert_int_equal(taken(7, 10, now + SECOND / 2, 100), 5);
    assert_int_equal(taken(7, 10, now + SECOND, 100), 5);
    assert_int_equal(taken(7, 10, now + 60 * SECOND, 100), 20);
}

static void tells_when(void **state)
{
    apr_time_t now = 5 * SECOND;

    (void)state;
    assert_int_equal(taken(7, 1, now, 3), 2);
    assert_int_equal(p2p_rate_take(rows, 4, 7, 1, now), SECOND);
    assert_int_equal(p2p_rate_take(rows, 4, 7, 1, now + SECOND / 4), SECOND * 3 / 4);
    assert_int_equal(p2p_rate_take(rows, 4, 7, 1, now + SECOND), 0);
    assert_int_equal(p2p_rate_take(rows, 4, 7, 1, now + SECOND), SECOND);
}

static void callers_apart(void **state)
{
    (void)state;
    for (apr_uint64_t i = 0; i < P2P_RATE_WAYS; i++) assert_int_equal(taken(4 + 4 * i, 5, SECOND, 50), 10);
    assert_int_equal(taken(0, 5, 100 * SECOND, 50), 10); /* a hash that happens to be what nobody has */
    assert_int_equal(taken(2, 100000, 100 * SECOND, 300000), 200000);
}

/* More callers than a row has room for get less, and find their own again when others rest. */
static void collisions_take_away(void **state)
{
    const int more = 5;
    int sum = 0;

    (void)state;
    for (apr_uint64_t i = 0; i < P2P_RATE_WAYS + (apr_uint64_t)more; i++) sum += taken(4 + 4 * i, 5, SECOND, 50);
    assert_int_equal(sum, P2P_RATE_WAYS * 10);
    assert_int_equal(taken(4 + 4 * (P2P_RATE_WAYS + 1), 5, 10 * SECOND, 50), 10);
}

static void *take_many(void *count)
{
    *(int *)count = taken(7, 1000, 5 * SECOND, 20000);
    return NULL;
}

static void threads_share(void **state)
{
    pthread_t threads[8];
    int counts[8], sum = 0;

    (void)state;
    for (int i = 0; i < 8; i++) assert_int_equal(pthread_create(&threads[i], NULL, take_many, &counts[i]), 0);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        sum += counts[i];
    }
    assert_in_range(sum, 2000, 2007); /* the first instant may count one for each slot that it is told in */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(burst_then_rate, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_when, setup, teardown),
        cmocka_unit_test_setup_teardown(callers_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(collisions_take_away, setup, teardown),
        cmocka_unit_test_setup_teardown(threads_share, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
