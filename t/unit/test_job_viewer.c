/* SPDX-License-Identifier: Apache-2.0 */
/* Who sees which jobs: one, and in lists. */
#include "job_fixture.h"

#include "store/job_private.h"
#include "store/sealed.h"

static p2p_viewer_t viewer_of(const char *client, const char *patient)
{
    return (p2p_viewer_t){.client = client, .patient = patient, .target = TARGET, .keyring = ring, .kind = P2P_KIND_EXCHANGE};
}

static p2p_viewer_t administrator(const char *patient, const char *kind)
{
    return (p2p_viewer_t){.client = "admin", .patient = patient, .target = TARGET, .keyring = ring, .kind = kind, .administrator = 1};
}

static void sees(p2p_viewer_t viewer, apr_int64_t server_id, apr_int64_t id)
{
    p2p_job_t *got;

    expect_ok(p2p_job_find(db, pool, &viewer, server_id, id, &got));
    assert_int_equal(got->id, id);
}

static void sees_not(p2p_viewer_t viewer, apr_int64_t server_id, apr_int64_t id)
{
    p2p_job_t *got;

    expect_error(p2p_job_find(db, pool, &viewer, server_id, id, &got), P2P_E_NOT_FOUND, "no-such-job");
    assert_null(got);
}

static void found_by_whom_it_is(void **state)
{
    p2p_job_t *job = enqueue("src-1", "tgt-1", "r1");
    p2p_viewer_t elsewhere = viewer_of("portal", "tgt-1");

    (void)state;
    elsewhere.target = "http://another.example/fhir";
    sees(viewer_of("portal", NULL), server->pid, job->id);
    sees(viewer_of("portal", "tgt-1"), server->pid, job->id);
    sees(administrator(NULL, NULL), 0, job->id);
    sees(administrator(NULL, P2P_KIND_EXCHANGE), server->pid, job->id);
    sees(administrator("tgt-1", NULL), 0, job->id);
    sees_not(viewer_of("portal", NULL), server->pid + 1, job->id);
    sees_not(viewer_of("another", NULL), server->pid, job->id);
    sees_not(viewer_of("another", "tgt-1"), server->pid, job->id);
    sees_not(viewer_of("", NULL), server->pid, job->id);
    sees_not(viewer_of("portal", "tgt-2"), server->pid, job->id);
    sees_not(viewer_of("portal", ""), server->pid, job->id);
    sees_not(elsewhere, server->pid, job->id);
    sees_not(administrator("tgt-2", NULL), 0, job->id);
    sees_not(administrator(NULL, NULL), 0, job->id + 1);
    run_sql("UPDATE p2p_job SET kind = 'definition-test'");
    sees_not(viewer_of("portal", NULL), server->pid, job->id);
    sees_not(administrator(NULL, P2P_KIND_EXCHANGE), server->pid, job->id);
    sees(administrator(NULL, NULL), 0, job->id);
    run_sql("UPDATE p2p_job SET kind = 'p2p-exchange', patient_hash = ''"); /* of an earlier schema */
    sees_not(viewer_of("portal", "tgt-1"), server->pid, job->id);
    sees_not(viewer_of("portal", ""), server->pid, job->id);
    sees(viewer_of("portal", NULL), server->pid, job->id);
}

static const char *ids(p2p_viewer_t viewer, apr_int64_t server_id, p2p_job_status_t status, apr_int64_t before, int limit)
{
    p2p_job_filter_t filter = {server_id, status, before, limit};
    apr_array_header_t *jobs;
    const char *text = "";

    expect_ok(p2p_job_list(db, pool, &viewer, &filter, &jobs));
    for (int i = 0; i < jobs->nelts; i++)
        text = apr_psprintf(pool, "%s%" APR_INT64_T_FMT " ", text, APR_ARRAY_IDX(jobs, i, p2p_job_t *)->id);
    return text;
}

#define ANY P2P_JOB_UNKNOWN
#define ALL APR_INT64_MAX, 10

