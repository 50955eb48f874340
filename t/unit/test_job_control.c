/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs in a portal's hands: lists, once for a key, stopping, beginning again, the report, retention. */
#include "job_fixture.h"

#include "store/grant_store.h"

#define SECOND apr_time_from_sec(1)
#define WEEK (7 * 86400 * SECOND)

static p2p_job_restart_t how = {"", "", WEEK, 0};

/* --- once for a key --- */

static p2p_error_t *with_key(const char *client, const char *key, const char *target, const char *refresh, p2p_job_t **job, int *again)
{
    p2p_job_order_t order = order_for("src-1", target, refresh);

    return p2p_job_enqueue_once(db, pool, ring, TARGET, server, &order, client, key, job, again);
}

static void once_for_a_key(void **state)
{
    p2p_job_t *first, *job;
    p2p_keyring_t *old = ring;
    int again;

    (void)state;
    expect_ok(with_key("portal", "key-1", "tgt-1", "r1", &first, &again));
    assert_int_equal(again, 0);
    expect_ok(with_key("portal", "key-1", "tgt-1", "r2", &job, &again)); /* with other tokens */
    assert_int_equal(again, 1);
    assert_int_equal(job->id, first->id);
    expect_error(with_key("portal", "key-1", "tgt-2", "r1", &job, &again), P2P_E_INVALID, "idempotency-key-reused");
    expect_error(with_key("portal", "key-2", "tgt-1", "r1", &job, &again), P2P_E_CONFLICT, "already-running");
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_idempotency"), 1); /* a refused order takes no key */
    finish(claim("A"), "A", P2P_JOB_COMPLETED);
    expect_ok(with_key("another", "key-1", "tgt-1", "r3", &job, &again)); /* another client's key of that name */
    assert_int_equal(again, 0);
    assert_true(job->id != first->id);
    ring = p2p_keyring_make(pool); /* a new sealing key comes before the old one */
    add_key(ring);
    expect_ok(p2p_keyring_add(ring, p2p_keyring_text(pool, old, 0)));
    expect_ok(with_key("portal", "key-1", "tgt-1", "r1", &job, &again));
    assert_int_equal(job->id, first->id);
    assert_int_equal(job->status, P2P_JOB_COMPLETED);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_idempotency WHERE key_hash LIKE '%key-1%' OR body_hash LIKE '%tgt%'"), 0);
}

/* --- stopping --- */

static void stopped_in_the_queue(void **state)
{
    p2p_job_t *job = enqueue("src-1", "tgt-1", "r1");

    (void)state;
    expect_ok(p2p_job_stop(db, pool, 1, &job));
    assert_int_equal(job->status, P2P_JOB_STOPPED);
    assert_true(job->end_time > 0);
    assert_null(claim("A"));
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_grant WHERE access_token <> ''"), 0);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_grant WHERE refresh_token <> ''"), 1); /* it can be restarted */
    expect_ok(p2p_job_stop(db, pool, 0, &job)); /* it is */
    assert_int_equal(job->status, P2P_JOB_STOPPED);
}

static void stopped_while_running(void **state)
{
    p2p_job_t *old = enqueue("src-1", "tgt-1", "r1"), *job, *claimed;
    int stop;

    (void)state;
    claimed = claim("A");
    job = old;
    expect_error(p2p_job_stop(db, pool, 1, &job), P2P_E_CONFLICT, "changed");
    job = reload(old);
    expect_ok(p2p_job_stop(db, pool, 1, &job));
    assert_int_equal(job->status, P2P_JOB_STOPPING);
    expect_ok(p2p_job_progress(db, pool, claimed, "A", &(p2p_job_state_t){.waiting = 0, .wait_code = ""}, &stop));
    assert_int_equal(stop, 1);
    expect_ok(p2p_job_stop(db, pool, 0, &job));
    assert_int_equal(job->status, P2P_JOB_STOPPING);
    finish(claimed, "A", P2P_JOB_STOPPED);
    old = reload(job);
    assert_int_equal(old->status, P2P_JOB_STOPPED);
    job = enqueue("src-2", "tgt-2", "r2");
    finish(claim("A"), "A", P2P_JOB_COMPLETED);
    expect_error(p2p_job_stop(db, pool, 0, &job), P2P_E_CONFLICT, "job-ended");
}

