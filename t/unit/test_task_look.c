/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks of a target that the test plays: what is hinted at is read, what is not is found, each status once, and nothing gets lost. */
#include "chore_fixture.h"

#include "fhir/add_payer.h"
#include "runner/task_look.h"
#include "store/subscription_store.h"
#include "store/task_hint_store.h"
#include "store/task_watch_store.h"

#define CODING "\"code\":{\"coding\":[{\"system\":\"" P2P_CODE_SYSTEM "\",\"code\":\"" P2P_ADD_PAYER_CODE "\"}]}"
#define EMPTY "{\"resourceType\":\"Bundle\",\"type\":\"searchset\"}"
#define SEARCH TARGET "/Task?code=http%3A%2F%2Fpayer-to-payer-exchange%2FCodeSystem%2Fp2p-internal-codes%7Cp2p-request-add-provider-id"
#define BEGAN "Sun, 22 Nov 2026 09:00:00 GMT"

static p2p_spec_t *settings;

static int begin_look(void **state)
{
    begin_chores(state);
    context.spec = settings = apr_pmemdup(pool, context.spec, sizeof *settings);
    context.target_http = &fake.http;
    settings->hook_url = "https://p2p.example/hooks/task";
    settings->mail_server = "smtp://mail.example";
    settings->mail_admins = "admin@example.org";
    fake.now = 1795338000000000; /* BEGAN */
    return 0;
}

/* time: hh:mm:ss of that day. */
static const char *task(const char *id, const char *status, const char *time)
{
    return apr_psprintf(pool, "{\"resourceType\":\"Task\",\"id\":\"%s\",\"status\":\"%s\",\"meta\":{\"lastUpdated\":\"2026-11-22T%sZ\"}," CODING
                        ",\"requester\":{\"reference\":\"Patient/1\"}}", id, status, time);
}

static const char *page(const char *first, const char *second, const char *next)
{
    return apr_psprintf(pool, "{\"resourceType\":\"Bundle\",%s%s%s\"entry\":[{\"resource\":%s}%s%s%s]}", next ? "\"link\":[{\"relation\":\"next\",\"url\":\"" : "",
                        next ? next : "", next ? "\"}]," : "", first, second ? ",{\"resource\":" : "", second ? second : "", second ? "}" : "");
}

static void answer_at(const char *date, const char *body)
{
    fake_answer(&fake, 200, body);
    fake.answers[fake.answer_count - 1].field = "Date";
    fake.answers[fake.answer_count - 1].value = date;
}

static void hint(const char *id)
{
    apr_array_header_t *ids = apr_array_make(pool, 1, sizeof(const char *));

    APR_ARRAY_PUSH(ids, const char *) = id;
    expect_ok(p2p_task_hint_add(db, pool, TARGET, ids));
}

static int hints(void)
{
    return (int)ask_int("SELECT COUNT(*) FROM p2p_task_hint");
}

/* One look, which asks for nothing but what there are answers for. */
static void look(void)
{
    run_sql("DELETE FROM p2p_job");
    memset(fake.asked, 0, sizeof fake.asked);
    fake.count = fake.answered = 0;
    work_off(claimed_chore(P2P_KIND_TASKS, 0, ""));
    assert_int_equal(fake.answer_count, 0);
}

/* What is known by the first search: no Task, at BEGAN; the next one is not due. */
static void known(void)
{
    answer_at(BEGAN, EMPTY);
    look();
    assert_int_equal(fake.count, 1);
    run_sql("UPDATE p2p_task_watch SET due = due + 600000000");
}

static p2p_task_watch_t watch(void)
{
    p2p_task_watch_t got;

    expect_ok(p2p_task_watch_get(db, pool, TARGET, &got));
    return got;
}

/* "a requested, b accepted": what was noted, by subject and status. */
static void events(const char *expected)
{
    const char *got = ask_sql(is_pgsql() ? "SELECT COALESCE(string_agg(substr(subject, 6) || ' ' || status, ', ' ORDER BY subject, status), '') FROM p2p_task_event"
                              : "SELECT COALESCE(group_concat(e, ', '), '') FROM (SELECT substr(subject, 6) || ' ' || status AS e FROM p2p_task_event ORDER BY subject, status)");

    assert_string_equal(got, expected);
}

static int mails(void)
{
    return (int)ask_int("SELECT COUNT(*) FROM p2p_outbox WHERE role = 'administrator'");
}

