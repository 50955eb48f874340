/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs in the database: enqueueing, bindings, claims, leases, landing, the end. */
#include "job_fixture.h"

#include <signal.h>
#include <sys/wait.h>
#include "store/grant_store.h"

/* --- enqueueing --- */

static void enqueued(void **state)
{
    p2p_job_t *job = enqueue("src-1", "tgt-1", "refresh-secret"), *got;

    (void)state;
    assert_int_equal(job->id, 1);
    assert_int_equal(job->version, 1);
    assert_int_equal(strlen(job->uuid), 36);
    assert_string_equal(job->kind, "p2p-exchange");
    assert_string_equal(job->client, "portal");
    assert_int_equal(job->status, P2P_JOB_STARTING);
    assert_int_equal(job->attempt, 1);
    assert_true(job->create_time > 0 && job->start_time == 0 && job->end_time == 0);
    assert_string_equal(job->task_id, "");
    expect_error(p2p_job_get(db, pool, server->pid, 2, &got), P2P_E_NOT_FOUND, "no-such-job");
    expect_error(p2p_job_get(db, pool, server->pid + 1, 1, &got), P2P_E_NOT_FOUND, "no-such-job");
}

static void loaded(void **state)
{
    apr_array_header_t *requests;
    p2p_job_order_t order;
    p2p_job_t *job;

    (void)state;
    enqueue("src-1", "tgt-1", "refresh-secret");
    job = claim("A");
    expect_ok(p2p_job_load(db, pool, ring, job, &order, &requests));
    assert_string_equal(order.access_token, "access-secret");
    assert_string_equal(order.refresh_token, "refresh-secret");
    assert_string_equal(order.source_patient, "src-1");
    assert_string_equal(order.target_patient, "tgt-1");
    assert_string_equal(order.organization, "payer");
    assert_int_equal(requests->nelts, 2);
    assert_string_equal(APR_ARRAY_IDX(requests, 1, p2p_request_t).url,
                        "https://source.example/fhir/Observation?x=url-secret");
    assert_string_equal(APR_ARRAY_IDX(requests, 1, p2p_request_t).kind, "pages");
    assert_int_equal(APR_ARRAY_IDX(requests, 0, p2p_request_t).parts->nelts, 0);
}

static void same_member_again(void **state)
{
    p2p_job_t *job = enqueue("src-1", "tgt-1", "r1"), *other;

    (void)state;
    expect_error(try_enqueue(server, "src-1", "tgt-1", "r2", &other), P2P_E_CONFLICT, "already-running");
    assert_int_equal(other->id, job->id);
    expect_error(try_enqueue(server, "src-1", "tgt-2", "r2", &other), P2P_E_CONFLICT, "bound-to-another");
    expect_ok(try_enqueue(server, "src-2", "tgt-1", "r2", &other));
    expect_ok(try_enqueue(stored_server("second"), "src-1", "tgt-1", "r1", &other));
    finish(claim("A"), "A", P2P_JOB_COMPLETED);
    assert_int_equal(reload(job)->status, P2P_JOB_COMPLETED);
    expect_error(try_enqueue(server, "src-1", "tgt-2", "r3", &other), P2P_E_CONFLICT, "bound-to-another");
    expect_ok(try_enqueue(server, "src-1", "tgt-1", "r3", &other));
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_binding"), 3);
}