/* A Task may tell of the job at the target, whether its runner could note that or not: another one has to see to it. */
static void stopped_with_a_dead_runner(void **state)
{
    p2p_job_t *job = enqueue("src-1", "tgt-1", "r1"), *claimed;

    (void)state;
    claimed = claim("A");
    expire("A");
    expect_ok(p2p_job_stop(db, pool, 0, &job));
    assert_int_equal(job->status, P2P_JOB_STOPPING);
    claimed = claim("B");
    assert_int_equal(claimed->id, job->id);
    finish(claimed, "B", P2P_JOB_STOPPED);
    job = enqueue("src-2", "tgt-2", "r2");
    claimed = claim("B");
    expect_ok(p2p_job_set_task(db, pool, claimed, "B", "task-7", ""));
    expire("B");
    expect_ok(p2p_job_stop(db, pool, 0, &job));
    assert_int_equal(job->status, P2P_JOB_STOPPING);
    expect_ok(p2p_runner_register(db, pool, "C", "httpd", 2, "host", 3, TARGET));
    claimed = claim("C");
    assert_int_equal(claimed->id, job->id);
    assert_int_equal(claimed->status, P2P_JOB_STOPPING);
    assert_string_equal(claimed->task_id, "task-7");
    finish(claimed, "C", P2P_JOB_STOPPED);
    job = reload(job);
    assert_int_equal(job->status, P2P_JOB_STOPPED);
    /* Begun again and stopped before a runner had it: its Task may say that it failed. */
    expect_ok(p2p_job_restart(db, pool, ring, &how, &job));
    assert_int_equal(job->status, P2P_JOB_STARTING);
    expect_ok(p2p_job_stop(db, pool, 0, &job));
    assert_int_equal(job->status, P2P_JOB_STOPPING);
    assert_int_equal(claim("C")->id, job->id);
}

/* --- beginning again --- */

static p2p_job_t *failed_job(void)
{
    p2p_job_t *job;

    enqueue("src-1", "tgt-1", "r1");
    job = claim("A");
    expect_ok(note(job, "A", part(0, 1), part(1, 0), NULL));
    run_sql("UPDATE p2p_part SET rejected = 0, written = 7 WHERE landed = 1");
    finish(job, "A", P2P_JOB_FAILED);
    return reload(job);
}

static void begun_again(void **state)
{
    p2p_job_t *job = failed_job();
    apr_array_header_t *requests, *parts;
    p2p_job_order_t order;

    (void)state;
    run_sql("UPDATE p2p_part SET retrieved = 3, written = 3 WHERE landed = 0"); /* what an attempt left undone */
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_part WHERE held <> ''"), 1);
    expect_ok(p2p_job_restart(db, pool, ring, &how, &job));
    assert_int_equal(job->status, P2P_JOB_STARTING);
    assert_int_equal(job->attempt, 2);
    assert_true(job->start_time == 0 && job->end_time == 0);
    assert_string_equal(job->error_code, "");
    assert_string_equal(job->error_detail, "");
    assert_int_equal(job->counts.parts, 1);
    assert_int_equal(job->counts.written, 7); /* of what has landed */
    job = claim("A");
    assert_int_equal(job->attempt, 2);
    expect_ok(p2p_job_load(db, pool, ring, job, &order, &requests));
    assert_string_equal(order.refresh_token, "r1");
    parts = APR_ARRAY_IDX(requests, 0, p2p_request_t).parts;
    assert_int_equal(parts->nelts, 2);
    assert_string_equal(APR_ARRAY_IDX(parts, 0, p2p_part_t).held, "SGVsZA==");
    finish(job, "A", P2P_JOB_COMPLETED);
    job = reload(job);
    expect_error(p2p_job_restart(db, pool, ring, &how, &job), P2P_E_CONFLICT, "job-completed");
}

