/* SPDX-License-Identifier: Apache-2.0 */
/* Hints, the mark up to which Tasks are known, and the Subscription's row with its secrets. */
#include "job_fixture.h"

#include "base/encode.h"
#include "store/chore_store.h"
#include "store/subscription_store.h"
#include "store/task_hint_store.h"
#include "store/task_watch_store.h"

#define ENDPOINT "https://p2p.example/hooks/task"

static apr_array_header_t *ids(int count, ...)
{
    apr_array_header_t *list = apr_array_make(pool, count, sizeof(const char *));
    va_list args;

    va_start(args, count);
    for (int i = 0; i < count; i++) APR_ARRAY_PUSH(list, const char *) = va_arg(args, const char *);
    va_end(args);
    return list;
}

static apr_array_header_t *hints(void)
{
    apr_array_header_t *list;

    expect_ok(p2p_task_hint_list(db, pool, TARGET, 5000, &list));
    return list;
}

static const p2p_task_hint_t *hint(int i)
{
    return &APR_ARRAY_IDX(hints(), i, p2p_task_hint_t);
}

static void one_of_each(void **state)
{
    p2p_chore_t *chore;

    (void)state;
    expect_ok(p2p_task_hint_add(db, pool, TARGET, ids(2, "b", "a")));
    expect_ok(p2p_task_hint_add(db, pool, TARGET, ids(3, "b", "b", "c")));
    expect_ok(p2p_task_hint_add(db, pool, "https://else.example", ids(1, "d")));
    assert_int_equal(hints()->nelts, 3);
    expect_ok(p2p_chore_claim(db, pool, TARGET, "A", &chore));
    assert_string_equal(chore->job.kind, P2P_KIND_TASKS);
    expect_ok(p2p_task_hint_add(db, pool, TARGET, ids(1, "a")));
    expect_ok(p2p_chore_claim(db, pool, TARGET, "B", &chore));
    assert_null(chore);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_job WHERE target = '" TARGET "'"), 1);
}

/* What is noted again while it is read is read again. */
static void done_as_seen(void **state)
{
    const p2p_task_hint_t *seen;

    (void)state;
    expect_ok(p2p_task_hint_add(db, pool, TARGET, ids(1, "a")));
    seen = hint(0);
    assert_string_equal(seen->task_id, "a");
    assert_true(seen->age >= 0 && seen->age < apr_time_from_sec(600));
    expect_ok(p2p_task_hint_add(db, pool, TARGET, ids(1, "a")));
    expect_ok(p2p_task_hint_done(db, pool, TARGET, seen));
    assert_int_equal(hints()->nelts, 1);
    expect_ok(p2p_task_hint_done(db, pool, TARGET, hint(0)));
    assert_int_equal(hints()->nelts, 0);
}

static void not_without_bound(void **state)
{
    apr_array_header_t *many = apr_array_make(pool, P2P_TASK_HINTS, sizeof(const char *));

    (void)state;
    for (int i = 0; i < P2P_TASK_HINTS; i++) APR_ARRAY_PUSH(many, const char *) = apr_psprintf(pool, "t%d", i);
    expect_ok(p2p_task_hint_add(db, pool, TARGET, many));
    assert_int_equal(hints()->nelts, P2P_TASK_HINTS);
    for (int i = 0; i < 5; i++) expect_ok(p2p_task_hint_add(db, pool, TARGET, ids(2, apr_psprintf(pool, "u%d", i), apr_psprintf(pool, "v%d", i))));
    assert_int_equal(hints()->nelts, P2P_TASK_HINTS + 1);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_task_hint WHERE task_id = ''"), 1);
}

static p2p_task_watch_t watch(void)
{
    p2p_task_watch_t got;

    expect_ok(p2p_task_watch_get(db, pool, TARGET, &got));
    return got;
}

static void the_mark(void **state)
{
    (void)state;
    assert_int_equal(watch().until + watch().due + watch().began, 0);
    expect_ok(p2p_task_watch_begin(db, pool, TARGET, 500));
    expect_ok(p2p_task_watch_begin(db, pool, TARGET, 600));
    assert_int_equal(watch().began, 500);
    assert_int_equal(watch().until, 0);
    expect_ok(p2p_task_watch_searched(db, pool, TARGET, 1000, apr_time_from_sec(600)));
    expect_ok(p2p_task_watch_searched(db, pool, TARGET, 900, apr_time_from_sec(600)));
    assert_int_equal(watch().until, 1000);
    assert_int_equal(watch().began, 500);
    assert_true(watch().searched > 0 && watch().searched <= watch().now);
    assert_true(watch().due > watch().now);
}

static void trouble_with_it(void **state)
{
    (void)state;
    expect_ok(p2p_task_watch_failed(db, pool, TARGET, "It is away.", apr_time_from_sec(5)));
    expect_ok(p2p_task_watch_failed(db, pool, TARGET, "It is away.", apr_time_from_sec(5)));
    assert_string_equal(watch().fault, "It is away.");
    assert_int_equal(watch().attempts, 2);
    assert_int_equal(watch().searched, 0);
    expect_ok(p2p_task_watch_well(db, pool, TARGET, apr_time_from_sec(600)));
    assert_string_equal(watch().fault, "");
    assert_int_equal(watch().attempts, 0);
    expect_ok(p2p_task_watch_failed(db, pool, TARGET, "It is away.", apr_time_from_sec(5)));
    expect_ok(p2p_task_watch_searched(db, pool, TARGET, 7, apr_time_from_sec(5)));
    assert_string_equal(watch().fault, "");
    assert_int_equal(watch().attempts, 0);
    expect_ok(p2p_task_watch_well(db, pool, TARGET, apr_time_from_sec(6000)));
    assert_true(watch().due < watch().now + apr_time_from_sec(60));
}