static void what_was_there_before(void **state)
{
    (void)state;
    hint("b");
    answer_at(BEGAN, page(task("a", "requested", "08:59:59"), task("b", "accepted", "08:00:00"), TARGET "?_getpages=2"));
    answer_at("Sun, 22 Nov 2026 09:00:09 GMT", page(task("c", "requested", "09:00:05"), NULL, NULL));
    fake_answer(&fake, 200, task("b", "accepted", "08:00:00"));
    look();
    assert_string_equal(fake.asked[0].url, SEARCH "&_count=50");
    assert_string_equal(fake.asked[1].url, TARGET "?_getpages=2");
    assert_string_equal(fake.asked[2].url, TARGET "/Task/b");
    assert_non_null(strstr(fake.asked[0].fields, "Cache-Control: no-cache"));
    events("a requested, b accepted, c requested");
    assert_int_equal(mails(), 1); /* c came while they were read */
    assert_int_equal(hints(), 0);
    assert_int_equal(watch().began, 1795338000000000);
    assert_int_equal(watch().until, 1795338000000000);
    assert_int_equal((watch().due - watch().searched) / 1000000, 10);
}

static void since_the_mark(void **state)
{
    (void)state;
    known();
    run_sql("UPDATE p2p_task_watch SET due = 0");
    answer_at("Sun, 22 Nov 2026 09:10:00 GMT", page(task("a", "requested", "09:05:00"), NULL, NULL));
    look();
    assert_string_equal(fake.asked[0].url, SEARCH "&_lastUpdated=ge2026-11-22T08:57:00.000Z&_count=50");
    assert_int_equal(watch().until, 1795338600000000);
    run_sql("UPDATE p2p_task_watch SET due = 0");
    answer_at("Sun, 22 Nov 2026 09:10:10 GMT", page(task("a", "requested", "09:05:00"), task("a", "accepted", "09:10:05"), NULL));
    look();
    assert_string_equal(fake.asked[0].url, SEARCH "&_lastUpdated=ge2026-11-22T09:07:00.000Z&_count=50");
    events("a accepted, a requested");
    assert_int_equal(mails(), 1);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_job WHERE kind = 'mail'"), 1);
}

/* A target whose clock was wrong once: what came before that was mended is found, and told, however far ahead it was; also at the first search. */
static void clock_set_back(void **state)
{
    (void)state;
    known();
    for (int first = 0; first < 2; first++) {
        if (first) run_sql("DELETE FROM p2p_task_watch");
        else run_sql("UPDATE p2p_task_watch SET due = 0");
        answer_at("Tue, 22 Nov 2039 09:05:00 GMT", EMPTY);
        look();
        assert_in_range(watch().until, 2200000000000000, 2210000000000000);
        run_sql("UPDATE p2p_task_watch SET due = 0, searched = searched - 600000000");
        answer_at("Sun, 22 Nov 2026 09:10:00 GMT", EMPTY);
        answer_at("Sun, 22 Nov 2026 09:10:00 GMT", page(task(first ? "b" : "a", "requested", "09:05:00"), NULL, NULL));
        look();
        assert_int_equal(fake.count, 2);
        assert_non_null(strstr(fake.asked[1].url, "&_lastUpdated=ge2026-11-22T08:5"));
        assert_int_equal(mails(), 1 + first);
        assert_int_equal(watch().until, 1795338600000000);
        assert_true(watch().began <= watch().until);
    }
}

/* While deliveries come, a search is seldom due. */
static void with_a_subscription(void **state)
{
    p2p_subscription_t *row, found = {.id = "s", .status = "active", .fault = "", .written = ""};

    (void)state;
    expect_ok(p2p_subscription_seed(db, pool, ring, TARGET, context.spec->hook_url, &row));
    expect_ok(p2p_subscription_note(db, pool, TARGET, context.spec->hook_url, &found, 0));
    answer_at(BEGAN, EMPTY);
    look();
    assert_int_equal((watch().due - watch().searched) / 1000000, 600);
}

static void hints_read(void **state)
{
    (void)state;
    known();
    hint("a");
    hint("b");
    hint("c");
    hint("d");
    fake_answer(&fake, 200, task("a", "requested", "09:01:00"));
    fake_answer(&fake, 404, "");
    fake_answer(&fake, 200, "{\"resourceType\":\"Task\",\"id\":\"c\",\"status\":\"completed\"}");
    fake_answer(&fake, 200, task("x", "requested", "09:01:00"));
    look();
    assert_int_equal(fake.count, 4);
    assert_string_equal(fake.asked[0].url, TARGET "/Task/a");
    assert_non_null(strstr(fake.asked[0].fields, "Cache-Control: no-cache"));
    events("a requested");
    assert_int_equal(mails(), 1);
    assert_int_equal(hints(), 0);
}

