/* SPDX-License-Identifier: Apache-2.0 */
/* What requests to the target carry: credentials that never change, and the access token that all share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <apr_general.h>
#include "fake_http.h"
#include "oidc/target_http.h"

#define TARGET "https://target.example/fhir"
#define ENDPOINT "https://as.example/token"
#define CLIENT "{\"tokenEndpoint\":\"" ENDPOINT "\",\"clientId\":\"us\",\"clientSecret\":\"SECRET\"}"
#define TOKEN(name, more) "{\"access_token\":\"" name "\",\"token_type\":\"Bearer\"" more "}"

static apr_pool_t *pool;
static fake_http_t net;
static p2p_clock_t clock_;
static p2p_spec_t *spec;
static p2p_http_t *http;
static int warnings;

typedef struct told_t {
    int begun, done, status;
    const char *code, *sentence, *body;
    p2p_error_kind_t kind;
} told_t;

static void on_log(void *baton, p2p_log_level_t level, const char *line)
{
    (void)baton, (void)level;
    assert_null(strstr(line, "SECRET"));
    warnings++;
}

static const p2p_log_t test_log = {P2P_LOG_WARN, on_log, NULL};

static int begin(void **state)
{
    (void)state;
    apr_pool_create(&pool, NULL);
    fake_http_make(&net, pool, &clock_);
    spec = p2p_spec_make(pool);
    spec->target = TARGET;
    warnings = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

static void make(p2p_target_auth_kind_t kind, const char *credential)
{
    spec->target_auth = kind;
    spec->target_credential = credential;
    assert_null(p2p_target_http_make(pool, &net.http, &clock_, &test_log, spec, &http));
}

static void on_told(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len,
                    const p2p_error_t *error)
{
    told_t *told = baton;

    (void)fields, (void)len;
    told->done++;
    told->status = status;
    told->body = apr_pstrdup(pool, body);
    told->code = error ? apr_pstrdup(pool, error->code) : "";
    told->sentence = error ? apr_pstrdup(pool, error->sentence) : "";
    if (error) told->kind = error->kind;
    assert_null(strstr(told->sentence, "SECRET"));
}

static void on_begun(void *baton)
{
    ((told_t *)baton)->begun++;
}

static p2p_http_transfer_t *get(const char *path, told_t *told)
{
    p2p_http_request_t request = {.method = "GET", .url = apr_pstrcat(pool, TARGET, path, NULL), .max_bytes = 4096, .begun = on_begun};
    p2p_http_transfer_t *transfer;

    memset(told, 0, sizeof *told);
    assert_null(p2p_http_fetch(http, pool, &request, on_told, told, &transfer));
    assert_int_equal(told->done, 0);
    return transfer;
}

static void run_until(const told_t *told)
{
    for (int i = 0; i < 100 && !told->done && fake_step(&net); i++) continue;
    assert_int_equal(told->done, 1);
}

static void assert_answer(const told_t *told, int status, const char *body)
{
    run_until(told);
    assert_string_equal(told->code, "");
    assert_true(told->begun > 0);
    assert_int_equal(told->status, status);
    assert_string_equal(told->body, body);
}

static void assert_failed(const told_t *told, p2p_error_kind_t kind, const char *code)
{
    run_until(told);
    assert_string_equal(told->code, code);
    assert_int_equal(told->kind, kind);
    assert_int_equal(told->status, 0);
}

static void assert_asked(int number, const char *url, const char *bearer)
{
    assert_true(number < net.count);
    assert_string_equal(net.asked[number].url, url);
    if (bearer) assert_string_equal(net.asked[number].bearer, bearer);
    else assert_null(net.asked[number].bearer);
}

static void that_never_change(void **state)
{
    told_t told;

    (void)state;
    make(P2P_AUTH_NONE, NULL);
    get("/a", &told);
    make(P2P_AUTH_BEARER, "the-token");
    get("/b", &told);
    make(P2P_AUTH_BASIC, "user:password");
    get("/c", &told);
    spec->target_cert = "CERT";
    spec->target_key = "KEY";
    make(P2P_AUTH_CERTIFICATE, NULL);
    get("/d", &told);
    assert_asked(0, TARGET "/a", NULL);
    assert_asked(1, TARGET "/b", "the-token");
    assert_string_equal(net.asked[2].basic, "user:password");
    assert_string_equal(net.asked[3].request.auth->cert_pem, "CERT");
    assert_string_equal(net.asked[3].request.auth->key_pem, "KEY");
}

/* Three requests wait for one token; the next ones use it until shortly before its end. */
static void shared_and_renewed(void **state)
{
    told_t told[3], later;
    apr_time_t begun;

    (void)state;
    make(P2P_AUTH_CLIENT_CREDENTIALS, CLIENT);
    for (int i = 0; i < 3; i++) get("/x", &told[i]);
    assert_int_equal(net.count, 0);
    fake_answer(&net, 200, TOKEN("t-1", ",\"expires_in\":3600"));
    for (int i = 0; i < 3; i++) fake_answer(&net, 200, "{}");
    for (int i = 0; i < 3; i++) assert_answer(&told[i], 200, "{}");
    assert_int_equal(net.count, 4);
    assert_asked(0, ENDPOINT, NULL);
    assert_string_equal(net.asked[0].basic, "us:SECRET");
    assert_string_equal(net.asked[0].body, "grant_type=client_credentials");
    assert_true(net.asked[0].request.once);
    assert_true(net.asked[0].request.least_bytes > 0); /* one that dribbles stalls, too */
    for (int i = 1; i < 4; i++) assert_asked(i, TARGET "/x", "t-1");
    begun = net.now;
    net.now = begun + apr_time_from_sec(3569);
    fake_answer(&net, 200, "{}");
    get("/x", &later);
    assert_answer(&later, 200, "{}");
    assert_asked(4, TARGET "/x", "t-1");
    net.now = begun + apr_time_from_sec(3571);
    fake_answer(&net, 200, TOKEN("t-2", ",\"expires_in\":2"));
    fake_answer(&net, 200, "{}");
    get("/x", &later);
    assert_answer(&later, 200, "{}");
    assert_asked(6, TARGET "/x", "t-2");
}

