/* SPDX-License-Identifier: Apache-2.0 */
/* A job's Task: its text, what it is based on, the moments of its progress, what is noted of it. */
#include "job_fixture.h"
#include "fake_http.h"
#include "exchange/job_task.h"
#include "fhir/task.h"

#define OWN "{\"resourceType\":\"Task\",\"id\":\"own-1\",\"basedOn\":[{\"reference\":\"Task/asked/_history/2\"}],\"status\":\"in-progress\"," \
    "\"owner\":{\"reference\":\"" TARGET "/Organization/source-org\"},\"requester\":{\"reference\":\"Organization/payer\"}}"
#define NONE "{\"resourceType\":\"Bundle\",\"type\":\"searchset\"}"

static fake_http_t net;
static p2p_clock_t clock_;
static p2p_exchange_context_t context;
static p2p_trouble_t trouble;
static p2p_job_order_t order;
static p2p_job_t *job;
static p2p_job_task_t *task;
static int warnings, looked, begun, ended;

static void on_log(void *baton, p2p_log_level_t level, const char *line)
{
    (void)baton, (void)level, (void)line;
    warnings++;
}

static const p2p_log_t counting = {P2P_LOG_WARN, on_log, NULL};

static void on_looked(void *baton)
{
    (void)baton;
    looked++;
}

static void on_begun(void *baton, const p2p_error_t *error)
{
    (void)baton;
    expect_ok(error);
    begun++;
}

static void on_ended(void *baton)
{
    (void)baton;
    ended++;
}

/* Of this runner, which has the job now. */
static void make_task(const char *owner)
{
    p2p_job_task_settings_t set = {.context = &context, .order = &order, .server = server, .log = &counting, .trouble = &trouble};

    job = claim(owner);
    context.owner = owner;
    set.job = job;
    trouble = (p2p_trouble_t){.clock = &clock_};
    task = p2p_job_task_make(pool, &set);
    looked = begun = ended = 0;
}

static int begin_task(void **state)
{
    p2p_spec_t *spec;

    begin(state);
    spec = p2p_spec_make(pool);
    spec->target = TARGET;
    fake_http_make(&net, pool, &clock_);
    context = (p2p_exchange_context_t){.spec = spec, .clock = &clock_, .log = &counting, .http = &net.http, .target_http = &net.http, .db = db};
    order = order_for("src-1", "member", "r1");
    enqueue("src-1", "member", "r1");
    warnings = 0;
    make_task("A");
    return 0;
}

/* What is due now happens, and no more. */
static void run_due(void)
{
    for (apr_time_t due; (due = p2p_timers_next(net.timers)) >= 0 && due <= net.now;) assert_true(fake_step(&net));
}

static void answered(int status, const char *body)
{
    if (!net.answer_count) fake_answer(&net, status, body);
    while (net.answer_count) assert_true(fake_step(&net));
    run_due();
}

static const p2p_http_transfer_t *last_asked(void)
{
    assert_true(net.count > 0);
    return &net.asked[net.count - 1];
}

static int has_field(const p2p_http_transfer_t *t, const char *field)
{
    for (int i = 0; t->request.fields && i < t->request.fields->nelts; i++)
        if (!strcmp(APR_ARRAY_IDX(t->request.fields, i, const char *), field)) return 1;
    return 0;
}

static void assert_last(const char *method, const char *url)
{
    assert_string_equal(last_asked()->request.method, method);
    assert_string_equal(last_asked()->url, url);
}

static void assert_says(const char *words)
{
    if (!strstr(last_asked()->body, words)) fail_msg("%s is not in %s", words, last_asked()->body);
}

static const char *own_url(void)
{
    return apr_pstrcat(pool, TARGET "/Task/", p2p_id_derive(pool, p2p_id_deriver_make(pool, job->uuid), "Task", "job"), NULL);
}

static void made(void)
{
    p2p_job_task_begin(task, "source-org", 1, on_begun, NULL);
    assert_last("PUT", own_url());
    answered(201, "");
    assert_int_equal(begun, 1);
}

/* ---- The text ---- */

