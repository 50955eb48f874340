/* SPDX-License-Identifier: Apache-2.0 */
/* What a part on its way holds: found by key in any number, also when some of it was given up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <apr_time.h>

#include "exchange/landing.h"

static void hold(p2p_landing_t *landing, apr_uint64_t key, apr_uint64_t updated)
{
    p2p_held_t held = {key, updated, 0, 0};

    p2p_buf_add(&landing->held, &held, sizeof held);
}

static apr_uint64_t key_of(apr_uint64_t i)
{
    return (i + 1) * 0x9e3779b97f4a7c15u | 1;
}

static void finds(void **state)
{
    enum { COUNT = 200000 }; /* by looking through all of them it would take minutes */
    p2p_land_t land = {0};
    p2p_landing_t *landing = p2p_landing_make(&land, 1, 2, "https://h/");
    apr_time_t begin = apr_time_now();
    apr_uint64_t i;

    (void)state;
    assert_null(p2p_landing_held(landing, 5));
    for (i = 0; i < COUNT; i++) hold(landing, key_of(i), i);
    for (i = 0; i < COUNT; i++) assert_true(p2p_landing_held(landing, key_of(i))->updated == i);
    for (i = 0; i < COUNT; i += 3) p2p_landing_unhold(landing, key_of(i));
    p2p_landing_unhold(landing, key_of(0));
    for (i = COUNT; i < COUNT + 100; i++) hold(landing, key_of(i), i);
    for (i = 0; i < COUNT + 100; i++) {
        const p2p_held_t *held = p2p_landing_held(landing, key_of(i));

        if (i < COUNT && i % 3 == 0) assert_null(held);
        else assert_true(held->key == key_of(i) && held->updated == i);
    }
    assert_int_equal(landing->held.len / sizeof(p2p_held_t), COUNT - (COUNT + 2) / 3 + 100);
    assert_true(apr_time_now() - begin < apr_time_from_sec(20));
    p2p_landing_free(landing);
    assert_null(land.open);
}

/* A later version within the same part: the earlier one is given up. */
static void later_version(void **state)
{
    p2p_land_t land = {0};
    p2p_landing_t *landing = p2p_landing_make(&land, 1, 2, "https://h/");

    (void)state;
    hold(landing, 7, 1);
    hold(landing, 8, 1);
    assert_non_null(p2p_landing_held(landing, 7));
    hold(landing, 7, 2);
    p2p_landing_unhold(landing, 7);
    assert_int_equal(p2p_landing_held(landing, 7)->updated, 2);
    assert_int_equal(p2p_landing_held(landing, 8)->updated, 1);
    p2p_landing_unhold(landing, 8);
    p2p_landing_unhold(landing, 7);
    assert_null(p2p_landing_held(landing, 7));
    assert_int_equal(landing->held.len, 0);
    p2p_landing_unhold(landing, 7);
    p2p_landing_free(landing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(finds), cmocka_unit_test(later_version)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