/* The caller sees nothing of a 401 that a new token mends, and the one that it does not mend. */
static void refused_ones(void **state)
{
    told_t one, two;

    (void)state;
    make(P2P_AUTH_CLIENT_CREDENTIALS, CLIENT);
    fake_answer(&net, 200, TOKEN("t-1", ""));
    fake_answer(&net, 401, "not this");
    fake_answer(&net, 401, "nor this");
    fake_answer(&net, 200, TOKEN("t-2", ""));
    fake_answer(&net, 200, "one");
    fake_answer(&net, 401, "never");
    get("/1", &one);
    get("/2", &two);
    assert_answer(&one, 200, "one");
    assert_answer(&two, 401, "never");
    assert_int_equal(net.count, 6);
    assert_asked(4, TARGET "/1", "t-2");
    assert_asked(5, TARGET "/2", "t-2");
}

static void no_token(void **state)
{
    told_t told, other;

    (void)state;
    make(P2P_AUTH_CLIENT_CREDENTIALS, CLIENT);
    get("/1", &told);
    get("/2", &other);
    fake_answer(&net, 401, "{\"error\":\"invalid_client\",\"error_description\":\"bad SECRET\"}");
    assert_failed(&told, P2P_E_REFUSED, "target-token-refused");
    assert_failed(&other, P2P_E_REFUSED, "target-token-refused");
    assert_non_null(strstr(told.sentence, ENDPOINT " refused to give a token (401, invalid_client)"));
    assert_non_null(strstr(told.sentence, "P2PTargetAuth"));
    assert_int_equal(net.count, 1);
    assert_int_equal(warnings, 1);
    fake_answer(&net, 200, "{\"nothing\":1}");
    get("/1", &told);
    assert_failed(&told, P2P_E_REFUSED, "target-token-refused");
}