static void not_begun_again(void **state)
{
    p2p_job_t *job = failed_job(), *other, *running;

    (void)state;
    how.exact = 1;
    job->version--;
    expect_error(p2p_job_restart(db, pool, ring, &how, &job), P2P_E_CONFLICT, "changed");
    how.exact = 0;
    other = enqueue("src-1", "tgt-1", "r9");
    expect_error(p2p_job_restart(db, pool, ring, &how, &other), P2P_E_CONFLICT, "job-active");
    running = job;
    expect_error(p2p_job_restart(db, pool, ring, &how, &running), P2P_E_CONFLICT, "already-running");
    assert_int_equal(running->id, other->id);
    finish(claim("A"), "A", P2P_JOB_COMPLETED);
    how.within = 0;
    expect_error(p2p_job_restart(db, pool, ring, &how, &job), P2P_E_CONFLICT, "restart-too-late");
    how.within = WEEK;
    run_sql("UPDATE p2p_grant SET ended = 1, refresh_token = ''");
    expect_error(p2p_job_restart(db, pool, ring, &how, &job), P2P_E_INVALID, "grant-ended");
    assert_int_equal(reload(job)->status, P2P_JOB_FAILED);
    expect_ok(p2p_job_restart(db, pool, ring, &(p2p_job_restart_t){"new-access", "new-refresh", WEEK, 0}, &job));
    assert_int_equal(ask_int(apr_psprintf(pool, "SELECT ended FROM p2p_grant WHERE id = %" APR_INT64_T_FMT, job->grant_id)), 0);
    assert_int_equal(job->status, P2P_JOB_STARTING);
}

/* A job that ended before anything was moved let go of its member; meanwhile the member was exchanged to another Patient. */
static void bound_to_another_meanwhile(void **state)
{
    p2p_job_t *job = enqueue("src-1", "tgt-1", "r1");

    (void)state;
    expect_ok(p2p_job_finish(db, pool, ring, claim("A"), "A", &(p2p_job_ending_t){.status = P2P_JOB_FAILED, .untouched = 1}));
    job = reload(job);
    enqueue("src-1", "tgt-2", "r2");
    finish(claim("A"), "A", P2P_JOB_COMPLETED);
    expect_error(p2p_job_restart(db, pool, ring, &how, &job), P2P_E_CONFLICT, "bound-to-another");
}

/* --- dead letters --- */

static apr_array_header_t *refused(int part_number, int count, apr_size_t length)
{
    apr_array_header_t *list = apr_array_make(pool, count, sizeof(p2p_rejected_t *));

    for (int i = 0; i < count; i++) {
        p2p_rejected_t *row = apr_pcalloc(pool, sizeof *row);

        row->part = part_number;
        row->outcome = "rejected";
        row->type = "Observation";
        row->source_id = apr_psprintf(pool, "obs-%d", i);
        row->code = "refused";
        row->detail = "their words";
        row->body = length ? memset(apr_palloc(pool, length), 'a' + i, length) : NULL;
        row->body_len = length;
        APR_ARRAY_PUSH(list, p2p_rejected_t *) = row;
    }
    return list;
}

