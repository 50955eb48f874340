/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs that gave their slot back: nobody's until their time comes, stopped meanwhile, and since when there has been trouble. */
#include "store_fixture.h"

#include "store/grant_store.h"
#include "store/runner_store.h"

static p2p_job_t *job;

static p2p_job_t *claim(const char *owner)
{
    p2p_job_t *claimed;

    expect_ok(p2p_job_claim(db, pool, TARGET, owner, &claimed));
    return claimed;
}

static int begin(void **state)
{
    p2p_oidc_server_t *server;
    p2p_job_order_t order = {.access_token = "a", .refresh_token = "r", .source_patient = "s", .target_patient = "t", .organization = "o"};

    set_up(state);
    server = stored_server("source");
    order.urls = apr_array_make(pool, 1, sizeof(const char *));
    APR_ARRAY_PUSH(order.urls, const char *) = "https://source.example/fhir/Patient/s";
    expect_ok(p2p_runner_register(db, pool, "A", "httpd", 0, "host", 1, TARGET));
    expect_ok(p2p_runner_register(db, pool, "B", "httpd", 1, "host", 2, TARGET));
    expect_ok(p2p_job_enqueue(db, pool, ring, TARGET, server, &order, "portal", &job));
    job = claim("A");
    return 0;
}

static apr_interval_time_t trouble(void)
{
    apr_interval_time_t lasting = -1;

    expect_ok(p2p_job_trouble(db, pool, job, &lasting));
    return lasting;
}

static void land_one(void)
{
    p2p_part_t part = {.url = "https://source.example/fhir/Patient/s", .next_url = "", .held = "", .sha256 = "", .landed = 1, .retrieved = 1,
                       .written = 1};
    apr_array_header_t *parts = apr_array_make(pool, 1, sizeof(p2p_part_t *));

    APR_ARRAY_PUSH(parts, p2p_part_t *) = &part;
    expect_ok(p2p_job_note_parts(db, pool, ring, job, "A", parts, NULL, NULL));
}

static void rests_until_its_time(void **state)
{
    p2p_job_t *again;

    (void)state;
    expect_ok(p2p_job_rest(db, pool, job, "A", &(p2p_job_pause_t){.delay = apr_time_from_sec(3600), .lasting = apr_time_from_sec(20), .wait_code = ""}));
    expect_error(p2p_job_release(db, pool, job, "A"), P2P_E_LOST, "lease-lost");
    assert_null(claim("A"));
    assert_null(claim("B"));
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_job WHERE status = 'STARTED' AND lease_owner = ''"), 1);
    run_sql("UPDATE p2p_job SET not_before = not_before - 3601000000");
    again = claim("B");
    assert_int_equal(again->id, job->id);
    assert_int_equal(again->epoch, 2);
    expect_error(p2p_job_rest(db, pool, job, "A", &(p2p_job_pause_t){.delay = 1, .lasting = 1, .wait_code = ""}), P2P_E_LOST, "lease-lost");
}

static void stopped_while_it_rests(void **state)
{
    (void)state;
    expect_ok(p2p_job_rest(db, pool, job, "A", &(p2p_job_pause_t){.delay = apr_time_from_sec(3600), .lasting = apr_time_from_sec(20), .wait_code = ""}));
    expect_ok(p2p_job_stop(db, pool, 0, &job));
    assert_int_equal(job->status, P2P_JOB_STOPPED);
    assert_null(claim("B"));
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_job WHERE status = 'STOPPED' AND not_before = 0"), 1);
}

/* Its Task at the target is told first. */
static void stopped_with_a_task_while_it_rests(void **state)
{
    (void)state;
    expect_ok(p2p_job_set_task(db, pool, job, "A", "task-7", ""));
    expect_ok(p2p_job_rest(db, pool, job, "A", &(p2p_job_pause_t){.delay = apr_time_from_sec(3600), .lasting = apr_time_from_sec(20), .wait_code = ""}));
    expect_ok(p2p_job_stop(db, pool, 0, &job));
    assert_int_equal(job->status, P2P_JOB_STOPPING);
    job = claim("B");
    expect_ok(p2p_job_finish(db, pool, ring, job, "B", &(p2p_job_ending_t){.status = P2P_JOB_STOPPED}));
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_job WHERE status = 'STOPPED' AND not_before = 0 AND trouble_since = 0"), 1);
}

static void others_go_on_meanwhile(void **state)
{
    p2p_job_order_t order = {.access_token = "b", .refresh_token = "r2", .source_patient = "s2", .target_patient = "t2", .organization = "o"};
    p2p_job_t *other;

    (void)state;
    order.urls = apr_array_make(pool, 1, sizeof(const char *));
    expect_ok(p2p_job_enqueue(db, pool, ring, TARGET, stored_server("other"), &order, "portal", &other));
    expect_ok(p2p_job_rest(db, pool, job, "A", &(p2p_job_pause_t){.delay = apr_time_from_sec(3600), .lasting = 1, .wait_code = ""}));
    assert_int_equal(claim("A")->id, other->id);
    assert_null(claim("A"));
}

