/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of exchange/reading: who may hold how much of what has not come whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <apr_general.h>

#include "exchange/reading.h"

#define PAGES 8
#define MB (1 << 20)

static apr_pool_t *pool;
static apr_time_t clock_now = 1;

static apr_time_t tell_time(void *baton)
{
    (void)baton;
    return clock_now;
}

static p2p_clock_t test_clock = {tell_time, tell_time, NULL};

typedef struct page_t {
    p2p_share_t share;
    int told;
} page_t;

static page_t pages[PAGES];

static void go_on(void *baton)
{
    ((page_t *)baton)->told++;
}

/* 32 MiB of memory: a quarter of it for all pages. */
static p2p_reading_t *begin(void)
{
    int i;

    memset(pages, 0, sizeof pages);
    for (i = 0; i < PAGES; i++) {
        pages[i].share.go_on = go_on;
        pages[i].share.baton = &pages[i];
    }
    return p2p_reading_make(pool, &test_clock, 32 * MB);
}

static apr_int64_t told;

/* What the loop does when somebody was told to go on. */
static void pump(p2p_reading_t *reading)
{
    p2p_reading_moving(reading, &told, told);
}

static p2p_reading_word_t hold(p2p_reading_t *reading, int page, apr_size_t bytes)
{
    return p2p_reading_hold(reading, &pages[page].share, bytes);
}

static void one_at_a_time(void **state)
{
    p2p_reading_t *reading = begin();
    int i;

    (void)state;
    for (i = 0; i < 4; i++) assert_int_equal(hold(reading, i, 2 * MB), P2P_READING_GO); /* all of what they may */
    assert_int_equal(hold(reading, 2, 3 * MB), P2P_READING_GO);                          /* the first one to want more */
    assert_int_equal(hold(reading, 0, 2 * MB + 1), P2P_READING_WAIT);
    assert_int_equal(hold(reading, 1, 2 * MB + 1), P2P_READING_WAIT);
    assert_int_equal(hold(reading, 4, 60000), P2P_READING_GO); /* next to nothing is always allowed */
    assert_int_equal(hold(reading, 2, 60 * MB), P2P_READING_GO);
    assert_int_equal(p2p_reading_left(reading), 32 * MB - (66 * MB + 2 + 60000));
    assert_int_equal(pages[0].told + pages[1].told, 0);
    assert_int_equal(hold(reading, 2, 100), P2P_READING_GO); /* its entry was whole: there is room again */
    assert_int_equal(pages[0].told, 1);
    assert_true(pages[0].share.waits && pages[1].share.waits); /* until the loop has told what moves now */
    pump(reading);
    assert_false(pages[0].share.waits || pages[1].share.waits);
    assert_int_equal(pages[1].told, 1);
    assert_int_equal(hold(reading, 1, 5 * MB), P2P_READING_GO);
    assert_int_equal(hold(reading, 0, 3 * MB), P2P_READING_WAIT);
    p2p_reading_leave(reading, &pages[1].share);
    pump(reading);
    assert_false(pages[0].share.waits);
    for (i = 0; i < PAGES; i++) p2p_reading_leave(reading, &pages[i].share);
    assert_int_equal(p2p_reading_left(reading), 32 * MB);
}

/* Where there still is no room one of those that wait goes first, the one that has waited longest; and who leaves waits no more. */
static void in_order(void **state)
{
    p2p_reading_t *reading = begin();

    (void)state;
    hold(reading, 0, 9 * MB);
    assert_int_equal(hold(reading, 1, 9 * MB), P2P_READING_WAIT);
    assert_int_equal(hold(reading, 2, 9 * MB), P2P_READING_WAIT);
    assert_int_equal(hold(reading, 3, 9 * MB), P2P_READING_WAIT);
    assert_int_equal(hold(reading, 2, 9 * MB), P2P_READING_WAIT); /* asking again does not change it */
    p2p_reading_leave(reading, &pages[1].share);
    p2p_reading_leave(reading, &pages[0].share);
    pump(reading);
    assert_int_equal(pages[1].told, 0);
    assert_false(pages[2].share.waits);
    assert_true(pages[3].share.waits);
    assert_int_equal(hold(reading, 2, 20 * MB), P2P_READING_GO);
    p2p_reading_leave(reading, &pages[3].share);
    p2p_reading_leave(reading, &pages[2].share);
    pump(reading);
    assert_int_equal(pages[3].told, 0);
    assert_int_equal(hold(reading, 4, 9 * MB), P2P_READING_GO);
}