static void dead_letters(void **state)
{
    apr_array_header_t *requests, *letters, *parts;
    p2p_request_t *request;
    p2p_job_order_t order;
    p2p_part_t *again;
    p2p_job_t *job;

    (void)state;
    enqueue("src-1", "tgt-1", "r1");
    job = claim("A");
    expect_ok(note(job, "A", part(0, 1), part(1, 1), refused(1, 1, 300000)));
    run_sql("UPDATE p2p_part SET rejected = 0, written = 7 WHERE number = 0");
    finish(job, "A", P2P_JOB_FAILED);
    job = reload(job);
    assert_int_equal(job->counts.rejected, 1);
    expect_ok(p2p_job_restart(db, pool, ring, &how, &job));
    assert_int_equal(job->counts.rejected, 0); /* it is not retrieved: the part that has it has not landed */
    assert_int_equal(job->counts.retrieved, 19);
    assert_int_equal(job->counts.retrieved, job->counts.written + job->counts.duplicate + job->counts.skipped);
    job = claim("A");
    expect_ok(p2p_job_load(db, pool, ring, job, &order, &requests));
    assert_int_equal(requests->nelts, 3);
    request = &APR_ARRAY_IDX(requests, 2, p2p_request_t);
    assert_string_equal(request->kind, "dead-letters");
    parts = request->parts;
    assert_int_equal(parts->nelts, 1);
    again = &APR_ARRAY_IDX(parts, 0, p2p_part_t);
    assert_int_equal(again->landed, 0);
    assert_string_equal(again->url, "https://source.example/page/1"); /* where it came from, for its Provenance */
    expect_ok(p2p_job_letters(db, pool, ring, job->id, 2, 0, -1, 0, &letters));
    assert_int_equal(letters->nelts, 2); /* chunks of one */
    assert_string_equal(APR_ARRAY_IDX(letters, 0, p2p_letter_t).source_id, "obs-0");
    assert_int_equal(APR_ARRAY_IDX(letters, 0, p2p_letter_t).len + APR_ARRAY_IDX(letters, 1, p2p_letter_t).len, 300000);
    assert_int_equal(APR_ARRAY_IDX(letters, 1, p2p_letter_t).body[0], 'a');
    expect_ok(p2p_job_letters(db, pool, ring, job->id, 2, 0, 0, 1, &letters));
    assert_int_equal(letters->nelts, 0);
    /* It ends once more before they have landed: they wait for the next attempt. */
    finish(job, "A", P2P_JOB_FAILED);
    job = reload(job);
    expect_ok(p2p_job_restart(db, pool, ring, &how, &job));
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_request WHERE kind = 'dead-letters'"), 1);
    job = claim("A");
    again->landed = again->letters = 1;
    again->retrieved = again->written = 1;
    again->held = "";
    expect_ok(note(job, "A", again, NULL, NULL));
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_rejected"), 0);
    finish(job, "A", P2P_JOB_COMPLETED);
    assert_int_equal(reload(job)->counts.retrieved, 20);
}

/* Resources that were refused and not kept are the source's alone: their part is fetched again. */
static void dead_letters_without_body(void **state)
{
    p2p_job_t *job;

    (void)state;
    enqueue("src-1", "tgt-1", "r1");
    job = claim("A");
    expect_ok(note(job, "A", part(0, 1), part(1, 1), refused(1, 1, 0)));
    run_sql("UPDATE p2p_part SET rejected = 0, written = 7 WHERE number = 0");
    finish(job, "A", P2P_JOB_FAILED);
    job = reload(job);
    expect_ok(p2p_job_restart(db, pool, ring, &how, &job));
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_part WHERE landed = 1"), 1);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_part WHERE landed = 0 AND number = 1 AND retrieved = 0 AND held = ''"), 1);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_rejected"), 0);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_request WHERE kind = 'dead-letters'"), 0);
    assert_int_equal(job->counts.retrieved, 10);
}

/* --- the report --- */