static void no_status(void **state)
{
    (void)state;
    known();
    hint("a");
    fake_answer(&fake, 200, task("a", "<b>", "09:01:00"));
    look();
    events("");
    assert_int_equal(hints(), 0);
}

/* A delivery that comes after a while: what else got lost? */
static void hints_bring_a_search(void **state)
{
    (void)state;
    known();
    hint("a");
    run_sql("UPDATE p2p_task_watch SET searched = searched - 31000000");
    fake_answer(&fake, 200, task("a", "requested", "09:01:00"));
    answer_at("Sun, 22 Nov 2026 09:02:00 GMT", page(task("a", "requested", "09:01:00"), task("b", "requested", "09:01:30"), NULL));
    look();
    events("a requested, b requested");
    assert_int_equal(mails(), 2);
}

static void asked_to_search(void **state)
{
    int count;

    (void)state;
    known();
    expect_ok(p2p_task_look_ask(&context, pool, &count));
    assert_int_equal(count, 1);
    answer_at("Sun, 22 Nov 2026 09:02:00 GMT", EMPTY);
    look();
    assert_int_equal(fake.count, 1);
    assert_int_equal(hints(), 0);
}

/* What is noted while a look is under way finds it in the queue, and is seen to all the same. */
static void hinted_meanwhile(void **state)
{
    p2p_chore_t *chore;
    void *work;

    (void)state;
    known();
    hint("a");
    run_sql("DELETE FROM p2p_job");
    chore = claimed_chore(P2P_KIND_TASKS, 0, "");
    work = begin_work(chore);
    fake_step(&fake);
    hint("a");
    hint("b");
    fake_answer(&fake, 200, task("a", "requested", "09:01:00"));
    for (int i = 0; i < 20 && !ended; i++) fake_step(&fake);
    assert_int_equal(ended, 1);
    p2p_work_tasks.destroy(work);
    assert_int_equal(hints(), 2);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_job WHERE kind = 'task-look' AND status = 'STARTING'"), 1);
}

static int due(void)
{
    int count;

    run_sql("DELETE FROM p2p_job");
    expect_ok(p2p_task_look_ask_due(&context, pool, &count));
    return count;
}

/* Away, or refusing: hints stay, and are not asked for at once. */
static void trouble(void **state)
{
    (void)state;
    known();
    hint("a");
    assert_true(due());
    fake_failure(&fake, "unreachable");
    look();
    assert_string_equal(watch().fault, "Reading a Task: The peer is unreachable.");
    assert_false(due());
    fake_answer(&fake, 401, "");
    look();
    assert_non_null(strstr(watch().fault, "P2PTargetAuth"));
    fake_answer(&fake, 429, "");
    look();
    assert_int_equal(watch().attempts, 3);
    assert_in_range(watch().due - watch().now, apr_time_from_sec(1), apr_time_from_sec(20));
    assert_int_equal(hints(), 1);
    run_sql("UPDATE p2p_task_watch SET due = 1");
    assert_true(due());
    run_sql("UPDATE p2p_task_watch SET due = 9000000000000000");
    fake_answer(&fake, 200, task("a", "requested", "09:01:00"));
    look();
    assert_string_equal(watch().fault, "");
    assert_true(watch().due < watch().now + apr_time_from_sec(60));
    assert_int_equal(hints(), 0);
    assert_int_equal(mails(), 1);
}

/* One Task that its server cannot bring holds up no other, and not for ever. */
static void one_that_fails(void **state)
{
    (void)state;
    known();
    hint("a");
    hint("b");
    fake_answer(&fake, 500, "");
    fake_answer(&fake, 200, task("b", "requested", "09:01:00"));
    look();
    events("b requested");
    assert_int_equal(hints(), 1);
    assert_string_equal(watch().fault, "Reading a Task is answered 500.");
    run_sql("UPDATE p2p_task_hint SET noted = noted - 3700000000");
    fake_answer(&fake, 500, "");
    look();
    assert_int_equal(hints(), 0);
}

