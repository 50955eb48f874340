/* SPDX-License-Identifier: Apache-2.0 */
/* The Subscription at a target that the test plays: made once, looked after, never written without a reason, and given up where there can be none. */
#include "chore_fixture.h"

#include "fhir/subscription.h"
#include "runner/subscription_run.h"
#include "store/subscription_store.h"

#define ENDPOINT "https://p2p.example/hooks/task"
#define AT_TARGET TARGET "/Subscription"
#define EMPTY "{\"resourceType\":\"Bundle\",\"type\":\"searchset\"}"
#define QUERY "?url=https%3A%2F%2Fp2p.example%2Fhooks%2Ftask"

static p2p_spec_t *settings;

static int begin_subscription(void **state)
{
    begin_chores(state);
    context.spec = settings = apr_pmemdup(pool, context.spec, sizeof *settings);
    context.target_http = &fake.http;
    settings->hook_url = ENDPOINT;
    return 0;
}

static p2p_subscription_t *row(void)
{
    p2p_subscription_t *subscription;

    expect_ok(p2p_subscription_seed(db, pool, ring, TARGET, ENDPOINT, &subscription));
    return subscription;
}

static const char *derived(void)
{
    return p2p_hook_subscription_id(pool, ENDPOINT);
}

/* What the target has under this id, as we would have written it. */
static p2p_hook_subscription_t ours(const char *id, const char *status)
{
    apr_array_header_t *headers = apr_array_make(pool, 1, sizeof(const char *));

    APR_ARRAY_PUSH(headers, const char *) = apr_pstrcat(pool, "Authorization: Bearer ", row()->secret, NULL);
    return (p2p_hook_subscription_t){.id = id, .status = status, .reason = P2P_HOOK_REASON, .criteria = P2P_SUBSCRIPTION_CRITERIA, .type = "rest-hook",
                                     .endpoint = ENDPOINT, .payload = "application/fhir+json", .headers = headers};
}

static const char *there(const char *id, const char *status)
{
    p2p_hook_subscription_t one = ours(id, status);

    return p2p_hook_subscription_print(pool, &one, NULL);
}

static const char *page(const char *first, const char *second)
{
    return apr_psprintf(pool, "{\"resourceType\":\"Bundle\",\"entry\":[{\"resource\":%s}%s%s%s]}", first, second ? ",{\"resource\":" : "",
                        second ? second : "", second ? "}" : "");
}

static void answer_with(const char *name, const char *value)
{
    fake.answers[fake.answer_count - 1].field = name;
    fake.answers[fake.answer_count - 1].value = value;
}

static void check(void)
{
    memset(fake.asked, 0, sizeof fake.asked);
    fake.count = fake.answered = 0;
    work_off(claimed_chore(P2P_KIND_SUBSCRIPTION, 0, ""));
    assert_int_equal(fake.answer_count, 0);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_job WHERE kind = 'subscription'"), 0);
    run_sql("DELETE FROM p2p_job"); /* the search that a change asks for */
}

/* The i-th request was this. */
static void asked(int i, const char *method, const char *url)
{
    if (i >= fake.count) fail_msg("request %d of %d", i, fake.count);
    assert_string_equal(fake.asked[i].request.method, method);
    assert_string_equal(fake.asked[i].url, url);
}

static const char *at(const char *id)
{
    return apr_pstrcat(pool, AT_TARGET "/", id, NULL);
}

static void seeded_by_id(void **state)
{
    p2p_hook_subscription_t *sent;

    (void)state;
    fake_answer(&fake, 404, "");
    fake_answer(&fake, 201, "");
    fake_answer(&fake, 200, there(derived(), "requested"));
    fake_answer(&fake, 200, there(derived(), "active"));
    fake_answer(&fake, 200, page(there(derived(), "active"), NULL));
    check();
    assert_int_equal(fake.count, 5);
    asked(0, "GET", at(derived()));
    asked(1, "PUT", at(derived()));
    expect_ok(p2p_hook_subscription_read(pool, fake.asked[1].body, strlen(fake.asked[1].body), &sent));
    assert_string_equal(fake.asked[1].body, there(derived(), "requested"));
    assert_null(strchr(row()->secret, ':'));
    asked(2, "GET", at(derived()));
    asked(3, "GET", at(derived()));
    asked(4, "GET", AT_TARGET QUERY "&_count=50");
    assert_non_null(strstr(fake.asked[4].fields, "Cache-Control: no-cache"));
    assert_string_equal(row()->status, "active");
    assert_string_equal(row()->id, derived());
    assert_string_equal(row()->fault, "");
    assert_int_equal(ask_int("SELECT (due - checked) / 1000000 FROM p2p_subscription"), 600);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_task_hint WHERE task_id = ''"), 1);
}

