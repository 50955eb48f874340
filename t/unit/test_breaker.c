/* SPDX-License-Identifier: Apache-2.0 */
/* When a breaker opens, for how long, and what closes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "net/breaker.h"

#define AT(seconds) apr_time_from_sec(1000 + (seconds))

static int fails(p2p_breaker_t *breaker, apr_time_t now)
{
    assert_true(p2p_breaker_ask(breaker, now));
    return p2p_breaker_told(breaker, now, 1);
}

static void opens_after_three(void **state)
{
    p2p_breaker_t breaker = {0};

    (void)state;
    assert_false(fails(&breaker, AT(0)));
    assert_false(fails(&breaker, AT(1)));
    assert_true(p2p_breaker_ask(&breaker, AT(1)));
    assert_false(p2p_breaker_told(&breaker, AT(1), 0)); /* what went well in between counts from the start */
    assert_false(fails(&breaker, AT(2)));
    assert_false(fails(&breaker, AT(3)));
    assert_true(fails(&breaker, AT(4)));
    assert_false(p2p_breaker_ask(&breaker, AT(4)));
    assert_false(p2p_breaker_ask(&breaker, AT(14) - 1));
    assert_true(p2p_breaker_ask(&breaker, AT(14)));
    assert_false(p2p_breaker_ask(&breaker, AT(15))); /* one trial at a time */
    assert_false(p2p_breaker_told(&breaker, AT(15), 0));
    assert_true(p2p_breaker_ask(&breaker, AT(15)));
    assert_true(p2p_breaker_ask(&breaker, AT(15)));
}

static void rests_longer(void **state)
{
    static const int rests[] = {10, 20, 40, 60, 60};
    p2p_breaker_t breaker = {0};
    int now = 0;

    (void)state;
    fails(&breaker, AT(0));
    fails(&breaker, AT(0));
    fails(&breaker, AT(0));
    for (int i = 0; i < 5; i++) {
        assert_false(p2p_breaker_ask(&breaker, AT(now + rests[i]) - 1));
        now += rests[i];
        assert_true(fails(&breaker, AT(now)));
    }
    assert_true(p2p_breaker_ask(&breaker, AT(now + 60)));
    p2p_breaker_told(&breaker, AT(now + 60), 0);
    fails(&breaker, AT(now + 61));
    fails(&breaker, AT(now + 61));
    assert_true(fails(&breaker, AT(now + 61)));
    assert_true(p2p_breaker_ask(&breaker, AT(now + 71))); /* short again */
}

/* Several were asked when the third failure came: theirs make it no longer. */
static void asked_before(void **state)
{
    p2p_breaker_t breaker = {0};

    (void)state;
    for (int i = 0; i < 6; i++) assert_true(p2p_breaker_ask(&breaker, AT(0)));
    for (int i = 0; i < 6; i++) assert_int_equal(p2p_breaker_told(&breaker, AT(3), 1), i == 2);
    assert_false(p2p_breaker_ask(&breaker, AT(13) - 1));
    assert_true(p2p_breaker_ask(&breaker, AT(13)));
}

/* One of those asked before is answered after all. */
static void answered_late(void **state)
{
    p2p_breaker_t breaker = {0};

    (void)state;
    for (int i = 0; i < 4; i++) p2p_breaker_ask(&breaker, AT(0));
    for (int i = 0; i < 3; i++) p2p_breaker_told(&breaker, AT(1), 1);
    p2p_breaker_told(&breaker, AT(2), 0);
    assert_true(p2p_breaker_ask(&breaker, AT(2)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_after_three), cmocka_unit_test(rests_longer),
        cmocka_unit_test(asked_before), cmocka_unit_test(answered_late),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