static void report(void **state)
{
    apr_size_t length = 700000;
    char *body = memset(apr_palloc(pool, length), 'x', length);
    p2p_rejected_t refused = {.request = 0, .part = 0, .outcome = "rejected", .type = "Observation",
                              .source_id = "obs-1",
                              .code = "refused", .detail = "their words", .body = body, .body_len = length};
    p2p_rejected_t skipped = {.request = 0, .part = 0, .outcome = "skipped", .type = "Patient",
                              .source_id = "p-2",
                              .code = "other-patient"};
    apr_array_header_t *rejected = apr_array_make(pool, 2, sizeof(p2p_rejected_t *));
    p2p_report_at_t at = {-1, -1, -1, -1, -1, -1};
    p2p_report_t got;
    p2p_job_t *job;

    (void)state;
    enqueue("src-1", "tgt-1", "r1");
    job = claim("A");
    APR_ARRAY_PUSH(rejected, p2p_rejected_t *) = &refused;
    APR_ARRAY_PUSH(rejected, p2p_rejected_t *) = &skipped;
    expect_ok(note(job, "A", part(0, 1), part(1, 0), rejected));
    expect_ok(note(job, "A", part(0, 1), part(1, 1), rejected));
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_rejected"), 5);
    assert_in_range(ask_int("SELECT MAX(LENGTH(body)) FROM p2p_rejected"), 200000, 262144);
    expect_ok(p2p_job_report(db, pool, ring, job->id, &at, 10, &got));
    assert_int_equal(got.requests->nelts, 2);
    assert_string_equal(APR_ARRAY_IDX(got.requests, 0, p2p_request_t).url, "https://source.example/fhir/Patient/src-1");
    assert_int_equal(got.parts->nelts, 2);
    assert_string_equal(APR_ARRAY_IDX(got.parts, 1, p2p_part_t).url, "https://source.example/page/1");
    assert_int_equal(got.resources->nelts, 2);
    assert_string_equal(APR_ARRAY_IDX(got.resources, 0, p2p_rejected_t).source_id, "obs-1");
    assert_string_equal(APR_ARRAY_IDX(got.resources, 0, p2p_rejected_t).detail, "their words");
    assert_string_equal(APR_ARRAY_IDX(got.resources, 1, p2p_rejected_t).code, "other-patient");
    assert_int_equal(got.sum.retrieved, 20);
    assert_int_equal(got.sum.written + got.sum.duplicate + got.sum.skipped + got.sum.rejected, 20);
    at = (p2p_report_at_t){1, 0, 0, 0, 0, 0};
    expect_ok(p2p_job_report(db, pool, ring, job->id, &at, 10, &got));
    assert_int_equal(got.requests->nelts, 0);
    assert_int_equal(got.parts->nelts, 1);
    assert_int_equal(APR_ARRAY_IDX(got.parts, 0, p2p_part_t).number, 1);
    assert_int_equal(got.resources->nelts, 1);
    assert_int_equal(APR_ARRAY_IDX(got.resources, 0, p2p_rejected_t).number, 1);
}

/* --- retention --- */

static int tidy(apr_interval_time_t restart_within, apr_interval_time_t keep)
{
    int count;

    expect_ok(p2p_job_tidy(db, pool, TARGET, restart_within, keep, 10, &count));
    return count;
}

static void tidied(void **state)
{
    p2p_job_t *job = failed_job(), *again;

    (void)state;
    run_sql("UPDATE p2p_job SET end_time = end_time - 3600000000");
    assert_int_equal(tidy(3601 * SECOND, 3602 * SECOND), 0);
    assert_int_equal(tidy(3599 * SECOND, 3602 * SECOND), 1);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_part WHERE held <> ''"), 0);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_grant WHERE refresh_token <> '' OR ended = 0"), 0);
    assert_int_equal(tidy(3599 * SECOND, 3602 * SECOND), 0); /* not again */
    again = reload(job);
    expect_error(p2p_job_restart(db, pool, ring, &(p2p_job_restart_t){"a", "b", WEEK, 0}, &again), P2P_E_CONFLICT, "changed");
    run_sql("UPDATE p2p_job SET settled = 0");
    again = enqueue("src-2", "tgt-2", "");
    assert_int_equal(tidy(3599 * SECOND, 3599 * SECOND), 2);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_job"), 1);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_part"), 0);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_request"), 2);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_grant"), 1);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_grant_alias"), 0);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_binding"), 2); /* they stay */
    assert_int_equal(reload(again)->status, P2P_JOB_STARTING);
}