/* One check of one that is as it should be: two requests that change nothing. */
static void well(const char *id)
{
    fake_answer(&fake, 200, there(id, "active"));
    fake_answer(&fake, 200, page(there(id, "active"), NULL));
    check();
    assert_int_equal(fake.count, 2);
    asked(0, "GET", at(id));
    asked(1, "GET", AT_TARGET QUERY "&_count=50");
    assert_string_equal(row()->status, "active");
}

static void never_without_reason(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) well(derived());
    assert_int_equal(row()->attempts, 0);
    run_sql("DELETE FROM p2p_task_hint");
    well(derived());
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_task_hint"), 0);
}

/* After 2, 4, 8 and 8 seconds of nothing. */
static void made_active(void **state)
{
    apr_time_t begin = fake.now;

    (void)state;
    for (int i = 0; i < 5; i++) fake_answer(&fake, 200, there(derived(), "requested"));
    fake_answer(&fake, 200, "");
    fake_answer(&fake, 200, there(derived(), "active"));
    fake_answer(&fake, 200, EMPTY);
    check();
    asked(5, "PUT", at(derived()));
    assert_string_equal(fake.asked[5].body, there(derived(), "active"));
    assert_int_equal(apr_time_sec(fake.now - begin), 22);
    assert_string_equal(row()->status, "active");
}

static void never_active(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) fake_answer(&fake, 200, there(derived(), "requested"));
    fake_answer(&fake, 200, "");
    fake_answer(&fake, 200, there(derived(), "requested"));
    check();
    assert_string_equal(row()->status, "requested");
    assert_non_null(strstr(row()->fault, "does not make it active"));
    assert_int_equal(row()->attempts, 1);
}

/* A target that assigns ids answers 404 to a PUT. */
static void created_instead(void **state)
{
    (void)state;
    fake_answer(&fake, 404, "");
    fake_answer(&fake, 404, "");
    fake_answer(&fake, 200, EMPTY);
    fake_answer(&fake, 201, "");
    answer_with("Location", TARGET "/Subscription/s-1/_history/1");
    fake_answer(&fake, 200, there("s-1", "active"));
    fake_answer(&fake, 200, page(there("s-1", "active"), NULL));
    check();
    asked(1, "PUT", at(derived()));
    asked(2, "GET", AT_TARGET QUERY "&_count=50");
    asked(3, "POST", AT_TARGET);
    assert_non_null(strstr(fake.asked[3].fields, "If-None-Exist: url=https%3A%2F%2Fp2p.example%2Fhooks%2Ftask"));
    assert_null(strstr(fake.asked[3].body, "\"id\""));
    asked(4, "GET", at("s-1"));
    assert_string_equal(row()->id, "s-1");
    well("s-1");
}

static void conditional(void **state)
{
    (void)state;
    settings->conditional_ids = 1;
    fake_answer(&fake, 200, EMPTY);
    fake_answer(&fake, 201, there("s-1", "requested"));
    fake_answer(&fake, 200, there("s-1", "active"));
    fake_answer(&fake, 200, EMPTY);
    check();
    asked(0, "GET", AT_TARGET QUERY "&_count=50");
    asked(1, "POST", AT_TARGET);
    assert_string_equal(row()->id, "s-1");
    well("s-1");
    run_sql("UPDATE p2p_subscription SET id = ''"); /* lost: found again */
    fake_answer(&fake, 200, page(there("s-1", "active"), NULL));
    fake_answer(&fake, 200, EMPTY);
    check();
    assert_int_equal(fake.count, 2);
    assert_string_equal(row()->id, "s-1");
    fake_answer(&fake, 410, ""); /* removed by somebody */
    fake_answer(&fake, 200, EMPTY);
    fake_answer(&fake, 201, there("s-2", "requested"));
    fake_answer(&fake, 200, there("s-2", "active"));
    fake_answer(&fake, 200, EMPTY);
    check();
    assert_string_equal(row()->id, "s-2");
}