static void printed(void **state)
{
    p2p_job_counts_t counts = {.parts = 2, .retrieved = 15, .written = 9, .duplicate = 3, .skipped = 2, .rejected = 1};
    p2p_task_t doc = {.id = "t1", .job_uuid = "u", .status = "failed", .reason = "The target refused.", .based_on = "a", .patient = "m",
                      .owner = "o", .requester = "r", .requester_is_resource = 1, .authored = 1000, .modified = 2000, .counts = &counts};
    const char *text;

    (void)state;
    text = p2p_task_print(pool, &doc, NULL);
    assert_string_equal(text,
        "{\"resourceType\":\"Task\",\"id\":\"t1\","
        "\"meta\":{\"profile\":[\"http://hl7.org/fhir/us/davinci-hrex/StructureDefinition/hrex-task-data-request\"]},"
        "\"identifier\":[{\"system\":\"urn:ietf:rfc:3986\",\"value\":\"urn:uuid:u\"}],\"basedOn\":[{\"reference\":\"Task/a\"}],"
        "\"status\":\"failed\",\"statusReason\":{\"text\":\"The target refused.\"},\"intent\":\"order\","
        "\"code\":{\"coding\":[{\"system\":\"http://hl7.org/fhir/us/davinci-hrex/CodeSystem/hrex-temp\",\"code\":\"data-request\"},"
        "{\"system\":\"http://payer-to-payer-exchange/CodeSystem/p2p-internal-codes\",\"code\":\"p2p-exchange\"}]},"
        "\"for\":{\"reference\":\"Patient/m\"},\"authoredOn\":\"1970-01-01T00:00:00.001Z\",\"lastModified\":\"1970-01-01T00:00:00.002Z\","
        "\"requester\":{\"reference\":\"Organization/r\"},\"owner\":{\"reference\":\"Organization/o\"},"
        "\"input\":[{\"type\":{\"coding\":[{\"system\":\"http://hl7.org/fhir/us/davinci-hrex/CodeSystem/hrex-temp\",\"code\":\"data-code\"}]},"
        "\"valueCodeableConcept\":{\"text\":\"The member's record at the source payer\"}}],"
        "\"output\":["
#define OUTPUT(name, n) "{\"type\":{\"coding\":[{\"system\":\"http://payer-to-payer-exchange/CodeSystem/p2p-internal-codes\",\"code\":\"" name "\"}]},\"valueInteger\":" n "}"
        OUTPUT("parts", "2") "," OUTPUT("resources-retrieved", "15") "," OUTPUT("resources-written", "9") ","
        OUTPUT("resources-duplicate", "3") "," OUTPUT("resources-skipped", "2") "," OUTPUT("resources-rejected", "1") "]}");
    doc = (p2p_task_t){.job_uuid = "u", .status = "in-progress", .progress = p2p_task_progress(pool, &counts), .patient = "m", .owner = "o", .requester = "r"};
    text = p2p_task_print(pool, &doc, NULL);
    assert_non_null(strstr(text, "\"businessStatus\":{\"text\":\"2 parts; 15 resources retrieved, 9 written, 3 duplicate, 2 skipped, 1 rejected, 0 waiting\"}"));
    assert_non_null(strstr(text, "\"requester\":{\"type\":\"Organization\",\"identifier\":{\"value\":\"r\"}}"));
    assert_null(strstr(text, "focus"));
    assert_null(strstr(text, "basedOn"));
    assert_null(strstr(text, "output"));
}

static void read_back(void **state)
{
    const p2p_task_told_t *told = p2p_task_read(pool, OWN, strlen(OWN));
    static const char *const others[] = {"", "[]", "{}", "{\"resourceType\":\"Task\"}", "{\"resourceType\":\"Task\",\"id\":\"a/b\"}", NONE,
        "{\"resourceType\":\"Bundle\",\"entry\":[{\"resource\":{\"resourceType\":\"Patient\",\"id\":\"1\"}},7]}"};

    (void)state;
    assert_string_equal(told->id, "own-1");
    assert_string_equal(told->owner, "source-org");
    assert_string_equal(told->requester, "payer");
    assert_string_equal(told->based_on, "asked");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) assert_null(p2p_task_read(pool, others[i], strlen(others[i])));
#define ODD "{\"resourceType\":\"Bundle\",\"entry\":[{\"resource\":{\"resourceType\":\"Task\",\"id\":\"1\",\"owner\":{\"reference\":\"MyOrganization/x\"},\"basedOn\":[{\"reference\":\"Task/../x\"}]}}]}"
    told = p2p_task_read(pool, ODD, strlen(ODD));
    assert_string_equal(told->id, "1");
    assert_string_equal(told->owner, "");
    assert_string_equal(told->based_on, "");
}

/* ---- Progress ---- */