/* A peer that dribbles does not keep the others' large resources waiting for ever; where nobody waits it may take its time, and the time in
 * which it was us who paused is not its own. */
static void too_slow(void **state)
{
    p2p_reading_t *reading = begin();
    int i;

    (void)state;
    for (i = 0; i < 10; i++) {
        assert_int_equal(hold(reading, 0, 9 * MB), P2P_READING_GO);
        clock_now += apr_time_from_sec(60);
    }
    p2p_reading_leave(reading, &pages[0].share);
    hold(reading, 0, 9 * MB);
    assert_int_equal(hold(reading, 1, 9 * MB), P2P_READING_WAIT);
    for (i = 0; i < 10; i++) {
        assert_int_equal(hold(reading, 0, 9 * MB), P2P_READING_GO);
        p2p_reading_paused(&pages[0].share);
        clock_now += apr_time_from_sec(60);
    }
    for (i = 0; i < 6; i++) {
        assert_int_equal(hold(reading, 0, 9 * MB), P2P_READING_GO);
        clock_now += apr_time_from_sec(60);
    }
    assert_int_equal(hold(reading, 0, 9 * MB), P2P_READING_SLOW);
    p2p_reading_leave(reading, &pages[0].share);
    pump(reading);
    assert_false(pages[1].share.waits);
}

/* None goes first while most of the memory is on its way to the target, which then is to become less. */
static void held_up(void **state)
{
    p2p_reading_t *reading = begin();
    apr_int64_t other = 0;

    (void)state;
    p2p_reading_moving(reading, &other, 25 * MB);
    assert_int_equal(hold(reading, 0, 8 * MB), P2P_READING_GO);
    assert_int_equal(p2p_reading_left(reading), 24 * MB);
    assert_int_equal(hold(reading, 0, 9 * MB), P2P_READING_WAIT);
    assert_int_equal(p2p_reading_left(reading), 7 * MB);
    p2p_reading_moving(reading, &other, 26 * MB);
    assert_true(pages[0].share.waits);
    p2p_reading_moving(reading, &other, 24 * MB);
    assert_false(pages[0].share.waits);
    assert_int_equal(p2p_reading_left(reading), 23 * MB);
    p2p_reading_moving(reading, &other, 30 * MB);
    assert_int_equal(hold(reading, 0, 20 * MB), P2P_READING_GO);
    assert_int_equal(hold(reading, 1, 9 * MB), P2P_READING_WAIT);
    assert_int_equal(p2p_reading_left(reading), 3 * MB); /* it is the first one that it waits for */
    p2p_reading_leave(reading, &pages[0].share);
    pump(reading);
    assert_int_equal(p2p_reading_left(reading), 7 * MB);
    p2p_reading_moving(reading, &other, 0);
    assert_false(pages[1].share.waits);
}

/* Whatever the order of events: who waits does so behind one that does not. */
static void never_all_wait(void **state)
{
    p2p_reading_t *reading = begin();
    unsigned random = 7, round;

    (void)state;
    for (round = 0; round < 20000; round++) {
        int i, waiting = 0, going = 0;
        apr_size_t bytes;

        random = random * 1664525u + 1013904223u;
        i = (int)(random >> 20) % PAGES;
        bytes = (random >> 8) % 3 ? pages[i].share.held + (random >> 4) % MB : 0;
        if (pages[i].share.waits && (random >> 3) % 5) continue; /* it is paused */
        if (bytes && bytes < 64 * MB) hold(reading, i, bytes);
        else p2p_reading_leave(reading, &pages[i].share);
        pump(reading);
        for (i = 0; i < PAGES; i++) {
            waiting += pages[i].share.waits;
            going += !pages[i].share.waits && pages[i].share.held > 0;
        }
        assert_true(!waiting || going);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_at_a_time), cmocka_unit_test(in_order), cmocka_unit_test(too_slow), cmocka_unit_test(held_up),
                                       cmocka_unit_test(never_all_wait)};

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