static p2p_subscription_t *seeded(void)
{
    p2p_subscription_t *subscription;

    expect_ok(p2p_subscription_seed(db, pool, ring, TARGET, ENDPOINT, &subscription));
    return subscription;
}

static void seeded_once(void **state)
{
    p2p_subscription_t *none, *first, *second;
    unsigned char *bytes;
    apr_size_t len;
    int due;

    (void)state;
    expect_ok(p2p_subscription_get(db, pool, ring, TARGET, ENDPOINT, &none));
    assert_null(none);
    expect_ok(p2p_subscription_due(db, pool, TARGET, ENDPOINT, &due));
    assert_true(due);
    first = seeded();
    second = seeded();
    assert_string_equal(first->secret, second->secret);
    assert_true(p2p_base64url_decode(pool, first->secret, &bytes, &len));
    assert_int_equal(len, P2P_HOOK_SECRET_BYTES);
    assert_string_equal(first->secret_before, "");
    assert_true(p2p_subscription_secret_is(first, second->secret));
    assert_false(p2p_subscription_secret_is(first, ""));
    assert_false(p2p_subscription_secret_is(first, apr_pstrcat(pool, first->secret, "x", NULL)));
    assert_null(strstr(ask_sql("SELECT secret FROM p2p_subscription"), first->secret));
}

static void rotated(void **state)
{
    const char *old = seeded()->secret, *older;
    p2p_subscription_t *s;
    p2p_error_t *error;

    (void)state;
    expect_ok(p2p_subscription_rotate(db, pool, ring, TARGET, ENDPOINT));
    s = seeded();
    assert_string_not_equal(s->secret, old);
    assert_string_equal(s->secret_before, old);
    assert_true(p2p_subscription_secret_is(s, old) && p2p_subscription_secret_is(s, s->secret));
    older = old;
    old = s->secret;
    expect_ok(p2p_subscription_rotate(db, pool, ring, TARGET, ENDPOINT));
    s = seeded();
    assert_true(p2p_subscription_secret_is(s, old));
    assert_false(p2p_subscription_secret_is(s, older));
    run_sql("UPDATE p2p_subscription SET rotated = rotated - 86400000000");
    assert_false(p2p_subscription_secret_is(seeded(), old));
    assert_true(p2p_subscription_secret_is(seeded(), s->secret));
    error = p2p_subscription_rotate(db, pool, ring, TARGET, "https://else.example/hooks/task");
    assert_string_equal(error ? error->code : "", "no-subscription");
}

static void noted(void **state)
{
    p2p_subscription_t found = {.id = "s1", .status = "active", .fault = "", .written = "f", .attempts = 3}, *s;
    int due, active;

    (void)state;
    seeded();
    expect_ok(p2p_subscription_is_active(db, pool, TARGET, ENDPOINT, &active));
    assert_false(active);
    expect_ok(p2p_subscription_note(db, pool, TARGET, ENDPOINT, &found, apr_time_from_sec(600)));
    s = seeded();
    assert_string_equal(apr_pstrcat(pool, s->id, " ", s->status, " ", s->written, NULL), "s1 active f");
    assert_int_equal(s->attempts, 3);
    assert_true(s->checked > 0 && s->due > s->checked);
    expect_ok(p2p_subscription_due(db, pool, TARGET, ENDPOINT, &due));
    assert_false(due);
    expect_ok(p2p_subscription_is_active(db, pool, TARGET, ENDPOINT, &active));
    assert_true(active);
    expect_ok(p2p_subscription_is_active(db, pool, TARGET, NULL, &active));
    assert_false(active);
    expect_ok(p2p_subscription_rotate(db, pool, ring, TARGET, ENDPOINT)); /* the target is told at once */
    expect_ok(p2p_subscription_due(db, pool, TARGET, ENDPOINT, &due));
    assert_true(due);
    expect_ok(p2p_subscription_fault(db, pool, TARGET, ENDPOINT, "No key.", apr_time_from_sec(600)));
    assert_string_equal(seeded()->fault, "No key.");
    assert_string_equal(seeded()->status, "active");
    expect_ok(p2p_subscription_due(db, pool, TARGET, ENDPOINT, &due));
    assert_false(due);
}

#define STORE_TEST(test) cmocka_unit_test_setup_teardown(test, begin, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(one_of_each), STORE_TEST(done_as_seen), STORE_TEST(not_without_bound), STORE_TEST(the_mark), STORE_TEST(trouble_with_it),
        STORE_TEST(seeded_once), STORE_TEST(rotated), STORE_TEST(noted),
    };

    return run_group("task_store", tests, sizeof tests / sizeof *tests);
}
