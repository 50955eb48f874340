/* SPDX-License-Identifier: Apache-2.0 */
/* Chores in the queue: one at a time, before exchanges, taken over, stopped, never shown as exchanges; and the key sets that some of them
 * fetch. */
#include "job_fixture.h"

#include "store/chore_store.h"
#include "store/jwks_store.h"

#define ISSUER "https://issuer.example"

static p2p_chore_t *order_test(int *again)
{
    p2p_chore_order_t o = {.kind = P2P_KIND_TEST, .target = TARGET, .subject = "", .client = "portal", .server_id = server->pid};
    p2p_chore_t *chore;

    expect_ok(p2p_chore_enqueue(db, pool, &o, &chore, again));
    return chore;
}

static p2p_chore_t *claim_chore(const char *owner)
{
    p2p_chore_t *chore;

    expect_ok(p2p_chore_claim(db, pool, TARGET, owner, &chore));
    return chore;
}

static p2p_chore_t *get_test(apr_int64_t id)
{
    p2p_chore_t *chore;

    expect_ok(p2p_chore_get(db, pool, P2P_KIND_TEST, server->pid, id, &chore));
    return chore;
}

static void one_at_a_time(void **state)
{
    p2p_chore_t *first, *second, *claimed;
    int again;

    (void)state;
    first = order_test(&again);
    assert_false(again);
    assert_int_equal(first->job.status, P2P_JOB_STARTING);
    second = order_test(&again);
    assert_true(again);
    assert_int_equal(second->job.id, first->job.id);
    claimed = claim_chore("A");
    assert_int_equal(claimed->job.id, first->job.id);
    assert_string_equal(claimed->job.kind, P2P_KIND_TEST);
    assert_null(claim_chore("B"));
    order_test(&again);
    assert_true(again);
    expect_ok(p2p_chore_finish(db, pool, claimed, "A", P2P_JOB_COMPLETED, "{\"ok\":true}", NULL));
    assert_string_equal(get_test(first->job.id)->result, "{\"ok\":true}");
    second = order_test(&again);
    assert_false(again);
    assert_int_not_equal(second->job.id, first->job.id);
}

/* An exchange's queue and a chore's have nothing to do with each other. */
static void beside_exchanges(void **state)
{
    p2p_job_t *exchange = enqueue("s1", "t1", "r1");
    apr_array_header_t *jobs;
    p2p_viewer_t portal = {.client = "portal", .kind = P2P_KIND_EXCHANGE, .keyring = ring};
    p2p_job_filter_t any = {server->pid, P2P_JOB_UNKNOWN, APR_INT64_MAX, 10}, started = {server->pid, P2P_JOB_STARTED, APR_INT64_MAX, 10};
    p2p_chore_t *chore;
    int again;

    (void)state;
    chore = order_test(&again);
    assert_int_equal(claim("A")->id, exchange->id);
    assert_null(claim("A"));
    assert_int_equal(claim_chore("A")->job.id, chore->job.id);
    assert_null(claim_chore("A"));
    expect_ok(p2p_job_list(db, pool, &portal, &any, &jobs));
    assert_int_equal(jobs->nelts, 1);
    expect_ok(p2p_job_list(db, pool, &portal, &started, &jobs));
    assert_int_equal(jobs->nelts, 1);
    expect_error(p2p_job_find(db, pool, &portal, server->pid, chore->job.id, &exchange), P2P_E_NOT_FOUND, "no-such-job");
    expect_error(p2p_chore_get(db, pool, P2P_KIND_TEST, server->pid, APR_ARRAY_IDX(jobs, 0, p2p_job_t *)->id, &chore), P2P_E_NOT_FOUND, "no-such-test");
    expect_error(p2p_chore_get(db, pool, P2P_KIND_TEST, server->pid + 1, chore->job.id, &chore), P2P_E_NOT_FOUND, "no-such-test");
}

static void is_taken_over(void **state)
{
    p2p_chore_t *first, *second;
    int again;

    (void)state;
    order_test(&again);
    first = claim_chore("A");
    assert_null(claim_chore("B"));
    expire("A");
    second = claim_chore("B");
    assert_int_equal(second->job.id, first->job.id);
    expect_error(p2p_chore_finish(db, pool, first, "A", P2P_JOB_COMPLETED, "{}", NULL), P2P_E_LOST, "lease-lost");
    expect_error(p2p_chore_forget(db, pool, first, "A"), P2P_E_LOST, "lease-lost");
    expect_ok(p2p_job_release(db, pool, &second->job, "B"));
    assert_null(claim("B"));
    assert_int_equal(claim_chore("B")->job.id, first->job.id);
}

static void is_stopped(void **state)
{
    p2p_job_restart_t how = {.access_token = "", .refresh_token = "", .within = apr_time_from_sec(86400)};
    p2p_chore_t *chore;
    p2p_job_t *job;
    int again, stopping;

    (void)state;
    chore = order_test(&again);
    job = reload(&chore->job);
    expect_ok(p2p_job_stop(db, pool, 0, &job));
    assert_int_equal(job->status, P2P_JOB_STOPPED);
    expect_error(p2p_job_restart(db, pool, ring, &how, &job), P2P_E_CONFLICT, "not-an-exchange");
    order_test(&again);
    chore = claim_chore("A");
    job = reload(&chore->job);
    expect_ok(p2p_job_stop(db, pool, 0, &job));
    assert_int_equal(job->status, P2P_JOB_STOPPING);
    expect_ok(p2p_job_progress(db, pool, &chore->job, "A", &(p2p_job_state_t){.waiting = 0, .wait_code = ""}, &stopping));
    assert_true(stopping);
    expect_ok(p2p_chore_finish(db, pool, chore, "A", P2P_JOB_STOPPED, "", NULL));
    assert_int_equal(get_test(chore->job.id)->job.status, P2P_JOB_STOPPED);
    /* One whose runner is gone is stopped by whoever looks at the queue. */
    order_test(&again);
    chore = claim_chore("A");
    job = reload(&chore->job);
    run_sql(apr_psprintf(pool, "UPDATE p2p_job SET status = 'STOPPING' WHERE id = %d", (int)job->id));
    expire("A");
    assert_null(claim("B"));
    assert_int_equal(get_test(job->id)->job.status, P2P_JOB_STOPPED);
}