/* Somebody else's was there first: the target says so, and it is made ours. */
static void found_by_the_target(void **state)
{
    p2p_hook_subscription_t other = ours("s-9", "active");

    (void)state;
    other.criteria = "Task?";
    settings->conditional_ids = 1;
    fake_answer(&fake, 400, "");
    fake_answer(&fake, 200, "");
    answer_with("Location", "Subscription/s-9");
    fake_answer(&fake, 200, p2p_hook_subscription_print(pool, &other, NULL));
    fake_answer(&fake, 200, "");
    fake_answer(&fake, 200, there("s-9", "active"));
    fake_answer(&fake, 200, EMPTY);
    check();
    asked(3, "PUT", at("s-9"));
    assert_string_equal(row()->status, "active");
}

static void switched_on_again(void **state)
{
    static const char *const found[] = {"off", "error"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        well(derived());
        fake_answer(&fake, 200, there(derived(), found[i]));
        fake_answer(&fake, 200, "");
        fake_answer(&fake, 200, there(derived(), "requested"));
        fake_answer(&fake, 200, there(derived(), "active"));
        fake_answer(&fake, 200, EMPTY);
        check();
        asked(1, "PUT", at(derived()));
        assert_string_equal(fake.asked[1].body, there(derived(), "requested"));
        assert_string_equal(row()->status, "active");
        assert_int_equal(ask_int("SELECT (due - checked) / 1000000 FROM p2p_subscription"), 60);
    }
}

/* At growing intervals. */
static void switched_off_for_good(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        fake_answer(&fake, 200, there(derived(), "off"));
        fake_answer(&fake, 200, "");
        fake_answer(&fake, 200, there(derived(), "off"));
        check();
        assert_string_equal(row()->status, "off");
        assert_non_null(strstr(row()->fault, "off again at once"));
        assert_int_equal(ask_int("SELECT (due - checked) / 1000000 FROM p2p_subscription"), i < 6 ? 10 << i : 600);
    }
}

static void kept_up_to_date(void **state)
{
    const char *before;

    (void)state;
    well(derived());
    before = there(derived(), "active");
    expect_ok(p2p_subscription_rotate(db, pool, ring, TARGET, ENDPOINT));
    fake_answer(&fake, 200, before);
    fake_answer(&fake, 200, "");
    fake_answer(&fake, 200, there(derived(), "active"));
    fake_answer(&fake, 200, EMPTY);
    check();
    asked(1, "PUT", at(derived()));
    assert_string_equal(fake.asked[1].body, there(derived(), "requested"));
    well(derived());
    settings->subscription_payload = "none";
    settings->subscription_headers = "X-Route: p2p\nX-Other: 1";
    fake_answer(&fake, 200, there(derived(), "active"));
    fake_answer(&fake, 200, "");
    fake_answer(&fake, 200, there(derived(), "active")); /* it has its own mind: once is enough */
    fake_answer(&fake, 200, EMPTY);
    check();
    assert_non_null(strstr(fake.asked[1].body, "\"X-Route: p2p\",\"X-Other: 1\""));
    assert_null(strstr(fake.asked[1].body, "payload"));
    well(derived());
}

/* A target that shows no secrets is not written to for that. */
static void headers_hidden(void **state)
{
    p2p_hook_subscription_t shown = ours(derived(), "active");
    const char *text;

    (void)state;
    shown.headers = apr_array_make(pool, 1, sizeof(const char *));
    text = p2p_hook_subscription_print(pool, &shown, NULL);
    fake_answer(&fake, 404, "");
    fake_answer(&fake, 201, "");
    fake_answer(&fake, 200, text);
    fake_answer(&fake, 200, EMPTY);
    check();
    fake_answer(&fake, 200, text);
    fake_answer(&fake, 200, EMPTY);
    check();
    assert_int_equal(fake.count, 2);
    shown.criteria = "Task?status=x"; /* but for what somebody changed there */
    fake_answer(&fake, 200, p2p_hook_subscription_print(pool, &shown, NULL));
    fake_answer(&fake, 200, "");
    fake_answer(&fake, 200, text);
    fake_answer(&fake, 200, EMPTY);
    check();
    asked(1, "PUT", at(derived()));
}