static void moments(void **state)
{
    static const int at[] = {10, 30, 70, 150, 310, 610, 910};
    p2p_job_counts_t counts = {.parts = 3, .retrieved = 30, .written = 20, .waiting = 10};
    int before, n = 0;

    (void)state;
    made();
    for (int second = 1; second <= 1000; second++) {
        net.now += apr_time_from_sec(1);
        before = net.count;
        p2p_job_task_tick(task, &counts);
        if (net.count == before) continue;
        assert_true(n < (int)(sizeof at / sizeof *at));
        assert_int_equal(second, at[n++]);
        assert_last("PUT", own_url());
        assert_true(last_asked()->request.beside);
        assert_says("\"status\":\"in-progress\"");
        assert_says("\"businessStatus\":{\"text\":\"3 parts; 30 resources retrieved, 20 written");
        if (n % 3 == 2) fake_failure(&net, "cut-short");
        answered(n % 3 ? 200 : 500, "");
    }
    assert_int_equal(n, 7);
    assert_int_equal(warnings, 0); /* one that fails is no trouble */
    assert_string_equal(reload(job)->task_fault, "");
}

/* The next one waits for the one under way, and so does the end, which would else be overtaken. */
static void one_at_a_time(void **state)
{
    p2p_job_counts_t counts = {.parts = 3};
    int before;

    (void)state;
    made();
    net.now += apr_time_from_sec(10);
    p2p_job_task_tick(task, &counts);
    before = net.count;
    for (int i = 0; i < 60; i++) {
        net.now += apr_time_from_sec(1);
        p2p_job_task_tick(task, &counts);
    }
    assert_int_equal(net.count, before);
    p2p_job_task_end(task, "completed", NULL, &counts, on_ended, NULL);
    p2p_job_task_tick(task, &counts);
    assert_int_equal(net.count, before);
    answered(200, "");
    assert_int_equal(net.count, before + 1);
    assert_says("\"status\":\"completed\"");
    assert_says("\"output\":[");
    assert_null(strstr(last_asked()->body, "businessStatus"));
    assert_int_equal(ended, 0);
    answered(200, "");
    assert_int_equal(ended, 1);
}

/* The job is abandoned while one is under way. */
static void abandoned(void **state)
{
    p2p_job_counts_t counts = {.parts = 3};
    apr_pool_t *whole = pool;

    (void)state;
    apr_pool_create(&pool, whole);
    p2p_job_release(db, pool, job, "A");
    make_task("B");
    p2p_job_task_begin(task, "source-org", 1, on_begun, NULL);
    answered(201, "");
    net.now += apr_time_from_sec(10);
    p2p_job_task_tick(task, &counts);
    apr_pool_destroy(pool);
    pool = whole;
    assert_true(last_asked()->is_over);
}

/* ---- A target that refuses it ---- */

static void refused(void **state)
{
    p2p_job_counts_t counts = {.parts = 3};
    int before;

    (void)state;
    p2p_job_task_begin(task, "source-org", 1, on_begun, NULL);
    answered(422, "{\"resourceType\":\"OperationOutcome\",\"issue\":[{\"severity\":\"error\",\"code\":\"x\",\"diagnostics\":\"Mary\"}]}");
    assert_int_equal(begun, 1);
    assert_int_equal(warnings, 1);
    assert_string_equal(reload(job)->task_id, "");
    assert_string_equal(reload(job)->task_fault, "The target does not take the job's Task: the answer was 422.");
    assert_string_equal(p2p_job_task_id(task), "");
    before = net.count;
    net.now += apr_time_from_sec(100);
    p2p_job_task_tick(task, &counts);
    p2p_job_task_end(task, "completed", NULL, &counts, on_ended, NULL);
    assert_int_equal(net.count, before);
    assert_int_equal(ended, 1);
    /* Whoever takes it over tries it again, and says no more than has been said. */
    expire("A");
    make_task("B");
    p2p_job_task_begin(task, "source-org", 1, on_begun, NULL);
    answered(422, "");
    assert_int_equal(warnings, 1);
    expire("B");
    expect_ok(p2p_runner_register(db, pool, "C", "httpd", 2, "host", 3, TARGET));
    make_task("C");
    made();
    assert_string_equal(reload(job)->task_fault, "");
    assert_string_equal(reload(job)->task_id, p2p_job_task_id(task));
    /* It takes the Task, but not its end. */
    p2p_job_task_end(task, "failed", "Why.", &counts, on_ended, NULL);
    answered(403, "");
    assert_int_equal(ended, 1);
    assert_int_equal(warnings, 2);
    expect_ok(p2p_job_task_save(task, pool));
    assert_non_null(strstr(reload(job)->task_fault, "403"));
    assert_string_equal(reload(job)->task_id, p2p_job_task_id(task));
}

/* ---- One that is there ---- */

