/* SPDX-License-Identifier: Apache-2.0 */
/* The token source of a job: when it refreshes, what it sends, what it stores, and what it does when that fails. */
#include "store_fixture.h"

#include <apr_base64.h>
#include "fake_http.h"
#include "oidc/refresh.h"

#define ENDPOINT "https://source.example/token"
#define GIVEN(access, refresh, more) "{\"access_token\":\"" access "\",\"refresh_token\":\"" refresh "\"" more "}"

typedef struct told_t {
    int calls;
    const char *access, *patient, *code;
    const char *stored; /* refresh token in the database at that moment */
} told_t;

static fake_http_t net;
static p2p_clock_t clock_;
static p2p_oidc_server_t *server;
static apr_int64_t grant_id;
static apr_pool_t *job; /* what the token source lives in */
static p2p_token_t *token;

static p2p_grant_t *grant(void)
{
    p2p_grant_t *g;

    expect_ok(p2p_grant_get(db, pool, ring, grant_id, &g));
    return g;
}

static void order(const char *access, const char *refresh)
{
    p2p_job_order_t o = {.access_token = access, .refresh_token = refresh, .source_patient = "s", .target_patient = "t",
                         .organization = "payer"};
    p2p_job_t *made;

    o.urls = apr_array_make(pool, 1, sizeof(const char *));
    expect_ok(p2p_job_enqueue(db, pool, ring, TARGET, server, &o, "portal", &made));
    grant_id = made->grant_id;
    token = p2p_token_make(job, &net.http, db, ring, &clock_, &test_log, server, grant_id, "A");
}

static int begin(void **state)
{
    set_up(state);
    server = stored_server("source");
    server->token_endpoint = ENDPOINT;
    apr_pool_create(&job, pool);
    fake_http_make(&net, pool, &clock_);
    return 0;
}

static void on_told(void *baton, const char *access, const char *patient, const p2p_error_t *error)
{
    told_t *told = baton;

    told->calls++;
    told->access = access ? apr_pstrdup(pool, access) : NULL;
    told->patient = patient ? apr_pstrdup(pool, patient) : NULL;
    told->code = error ? apr_pstrdup(pool, error->code) : "";
    told->stored = grant()->refresh_token;
    assert_int_equal(access != NULL, error == NULL);
    if (error) assert_null(strstr(error->sentence, "refresh-1"));
}

/* Asks and lets the loop run until it is told. */
static told_t get(const char *refused)
{
    told_t told = {0};

    p2p_token_get(token, refused, on_told, &told);
    for (int i = 0; i < 600 && !told.calls && fake_step(&net); i++) continue;
    assert_int_equal(told.calls, 1);
    return told;
}

static void assert_given(told_t told, const char *access)
{
    assert_string_equal(told.code, "");
    assert_string_equal(told.access, access);
}

static void assert_failed(told_t told, const char *code)
{
    assert_null(told.access);
    assert_string_equal(told.code, code);
}

static const char *jwt(apr_time_t issued, apr_time_t expires)
{
    const char *payload = apr_psprintf(pool, "{\"iat\":%ld,\"exp\":%ld}", (long)apr_time_sec(issued),
                                       (long)apr_time_sec(expires));
    char *text = apr_palloc(pool, 1000);

    apr_base64_encode(text, payload, (int)strlen(payload));
    text[strcspn(text, "=")] = 0;
    return apr_pstrcat(pool, "eyJhIjoxfQ.", text, ".c2ln", NULL);
}

static void in_hand(void **state)
{
    (void)state;
    order("access-1", "refresh-1");
    assert_given(get(NULL), "access-1");
    assert_given(get("another"), "access-1");
    assert_int_equal(net.count, 0);
    assert_false(p2p_token_busy(token));
}