static void second_ones_removed(void **state)
{
    static const char by_hand[] = "{\"resourceType\":\"Subscription\",\"id\":\"z\",\"reason\":\"made by hand\",\"channel\":{\"endpoint\":\"" ENDPOINT "\"}}";

    (void)state;
    fake_answer(&fake, 200, there(derived(), "active"));
    fake_answer(&fake, 200, page(there("a", "active"), there(derived(), "active")));
    fake_answer(&fake, 204, "");
    check();
    assert_int_equal(fake.count, 3);
    asked(2, "DELETE", at("a"));
    fake_answer(&fake, 200, there(derived(), "active"));
    fake_answer(&fake, 200, page(by_hand, there("b", "off")));
    fake_answer(&fake, 500, "");
    check();
    assert_int_equal(fake.count, 3);
    asked(2, "DELETE", at("b")); /* tried again at the next check */
    assert_string_equal(row()->status, "active");
}

static void refused_by(int status, const char *words)
{
    (void)words;
    fake_answer(&fake, 404, "");
    fake_answer(&fake, status, "");
    fake_answer(&fake, status, "");
    fake_answer(&fake, status, words);
    check();
    assert_string_equal(row()->status, "refused");
    assert_int_equal(ask_int("SELECT (due - checked) / 1000000 FROM p2p_subscription"), 3600);
    assert_non_null(strstr(row()->fault, apr_psprintf(pool, "POST Subscription is answered %d", status)));
}

static void refused(void **state)
{
    static const int statuses[] = {400, 404, 405, 422, 501};

    (void)state;
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) refused_by(statuses[i], "");
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_task_hint WHERE task_id = ''"), 1);
    fake_answer(&fake, 200, there(derived(), "active")); /* an hour later it takes them */
    fake_answer(&fake, 200, EMPTY);
    check();
    assert_string_equal(row()->status, "active");
    assert_string_equal(row()->fault, "");
}

static const char *outcome(const char *diagnostics)
{
    return apr_psprintf(pool, "{\"resourceType\":\"OperationOutcome\",\"issue\":[{\"severity\":\"error\",\"code\":\"invalid\",\"diagnostics\":\"%s\"}]}", diagnostics);
}

/* The target's words are told, unless they have what only the target may know. */
static void words_of_a_refusal(void **state)
{
    (void)state;
    refused_by(422, outcome("Subscription.criteria cannot be read"));
    assert_non_null(strstr(row()->fault, "Subscription.criteria cannot be read"));
    refused_by(422, outcome(apr_pstrcat(pool, "bad header ", row()->secret, NULL)));
    assert_null(strstr(row()->fault, row()->secret));
    settings->subscription_headers = "X-Key: abc";
    refused_by(422, outcome("bad header abc"));
    assert_null(strstr(row()->fault, "abc"));
}

static void trouble_at(const char *words)
{
    check();
    if (!strstr(row()->fault, words)) fail_msg("%s", row()->fault);
    assert_string_equal(row()->status, "active");
}

static void trouble(void **state)
{
    (void)state;
    well(derived());
    fake_failure(&fake, "unreachable");
    trouble_at("The peer is unreachable.");
    fake_answer(&fake, 503, "");
    trouble_at("answered 503");
    fake_answer(&fake, 401, "");
    trouble_at("P2PTargetAuth");
    fake_answer(&fake, 403, "");
    trouble_at("P2PTargetAuth");
    fake_answer(&fake, 302, "");
    trouble_at("answered 302");
    fake_answer(&fake, 200, "<html>");
    trouble_at("brings no Subscription");
    assert_int_equal(row()->attempts, 6);
    assert_int_equal(ask_int("SELECT (due - checked) / 1000000 FROM p2p_subscription"), 320);
    well(derived());
    assert_int_equal(row()->attempts, 0);
}

/* A target that takes a PUT and chooses an id all the same: what it says it made is ours, and no further one is made each time. */
static void put_under_another_id(void **state)
{
    (void)state;
    fake_answer(&fake, 404, "");
    fake_answer(&fake, 201, there("s-1", "requested"));
    fake_answer(&fake, 200, there("s-1", "active"));
    fake_answer(&fake, 200, page(there("s-1", "active"), NULL));
    check();
    asked(1, "PUT", at(derived()));
    asked(2, "GET", at("s-1"));
    assert_string_equal(row()->id, "s-1");
    well("s-1");
}