/* Nor does one that never comes to its end: too large, too slow, or cut short each time. */
static void one_without_an_end(void **state)
{
    (void)state;
    known();
    hint("a");
    hint("b");
    fake_failure(&fake, "timed-out");
    fake_answer(&fake, 200, task("b", "requested", "09:01:00"));
    look();
    events("b requested");
    assert_int_equal(hints(), 1);
    run_sql("UPDATE p2p_task_watch SET searched = searched - 31000000");
    fake_failure(&fake, "timed-out");
    answer_at("Sun, 22 Nov 2026 09:02:00 GMT", page(task("c", "requested", "09:01:30"), NULL, NULL));
    look();
    events("b requested, c requested");
    assert_string_equal(watch().fault, "Reading a Task: The peer is timed-out.");
    run_sql("UPDATE p2p_task_hint SET noted = noted - 3700000000");
    fake_failure(&fake, "timed-out");
    look();
    assert_int_equal(hints(), 0);
}

/* A target that answers nothing is not asked for each of a thousand. */
static void none_answered(void **state)
{
    static const char *const ids[] = {"a", "b", "c", "d", "e"};

    (void)state;
    known();
    for (int i = 0; i < 5; i++) hint(ids[i]);
    for (int i = 0; i < 3; i++) fake_failure(&fake, "timed-out");
    look();
    assert_int_equal(fake.count, 3);
    assert_int_equal(hints(), 5);
}

/* A search that fails is not known to have been made. */
static void searches_that_fail(void **state)
{
    static const char *const bodies[] = {"<html>", "{\"resourceType\":\"Patient\",\"id\":\"x\"}", "{\"resourceType\":\"Bundle\""};

    (void)state;
    known();
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        run_sql("UPDATE p2p_task_watch SET due = 0");
        answer_at("Sun, 22 Nov 2026 09:10:00 GMT", bodies[i]);
        look();
        assert_non_null(strstr(watch().fault, "no FHIR Bundle"));
    }
    run_sql("UPDATE p2p_task_watch SET due = 0");
    fake_answer(&fake, 403, "");
    look();
    assert_non_null(strstr(watch().fault, "403"));
    assert_int_equal(watch().until, 1795338000000000);
}

/* What was found counts, what was not is looked for again. */
static void pages_that_lead_astray(void **state)
{
    static const char *const next[][2] = { /* a server behind a proxy does not know where we find it; nobody else is asked */
        {"https://inside.example:8080/fhir?page=2", TARGET "?page=2"}, {"http://target.example/fhir/Task?page=2", TARGET "/Task?page=2"},
        {"//inside.example/r4/Task?page=2", TARGET "/Task?page=2"}, {"//inside.example/x?page=2", TARGET "?page=2"}};

    (void)state;
    known();
    for (size_t i = 0; i < sizeof next / sizeof *next; i++) {
        run_sql("UPDATE p2p_task_watch SET due = 0");
        answer_at("Sun, 22 Nov 2026 09:10:00 GMT", page(task(apr_psprintf(pool, "a%d", (int)i), "requested", "09:05:00"), NULL, next[i][0]));
        fake_answer(&fake, 404, "");
        look();
        assert_int_equal(fake.count, 2);
        assert_string_equal(fake.asked[1].url, next[i][1]);
        assert_non_null(strstr(watch().fault, "404"));
    }
    run_sql("UPDATE p2p_task_watch SET due = 0");
    answer_at("Sun, 22 Nov 2026 09:10:00 GMT", page(task("a4", "requested", "09:05:00"), NULL, "ftp://target.example/fhir"));
    look();
    assert_int_equal(fake.count, 1);
    assert_non_null(strstr(watch().fault, "no URL"));
    run_sql("UPDATE p2p_task_watch SET due = 0");
    answer_at("Sun, 22 Nov 2026 09:10:00 GMT", page(task("b", "requested", "09:05:00"), NULL, "?page=2"));
    answer_at("Sun, 22 Nov 2026 09:10:00 GMT", page(task("c", "requested", "09:05:00"), NULL, TARGET "/Task?page=2"));
    look();
    assert_string_equal(fake.asked[1].url, TARGET "/Task?page=2");
    assert_non_null(strstr(watch().fault, "twice"));
    assert_int_equal(watch().until, 1795338000000000);
    assert_int_equal(mails(), 7);
}

