/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of an hour: exact, whatever is repeated, by runner and peer. */
#include "job_fixture.h"

#include "store/chore_store.h"
#include "store/stat_store.h"

#define DAYS(n) apr_time_from_sec((n) * 86400)

/* "runner completed,failed,stopped resources bytes errors" of each row of a peer; the hour may have changed meanwhile. */
static const char *sums(const char *peer)
{
    return ask_sql(apr_psprintf(pool, "SELECT %s(line, '; '%s FROM (SELECT runner || ' ' || SUM(completed) || ',' || SUM(failed) || ',' || SUM(stopped) || ' ' || "
                                      "SUM(resources) || ' ' || SUM(bytes) || ' ' || SUM(errors) AS line FROM p2p_stat WHERE target = '" TARGET
                                      "' AND peer = '%s' GROUP BY runner ORDER BY runner) l",
                                is_pgsql() ? "string_agg" : "group_concat", is_pgsql() ? " ORDER BY line)" : ")", peer));
}

static const char *payer(void)
{
    return p2p_stat_payer(pool, server->pid);
}

static const char *of_httpd(const char *rest)
{
    char host[256] = "";

    gethostname(host, sizeof host - 1);
    return apr_pstrcat(pool, host, "/httpd ", rest, NULL);
}

static void landed_once(void **state)
{
    p2p_job_t *job;

    (void)state;
    enqueue("src-1", "tgt-1", "r1");
    job = claim("A");
    expect_ok(note(job, "A", part(0, 1), part(1, 0), NULL));
    assert_string_equal(sums(payer()), "host/0 0,0,0 10 1000 0");
    expect_ok(note(job, "A", part(0, 1), part(1, 1), NULL)); /* a COMMIT whose answer was lost, and one part more */
    assert_string_equal(sums(payer()), "host/0 0,0,0 20 2000 0");
    expect_ok(note(job, "A", part(1, 1), NULL, NULL));
    assert_string_equal(sums(payer()), "host/0 0,0,0 20 2000 0");
    finish(job, "A", P2P_JOB_COMPLETED);
    assert_string_equal(sums(payer()), "host/0 1,0,0 20 2000 0");
    assert_int_equal(reload(job)->counts.retrieved, 20);
    expect_error(p2p_job_finish(db, pool, ring, job, "A", &(p2p_job_ending_t){.status = P2P_JOB_COMPLETED}), P2P_E_LOST, "lease-lost");
    assert_string_equal(sums(payer()), "host/0 1,0,0 20 2000 0");
}

/* What a runner does whose job is another's counts nothing. */
static void taken_over(void **state)
{
    p2p_job_t *old, *job;

    (void)state;
    enqueue("src-1", "tgt-1", "r1");
    old = claim("A");
    expect_ok(note(old, "A", part(0, 1), NULL, NULL));
    expire("A");
    job = claim("B");
    expect_error(note(old, "A", part(1, 1), NULL, NULL), P2P_E_LOST, "lease-lost");
    expect_ok(note(job, "B", part(1, 1), NULL, NULL));
    finish(job, "B", P2P_JOB_FAILED);
    assert_string_equal(sums(payer()), "host/0 0,0,0 10 1000 0; host/1 0,1,0 10 1000 0");
}

static void each_end_counts(void **state)
{
    const p2p_job_restart_t how = {.access_token = "", .refresh_token = "", .within = DAYS(1)};
    p2p_job_t *job = enqueue("src-1", "tgt-1", "r1"), *stopped;

    (void)state;
    stopped = job;
    expect_ok(p2p_job_stop(db, pool, 0, &stopped)); /* queued: nobody else need know */
    assert_int_equal(stopped->status, P2P_JOB_STOPPED);
    assert_string_equal(sums(payer()), of_httpd("0,0,1 0 0 0"));
    expect_ok(p2p_job_stop(db, pool, 0, &stopped)); /* once more */
    assert_string_equal(sums(payer()), of_httpd("0,0,1 0 0 0"));
    expect_ok(p2p_job_restart(db, pool, ring, &how, &stopped));
    job = claim("A");
    expect_ok(p2p_job_stop(db, pool, 0, &(p2p_job_t *){job}));
    assert_string_equal(sums(payer()), of_httpd("0,0,1 0 0 0")); /* STOPPING */
    finish(job, "A", P2P_JOB_STOPPED);
    job = reload(job);
    expect_ok(p2p_job_restart(db, pool, ring, &how, &job));
    finish(claim("A"), "A", P2P_JOB_COMPLETED);
    assert_int_equal(ask_int("SELECT SUM(stopped) FROM p2p_stat"), 2);
    assert_int_equal(ask_int("SELECT SUM(completed) FROM p2p_stat WHERE runner = 'host/0'"), 1);
}