static void listed(void **state)
{
    p2p_viewer_t portal = viewer_of("portal", NULL);
    apr_int64_t pid = server->pid;

    (void)state;
    for (int i = 0; i < 5; i++) enqueue(apr_psprintf(pool, "s%d", i), "t", "");
    run_sql("UPDATE p2p_job SET client = 'another' WHERE id = 3");
    finish(claim("A"), "A", P2P_JOB_COMPLETED);
    assert_string_equal(ids(portal, pid, ANY, ALL), "5 4 2 1 ");
    assert_string_equal(ids(portal, pid, ANY, APR_INT64_MAX, 2), "5 4 ");
    assert_string_equal(ids(portal, pid, ANY, 4, 2), "2 1 ");
    assert_string_equal(ids(portal, pid, P2P_JOB_STARTING, ALL), "5 4 2 ");
    assert_string_equal(ids(portal, pid, P2P_JOB_COMPLETED, ALL), "1 ");
    assert_string_equal(ids(portal, pid, P2P_JOB_COMPLETED, 1, 10), "");
    assert_string_equal(ids(portal, pid + 1, ANY, ALL), "");
    assert_string_equal(ids(viewer_of("another", NULL), pid, ANY, ALL), "3 ");
    assert_string_equal(ids(viewer_of("", NULL), pid, ANY, ALL), "");
}

static void listed_for_administrators(void **state)
{
    p2p_viewer_t all = administrator(NULL, NULL);
    apr_int64_t pid = server->pid;

    (void)state;
    for (int i = 0; i < 5; i++) enqueue(apr_psprintf(pool, "s%d", i), "t", "");
    run_sql("UPDATE p2p_job SET client = 'another' WHERE id = 3");
    run_sql("UPDATE p2p_job SET kind = 'jwks-refresh', oidc_server_id = 0 WHERE id = 4");
    finish(claim("A"), "A", P2P_JOB_COMPLETED);
    assert_string_equal(ids(all, 0, ANY, ALL), "5 4 3 2 1 ");
    assert_string_equal(ids(all, 0, ANY, 4, 2), "3 2 ");
    assert_string_equal(ids(all, 0, P2P_JOB_STARTING, ALL), "5 4 3 2 ");
    assert_string_equal(ids(all, pid, ANY, ALL), "5 3 2 1 ");
    assert_string_equal(ids(all, pid, P2P_JOB_COMPLETED, ALL), "1 ");
    assert_string_equal(ids(all, pid + 1, ANY, ALL), "");
    assert_string_equal(ids(administrator(NULL, P2P_KIND_EXCHANGE), 0, P2P_JOB_STARTING, ALL), "5 3 2 ");
}

static void listed_for_one_member(void **state)
{
    apr_int64_t pid = server->pid;
    p2p_keyring_t *newer = p2p_keyring_make(pool);
    const char *old, *key;

    (void)state;
    for (int i = 0; i < 6; i++) enqueue(apr_psprintf(pool, "s%d", i), i % 2 ? "odd" : "even", "");
    finish(claim("A"), "A", P2P_JOB_COMPLETED);
    assert_string_equal(ids(viewer_of("portal", "even"), pid, ANY, ALL), "5 3 1 ");
    assert_string_equal(ids(viewer_of("portal", "odd"), pid, ANY, ALL), "6 4 2 ");
    assert_string_equal(ids(viewer_of("portal", "even"), pid, P2P_JOB_STARTING, ALL), "5 3 ");
    assert_string_equal(ids(viewer_of("portal", "even"), pid, ANY, 5, 1), "3 ");
    assert_string_equal(ids(viewer_of("portal", "nobody"), pid, ANY, ALL), "");
    assert_string_equal(ids(viewer_of("portal", ""), pid, ANY, ALL), "");
    assert_string_equal(ids(viewer_of("another", "even"), pid, ANY, ALL), "");
    assert_string_equal(ids(administrator("odd", NULL), 0, ANY, ALL), "6 4 2 ");
    /* What was hashed with another key of the ring is found as well, and in its place. */
    add_key(newer);
    key = p2p_keyring_text(pool, newer, 0);
    old = p2p_job_patient_hash(pool, newer, 0, TARGET, "even");
    expect_ok(p2p_seal_column(pool, ring, "p2p_hash_key", "value", 1, key, &key));
    run_sql(apr_psprintf(pool, "INSERT INTO p2p_hash_key (number, value) VALUES (1, '%s')", key));
    run_sql(apr_psprintf(pool, "UPDATE p2p_job SET patient_hash = '%s' WHERE id = 3", old));
    assert_string_equal(ids(viewer_of("portal", "even"), pid, ANY, ALL), "5 3 1 ");
    assert_string_equal(ids(viewer_of("portal", "even"), pid, ANY, APR_INT64_MAX, 2), "5 3 ");
    sees(viewer_of("portal", "even"), pid, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        JOB_TEST(found_by_whom_it_is), JOB_TEST(listed), JOB_TEST(listed_for_administrators), JOB_TEST(listed_for_one_member),
    };

    return run_group("job_viewer", tests, sizeof tests / sizeof *tests);
}