/* A grant goes with the last of its jobs; a key with its job. */
static void tidied_one_of_two(void **state)
{
    p2p_job_t *first, *second;
    int again;

    (void)state;
    expect_ok(with_key("portal", "key-1", "tgt-1", "r1", &first, &again));
    finish(claim("A"), "A", P2P_JOB_COMPLETED);
    run_sql("UPDATE p2p_grant SET ended = 0");
    expect_ok(with_key("portal", "key-2", "tgt-1", "r1", &second, &again));
    assert_int_equal(first->grant_id, second->grant_id);
    finish(claim("A"), "A", P2P_JOB_COMPLETED);
    run_sql("UPDATE p2p_job SET end_time = 1 WHERE id = 1");
    assert_int_equal(tidy(SECOND, 3600 * SECOND), 1);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_grant_alias"), 1);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_idempotency"), 1);
    run_sql("UPDATE p2p_job SET end_time = 1");
    assert_int_equal(tidy(SECOND, 3600 * SECOND), 1);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_grant_alias"), 0);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_idempotency"), 0);
}

static void one_turn_a_minute(void **state)
{
    int mine;

    (void)state;
    expect_ok(p2p_job_tidy_turn(db, pool, TARGET, &mine));
    assert_int_equal(mine, 1);
    expect_ok(p2p_job_tidy_turn(db, pool, "https://other.example", &mine));
    assert_int_equal(mine, 1);
    run_sql("UPDATE p2p_counter SET value = value + 1 WHERE name = 'tidy " TARGET "'"); /* whatever the clock does meanwhile */
    expect_ok(p2p_job_tidy_turn(db, pool, TARGET, &mine));
    assert_int_equal(mine, 0);
    run_sql("UPDATE p2p_counter SET value = value - 2 WHERE name = 'tidy " TARGET "'");
    expect_ok(p2p_job_tidy_turn(db, pool, TARGET, &mine));
    assert_int_equal(mine, 1);
}

/* --- what p2p-runner status shows --- */

static void status_of_jobs(void **state)
{
    p2p_job_order_t order = order_for("src-9", "tgt-9", "r9");
    json_object *status;
    p2p_job_t *job;

    (void)state;
    enqueue("src-1", "tgt-1", "r1");
    enqueue("src-2", "tgt-2", "r2");
    expect_ok(p2p_job_rest(db, pool, claim("A"), "A", &(p2p_job_pause_t){.delay = 3600 * SECOND, .lasting = SECOND, .wait_code = ""}));
    expect_ok(p2p_job_enqueue(db, pool, ring, "https://elsewhere.example/fhir", server, &order, "portal", &job));
    expect_ok(p2p_runner_status(db, pool, &status));
    assert_int_equal(json_object_get_int(json_object_object_get(status, "resting")), 1);
    assert_string_equal(json_object_to_json_string_ext(json_object_object_get(status, "unserved"), JSON_C_TO_STRING_NOSLASHESCAPE),
                        "{\"https://elsewhere.example/fhir\":1}");
    expire("A");
    expire("B");
    expect_ok(p2p_runner_status(db, pool, &status));
    assert_int_equal(json_object_get_int(json_object_object_get(json_object_object_get(status, "unserved"), TARGET)), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        JOB_TEST(once_for_a_key), JOB_TEST(stopped_in_the_queue),
        JOB_TEST(stopped_while_running), JOB_TEST(stopped_with_a_dead_runner), JOB_TEST(begun_again), JOB_TEST(not_begun_again),
        JOB_TEST(bound_to_another_meanwhile), JOB_TEST(dead_letters), JOB_TEST(dead_letters_without_body), JOB_TEST(report),
        JOB_TEST(tidied), JOB_TEST(tidied_one_of_two), JOB_TEST(one_turn_a_minute), JOB_TEST(status_of_jobs),
    };

    return run_group("job_control", tests, sizeof tests / sizeof *tests);
}
