/* SPDX-License-Identifier: Apache-2.0 */
/* Grants in the database: one refresh at a time, the chain of tokens, when they are erased. */
#include "store_fixture.h"

#include <sys/wait.h>
#include "store/grant_store.h"
#include "store/runner_store.h"

static p2p_oidc_server_t *server;

static int begin(void **state)
{
    set_up(state);
    server = stored_server("source");
    expect_ok(p2p_runner_register(db, pool, "A", "httpd", 0, "host", 1, TARGET));
    return 0;
}

static p2p_error_t *try_order(const char *source, const char *access, const char *refresh, p2p_job_t **job)
{
    p2p_job_order_t order = {.access_token = access, .refresh_token = refresh, .source_patient = source,
                             .target_patient = "t", .organization = "payer"};

    order.urls = apr_array_make(pool, 1, sizeof(const char *));
    return p2p_job_enqueue(db, pool, ring, TARGET, server, &order, "portal", job);
}

static p2p_job_t *order(const char *source, const char *access, const char *refresh)
{
    p2p_job_t *job;

    expect_ok(try_order(source, access, refresh, &job));
    return job;
}

static p2p_grant_t *grant_of(const p2p_job_t *job)
{
    p2p_grant_t *grant;

    expect_ok(p2p_grant_get(db, pool, ring, job->grant_id, &grant));
    return grant;
}

static void end_next(p2p_job_status_t status)
{
    p2p_job_t *job;

    expect_ok(p2p_job_claim(db, pool, TARGET, "A", &job));
    assert_non_null(job);
    expect_ok(p2p_job_finish(db, pool, ring, job, "A", &(p2p_job_ending_t){.status = status}));
}

static int begin_refresh(const p2p_grant_t *grant, const char *owner)
{
    int mine = -1;

    expect_ok(p2p_grant_begin_refresh(db, pool, grant->id, grant->version, owner, &mine));
    return mine;
}

static void kept(void **state)
{
    p2p_job_t *job = order("s1", "access", "refresh");
    p2p_grant_t *grant = grant_of(job);

    (void)state;
    assert_string_equal(grant->kind, "refresh-token");
    assert_string_equal(grant->access_token, "access");
    assert_string_equal(grant->refresh_token, "refresh");
    assert_int_equal(grant->oidc_server_id, server->pid);
    assert_int_equal(grant->access_expires, 0);
    assert_int_equal(grant->ended, 0);
    expect_error(p2p_grant_get(db, pool, ring, 99, &grant), P2P_E_NOT_FOUND, "no-such-grant");
    assert_int_equal(order("s2", "access", "refresh")->grant_id, job->grant_id);
    assert_int_not_equal(order("s3", "access", "")->grant_id, job->grant_id);
}

static void one_refresh_at_a_time(void **state)
{
    p2p_grant_t *grant = grant_of(order("s1", "access", "refresh"));

    (void)state;
    assert_int_equal(begin_refresh(grant, "A"), 1);
    assert_int_equal(begin_refresh(grant, "B"), 0);
    expect_error(p2p_grant_end_refresh(db, pool, ring, grant->id, "B", "x", 0, "y"), P2P_E_LOST,
                 "lease-lost");
    expect_ok(p2p_grant_end_refresh(db, pool, ring, grant->id, "A", "access-2", 12345, "refresh-2"));
    expect_error(p2p_grant_end_refresh(db, pool, ring, grant->id, "A", "x", 0, "y"), P2P_E_LOST,
                 "lease-lost");
    /* Whoever asked at the old version looks first at what has come meanwhile. */
    assert_int_equal(begin_refresh(grant, "B"), 0);
    expect_ok(p2p_grant_get(db, pool, ring, grant->id, &grant));
    assert_string_equal(grant->access_token, "access-2");
    assert_string_equal(grant->refresh_token, "refresh-2");
    assert_int_equal(grant->access_expires, 12345);
    assert_int_equal(begin_refresh(grant, "B"), 1);
    /* A runner that died over it holds it up for a minute. */
    assert_int_equal(begin_refresh(grant, "A"), 0);
    assert_true(ask_int("SELECT refresh_until FROM p2p_grant") > 0);
    run_sql("UPDATE p2p_grant SET refresh_until = 1");
    assert_int_equal(begin_refresh(grant, "A"), 1);
    expect_error(p2p_grant_end_refresh(db, pool, ring, grant->id, "B", "x", 0, "y"), P2P_E_LOST,
                 "lease-lost");
    expect_ok(p2p_grant_abandon_refresh(db, pool, grant->id, "B", 1));
    expect_ok(p2p_grant_abandon_refresh(db, pool, grant->id, "A", 0));
    assert_int_equal(begin_refresh(grant, "B"), 1);
}