/* What the portal brought has run out: the new refresh token is stored before the access token is given. */
static void run_out(void **state)
{
    told_t told;

    (void)state;
    order(jwt(net.now - apr_time_from_sec(7200), net.now - apr_time_from_sec(3600)), "refresh-1");
    fake_answer(&net, 200, GIVEN("access-2", "refresh-2", ",\"expires_in\":3600,\"token_type\":\"Bearer\""));
    told = get(NULL);
    assert_given(told, "access-2");
    assert_string_equal(told.stored, "refresh-2");
    assert_int_equal(grant()->access_expires, net.now + apr_time_from_sec(3600));
    assert_string_equal(net.asked[0].url, ENDPOINT);
    assert_string_equal(net.asked[0].request.method, "POST");
    assert_true(net.asked[0].request.once);
    assert_true(net.asked[0].request.least_bytes > 0); /* one that dribbles stalls, too */
    assert_string_equal(net.asked[0].body, "grant_type=refresh_token&refresh_token=refresh-1");
    assert_string_equal(net.asked[0].basic, "client:se-cret");
}

static void ahead_of_expiry(void **state)
{
    apr_time_t begun;

    (void)state;
    order("access-1", "refresh-1");
    fake_answer(&net, 200, GIVEN("access-2", "refresh-2", ",\"expires_in\":\"3600\""));
    assert_given(get("access-1"), "access-2");
    begun = net.now;
    net.now = begun + apr_time_from_sec(3569);
    assert_given(get(NULL), "access-2");
    net.now = begun + apr_time_from_sec(3571);
    fake_answer(&net, 200, GIVEN("access-3", "", ",\"expires_in\":40"));
    assert_given(get(NULL), "access-3");
    assert_string_equal(grant()->refresh_token, "refresh-2");
    begun = net.now;
    net.now = begun + apr_time_from_sec(31);
    assert_given(get(NULL), "access-3");
    net.now = begun + apr_time_from_sec(33);
    fake_answer(&net, 200, GIVEN("access-4", "refresh-4", ",\"expires_in\":1"));
    assert_given(get(NULL), "access-4");
    assert_int_equal(net.count, 3);
}

static void of_another(void **state)
{
    (void)state;
    order("access-1", "refresh-1");
    p2p_token_set_member(token, "M-1");
    assert_given(get(NULL), "access-1");
    fake_answer(&net, 200, GIVEN("access-2", "refresh-2", ",\"patient\":\"M-1\""));
    assert_given(get("access-1"), "access-2");
    fake_answer(&net, 200, GIVEN("access-3", "refresh-3", ",\"patient\":\"M-2\""));
    assert_failed(get("access-2"), "token-of-another-patient");
    assert_failed(get(NULL), "token-of-another-patient");
    assert_string_equal(grant()->refresh_token, "refresh-3");
}

/* What a 401 means depends on it. */
static void over(void **state)
{
    (void)state;
    order("access-1", "refresh-1");
    assert_given(get(NULL), "access-1");
    assert_false(p2p_token_is_over(token, "access-1"));
    fake_answer(&net, 200, GIVEN("access-2", "refresh-2", ",\"expires_in\":100"));
    assert_given(get("access-1"), "access-2");
    assert_true(p2p_token_is_over(token, "access-1"));
    assert_false(p2p_token_is_over(token, "access-2"));
    net.now += apr_time_from_sec(71);
    assert_true(p2p_token_is_over(token, "access-2"));
}

static void refused_one(void **state)
{
    (void)state;
    order("access-1", "refresh-1");
    fake_answer(&net, 200, GIVEN("access-2", "refresh-2", ""));
    assert_given(get("access-1"), "access-2");
    assert_given(get("access-1"), "access-2"); /* of an earlier request: no second refresh */
    assert_int_equal(net.count, 1);
    fake_answer(&net, 200, GIVEN("access-2", "refresh-3", ""));
    assert_failed(get("access-2"), "token-refused"); /* the same again: there would be no end */
}

static void forms(void **state)
{
    (void)state;
    server->client_id = "a:b c";
    server->client_secret = "s/+%";
    server->custom_token_params = "memberId, audience=https://x.example/?a=b  tenant=7";
    order("access-1", "refresh-1 +&");
    fake_answer(&net, 200, GIVEN("access-2", "", ",\"memberId\":\"M-9\",\"patient\":\"other\""));
    assert_string_equal(get("access-1").patient, "M-9");
    assert_string_equal(net.asked[0].basic, "a%3Ab%20c:s%2F%2B%25");
    assert_string_equal(net.asked[0].body, "grant_type=refresh_token&refresh_token=refresh-1%20%2B%26"
                        "&audience=https%3A%2F%2Fx.example%2F%3Fa%3Db&tenant=7");
    server->client_secret = "";
    fake_answer(&net, 200, GIVEN("access-3", "", ",\"patient\":42"));
    assert_string_equal(get("access-2").patient, "42");
    assert_null(net.asked[1].basic);
    assert_non_null(strstr(net.asked[1].body, "&client_id=a%3Ab%20c&"));
}