/* A mistyped target patient does not bind the member: only an exchange that may have moved something does. */
static void untouched_job_unbinds(void **state)
{
    p2p_job_t *job = enqueue("src-1", "typo", "r1"), *other;
    p2p_job_ending_t untouched = {.status = P2P_JOB_FAILED, .untouched = 1};
    p2p_job_ending_t touched = {.status = P2P_JOB_FAILED};
    p2p_part_t *unlanded = part(0, 1);

    (void)state;
    expect_ok(p2p_job_finish(db, pool, ring, claim("A"), "A", &untouched));
    expect_ok(try_enqueue(server, "src-1", "tgt-1", "r2", &job));
    job = claim("A");
    unlanded->landed = 0;
    expect_ok(note(job, "A", unlanded, NULL, NULL));
    assert_int_equal(reload(job)->counts.written, 0);
    expect_ok(p2p_job_finish(db, pool, ring, job, "A", &touched));
    assert_int_equal(reload(job)->counts.written, 6); /* what its parts have, landed or not */
    assert_int_equal(reload(job)->counts.parts, 0);
    expect_error(try_enqueue(server, "src-1", "tgt-2", "r3", &other), P2P_E_CONFLICT, "bound-to-another");
}

/* Nothing that a refused order brought is left behind. */
static void refused_order_leaves_nothing(void **state)
{
    p2p_job_t *job;

    (void)state;
    enqueue("src-1", "tgt-1", "r1");
    expect_error(try_enqueue(server, "src-1", "tgt-2", "r2", &job), P2P_E_CONFLICT, "bound-to-another");
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_grant"), 1);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_grant_alias"), 1);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_job"), 1);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_request"), 2);
}

/* A patient that the token answer will name: nothing to compare yet. */
static void patient_unknown(void **state)
{
    p2p_job_t *job;

    (void)state;
    expect_ok(try_enqueue(server, "", "tgt-1", "r1", &job));
    expect_ok(try_enqueue(server, "", "tgt-2", "r2", &job));
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_binding"), 0);
}

/* A new key seals; what the old one hashed is found. */
static void keys_rotate(void **state)
{
    p2p_keyring_t *old = ring;
    p2p_job_t *job = enqueue("src-1", "tgt-1", "r1"), *other;

    (void)state;
    ring = p2p_keyring_make(pool);
    add_key(ring);
    expect_ok(p2p_keyring_add(ring, p2p_keyring_text(pool, old, 0)));
    expect_error(try_enqueue(server, "src-1", "tgt-2", "r1", &other), P2P_E_CONFLICT, "bound-to-another");
    expect_error(try_enqueue(server, "src-1", "tgt-1", "r1", &other), P2P_E_CONFLICT, "already-running");
    expect_ok(try_enqueue(server, "src-2", "tgt-2", "r1", &other));
    assert_int_equal(other->grant_id, job->grant_id);
}

/* Everything that opens a door or names a member is unreadable in the database. */
static void nothing_in_clear(void **state)
{
    static const char *const tables[] = {"p2p_job", "p2p_request", "p2p_grant", "p2p_grant_alias",
                                         "p2p_binding",
                                         "p2p_oidc_server"};
    static const char *const secrets[] = {"src-1", "tgt-1", "-secret", "se-cret"};
    const char *dump = "";

    (void)state;
    enqueue("src-1", "tgt-1", "refresh-secret");
    finish(claim("A"), "A", P2P_JOB_FAILED);
    assert_string_equal(ask_sql("SELECT error_sentence FROM p2p_job"), "The target refused.");
    if (is_pgsql()) {
        for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
            dump = apr_pstrcat(pool, dump, ask_sql(apr_psprintf(pool,
                                                                "SELECT string_agg(t::text, ' ') FROM %s t", tables[i])), NULL);
        }
    } else {
        char *bytes = apr_pcalloc(pool, 4 << 20);
        FILE *file = fopen(apr_pstrcat(pool, params(), "-wal", NULL), "rb");

        assert_non_null(file);
        assert_true(fread(bytes, 1, (4 << 20) - 1, file) > 1000);
        fclose(file);
        for (size_t i = 0; i < (4 << 20) - 1; i++) bytes[i] = bytes[i] ? bytes[i] : ' ';
        dump = bytes;
        assert_non_null(strstr(dump, "The target refused."));
    }
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++) assert_null(strstr(dump, secrets[i]));
}

/* --- claims and leases --- */

