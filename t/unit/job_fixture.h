/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs of one definition with two runners, for tests of the job store. */
#ifndef T_UNIT_JOB_FIXTURE_H
#define T_UNIT_JOB_FIXTURE_H

#include "store_fixture.h"
#include "store/runner_store.h"

static p2p_oidc_server_t *server;

static UNUSED int begin(void **state)
{
    set_up(state);
    server = stored_server("source");
    expect_ok(p2p_runner_register(db, pool, "A", "httpd", 0, "host", 1, TARGET));
    expect_ok(p2p_runner_register(db, pool, "B", "httpd", 1, "host", 2, TARGET));
    return 0;
}

static UNUSED p2p_job_order_t order_for(const char *source, const char *target, const char *refresh)
{
    p2p_job_order_t order = {.access_token = "access-secret", .refresh_token = refresh, .source_patient = source,
                             .target_patient = target, .organization = "payer"};

    order.urls = apr_array_make(pool, 2, sizeof(const char *));
    APR_ARRAY_PUSH(order.urls, const char *) = apr_pstrcat(pool, "https://source.example/fhir/Patient/",
                                                           source, NULL);
    APR_ARRAY_PUSH(order.urls, const char *) = "https://source.example/fhir/Observation?x=url-secret";
    return order;
}

static UNUSED p2p_error_t *try_enqueue(const p2p_oidc_server_t *at, const char *source, const char *target,
                                const char *refresh,
                                p2p_job_t **job)
{
    p2p_job_order_t order = order_for(source, target, refresh);

    return p2p_job_enqueue(db, pool, ring, TARGET, at, &order, "portal", job);
}

static UNUSED p2p_job_t *enqueue(const char *source, const char *target, const char *refresh)
{
    p2p_job_t *job;

    expect_ok(try_enqueue(server, source, target, refresh, &job));
    return job;
}

static UNUSED p2p_job_t *claim(const char *owner)
{
    p2p_job_t *job;

    expect_ok(p2p_job_claim(db, pool, TARGET, owner, &job));
    return job;
}

static UNUSED p2p_job_t *reload(const p2p_job_t *job)
{
    p2p_job_t *got;

    expect_ok(p2p_job_get(db, pool, job->oidc_server_id, job->id, &got));
    return got;
}

static UNUSED void finish(const p2p_job_t *job, const char *owner, p2p_job_status_t status)
{
    p2p_error_t *why = p2p_error_make(pool, P2P_E_REFUSED, "target-refused", "The target refused.");

    p2p_error_detail(pool, why, "detail-secret");
    expect_ok(p2p_job_finish(db, pool, ring, job, owner, &(p2p_job_ending_t){.status = status, .error = status == P2P_JOB_FAILED ? why : NULL}));
}

/* The runner is dead: its lease ran out. */
static UNUSED void expire(const char *owner)
{
    run_sql(apr_psprintf(pool, "UPDATE p2p_runner SET lease_until = 1 WHERE owner = '%s'", owner));
}

static UNUSED p2p_part_t *part(int number, int landed)
{
    p2p_part_t *made = apr_pcalloc(pool, sizeof *made);

    made->request = 0;
    made->number = number;
    made->url = apr_psprintf(pool, "https://source.example/page/%d", number);
    made->next_url = landed ? apr_psprintf(pool, "https://source.example/page/%d", number + 1) : "";
    made->landed = landed;
    made->received = 100;
    made->sha256 = "abc";
    if (!landed) return made;
    made->retrieved = 10;
    made->written = 6;
    made->duplicate = 2;
    made->skipped = 1;
    made->rejected = 1;
    made->bytes = 1000;
    made->held = "SGVsZA==";
    return made;
}

static UNUSED p2p_error_t *note(const p2p_job_t *job, const char *owner, p2p_part_t *first, p2p_part_t *second,
                         const apr_array_header_t *rejected)
{
    apr_array_header_t *parts = apr_array_make(pool, 2, sizeof(p2p_part_t *));

    APR_ARRAY_PUSH(parts, p2p_part_t *) = first;
    if (second) APR_ARRAY_PUSH(parts, p2p_part_t *) = second;
    return p2p_job_note_parts(db, pool, ring, job, owner, parts, NULL, rejected);
}

#define JOB_TEST(test) cmocka_unit_test_setup_teardown(test, begin, tear_down)

#endif