/* The chain: each token ever seen leads to the grant. */
static void aliases(void **state)
{
    p2p_job_t *job = order("s1", "access", "refresh-1");
    p2p_grant_t *grant = grant_of(job);

    (void)state;
    for (int i = 2; i < 5; i++) {
        expect_ok(p2p_grant_get(db, pool, ring, job->grant_id, &grant));
        assert_int_equal(begin_refresh(grant, "A"), 1);
        expect_ok(p2p_grant_end_refresh(db, pool, ring, grant->id, "A", "new", 0,
                                        apr_psprintf(pool, "refresh-%d", i)));
    }
    /* Without rotation the old one stays. */
    expect_ok(p2p_grant_get(db, pool, ring, job->grant_id, &grant));
    assert_int_equal(begin_refresh(grant, "A"), 1);
    expect_ok(p2p_grant_end_refresh(db, pool, ring, grant->id, "A", "newest", 0, ""));
    for (int i = 1; i < 5; i++) {
        p2p_job_t *other = order(apr_psprintf(pool, "m%d", i), "stale", apr_psprintf(pool, "refresh-%d", i));

        assert_int_equal(other->grant_id, job->grant_id);
    }
    assert_string_equal(grant_of(job)->access_token, "newest");
    assert_string_equal(grant_of(job)->refresh_token, "refresh-4");
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_grant"), 1);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_grant_alias"), 4);
}

static void worthless(void **state)
{
    p2p_job_t *job = order("s1", "access", "refresh"), *other;
    p2p_grant_t *grant = grant_of(job);

    (void)state;
    assert_int_equal(begin_refresh(grant, "A"), 1);
    expect_ok(p2p_grant_abandon_refresh(db, pool, grant->id, "A", 1));
    grant = grant_of(job);
    assert_int_equal(grant->ended, 1);
    assert_string_equal(grant->refresh_token, "");
    assert_int_equal(begin_refresh(grant, "A"), 0);
    expect_error(try_order("s2", "access", "refresh", &other), P2P_E_INVALID, "grant-ended");
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_binding"), 1);
}

/* Erased with the last job that holds it. */
static void erased(void **state)
{
    p2p_job_t *job = order("s1", "access", "refresh"), *other;

    (void)state;
    order("s2", "access", "refresh");
    end_next(P2P_JOB_COMPLETED);
    assert_string_equal(grant_of(job)->access_token, "access");
    assert_int_equal(grant_of(job)->ended, 0);
    end_next(P2P_JOB_COMPLETED);
    assert_string_equal(grant_of(job)->access_token, "");
    assert_string_equal(grant_of(job)->refresh_token, "");
    assert_int_equal(grant_of(job)->ended, 1);
    expect_error(try_order("s3", "access", "refresh", &other), P2P_E_INVALID, "grant-ended");
}

/* A job that can be restarted keeps the refresh token, also when another one ends well after it. */
static void kept_for_restart(void **state)
{
    p2p_job_t *job = order("s1", "access", "refresh");

    (void)state;
    order("s2", "access", "refresh");
    end_next(P2P_JOB_FAILED);
    assert_string_equal(grant_of(job)->access_token, "access");
    end_next(P2P_JOB_COMPLETED);
    assert_string_equal(grant_of(job)->access_token, "");
    assert_string_equal(grant_of(job)->refresh_token, "refresh");
    assert_int_equal(grant_of(job)->ended, 0);
    /* The same token again, with a fresh access token. */
    assert_int_equal(order("s1", "access-2", "refresh")->grant_id, job->grant_id);
    assert_string_equal(grant_of(job)->access_token, "access-2");
    /* Without a refresh token nothing is left of a grant. */
    end_next(P2P_JOB_STOPPED);
    job = order("s4", "alone", "");
    end_next(P2P_JOB_FAILED);
    assert_int_equal(grant_of(job)->ended, 1);
}

/* --- many at a time --- */

enum { PORTALS = 6, ROUNDS = 20 };

/* What may be answered when everybody orders at the same time; a deadlock would be "database-away". */
static int expected(const p2p_error_t *error)
{
    return !error || !strcmp(error->code, "already-running") || !strcmp(error->code, "grant-ended");
}