static void claimed_once(void **state)
{
    p2p_job_t *job = enqueue("src-1", "tgt-1", "r1"), *mine = claim("A");

    (void)state;
    assert_int_equal(mine->id, job->id);
    assert_int_equal(mine->status, P2P_JOB_STARTED);
    assert_int_equal(mine->epoch, 1);
    assert_true(mine->start_time > 0);
    assert_null(claim("B"));
    assert_null(claim("A"));
    expect_ok(p2p_job_claim(db, pool, "https://another.example", "B", &job));
    assert_null(job);
}

/* Of the payer with the fewest running the oldest. */
static void fair(void **state)
{
    p2p_oidc_server_t *second = stored_server("second"), *third = stored_server("third");
    static const apr_int64_t expected[] = {1, 4, 6, 2, 5, 3};
    p2p_job_t *job;

    (void)state;
    expect_ok(try_enqueue(server, "a", "t", "", &job));
    expect_ok(try_enqueue(server, "b", "t", "", &job));
    expect_ok(try_enqueue(server, "c", "t", "", &job));
    expect_ok(try_enqueue(second, "a", "t", "", &job));
    expect_ok(try_enqueue(second, "b", "t", "", &job));
    expect_ok(try_enqueue(third, "a", "t", "", &job));
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        job = claim(i % 2 ? "A" : "B");
        assert_int_equal(job->id, expected[i]);
    }
    assert_null(claim("A"));
}

/* After a take-over the old runner can change nothing. */
static void taken_over(void **state)
{
    p2p_job_t *old, *job, *before, *after;
    int stopping;

    (void)state;
    enqueue("src-1", "tgt-1", "r1");
    old = claim("A");
    assert_null(claim("B"));
    expire("A");
    job = claim("B");
    assert_int_equal(job->id, old->id);
    assert_int_equal(job->epoch, 2);
    assert_int_equal(job->start_time, old->start_time);
    before = reload(job);
    expect_error(note(old, "A", part(0, 1), NULL, NULL), P2P_E_LOST, "lease-lost");
    expect_error(p2p_job_progress(db, pool, old, "A", &(p2p_job_state_t){.waiting = 5, .wait_code = ""}, &stopping), P2P_E_LOST, "lease-lost");
    expect_error(p2p_job_set_task(db, pool, old, "A", "t", ""), P2P_E_LOST, "lease-lost");
    expect_error(p2p_job_finish(db, pool, ring, old, "A", &(p2p_job_ending_t){.status = P2P_JOB_COMPLETED}), P2P_E_LOST, "lease-lost");
    expect_error(p2p_job_release(db, pool, old, "A"), P2P_E_LOST, "lease-lost");
    after = reload(job);
    assert_int_equal(after->version, before->version);
    assert_int_equal(after->status, P2P_JOB_STARTED);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_part"), 0);
    assert_int_equal(ask_int("SELECT ended FROM p2p_grant"), 0);
    expect_ok(note(job, "B", part(0, 1), NULL, NULL));
}

/* The same owner with an older epoch is fenced out too. */
static void older_epoch(void **state)
{
    p2p_job_t *old, *job;

    (void)state;
    enqueue("src-1", "tgt-1", "r1");
    old = claim("A");
    expect_ok(p2p_job_release(db, pool, old, "A"));
    job = claim("A");
    assert_int_equal(job->epoch, 2);
    assert_int_equal(job->status, P2P_JOB_STARTED);
    expect_error(note(old, "A", part(0, 1), NULL, NULL), P2P_E_LOST, "lease-lost");
    expect_ok(note(job, "A", part(0, 1), NULL, NULL));
}

