/* SPDX-License-Identifier: Apache-2.0 */
/* A job's document and the names of its states. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>

#include "model/job.h"

static apr_pool_t *pool;

static p2p_job_t some_job(void)
{
    p2p_job_t job = {.id = 7, .uuid = "u", .kind = "p2p-exchange", .target = "t", .task_id = "",
                     .error_code = "",
                     .error_sentence = "", .error_detail = "", .client = "", .create_time = 1652128578111000,
                     .last_updated = 1652128578999999};

    return job;
}

static void queued(void **state)
{
    p2p_job_t job = some_job();

    (void)state;
    assert_string_equal(p2p_json_print(pool, p2p_job_public(pool, &job), NULL),
        "{\"batchJobId\":7,\"batchStatus\":\"STARTING\",\"startTime\":null,\"createTime\":\"2022-05-09T20:36:18.111Z\","
        "\"endTime\":null,\"lastUpdated\":\"2022-05-09T20:36:18.999Z\",\"jobConfigurationName\":\"p2p-exchange\",\"taskId\":null,"
        "\"progress\":{\"parts\":0,\"retrieved\":0,\"written\":0,\"duplicate\":0,\"skipped\":0,\"rejected\":0,\"waiting\":0,"
        "\"bytes\":0}}");
}

static void failed(void **state)
{
    p2p_job_t job = some_job();
    p2p_job_counts_t counts = {1, 21, 2, 3, 4, 5, 7, 8};

    (void)state;
    job.status = P2P_JOB_FAILED;
    job.counts = counts;
    job.task_id = "p2p-x";
    job.error_code = "source-unreachable";
    job.error_sentence = "The source does not answer.";
    job.error_detail = "sealed";
    assert_non_null(strstr(p2p_json_print(pool, p2p_job_public(pool, &job), NULL),
        "\"taskId\":\"p2p-x\",\"progress\":{\"parts\":1,\"retrieved\":21,\"written\":2,\"duplicate\":3,\"skipped\":4,"
        "\"rejected\":5,\"waiting\":7,\"bytes\":8},\"error\":{\"code\":\"source-unreachable\",\"message\":\"The source does not "
        "answer.\"}}"));
}

static const char *waits_of(const p2p_job_t *job)
{
    json_object *doc = NULL;

    json_object_object_get_ex(p2p_job_administered(pool, job, NULL), "waits", &doc);
    return doc ? p2p_json_print(pool, doc, NULL) : "null";
}

static void waits(void **state)
{
    static const char *const codes[] = {
        P2P_WAIT_SOURCE_ASKS, P2P_WAIT_SOURCE_FAILS, P2P_WAIT_TARGET_ASKS, P2P_WAIT_TARGET_FAILS, P2P_WAIT_TOKEN_ENDPOINT,
        P2P_WAIT_TOKEN_REFRESH, P2P_WAIT_TOKEN_ELSEWHERE, P2P_WAIT_MEMORY, P2P_WAIT_CONNECTION, P2P_WAIT_KEY};
    p2p_job_t job = some_job();

    (void)state;
    job.wait_code = "";
    assert_string_equal(waits_of(&job), "{\"code\":\"queued\",\"sentence\":\"It is queued until a runner has a free slot for it.\",\"until\":null}");
    job.status = P2P_JOB_STARTED;
    assert_string_equal(p2p_job_waits(&job), P2P_WAIT_SLOT);
    job.is_owned = 1;
    assert_string_equal(waits_of(&job), "null");
    job.wait_until = 1652128578111000;
    job.wait_code = P2P_WAIT_SOURCE_ASKS;
    assert_string_equal(waits_of(&job), "{\"code\":\"source-asks\",\"sentence\":\"The source asked us to wait.\","
                        "\"until\":\"2022-05-09T20:36:18.111Z\"}");
    job.is_owned = 0;
    assert_string_equal(p2p_job_wait_sentence(pool, &job), "The source asked us to wait. It has given its slot back meanwhile.");
    job.is_owned = 1;
    job.wait_until = 0;
    assert_string_equal(p2p_job_wait_sentence(pool, &job), "The source asked us to wait.");
    job.wait_code = "of-a-later-program";
    assert_string_equal(p2p_job_wait_sentence(pool, &job), "It waits.");
    for (unsigned i = 0; i < sizeof codes / sizeof *codes; i++) {
        job.wait_code = codes[i];
        assert_string_not_equal(p2p_job_wait_sentence(pool, &job), "It waits.");
    }
    for (job.status = P2P_JOB_STOPPED; job.status <= P2P_JOB_UNKNOWN; job.status++) assert_string_equal(waits_of(&job), "null");
}

static void token_refreshed(void **state)
{
    p2p_job_t job = some_job();

    (void)state;
    job.wait_code = "";
    assert_non_null(strstr(p2p_json_print(pool, p2p_job_administered(pool, &job, NULL), NULL), "\"tokenRefreshed\":null}"));
    job.token_time = 1652128578111000;
    assert_non_null(strstr(p2p_json_print(pool, p2p_job_administered(pool, &job, NULL), NULL), "\"tokenRefreshed\":\"2022-05-09T20:36:18.111Z\"}"));
    assert_null(strstr(p2p_json_print(pool, p2p_job_public(pool, &job), NULL), "tokenRefreshed"));
}

static void names(void **state)
{
    (void)state;
    for (int i = P2P_JOB_STARTING; i <= P2P_JOB_UNKNOWN; i++) {
        assert_int_equal(p2p_job_status_parse(p2p_job_status_name((p2p_job_status_t)i)), i);
        assert_int_equal(p2p_job_ended((p2p_job_status_t)i), i >= P2P_JOB_STOPPED && i <= P2P_JOB_ABANDONED);
    }
    assert_int_equal(p2p_job_status_parse("started"), P2P_JOB_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(queued), cmocka_unit_test(failed), cmocka_unit_test(waits),
                                       cmocka_unit_test(token_refreshed), cmocka_unit_test(names)};
    int failures;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    failures = cmocka_run_group_tests_name("job", tests, NULL, NULL);
    apr_pool_destroy(pool);
    apr_terminate();
    return failures;
}