static int is_marked(void)
{
    return (int)ask_int("SELECT COUNT(*) FROM p2p_grant WHERE refresh_owner <> ''");
}

/* Who is not known by Basic may be by the form, and the other way round; what the server's document says comes first. */
static void ways_to_show_the_secret(void **state)
{
    apr_int64_t tally = 0;

    (void)state;
    net.http.tally = &tally;
    order("access-1", "refresh-1");
    fake_answer(&net, 401, "{\"error\":\"invalid_client\"}");
    fake_answer(&net, 200, GIVEN("access-2", "refresh-2", ""));
    assert_given(get("access-1"), "access-2");
    assert_non_null(net.asked[0].basic);
    assert_null(net.asked[1].basic);
    assert_string_equal(net.asked[1].body, "grant_type=refresh_token&refresh_token=refresh-1&client_id=client&client_secret=se-cret");
    fake_answer(&net, 200, GIVEN("access-3", "refresh-3", ""));
    assert_given(get("access-2"), "access-3");
    assert_null(net.asked[2].basic); /* once found out it stays */
    assert_int_equal(tally, 0);
    fake_answer(&net, 400, "{\"error\":\"invalid_client\"}");
    fake_answer(&net, 401, "{\"error\":\"invalid_client\"}");
    assert_failed(get("access-3"), "token-answer-unusable");
    assert_int_equal(net.count, 5);
    assert_int_equal(tally, 1);
    assert_false(grant()->ended);
}

static void methods_of_the_document(void **state)
{
    static const struct {
        const char *methods;
        int basic;
    } cases[] = {{"", 1}, {",\"token_endpoint_auth_methods_supported\":[\"client_secret_post\"]", 0},
                 {",\"token_endpoint_auth_methods_supported\":[\"client_secret_post\",\"client_secret_basic\"]", 1},
                 {",\"token_endpoint_auth_methods_supported\":[\"private_key_jwt\",7]", 1}};

    (void)state;
    server->token_endpoint = "";
    for (apr_size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *access = apr_psprintf(pool, "access-%d", (int)i);
        int asked = net.count;

        order(access, apr_psprintf(pool, "refresh-of-%d", (int)i));
        run_sql("DELETE FROM p2p_job");
        fake_answer(&net, 200, apr_pstrcat(pool, "{\"token_endpoint\":\"" ENDPOINT "\"", cases[i].methods, "}", NULL));
        fake_answer(&net, 200, GIVEN("access-new", "", ""));
        assert_given(get(access), "access-new");
        assert_int_equal(net.asked[asked + 1].basic != NULL, cases[i].basic);
    }
}

/* A Retry-After that is longer than a refresh may take is kept to all the same. */
static void left_alone(void **state)
{
    (void)state;
    order("access-1", "refresh-1");
    fake_answer(&net, 429, "");
    net.answers[0].retry_after = "120";
    assert_failed(get("access-1"), "token-endpoint-unreachable");
    assert_failed(get("access-1"), "token-endpoint-unreachable");
    assert_int_equal(net.count, 1);
    assert_false(is_marked());
    net.now += apr_time_from_sec(121);
    fake_answer(&net, 429, "");
    net.answers[0].retry_after = "0";
    fake_answer(&net, 200, GIVEN("access-2", "refresh-2", ""));
    assert_given(get("access-1"), "access-2");
    assert_int_equal(net.count, 3);
}

static void assert_waits(p2p_token_wait_t wait, apr_time_t until)
{
    apr_time_t told = -1;

    assert_int_equal(p2p_token_waits(token, &told), wait);
    assert_true(told == until);
}