/* A portal and a runner in a process of its own. Returns how many jobs it was given. */
static int order_and_work(int number)
{
    const char *owner = apr_psprintf(root, "portal-%d", number);
    p2p_error_t *error;
    p2p_job_t *job;
    int given = 0;

    apr_pool_create(&pool, root);
    db = open_db(pool);
    PATIENTLY(error, p2p_runner_register(db, pool, owner, "crowd", number, "host", getpid(), TARGET));
    expect_ok(error);
    for (int round = 0; round < ROUNDS; round++) {
        const char *member = apr_psprintf(pool, "m%d", (number + round) % 3);
        const char *token = apr_psprintf(pool, "refresh-%d", round);

        PATIENTLY(error, try_order(member, "access", token, &job));
        if (!expected(error)) fail_msg("%s: %s", error->code, error->sentence);
        given += !error;
        PATIENTLY(error, p2p_job_claim(db, pool, TARGET, owner, &job));
        expect_ok(error);
        if (!job) continue;
        PATIENTLY(error, p2p_job_finish(db, pool, ring, job, owner, &(p2p_job_ending_t){.status = round % 2 ? P2P_JOB_FAILED : P2P_JOB_COMPLETED}));
        expect_ok(error);
    }
    apr_pool_destroy(pool);
    return given;
}

static void crowd(void **state)
{
    apr_pool_t *kept_pool = pool;
    pid_t portals[PORTALS];
    int status, given = 0;

    (void)state;
    /* No connection may be open across fork; ring and server, in the old pool, are still needed. */
    apr_pool_destroy(connection_pool);
    for (int i = 0; i < PORTALS; i++) {
        portals[i] = fork();
        if (!portals[i]) _exit(order_and_work(i));
    }
    for (int i = 0; i < PORTALS; i++) {
        assert_int_equal(waitpid(portals[i], &status, 0), portals[i]);
        assert_true(WIFEXITED(status));
        given += WEXITSTATUS(status);
    }
    pool = kept_pool;
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_job"), given);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_binding"), 3);
    assert_in_range(ask_int("SELECT COUNT(*) FROM p2p_grant"), 1, ROUNDS);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_grant"),
                     ask_int("SELECT COUNT(*) FROM p2p_grant_alias"));
}

/* What a FAILED job keeps for its restart is erased when the time for that is over, and not while another job needs it. */
static void kept_no_longer(void **state)
{
    p2p_job_t *job = order("s1", "access", "refresh");
    int count;

    (void)state;
    end_next(P2P_JOB_FAILED);
    order("s2", "access-2", "refresh-2");
    end_next(P2P_JOB_STOPPED);
    run_sql("UPDATE p2p_job SET end_time = end_time - 3600000000 WHERE status = 'FAILED'");
    expect_ok(p2p_job_tidy(db, pool, TARGET, apr_time_from_sec(3601), apr_time_from_sec(9999), 10, &count));
    assert_int_equal(count, 0);
    order("s3", "", "refresh");
    expect_ok(p2p_job_tidy(db, pool, "https://elsewhere.example/fhir", apr_time_from_sec(3599), apr_time_from_sec(9999), 10, &count));
    assert_int_equal(count, 0);
    expect_ok(p2p_job_tidy(db, pool, TARGET, apr_time_from_sec(3599), apr_time_from_sec(9999), 10, &count));
    assert_int_equal(count, 1);
    assert_string_equal(grant_of(job)->refresh_token, "refresh");
    end_next(P2P_JOB_COMPLETED);
    assert_string_equal(grant_of(job)->refresh_token, "");
    assert_true(grant_of(job)->ended);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_grant WHERE ended = 0"), 1);
    expect_error(try_order("s4", "access", "refresh", &job), P2P_E_INVALID, "grant-ended");
    run_sql("UPDATE p2p_job SET end_time = end_time - 3600000000 WHERE status = 'STOPPED'");
    expect_ok(p2p_job_tidy(db, pool, TARGET, apr_time_from_sec(3599), apr_time_from_sec(9999), 10, &count));
    assert_int_equal(count, 1);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_grant WHERE ended = 0"), 0);
}

#define GRANT_TEST(test) cmocka_unit_test_setup_teardown(test, begin, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        GRANT_TEST(kept), GRANT_TEST(one_refresh_at_a_time), GRANT_TEST(aliases), GRANT_TEST(worthless),
        GRANT_TEST(erased), GRANT_TEST(kept_for_restart), GRANT_TEST(kept_no_longer),
        GRANT_TEST(crowd),
    };

    return run_group("grant_store", tests, sizeof tests / sizeof *tests);
}