/* Trouble that may pass is told as such, and the endpoint is left alone for a while, or for as long as it asks. */
static void endpoint_away(void **state)
{
    told_t told;
    apr_time_t begun = net.now;

    (void)state;
    make(P2P_AUTH_CLIENT_CREDENTIALS, CLIENT);
    get("/1", &told);
    fake_failure(&net, "unreachable");
    assert_failed(&told, P2P_E_UNAVAILABLE, "token-endpoint-unreachable");
    assert_int_equal(net.now - begun, 0);
    get("/1", &told);
    fake_answer(&net, 503, "");
    net.answers[0].retry_after = "20";
    assert_failed(&told, P2P_E_UNAVAILABLE, "token-endpoint-unreachable");
    assert_int_equal(net.now - begun, apr_time_from_sec(1));
    get("/1", &told);
    fake_answer(&net, 200, TOKEN("t-1", ",\"expires_in\":100"));
    fake_answer(&net, 200, "{}");
    assert_answer(&told, 200, "{}");
    assert_int_equal(net.now - begun, apr_time_from_sec(21));
    net.now += apr_time_from_sec(80);
    get("/1", &told);
    fake_failure(&net, "unreachable");
    fake_answer(&net, 200, "{}");
    assert_answer(&told, 200, "{}"); /* the old one to its end */
    assert_asked(net.count - 1, TARGET "/1", "t-1");
}

static void found_by_discovery(void **state)
{
    told_t told;

    (void)state;
    make(P2P_AUTH_CLIENT_CREDENTIALS, "{\"clientId\":\"us\",\"clientSecret\":\"SECRET\"}");
    get("/1", &told);
    fake_answer(&net, 404, "");
    assert_failed(&told, P2P_E_REFUSED, "target-token-refused");
    assert_non_null(strstr(told.sentence, TARGET "/.well-known/smart-configuration"));
    get("/1", &told);
    fake_answer(&net, 200, "{\"token_endpoint\":\"" ENDPOINT "\"}");
    fake_answer(&net, 200, TOKEN("t-1", ""));
    fake_answer(&net, 200, "{}");
    assert_answer(&told, 200, "{}");
    assert_asked(0, TARGET "/.well-known/smart-configuration", NULL);
    assert_asked(2, ENDPOINT, NULL);
}

/* A caller that goes away, waiting or under way, is not told and harms nobody. */
static void cancelled(void **state)
{
    told_t gone, stays;
    p2p_http_transfer_t *transfer;

    (void)state;
    make(P2P_AUTH_CLIENT_CREDENTIALS, CLIENT);
    transfer = get("/gone", &gone);
    get("/stays", &stays);
    http->cancel(transfer);
    fake_answer(&net, 200, TOKEN("t-1", ""));
    fake_answer(&net, 200, "{}");
    assert_answer(&stays, 200, "{}");
    transfer = get("/gone", &gone);
    http->cancel(transfer);
    while (fake_step(&net)) continue;
    assert_int_equal(gone.done, 0);
    assert_int_equal(net.count, 3);
}

static void on_timer(void *baton)
{
    *(int *)baton = 1;
}

static void timers(void **state)
{
    int fired = 0;

    (void)state;
    make(P2P_AUTH_CLIENT_CREDENTIALS, CLIENT);
    http->cancel_timer(http->after(http, 5, on_timer, &fired));
    while (fake_step(&net)) continue;
    assert_int_equal(fired, 0);
    http->after(http, 5, on_timer, &fired);
    while (fake_step(&net)) continue;
    assert_int_equal(fired, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(that_never_change), TEST(shared_and_renewed), TEST(refused_ones), TEST(no_token), TEST(endpoint_away),
        TEST(found_by_discovery), TEST(cancelled), TEST(timers),
    };
    int failures;

    apr_initialize();
    failures = cmocka_run_group_tests_name("target_http", tests, NULL, NULL);
    apr_terminate();
    return failures;
}