/* A server that does not know _lastUpdated, and one that cannot sort either. */
static void plainer_searches(void **state)
{
    (void)state;
    known();
    run_sql("UPDATE p2p_task_watch SET due = 0, until = 1795338600000000"); /* 09:10 */
    fake_answer(&fake, 400, "");
    answer_at("Sun, 22 Nov 2026 09:20:00 GMT", page(task("a", "requested", "09:15:00"), NULL, TARGET "?p=2"));
    answer_at("Sun, 22 Nov 2026 09:20:00 GMT", page(task("b", "requested", "09:06:59"), task("c", "requested", "09:06:58"), TARGET "?p=3"));
    look();
    assert_string_equal(fake.asked[1].url, SEARCH "&_sort=-_lastUpdated&_count=50");
    assert_int_equal(fake.count, 3); /* older ones need not be read */
    assert_int_equal(watch().until, 1795339200000000);
    run_sql("UPDATE p2p_task_watch SET due = 0");
    fake_answer(&fake, 400, "");
    fake_answer(&fake, 422, "");
    answer_at("Sun, 22 Nov 2026 09:21:00 GMT", page(task("a", "accepted", "09:20:30"), NULL, NULL));
    look();
    assert_string_equal(fake.asked[2].url, SEARCH);
    events("a accepted, a requested, b requested, c requested");
    assert_int_equal((watch().due - watch().searched) / 1000000, 60);
    run_sql("UPDATE p2p_task_watch SET due = 0");
    for (int i = 0; i < 3; i++) fake_answer(&fake, 404, "");
    look();
    assert_string_equal(watch().fault, "A search for Tasks is answered 404.");
}

/* It ends after a page of several: what was noted stays, and the first search is made again from its beginning with what is told of it. */
static void killed_between_pages(void **state)
{
    void *work;

    (void)state;
    answer_at(BEGAN, page(task("a", "requested", "08:00:00"), NULL, TARGET "?p=2"));
    work = begin_work(claimed_chore(P2P_KIND_TASKS, 0, ""));
    for (int i = 0; i < 20 && fake.count < 2; i++) fake_step(&fake);
    p2p_work_tasks.destroy(work);
    assert_true(p2p_timers_next(fake.timers) < 0);
    events("a requested");
    assert_int_equal(watch().until, 0);
    assert_int_equal(watch().began, 1795338000000000);
    answer_at("Sun, 22 Nov 2026 09:30:00 GMT", page(task("a", "requested", "08:00:00"), task("b", "requested", "08:30:00"), TARGET "?p=2"));
    answer_at("Sun, 22 Nov 2026 09:30:00 GMT", page(task("c", "requested", "09:20:00"), NULL, NULL));
    look();
    events("a requested, b requested, c requested");
    assert_int_equal(mails(), 1); /* of c: it is new */
    assert_int_equal(watch().until, 1795339800000000);
}

/* A hint of a Task that was told of long ago, whose event has gone in time. */
static void long_ago(void **state)
{
    (void)state;
    known();
    run_sql("UPDATE p2p_task_watch SET began = 1");
    fake.now += apr_time_from_sec(91 * 86400);
    hint("a");
    fake_answer(&fake, 200, task("a", "requested", "09:01:00"));
    look();
    assert_int_equal(mails(), 0);
    assert_int_equal(hints(), 0);
}

static void nobody_is_told(void **state)
{
    int count;

    (void)state;
    settings->hook_url = settings->mail_server = NULL;
    look();
    assert_int_equal(fake.count, 0);
    assert_false(due());
    expect_ok(p2p_task_look_ask(&context, pool, &count));
    assert_int_equal(count, 0);
    assert_int_equal(hints(), 0);
}

static void when_due(void **state)
{
    (void)state;
    assert_true(due());
    known();
    assert_false(due());
    hint("a");
    assert_true(due());
    run_sql("DELETE FROM p2p_task_hint");
    assert_false(due());
    run_sql("UPDATE p2p_task_watch SET due = 1");
    assert_true(due());
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, begin_look, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_there_before), TEST(since_the_mark), TEST(clock_set_back), TEST(with_a_subscription), TEST(hints_read), TEST(no_status), TEST(hints_bring_a_search),
        TEST(asked_to_search), TEST(hinted_meanwhile), TEST(trouble), TEST(one_that_fails), TEST(one_without_an_end), TEST(none_answered), TEST(searches_that_fail), TEST(pages_that_lead_astray),
        TEST(plainer_searches), TEST(killed_between_pages), TEST(long_ago), TEST(nobody_is_told), TEST(when_due),
    };

    return run_group("task_look", tests, sizeof tests / sizeof *tests);
}