static void comes_again(void **state)
{
    told_t told = {0};

    (void)state;
    order("access-1", "refresh-1");
    p2p_token_get(token, "access-1", on_told, &told);
    assert_waits(P2P_TOKEN_ASKED_FOR, 0);
    fake_answer(&net, 503, "");
    net.answers[0].retry_after = "7";
    while (net.answer_count) assert_true(fake_step(&net));
    assert_waits(P2P_TOKEN_COMES_AGAIN, net.now + apr_time_from_sec(7));
    fake_answer(&net, 200, GIVEN("access-2", "refresh-2", ""));
    while (!told.calls) assert_true(fake_step(&net));
    assert_waits(P2P_TOKEN_NOT_WANTED, 0);
    assert_true(p2p_token_refreshed(token) == net.now);
}

static void dead_grant(void **state)
{
    apr_int64_t tally = 0;

    (void)state;
    net.http.tally = &tally;
    order("access-1", "refresh-1");
    fake_answer(&net, 400, "{\"error\":\"invalid_grant\",\"error_description\":\"refresh-1 was used\"}");
    assert_failed(get("access-1"), "token-refused");
    assert_true(grant()->ended);
    assert_failed(get("access-1"), "token-refused");
    assert_int_equal(net.count, 1);
    assert_int_equal(tally, 1); /* what the loop would not have counted: the endpoint refused */
}

static void no_refresh_token(void **state)
{
    const char *access = jwt(net.now, net.now + apr_time_from_sec(100));

    (void)state;
    order(access, "");
    net.now += apr_time_from_sec(80);
    assert_given(get(NULL), access); /* to its end, no margin */
    net.now += apr_time_from_sec(21);
    assert_failed(get(NULL), "token-refused");
    assert_failed(get(access), "token-refused");
    assert_int_equal(net.count, 0);
}

static void unusable_answers(void **state)
{
    static const struct {
        int status;
        const char *body;
    } bad[] = {
        {400, "{\"error\":\"unauthorized_client\"}"}, {403, "no"}, {404, ""}, {200, "<html>"}, {200, "[]"}, {200, "{}"},
        {200, "{\"access_token\":\"\"}"}, {200, "{\"access_token\":\"a\\nb\"}"}, {200, "{\"access_token\":7}"},
        {200, "{\"access_token\":\"a\",\"refresh_token\":\"b c\"}"}, {200, "{\"access_token\":\"a\",\"token_type\":\"DPoP\"}"},
        {302, ""}, {403, "{\"error\":\"invalid_grant\"}"},
    };

    (void)state;
    order("access-1", "refresh-1");
    for (apr_size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fake_answer(&net, bad[i].status, bad[i].body);
        assert_failed(get("access-1"), "token-answer-unusable");
        assert_false(grant()->ended);
        assert_false(is_marked());
    }
    assert_string_equal(grant()->refresh_token, "refresh-1");
}

static void trouble_at_the_endpoint(void **state)
{
    apr_time_t begun = net.now;

    (void)state;
    order("access-1", "refresh-1");
    fake_failure(&net, "unreachable");
    fake_answer(&net, 500, "");
    fake_answer(&net, 503, "");
    net.answers[2].retry_after = "7";
    fake_answer(&net, 200, GIVEN("access-2", "refresh-2", ""));
    assert_given(get("access-1"), "access-2");
    assert_int_equal(net.now - begun, 500000 + 1000000 + 7000000);
    for (int i = 0; i < 7; i++) fake_failure(&net, "unreachable");
    begun = net.now;
    assert_failed(get("access-2"), "token-endpoint-unreachable");
    assert_int_equal(net.now - begun, 23500000); /* the mark holds for a minute */
    assert_int_equal(net.count, 11);
    assert_false(is_marked());
    assert_false(grant()->ended);
}

