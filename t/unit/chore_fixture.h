/* SPDX-License-Identifier: Apache-2.0 */
/* A chore at work, with answers from a list in place of a network. */
#ifndef T_UNIT_CHORE_FIXTURE_H
#define T_UNIT_CHORE_FIXTURE_H

#include "job_fixture.h"
#include "fake_http.h"

#include "runner/work.h"
#include "store/chore_store.h"

static fake_http_t fake;
static p2p_clock_t clocks;
static p2p_exchange_context_t context;
static int ended;

static void on_ended(void *baton)
{
    (void)baton;
    ended++;
}

static UNUSED int begin_chores(void **state)
{
    p2p_spec_t *spec;

    begin(state);
    fake_http_make(&fake, pool, &clocks);
    spec = p2p_spec_make(pool);
    spec->target = TARGET;
    spec->keyring = ring;
    memset(&context, 0, sizeof context);
    context.spec = spec;
    context.clock = &clocks;
    context.log = &test_log;
    context.http = &fake.http;
    context.db = db;
    context.owner = "A";
    ended = 0;
    return 0;
}

static UNUSED p2p_chore_t *claimed_chore(const char *kind, apr_int64_t server_id, const char *subject)
{
    p2p_chore_order_t order = {.kind = kind, .target = TARGET, .subject = subject, .client = "admin", .server_id = server_id};
    p2p_chore_t *chore;
    int again;

    expect_ok(p2p_chore_enqueue(db, pool, &order, &chore, &again));
    assert_false(again);
    expect_ok(p2p_chore_claim(db, pool, TARGET, "A", &chore));
    return chore;
}

static UNUSED void *begin_work(const p2p_chore_t *chore)
{
    return p2p_work_kind(chore->job.kind)->begin(&context, chore, on_ended, NULL);
}

/* Works on it until it has ended; nothing of it is left then. */
static UNUSED void work_off(const p2p_chore_t *chore)
{
    void *work = begin_work(chore);

    for (int i = 0; i < 200 && !ended; i++) fake_step(&fake);
    assert_int_equal(ended, 1);
    p2p_work_kind(chore->job.kind)->destroy(work);
    assert_true(p2p_timers_next(fake.timers) < 0);
    ended = 0;
}

#define CHORE_TEST(test) cmocka_unit_test_setup_teardown(test, begin_chores, tear_down)

#endif