static void runner_rows(void **state)
{
    p2p_job_t *job;

    (void)state;
    enqueue("src-1", "tgt-1", "r1");
    claim("A");
    expect_ok(p2p_runner_heartbeat(db, pool, "A"));
    expire("A");
    expect_error(p2p_runner_heartbeat(db, pool, "A"), P2P_E_LOST, "lease-lost");
    /* Registered anew under its old name: what it held is anyone's all the same. */
    expect_ok(p2p_runner_register(db, pool, "A", "httpd", 0, "host", 1, TARGET));
    expect_ok(p2p_runner_heartbeat(db, pool, "A"));
    job = claim("B");
    assert_int_equal(job->epoch, 2);
    /* The next runner of its slot. */
    expect_ok(p2p_runner_register(db, pool, "C", "httpd", 1, "host", 3, TARGET));
    expect_error(p2p_runner_heartbeat(db, pool, "B"), P2P_E_LOST, "lease-lost");
    job = claim("C");
    assert_int_equal(job->epoch, 3);
    expect_ok(p2p_runner_unregister(db, pool, "C"));
    assert_int_equal(claim("A")->epoch, 4);
}

static void stopping(void **state)
{
    p2p_job_t *job, *other;
    int stop = 0;

    (void)state;
    enqueue("src-1", "tgt-1", "r1");
    job = claim("A");
    expect_ok(p2p_job_progress(db, pool, job, "A", &(p2p_job_state_t){.waiting = 7, .wait_code = ""}, &stop));
    assert_int_equal(stop, 0);
    assert_int_equal(reload(job)->counts.waiting, 7);
    run_sql("UPDATE p2p_job SET status = 'STOPPING'");
    expect_ok(p2p_job_progress(db, pool, job, "A", &(p2p_job_state_t){.waiting = 8, .wait_code = ""}, &stop));
    assert_int_equal(stop, 1);
    assert_null(claim("B"));
    assert_int_equal(reload(job)->status, P2P_JOB_STOPPING);
    expect_error(try_enqueue(server, "src-1", "tgt-1", "r1", &other), P2P_E_CONFLICT, "already-running");
    expire("A");
    job = claim("B"); /* to say so in the Task that A may have made */
    assert_int_equal(job->status, P2P_JOB_STOPPING);
    assert_null(claim("B"));
    finish(job, "B", P2P_JOB_STOPPED);
    job = reload(job);
    assert_int_equal(job->status, P2P_JOB_STOPPED);
    assert_true(job->end_time > 0);
    assert_int_equal(job->counts.waiting, 0);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_grant WHERE access_token = '' AND refresh_token <> ''"), 1);
}

static void status_document(void **state)
{
    json_object *status;
    const char *text;

    (void)state;
    enqueue("src-1", "tgt-1", "r1");
    enqueue("src-2", "tgt-2", "r2");
    claim("A");
    expire("B");
    expect_ok(p2p_runner_status(db, pool, &status));
    text = p2p_json_print(pool, status, NULL);
    assert_int_equal(json_object_array_length(p2p_json_arr(status, "runners")), 1);
    assert_non_null(strstr(text, "\"jobs\":{\"" TARGET "\":{\"STARTED\":1,\"STARTING\":1}}"));
    assert_int_equal(strlen(p2p_json_str(status, "oldestQueued")), 24);
}

/* --- landing --- */