static void taken_over(void **state)
{
    (void)state;
    made();
    expire("A");
    make_task("B");
    p2p_job_task_look(task, on_looked, NULL);
    assert_last("GET", own_url());
    answered(200, OWN);
    assert_last("GET", TARGET "/Task/asked");
    answered(200, "{\"resourceType\":\"Task\",\"id\":\"asked\",\"status\":\"completed\",\"requester\":{\"reference\":\"Patient/member\"},"
             "\"code\":{\"coding\":[{\"system\":\"http://payer-to-payer-exchange/CodeSystem/p2p-internal-codes\",\"code\":\"p2p-request-add-provider-id\"}]},"
             "\"input\":[{\"type\":{\"coding\":[{\"system\":\"http://payer-to-payer-exchange/CodeSystem/p2p-internal-codes\",\"code\":\"requester-email\"}]},"
             "\"valueString\":\"a@example.org\"}]}");
    assert_int_equal(looked, 1);
    assert_string_equal(p2p_job_task_email(task), "a@example.org");
    p2p_job_task_begin(task, "source-org", 1, on_begun, NULL);
    assert_says("\"basedOn\":[{\"reference\":\"Task/asked\"}]");
}

/* It is stopped before anything was asked of the target: the Task keeps what it says of others. */
static void stopped_at_once(void **state)
{
    p2p_job_counts_t counts = {.parts = 3};

    (void)state;
    made();
    expire("A");
    make_task("B");
    p2p_job_task_end(task, "on-hold", NULL, &counts, on_ended, NULL);
    assert_last("GET", own_url());
    assert_true(has_field(last_asked(), "Cache-Control: no-cache"));
    answered(200, OWN);
    assert_last("PUT", TARGET "/Task/own-1");
    assert_says("\"status\":\"on-hold\"");
    assert_says("\"basedOn\":[{\"reference\":\"Task/asked\"}]");
    assert_says("\"owner\":{\"reference\":\"Organization/source-org\"}");
    assert_says("\"requester\":{\"reference\":\"Organization/payer\"}");
    answered(200, "");
    assert_int_equal(ended, 1);
}

/* The first runner died after the target had it, and before that was noted; or before. */
static void not_noted(void **state)
{
    p2p_job_counts_t counts = {.parts = 3};

    (void)state;
    expire("A");
    make_task("B");
    p2p_job_task_end(task, "on-hold", NULL, &counts, on_ended, NULL);
    assert_last("GET", own_url());
    answered(200, OWN);
    assert_says("\"status\":\"on-hold\"");
    answered(200, "");
    expect_ok(p2p_job_task_save(task, pool));
    assert_string_equal(reload(job)->task_id, "own-1");
    run_sql("UPDATE p2p_job SET task_id = ''");
    expire("B");
    expect_ok(p2p_runner_register(db, pool, "C", "httpd", 2, "host", 3, TARGET));
    make_task("C");
    p2p_job_task_end(task, "on-hold", NULL, &counts, on_ended, NULL);
    answered(404, "");
    assert_int_equal(ended, 1);
    assert_string_equal(p2p_job_task_id(task), "");
}

/* ---- What it is based on ---- */

#define ASKED(id, time, status, patient, payer)                                                                                          \
    "{\"resource\":{\"resourceType\":\"Task\",\"id\":\"" id "\",\"meta\":{\"lastUpdated\":\"2026-11-" time "T09:31:54.024Z\"},"             \
    "\"status\":\"" status "\",\"requester\":{\"reference\":\"Patient/" patient "\"},"                                                        \
    "\"code\":{\"coding\":[{\"system\":\"http://payer-to-payer-exchange/CodeSystem/p2p-internal-codes\","                                   \
    "\"code\":\"p2p-request-add-provider-id\"}]},\"input\":["                                                                             \
    "{\"type\":{\"coding\":[{\"system\":\"http://payer-to-payer-exchange/CodeSystem/p2p-internal-codes\",\"code\":\"new-payer-name\"}]},"   \
    "\"valueString\":\"" payer "\"},"                                                                                                     \
    "{\"type\":{\"coding\":[{\"system\":\"http://payer-to-payer-exchange/CodeSystem/p2p-internal-codes\",\"code\":\"requester-email\"}]},"  \
    "\"valueString\":\"" id "@example.org\"}]}}"
#define PAGE(next, entries) "{\"resourceType\":\"Bundle\",\"type\":\"searchset\"" next ",\"entry\":[" entries "]}"
#define NEXT(url) ",\"link\":[{\"relation\":\"next\",\"url\":\"" url "\"}]"