static void put_under_an_id_untold(void **state)
{
    (void)state;
    fake_answer(&fake, 404, "");
    fake_answer(&fake, 200, "");
    fake_answer(&fake, 404, "");
    fake_answer(&fake, 200, page(there("s-1", "active"), NULL));
    fake_answer(&fake, 200, page(there("s-1", "active"), NULL));
    check();
    asked(3, "GET", AT_TARGET QUERY "&_count=50");
    assert_string_equal(row()->id, "s-1");
    well("s-1");
}

static void gone_while_looked_at(void **state)
{
    (void)state;
    fake_answer(&fake, 404, "");
    fake_answer(&fake, 201, "");
    fake_answer(&fake, 404, "");
    fake_answer(&fake, 200, EMPTY);
    check();
    assert_non_null(strstr(row()->fault, "gone away"));
    settings->conditional_ids = 1;
    fake_answer(&fake, 200, EMPTY);
    fake_answer(&fake, 201, "");
    fake_answer(&fake, 200, EMPTY);
    check();
    assert_non_null(strstr(row()->fault, "cannot be found"));
}

static void not_wanted(void **state)
{
    int count;

    (void)state;
    settings->hook_url = NULL;
    check();
    assert_int_equal(fake.count, 0);
    expect_ok(p2p_subscription_ask(&context, pool, &count));
    assert_int_equal(count, 0);
    expect_ok(p2p_subscription_ask_due(&context, pool, &count));
    assert_int_equal(count, 0);
}

/* A secret that no key opens: said, and not tried each second. */
static void without_the_key(void **state)
{
    (void)state;
    row();
    settings->keyring = p2p_keyring_make(pool);
    add_key(settings->keyring);
    check();
    assert_int_equal(fake.count, 0);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_subscription WHERE fault <> '' AND due > checked"), 1);
}

static void when_due(void **state)
{
    int count;

    (void)state;
    expect_ok(p2p_subscription_ask_due(&context, pool, &count));
    assert_int_equal(count, 1);
    expect_ok(p2p_subscription_ask(&context, pool, &count));
    assert_int_equal(count, 0);
    run_sql("DELETE FROM p2p_job");
    well(derived());
    expect_ok(p2p_subscription_ask_due(&context, pool, &count));
    assert_int_equal(count, 0);
    run_sql("UPDATE p2p_subscription SET due = 1");
    expect_ok(p2p_subscription_ask_due(&context, pool, &count));
    assert_int_equal(count, 1);
}

/* It waits for the target: nothing of it is left when the runner ends. */
static void abandoned(void **state)
{
    void *work;

    (void)state;
    fake_answer(&fake, 200, there(derived(), "requested"));
    work = begin_work(claimed_chore(P2P_KIND_SUBSCRIPTION, 0, ""));
    for (int i = 0; i < 3; i++) fake_step(&fake);
    p2p_work_subscription.destroy(work);
    assert_int_equal(ended, 0);
    assert_true(p2p_timers_next(fake.timers) < 0);
}

static void stopped(void **state)
{
    p2p_chore_t *chore;
    void *work;

    (void)state;
    fake_answer(&fake, 200, there(derived(), "requested"));
    chore = claimed_chore(P2P_KIND_SUBSCRIPTION, 0, "");
    work = begin_work(chore);
    for (int i = 0; i < 3; i++) fake_step(&fake);
    run_sql("UPDATE p2p_job SET status = 'STOPPING'");
    p2p_work_subscription.tick(work);
    for (int i = 0; i < 3; i++) fake_step(&fake);
    assert_int_equal(ended, 1);
    p2p_work_subscription.destroy(work);
    assert_true(p2p_timers_next(fake.timers) < 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, begin_subscription, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(seeded_by_id), TEST(never_without_reason), TEST(made_active), TEST(never_active), TEST(created_instead), TEST(conditional),
        TEST(found_by_the_target), TEST(switched_on_again), TEST(switched_off_for_good), TEST(kept_up_to_date), TEST(headers_hidden),
        TEST(second_ones_removed), TEST(refused), TEST(words_of_a_refusal), TEST(trouble), TEST(put_under_another_id),
        TEST(put_under_an_id_untold), TEST(gone_while_looked_at), TEST(not_wanted),
        TEST(without_the_key), TEST(when_due), TEST(abandoned), TEST(stopped),
    };

    return run_group("subscription_run", tests, sizeof tests / sizeof *tests);
}