static void chores_do_not_count(void **state)
{
    p2p_chore_order_t order = {.kind = P2P_KIND_TEST, .target = TARGET, .subject = "", .client = "admin", .server_id = server->pid};
    p2p_chore_t *chore;
    p2p_job_t *job;
    int again;

    (void)state;
    expect_ok(p2p_chore_enqueue(db, pool, &order, &chore, &again));
    expect_ok(p2p_chore_claim(db, pool, TARGET, "A", &chore));
    expect_ok(p2p_chore_finish(db, pool, chore, "A", P2P_JOB_COMPLETED, "{}", NULL));
    expect_ok(p2p_chore_enqueue(db, pool, &order, &chore, &again));
    expect_ok(p2p_job_get(db, pool, 0, chore->job.id, &job));
    expect_ok(p2p_job_stop(db, pool, 0, &job));
    assert_int_equal(job->status, P2P_JOB_STOPPED);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_stat"), 0);
}

/* Its row among the runners may be gone while it still holds its job. */
static void runner_without_a_row(void **state)
{
    const p2p_stat_t one = {.errors = 1}, two = {.errors = 2};

    (void)state;
    expect_ok(p2p_stat_add(db, pool, TARGET, "7c9e6679/3/0f8fad5b", P2P_STAT_TARGET, &one));
    expect_ok(p2p_stat_add(db, pool, TARGET, "7c9e6679/3/11112222", P2P_STAT_TARGET, &two));
    assert_string_equal(sums(P2P_STAT_TARGET), "7c9e6679/3 0,0,0 0 0 3");
    expect_ok(p2p_stat_add(db, pool, TARGET, "B", P2P_STAT_TARGET, &one));
    assert_string_equal(sums(P2P_STAT_TARGET), "7c9e6679/3 0,0,0 0 0 3; host/1 0,0,0 0 0 1");
}

static void hours_are_hours(void **state)
{
    const p2p_stat_t one = {.errors = 1};
    apr_time_t before, after;

    (void)state;
    expect_ok(p2p_db_now(db, pool, &before));
    expect_ok(p2p_stat_add(db, pool, TARGET, "A", P2P_STAT_TARGET, &one));
    expect_ok(p2p_db_now(db, pool, &after));
    assert_true(atoll(ask_sql("SELECT hour FROM p2p_stat")) >= before / DAYS(1) * DAYS(1));
    assert_true(atoll(ask_sql("SELECT hour FROM p2p_stat")) > before - apr_time_from_sec(3600));
    assert_true(atoll(ask_sql("SELECT hour FROM p2p_stat")) <= after);
    assert_int_equal(atoll(ask_sql("SELECT hour FROM p2p_stat")) % apr_time_from_sec(3600), 0);
}

static void old_ones_go(void **state)
{
    const p2p_stat_t one = {.errors = 1};
    int count;

    (void)state;
    expect_ok(p2p_stat_add(db, pool, TARGET, "A", P2P_STAT_TARGET, &one));
    run_sql("INSERT INTO p2p_stat (target, hour, runner, peer, errors) SELECT target, hour - 86400000000 * 10, 'old', peer, 5 FROM p2p_stat");
    run_sql("INSERT INTO p2p_stat (target, hour, runner, peer, errors) SELECT target, hour - 3600000000, 'older', peer, 5 FROM p2p_stat WHERE runner = 'old'");
    run_sql("INSERT INTO p2p_stat (target, hour, runner, peer, errors) SELECT 'https://another.example', hour, 'another', peer, 5 FROM p2p_stat WHERE "
            "runner = 'old'");
    expect_ok(p2p_stat_tidy(db, pool, TARGET, DAYS(11), 100, &count));
    assert_int_equal(count, 0);
    expect_ok(p2p_stat_tidy(db, pool, TARGET, DAYS(9), 1, &count));
    assert_int_equal(count, 1);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_stat WHERE runner = 'older'"), 0); /* the oldest first */
    expect_ok(p2p_stat_tidy(db, pool, TARGET, DAYS(9), 100, &count));
    assert_int_equal(count, 1);
    assert_int_equal(ask_int("SELECT SUM(errors) FROM p2p_stat"), 1 + 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        JOB_TEST(landed_once),     JOB_TEST(taken_over),      JOB_TEST(each_end_counts), JOB_TEST(chores_do_not_count),
        JOB_TEST(runner_without_a_row), JOB_TEST(hours_are_hours), JOB_TEST(old_ones_go),
    };

    return run_group("stat_store", tests, sizeof tests / sizeof *tests);
}