static void newest_that_is_open(void **state)
{
    p2p_job_counts_t counts = {.parts = 1};

    (void)state;
    p2p_job_task_look(task, on_looked, NULL);
    assert_last("GET", TARGET "/Task?requester=Patient/member&code=http%3A%2F%2Fpayer-to-payer-exchange%2FCodeSystem%2Fp2p-internal-codes"
                "%7Cp2p-request-add-provider-id");
    assert_true(has_field(last_asked(), "Cache-Control: no-cache"));
    answered(200, PAGE(NEXT("https://target.example/fhir?_getpages=1"),
                       ASKED("a", "10", "requested", "member", "  SOURCE ") "," ASKED("b", "12", "in-progress", "member", "abcd") ","
                       ASKED("c", "20", "completed", "member", "source") "," ASKED("d", "21", "requested", "other", "source")));
    assert_last("GET", TARGET "?_getpages=1");
    answered(200, PAGE(NEXT("https://elsewhere.example/fhir?_getpages=2"),
                       ASKED("e", "11", "received", "member", "source") "," ASKED("f", "22", "requested", "member", "the source")));
    assert_last("GET", TARGET "?_getpages=2"); /* the server knows itself by another name */
    answered(404, "");
    assert_int_equal(looked, 1);
    assert_string_equal(p2p_job_task_email(task), "b@example.org");
    p2p_job_task_begin(task, "source-org", 1, on_begun, NULL);
    assert_says("\"basedOn\":[{\"reference\":\"Task/b\"}]");
    answered(200, "");
    p2p_job_task_end(task, "failed", "Why.", &counts, on_ended, NULL);
    assert_says("\"basedOn\":[{\"reference\":\"Task/b\"}]"); /* what was asked for is forgotten by then, what came of it is not */
    assert_string_equal(p2p_job_task_email(task), "b@example.org");
}

/* The link is not worth the Task. */
static void link_refused(void **state)
{
    (void)state;
    p2p_job_task_look(task, on_looked, NULL);
    answered(200, PAGE("", ASKED("a", "10", "requested", "member", "source")));
    assert_int_equal(looked, 1);
    p2p_job_task_begin(task, "source-org", 1, on_begun, NULL);
    assert_says("basedOn");
    answered(422, "");
    assert_int_equal(begun, 0);
    assert_null(strstr(last_asked()->body, "basedOn"));
    answered(200, "");
    assert_int_equal(begun, 1);
    assert_int_equal(warnings, 0);
    assert_string_equal(p2p_job_task_email(task), "a@example.org");
}

static void pages_without_end(void **state)
{
    int before = net.count;

    (void)state;
    p2p_job_task_look(task, on_looked, NULL);
    for (int i = 0; !looked && i < 50; i++) answered(200, PAGE(NEXT(TARGET "?again"), ASKED("a", "10", "requested", "member", "source")));
    assert_int_equal(looked, 1);
    assert_int_equal(net.count - before, 10);
}

static void no_search(void **state)
{
    static const int statuses[] = {400, 403, 404, 501, 503};

    (void)state;
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        looked = 0;
        p2p_job_task_look(task, on_looked, NULL);
        answered(statuses[i], "<html>no");
        while (!looked && net.answered < net.count) answered(statuses[i], "");
        while (!looked) {
            net.now = p2p_timers_next(net.timers);
            run_due();
            if (net.answered < net.count && !looked) answered(statuses[i], "");
        }
        assert_int_equal(looked, 1);
    }
    looked = 0;
    p2p_job_task_look(task, on_looked, NULL);
    answered(200, "not json");
    assert_int_equal(looked, 1);
    looked = 0;
    p2p_job_task_look(task, on_looked, NULL);
    for (int i = 0; !looked && i < 20; i++) assert_true(fake_step(&net)); /* it never answers */
    assert_int_equal(looked, 1);
    assert_string_equal(p2p_job_task_email(task), "");
    assert_int_equal(warnings, 0);
    made();
    assert_null(strstr(last_asked()->body, "basedOn"));
}

#define TASK_TEST(test) cmocka_unit_test_setup_teardown(test, begin_task, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TASK_TEST(printed), TASK_TEST(read_back), TASK_TEST(moments), TASK_TEST(one_at_a_time), TASK_TEST(abandoned), TASK_TEST(refused),
        TASK_TEST(taken_over), TASK_TEST(stopped_at_once), TASK_TEST(not_noted), TASK_TEST(newest_that_is_open), TASK_TEST(link_refused), TASK_TEST(pages_without_end),
        TASK_TEST(no_search),
    };

    return run_group("job_task", tests, sizeof tests / sizeof *tests);
}