/* A request that may have been heard is sent once more only where the access token is worth nothing any more. */
static void lost_answers(void **state)
{
    (void)state;
    order("access-1", "refresh-1");
    fake_failure(&net, "cut-short");
    fake_answer(&net, 200, GIVEN("access-2", "refresh-2", ",\"expires_in\":100"));
    assert_given(get("access-1"), "access-2");
    net.now += apr_time_from_sec(80);
    fake_answer(&net, 504, ""); /* as a proxy does, whatever has become of it behind */
    assert_given(get(NULL), "access-2");
    assert_int_equal(net.count, 3);
    assert_given(get(NULL), "access-2"); /* and no other attempt until it ends */
    assert_int_equal(net.count, 3);
    assert_false(is_marked());
    net.now += apr_time_from_sec(21);
    fake_answer(&net, 200, GIVEN("access-3", "refresh-3", ""));
    assert_given(get(NULL), "access-3");
    fake_failure(&net, "stalled");
    fake_failure(&net, "cut-short");
    assert_failed(get("access-3"), "token-endpoint-unreachable");
    assert_int_equal(net.count, 6);
}

static void another_is_at_it(void **state)
{
    told_t told = {0};
    int mine;

    (void)state;
    order("access-1", "refresh-1");
    expect_ok(p2p_grant_begin_refresh(db, pool, grant_id, grant()->version, "B", &mine));
    assert_true(mine);
    assert_given(get(NULL), "access-1"); /* still good */
    p2p_token_get(token, "access-1", on_told, &told);
    for (int i = 0; i < 10; i++) assert_true(fake_step(&net));
    assert_int_equal(told.calls, 0);
    assert_waits(P2P_TOKEN_ELSEWHERE, 0);
    assert_true(p2p_token_refreshed(token) == 0);
    expect_ok(p2p_grant_end_refresh(db, pool, ring, grant_id, "B", "access-9", 0, "refresh-9"));
    while (!told.calls) assert_true(fake_step(&net));
    assert_given(told, "access-9");
    assert_true(p2p_token_refreshed(token) == net.now);
    assert_int_equal(net.count, 0);
}

static void another_died(void **state)
{
    told_t told = {0};
    int mine;

    (void)state;
    order("access-1", "refresh-1");
    expect_ok(p2p_grant_begin_refresh(db, pool, grant_id, grant()->version, "B", &mine));
    p2p_token_get(token, "access-1", on_told, &told);
    assert_true(fake_step(&net));
    run_sql("UPDATE p2p_grant SET refresh_until = 1");
    fake_answer(&net, 200, GIVEN("access-2", "refresh-2", ""));
    while (!told.calls) assert_true(fake_step(&net));
    assert_given(told, "access-2");
    expect_ok(p2p_grant_begin_refresh(db, pool, grant_id, grant()->version, "B", &mine));
    assert_failed(get("access-2"), "token-endpoint-unreachable"); /* one that never ends */
}

/* A runner died between asking and noting: its refresh token may be spent, and sending it again may cost the grant. */
static void in_doubt(void **state)
{
    int mine;

    (void)state;
    order("access-1", "refresh-1");
    fake_answer(&net, 200, GIVEN("access-2", "refresh-2", ",\"expires_in\":3600"));
    assert_given(get("access-1"), "access-2");
    expect_ok(p2p_grant_begin_refresh(db, pool, grant_id, grant()->version, "B", &mine));
    assert_true(mine);
    run_sql("UPDATE p2p_grant SET refresh_until = 1");
    net.now += apr_time_from_sec(3595);
    assert_given(get(NULL), "access-2");
    assert_int_equal(net.count, 1);
    net.now += apr_time_from_sec(6);
    fake_answer(&net, 200, GIVEN("access-3", "refresh-3", ""));
    assert_given(get(NULL), "access-3");
}

static void shared(void **state)
{
    told_t told[3] = {{0}, {0}, {0}};

    (void)state;
    order("access-1", "refresh-1");
    for (int i = 0; i < 3; i++) p2p_token_get(token, "access-1", on_told, &told[i]);
    assert_true(p2p_token_busy(token));
    fake_answer(&net, 200, GIVEN("access-2", "refresh-2", ""));
    while (!told[2].calls) assert_true(fake_step(&net));
    for (int i = 0; i < 3; i++) assert_given(told[i], "access-2");
    assert_int_equal(net.count, 1);
    assert_false(p2p_token_busy(token));
}