static void landing(void **state)
{
    apr_array_header_t *requests;
    p2p_job_counts_t counts;
    p2p_job_order_t order;
    p2p_job_t *job;
    p2p_part_t *got;
    int stop;

    (void)state;
    enqueue("src-1", "tgt-1", "r1");
    job = claim("A");
    expect_ok(p2p_job_progress(db, pool, job, "A", &(p2p_job_state_t){.waiting = 15, .wait_code = ""}, &stop));
    expect_ok(note(job, "A", part(0, 1), part(1, 0), NULL));
    counts = reload(job)->counts;
    assert_int_equal(counts.parts, 1);
    assert_int_equal(counts.waiting, 5);
    assert_int_equal(counts.retrieved, 15);
    assert_int_equal(counts.retrieved,
                     counts.written + counts.duplicate + counts.skipped + counts.rejected + counts.waiting);
    /* Its COMMIT seemed lost, so it comes again: nothing counts twice, and what landed stays as it landed. */
    expect_ok(note(job, "A", part(0, 1), part(1, 0), NULL));
    expect_ok(note(job, "A", part(0, 0), NULL, NULL));
    assert_int_equal(reload(job)->counts.parts, 1);
    assert_int_equal(reload(job)->counts.retrieved, 15);
    expect_ok(p2p_job_load(db, pool, ring, job, &order, &requests));
    assert_int_equal(APR_ARRAY_IDX(requests, 0, p2p_request_t).parts->nelts, 2);
    got = &APR_ARRAY_IDX(APR_ARRAY_IDX(requests, 0, p2p_request_t).parts, 0, p2p_part_t);
    assert_int_equal(got->landed, 1);
    assert_string_equal(got->held, "SGVsZA==");
    assert_string_equal(got->url, "https://source.example/page/0");
    assert_string_equal(got->next_url, "https://source.example/page/1");
    assert_int_equal(got[1].landed, 0);
    assert_string_equal(got[1].url, "https://source.example/page/1");
    expect_ok(note(job, "A", part(1, 1), NULL, NULL));
    assert_int_equal(reload(job)->counts.parts, 2);
    assert_int_equal(reload(job)->counts.bytes, 2000);
    finish(job, "A", P2P_JOB_COMPLETED);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_part WHERE held <> ''"), 0);
    assert_int_equal(reload(job)->counts.waiting, 0);
    expect_error(note(job, "A", part(2, 1), NULL, NULL), P2P_E_LOST, "lease-lost");
}

static void added_requests(void **state)
{
    apr_array_header_t *parts = apr_array_make(pool, 1, sizeof(p2p_part_t *)), *loaded_requests;
    apr_array_header_t *requests = apr_array_make(pool, 1, sizeof(p2p_request_t *));
    p2p_request_t added = {.number = 2, .kind = "read", .url = "https://source.example/fhir/Practitioner/1"};
    p2p_job_order_t order;
    p2p_job_t *job;

    (void)state;
    enqueue("src-1", "tgt-1", "r1");
    job = claim("A");
    APR_ARRAY_PUSH(requests, p2p_request_t *) = &added;
    expect_ok(p2p_job_note_parts(db, pool, ring, job, "A", parts, requests, NULL));
    expect_ok(p2p_job_note_parts(db, pool, ring, job, "A", parts, requests, NULL));
    expect_ok(p2p_job_load(db, pool, ring, job, &order, &loaded_requests));
    assert_int_equal(loaded_requests->nelts, 3);
    assert_string_equal(APR_ARRAY_IDX(loaded_requests, 2, p2p_request_t).kind, "read");
    assert_string_equal(APR_ARRAY_IDX(loaded_requests, 2, p2p_request_t).url, added.url);
}

/* --- the end --- */

static void failed_job(void **state)
{
    p2p_job_t *job;

    (void)state;
    enqueue("src-1", "tgt-1", "r1");
    job = claim("A");
    expect_ok(p2p_job_set_task(db, pool, job, "A", "task-7", "No Tasks here."));
    finish(job, "A", P2P_JOB_FAILED);
    job = reload(job);
    assert_string_equal(job->task_fault, "No Tasks here.");
    assert_int_equal(job->status, P2P_JOB_FAILED);
    assert_string_equal(job->error_code, "target-refused");
    assert_string_equal(job->task_id, "task-7");
    assert_null(strstr(job->error_detail, "detail-secret"));
    assert_true(*job->error_detail);
    assert_true(job->end_time >= job->start_time);
    assert_null(claim("B"));
}

