/* SPDX-License-Identifier: Apache-2.0 */
/* The table of resources met: it grows, keeps what it was told, and packs without loss. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "exchange/seen.h"

/* Keys in no order, never 0. */
static apr_uint64_t key_of(apr_uint64_t i)
{
    return (i + 1) * 0x9e3779b97f4a7c15u | 1;
}

static void empty(void **state)
{
    p2p_seen_t seen = {0};

    (void)state;
    assert_null(p2p_seen_find(&seen, 5));
    assert_int_equal(p2p_seen_state(&seen, 5), P2P_SEEN_NEVER);
    p2p_seen_set(&seen, 5, P2P_SEEN_WRITTEN);
    assert_int_equal(p2p_seen_state(&seen, 5), P2P_SEEN_NEVER);
    p2p_seen_free(&seen);
    p2p_seen_free(&seen);
}

static void adds_once(void **state)
{
    p2p_seen_t seen = {0};
    p2p_seen_slot_t *slot = p2p_seen_add(&seen, 7);

    (void)state;
    assert_int_equal(sizeof *slot, 16);
    assert_int_equal(slot->state, P2P_SEEN_NEVER);
    slot->updated = 0xfffffffffff;
    slot->bundle = 0x1ffff;
    slot->state = P2P_SEEN_GONE;
    assert_ptr_equal(p2p_seen_add(&seen, 7), slot);
    assert_ptr_equal(p2p_seen_find(&seen, 7), slot);
    assert_int_equal(seen.count, 1);
    assert_true(slot->updated == 0xfffffffffff);
    assert_int_equal(slot->bundle, 0x1ffff);
    assert_int_equal(p2p_seen_state(&seen, 7), P2P_SEEN_GONE);
    p2p_seen_free(&seen);
}

static void grows(void **state)
{
    enum { COUNT = 300000 };
    p2p_seen_t seen = {0};
    apr_uint64_t i;

    (void)state;
    for (i = 0; i < COUNT; i++) {
        p2p_seen_slot_t *slot = p2p_seen_add(&seen, key_of(i));

        slot->state = i % 5;
        slot->updated = i;
        slot->bundle = i & 0x1ffff;
    }
    assert_int_equal(seen.count, COUNT);
    assert_true(seen.capacity <= COUNT * 4);
    for (i = 0; i < COUNT; i++) {
        const p2p_seen_slot_t *slot = p2p_seen_find(&seen, key_of(i));

        if (!slot || slot->state != i % 5 || slot->updated != i || slot->bundle != (i & 0x1ffff)) break;
    }
    assert_int_equal(i, COUNT);
    assert_null(p2p_seen_find(&seen, key_of(COUNT)));
    p2p_seen_free(&seen);
    assert_int_equal(seen.count, 0);
}

/* Keys that all want the same slot, round the end of the table. */
static void collides(void **state)
{
    p2p_seen_t seen = {0};
    apr_uint64_t i;

    (void)state;
    for (i = 1; i <= 200; i++) p2p_seen_add(&seen, i << 32 | 0xffffffff)->updated = i;
    for (i = 1; i <= 200; i++) assert_int_equal(p2p_seen_find(&seen, i << 32 | 0xffffffff)->updated, i);
    assert_null(p2p_seen_find(&seen, (apr_uint64_t)201 << 32 | 0xffffffff));
    p2p_seen_free(&seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(empty), cmocka_unit_test(adds_once), cmocka_unit_test(grows),
                                       cmocka_unit_test(collides)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