/* The time that trouble may last goes on from one runner to the next, until something lands. */
static void trouble_is_remembered(void **state)
{
    (void)state;
    assert_true(trouble() == 0);
    expect_ok(p2p_job_rest(db, pool, job, "A", &(p2p_job_pause_t){.delay = 0, .lasting = apr_time_from_sec(500), .wait_code = ""}));
    assert_in_range(trouble(), apr_time_from_sec(499), apr_time_from_sec(560));
    job = claim("A");
    expect_ok(p2p_job_rest(db, pool, job, "A", &(p2p_job_pause_t){.delay = 0, .lasting = apr_time_from_sec(3), .wait_code = ""}));
    assert_in_range(trouble(), apr_time_from_sec(499), apr_time_from_sec(560));
    job = claim("A");
    land_one();
    assert_true(trouble() == 0);
    expect_ok(p2p_job_rest(db, pool, job, "A", &(p2p_job_pause_t){.delay = 0, .lasting = apr_time_from_sec(3), .wait_code = ""}));
    assert_in_range(trouble(), apr_time_from_sec(2), apr_time_from_sec(60));
    job = claim("A");
    expect_ok(p2p_job_finish(db, pool, ring, job, "A", &(p2p_job_ending_t){.status = P2P_JOB_COMPLETED}));
    assert_true(trouble() == 0);
}

static p2p_job_t *row(void)
{
    p2p_job_t *now;

    expect_ok(p2p_job_get(db, pool, 0, job->id, &now));
    return now;
}

static void note(const char *code, apr_time_t until, apr_time_t token_time)
{
    int stopping;

    expect_ok(p2p_job_progress(db, pool, job, "A", &(p2p_job_state_t){.wait_code = code, .wait_until = until, .token_time = token_time}, &stopping));
}

/* Its runner says so with its progress; a runner that has refreshed nothing does not forget what another did. */
static void tells_why_it_waits(void **state)
{
    (void)state;
    assert_true(row()->is_owned);
    assert_null(p2p_job_waits(row()));
    note(P2P_WAIT_TARGET_ASKS, 4000000000, 3000000000);
    assert_string_equal(row()->wait_code, P2P_WAIT_TARGET_ASKS);
    assert_true(row()->wait_until == 4000000000 && row()->token_time == 3000000000);
    note("", 0, 0);
    assert_null(p2p_job_waits(row()));
    assert_true(row()->wait_until == 0 && row()->token_time == 3000000000);
}

static void tells_why_it_rests(void **state)
{
    p2p_job_pause_t pause = {.delay = apr_time_from_sec(3600), .lasting = 1, .wait_code = P2P_WAIT_SOURCE_ASKS, .token_time = 5000000000};

    (void)state;
    expect_ok(p2p_job_rest(db, pool, job, "A", &pause));
    assert_false(row()->is_owned);
    assert_string_equal(p2p_job_waits(row()), P2P_WAIT_SOURCE_ASKS);
    assert_true(row()->token_time == 5000000000);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_job WHERE wait_until - not_before BETWEEN 0 AND 60000000"), 1);
    run_sql("UPDATE p2p_job SET not_before = not_before - 3601000000");
    job = claim("A");
    assert_string_equal(job->wait_code, "");
    assert_null(p2p_job_waits(job));
}

/* However it is not in hand any more, or at its end: what was noted says nothing. */
static void is_over(void **state)
{
    p2p_job_restart_t how = {.access_token = "", .refresh_token = "", .within = apr_time_from_sec(3600)};

    (void)state;
    note(P2P_WAIT_TARGET_FAILS, 4000000000, 1);
    expect_ok(p2p_job_release(db, pool, job, "A"));
    assert_string_equal(p2p_job_waits(row()), P2P_WAIT_SLOT);
    assert_true(row()->wait_until == 0);
    job = claim("A");
    note(P2P_WAIT_TARGET_FAILS, 4000000000, 1);
    expect_ok(p2p_runner_register(db, pool, "A2", "httpd", 0, "host", 1, TARGET)); /* the next one of A's slot */
    job = claim("B");
    assert_string_equal(job->wait_code, "");
    job = row();
    expect_ok(p2p_job_stop(db, pool, 0, &job));
    assert_null(p2p_job_waits(row()));
    expect_ok(p2p_job_finish(db, pool, ring, job, "B", &(p2p_job_ending_t){.status = P2P_JOB_STOPPED, .token_time = 7000000000}));
    assert_null(p2p_job_waits(row()));
    assert_true(row()->token_time == 7000000000);
    job = row();
    expect_ok(p2p_job_restart(db, pool, ring, &how, &job));
    assert_string_equal(p2p_job_waits(job), P2P_WAIT_QUEUED);
    assert_true(job->token_time == 0);
}

#define REST_TEST(test) cmocka_unit_test_setup_teardown(test, begin, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {REST_TEST(rests_until_its_time), REST_TEST(stopped_while_it_rests), REST_TEST(stopped_with_a_task_while_it_rests), REST_TEST(others_go_on_meanwhile),
                                       REST_TEST(trouble_is_remembered), REST_TEST(tells_why_it_waits), REST_TEST(tells_why_it_rests), REST_TEST(is_over)};

    return run_group("job_rest", tests, sizeof tests / sizeof *tests);
}