/* That a job has ended is noted with its end or not at all: whoever ends it a second time, or without its lease, adds nothing. */
static void end_is_an_event(void **state)
{
    p2p_task_event_t event = {.kind = P2P_EVENT_EXCHANGE, .subject = "job/u/1", .status = "completed", .task_id = "", .patient = "tgt-1",
                              .email = "", .payer = "", .member_name = "", .member_phone = "", .reason = ""};
    p2p_job_ending_t ending = {.status = P2P_JOB_COMPLETED, .event = &event};
    p2p_job_t *job, *old;

    (void)state;
    enqueue("src-1", "tgt-1", "r1");
    old = claim("A");
    expire("A");
    job = claim("B");
    expect_error(p2p_job_finish(db, pool, ring, old, "A", &ending), P2P_E_LOST, "lease-lost");
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_task_event"), 0);
    expect_ok(p2p_job_finish(db, pool, ring, job, "B", &ending));
    assert_string_equal(ask_sql("SELECT target || ' ' || subject || ' ' || status FROM p2p_task_event"), TARGET " job/u/1 completed");
    event.status = "failed";
    expect_error(p2p_job_finish(db, pool, ring, job, "B", &ending), P2P_E_LOST, "lease-lost");
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_task_event"), 1);
    enqueue("src-2", "tgt-2", "r2");
    finish(claim("B"), "B", P2P_JOB_STOPPED);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_task_event"), 1);
}

/* --- many at a time --- */

enum { WORKERS = 8, JOBS = 200 };

/* A worker of its own process: claims until there is nothing, and tells what it got. */
static void work(int number, int out)
{
    char owner[32];
    p2p_error_t *error;
    apr_pool_t *p;
    p2p_job_t *job;

    snprintf(owner, sizeof owner, "worker-%d", number);
    apr_pool_create(&pool, root);
    db = open_db(pool);
    PATIENTLY(error, p2p_runner_register(db, pool, owner, "crowd", number, "host", getpid(), TARGET));
    expect_ok(error);
    for (;;) {
        apr_pool_create(&p, pool);
        PATIENTLY(error, p2p_job_claim(db, p, TARGET, owner, &job));
        expect_ok(error);
        if (!job) break;
        if (write(out, &job->id, sizeof job->id) != sizeof job->id) _exit(2);
        apr_pool_destroy(p);
    }
    apr_pool_destroy(pool);
    _exit(0);
}

static void crowd(void **state)
{
    int pipes[2], seen[JOBS + 1] = {0}, count = 0, status;
    pid_t workers[WORKERS];
    apr_int64_t id;

    (void)state;
    for (int i = 0; i < JOBS; i++) enqueue(apr_psprintf(pool, "s%d", i), "t", "");
    /* No connection may be open across fork: closing the child's copy ends the parent's session. */
    apr_pool_destroy(pool);
    assert_int_equal(pipe(pipes), 0);
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = fork();
        if (!workers[i]) work(i, pipes[1]);
    }
    close(pipes[1]);
    while (read(pipes[0], &id, sizeof id) == sizeof id) {
        assert_in_range(id, 1, JOBS);
        assert_int_equal(seen[id]++, 0);
        count++;
    }
    close(pipes[0]);
    for (int i = 0; i < WORKERS; i++) {
        assert_int_equal(waitpid(workers[i], &status, 0), workers[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(count, JOBS);
    apr_pool_create(&pool, root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        JOB_TEST(enqueued), JOB_TEST(loaded), JOB_TEST(same_member_again), JOB_TEST(untouched_job_unbinds),
        JOB_TEST(refused_order_leaves_nothing), JOB_TEST(patient_unknown), JOB_TEST(keys_rotate), JOB_TEST(nothing_in_clear), JOB_TEST(claimed_once),
        JOB_TEST(fair), JOB_TEST(taken_over), JOB_TEST(older_epoch), JOB_TEST(runner_rows), JOB_TEST(stopping),
        JOB_TEST(status_document), JOB_TEST(landing), JOB_TEST(added_requests), JOB_TEST(failed_job), JOB_TEST(end_is_an_event), JOB_TEST(crowd),
    };

    return run_group("job_store", tests, sizeof tests / sizeof *tests);
}