static void discovered(void **state)
{
    (void)state;
    server->token_endpoint = "";
    server->auth_well_known = "https://source.example/.well-known/openid-configuration";
    order("access-1", "refresh-1");
    fake_answer(&net, 404, "");
    fake_answer(&net, 200, "{\"token_endpoint\":\"" ENDPOINT "\"}");
    fake_answer(&net, 200, GIVEN("access-2", "refresh-2", ""));
    assert_given(get("access-1"), "access-2");
    assert_string_equal(net.asked[0].url, server->auth_well_known);
    assert_string_equal(net.asked[1].url, "https://source.example/fhir/.well-known/smart-configuration");
    assert_true(net.asked[0].request.least_bytes > 0 && net.asked[1].request.least_bytes > 0);
    assert_string_equal(net.asked[2].url, ENDPOINT);
    fake_answer(&net, 200, GIVEN("access-3", "refresh-3", ""));
    assert_given(get("access-2"), "access-3");
    assert_int_equal(net.count, 4);
}

static void not_discovered(void **state)
{
    static const char *const bad[] = {"{}", "nonsense", "{\"token_endpoint\":\"http://elsewhere.example/token\"}",
                                      "{\"token_endpoint\":\"https://u:p@source.example/\"}"};

    (void)state;
    server->token_endpoint = "";
    order("access-1", "refresh-1");
    for (int i = 0; i < 4; i++) {
        fake_answer(&net, 200, bad[i]);
        assert_failed(get("access-1"), "token-answer-unusable");
    }
    fake_failure(&net, "unreachable");
    assert_failed(get("access-1"), "token-endpoint-unreachable");
    fake_answer(&net, 502, "");
    assert_failed(get("access-1"), "token-endpoint-unreachable");
    assert_false(is_marked());
}

/* The job goes away while its refresh is under way: the rotated token is not lost. */
static void orphan(void **state)
{
    told_t told = {0};

    (void)state;
    order("access-1", "refresh-1");
    p2p_token_get(token, "access-1", on_told, &told);
    assert_true(fake_step(&net));
    assert_int_equal(net.count, 1);
    apr_pool_destroy(job);
    fake_answer(&net, 200, GIVEN("access-2", "refresh-2", ""));
    while (fake_step(&net)) continue;
    assert_int_equal(told.calls, 0);
    assert_string_equal(grant()->refresh_token, "refresh-2");
    assert_false(is_marked());
}

static void cancelled(void **state)
{
    told_t told = {0};

    (void)state;
    server->token_endpoint = "";
    order("access-1", "refresh-1");
    p2p_token_get(token, "access-1", on_told, &told);
    p2p_token_cancel(token);
    fake_answer(&net, 200, "{}");
    while (fake_step(&net)) continue;
    assert_int_equal(told.calls, 0);
}

typedef struct greedy_t {
    int calls;
} greedy_t;

/* Asks again from within, as one would who retries at once. */
static void ask_again(void *baton, const char *access, const char *patient, const p2p_error_t *error)
{
    greedy_t *greedy = baton;

    (void)access;
    (void)patient;
    (void)error;
    if (++greedy->calls < 3) p2p_token_get(token, "access-1", ask_again, greedy);
}

static void from_within(void **state)
{
    greedy_t greedy = {0};

    (void)state;
    order("access-1", "refresh-1");
    p2p_token_get(token, "access-1", ask_again, &greedy);
    fake_answer(&net, 401, "{\"error\":\"invalid_request\"}");
    fake_answer(&net, 401, "{\"error\":\"invalid_request\"}");
    fake_answer(&net, 200, GIVEN("access-2", "refresh-2", ""));
    while (fake_step(&net)) continue;
    assert_int_equal(greedy.calls, 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(in_hand), TEST(run_out), TEST(ahead_of_expiry), TEST(refused_one), TEST(over), TEST(of_another), TEST(forms), TEST(ways_to_show_the_secret),
        TEST(methods_of_the_document), TEST(left_alone), TEST(comes_again), TEST(dead_grant),
        TEST(no_refresh_token), TEST(unusable_answers), TEST(trouble_at_the_endpoint), TEST(lost_answers),
        TEST(another_is_at_it), TEST(another_died), TEST(in_doubt), TEST(shared), TEST(discovered), TEST(not_discovered), TEST(orphan),
        TEST(cancelled), TEST(from_within),
    };

    return run_group("refresh", tests, sizeof tests / sizeof *tests);
}