static void fails_with_words(void **state)
{
    p2p_chore_t *chore;
    json_object *doc;
    int again;

    (void)state;
    order_test(&again);
    chore = claim_chore("A");
    expect_ok(p2p_chore_finish(db, pool, chore, "A", P2P_JOB_FAILED, "", p2p_error_make(pool, P2P_E_NOT_FOUND, "no-such-server", "It is gone.")));
    chore = get_test(chore->job.id);
    assert_string_equal(chore->job.error_code, "no-such-server");
    doc = p2p_chore_public(pool, chore);
    assert_string_equal(p2p_json_str(p2p_json_obj(doc, "error"), "message"), "It is gone.");
    assert_true(json_object_object_get_ex(doc, "result", NULL));
}

static void goes_in_time(void **state)
{
    p2p_chore_t *chore;
    int again, count;

    (void)state;
    order_test(&again);
    chore = claim_chore("A");
    expect_ok(p2p_chore_finish(db, pool, chore, "A", P2P_JOB_COMPLETED, "{}", NULL));
    expect_ok(p2p_job_tidy(db, pool, TARGET, apr_time_from_sec(60), apr_time_from_sec(60), 10, &count));
    assert_int_equal(count, 0);
    run_sql("UPDATE p2p_job SET end_time = 1");
    expect_ok(p2p_job_tidy(db, pool, TARGET, apr_time_from_sec(60), apr_time_from_sec(60), 10, &count));
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_job"), 0);
}

/* ---- Key sets ---- */

static int ask(void)
{
    int asked = -1;

    expect_ok(p2p_jwks_ask(db, pool, TARGET, ISSUER, &asked));
    return asked;
}

static int ask_old(void)
{
    int asked = -1;

    expect_ok(p2p_jwks_ask_old(db, pool, TARGET, ISSUER, &asked));
    return asked;
}

static p2p_jwks_t *stored(void)
{
    p2p_jwks_t *jwks;

    expect_ok(p2p_jwks_get(db, pool, ISSUER, &jwks));
    return jwks;
}

static void save(const char *document, const char *fault)
{
    p2p_jwks_t jwks = {.issuer = ISSUER, .document = document, .introspection_endpoint = "", .authorization_endpoint = "", .token_endpoint = "", .fault = fault};

    expect_ok(p2p_jwks_save(db, pool, &jwks));
}

static void age(int seconds)
{
    run_sql(apr_psprintf(pool, "UPDATE p2p_jwks SET asked = asked - %d000000, fetched = CASE WHEN fetched = 0 THEN 0 ELSE fetched - %d000000 END",
                         seconds, seconds));
}

static void keys_are_kept(void **state)
{
    apr_time_t fetched;

    (void)state;
    assert_null(stored());
    save("{\"keys\":[1]}", "");
    assert_string_equal(stored()->document, "{\"keys\":[1]}");
    assert_int_equal(stored()->version, 1);
    fetched = stored()->fetched;
    assert_true(fetched > 0);
    save("", "It is away.");
    assert_string_equal(stored()->document, "{\"keys\":[1]}");
    assert_string_equal(stored()->fault, "It is away.");
    assert_true(stored()->fetched == fetched);
    save("{\"keys\":[1]}", "");
    assert_string_equal(stored()->fault, "");
    assert_int_equal(stored()->version, 1);
    save("{\"keys\":[2]}", "");
    assert_int_equal(stored()->version, 2);
}

static void faults_come_first(void **state)
{
    (void)state;
    save("", "It is away.");
    assert_string_equal(stored()->document, "");
    assert_true(stored()->fetched == 0);
}

static void asked_once_a_minute(void **state)
{
    p2p_chore_t *chore;

    (void)state;
    assert_true(ask());
    assert_false(ask());
    assert_false(ask_old());
    age(61);
    assert_false(ask()); /* one is under way */
    chore = claim_chore("A");
    assert_string_equal(chore->subject, ISSUER);
    assert_int_equal(chore->job.oidc_server_id, 0);
    save("{}", "");
    expect_ok(p2p_chore_forget(db, pool, chore, "A"));
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_job"), 0);
    assert_false(ask()); /* it was fetched just now */
    age(61);
    assert_true(ask());
}

static void old_ones_are_asked_for(void **state)
{
    (void)state;
    save("{}", "");
    age(61);
    assert_false(ask_old());
    age(540);
    assert_true(ask_old());
    assert_false(ask_old());
    /* What failed is tried again every minute, whatever its age. */
    run_sql("DELETE FROM p2p_job");
    save("", "It is away.");
    assert_false(ask_old());
    age(61);
    assert_true(ask_old());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        JOB_TEST(one_at_a_time), JOB_TEST(beside_exchanges), JOB_TEST(is_taken_over), JOB_TEST(is_stopped), JOB_TEST(fails_with_words),
        JOB_TEST(goes_in_time), JOB_TEST(keys_are_kept), JOB_TEST(faults_come_first), JOB_TEST(asked_once_a_minute),
        JOB_TEST(old_ones_are_asked_for),
    };

    return run_group("chore_store", tests, sizeof tests / sizeof *tests);
}
