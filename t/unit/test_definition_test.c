/* SPDX-License-Identifier: Apache-2.0 */
/* A definition is tried: each step has its verdict, none keeps the next from being tried, and the secret goes to the token endpoint alone. */
#include "chore_fixture.h"

#define WELL_KNOWN "https://source.example/well-known"
#define DOCUMENT "{\"issuer\":\"https://source.example/\",\"authorization_endpoint\":\"https://source.example/authorize\"," \
                 "\"token_endpoint\":\"https://source.example/token\",\"jwks_uri\":\"https://source.example/jwks\"}"
#define KEYS "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"1\",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\"," \
             "\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\"%s}]}"
#define CAPABILITY "{\"resourceType\":\"CapabilityStatement\",\"fhirVersion\":\"4.0.1\",\"format\":[\"json\"],\"software\":{\"name\":\"S <b>\\u0007\"}}"

static json_object *result;

static int begin_tests(void **state)
{
    begin_chores(state);
    run_sql("UPDATE p2p_oidc_server SET auth_well_known = '" WELL_KNOWN "', key_text = ''");
    return 0;
}

#define TRY_TEST(test) cmocka_unit_test_setup_teardown(test, begin_tests, tear_down)

/* Has the answers of the list given, and reads what came of it; nothing of it names a secret. */
static void try_it(void)
{
    p2p_chore_t *chore = claimed_chore(P2P_KIND_TEST, server->pid, "");

    work_off(chore);
    expect_ok(p2p_chore_get(db, pool, P2P_KIND_TEST, server->pid, chore->job.id, &chore));
    assert_int_equal(chore->job.status, P2P_JOB_COMPLETED);
    assert_null(strstr(chore->result, "se-cret"));
    result = p2p_json_obj(p2p_chore_public(pool, chore), "result");
    assert_int_equal(json_object_array_length(p2p_json_arr(result, "steps")), 4);
    assert_int_equal(fake.answer_count, 0);
}

static void expect_step(int i, const char *name, int ok, const char *words)
{
    json_object *step = json_object_array_get_idx(p2p_json_arr(result, "steps"), (size_t)i), *value;

    assert_string_equal(p2p_json_str(step, "name"), name);
    if (!strstr(p2p_json_str(step, "detail"), words)) fail_msg("%s: %s", name, p2p_json_str(step, "detail"));
    assert_true(json_object_object_get_ex(step, "ok", &value));
    assert_int_equal(json_object_get_boolean(value), ok);
    assert_true(p2p_json_int(step, "milliseconds", -1) >= 0);
}

static int all_ok(void)
{
    json_object *value;

    assert_true(json_object_object_get_ex(result, "ok", &value));
    return json_object_get_boolean(value);
}

static void all_is_well(void **state)
{
    (void)state;
    fake_answer(&fake, 200, DOCUMENT);
    fake_answer(&fake, 400, "{\"error\":\"invalid_grant\"}");
    fake_answer(&fake, 200, apr_psprintf(pool, KEYS, ""));
    fake_answer(&fake, 200, CAPABILITY);
    try_it();
    assert_true(all_ok());
    expect_step(0, "wellKnown", 1, WELL_KNOWN);
    expect_step(1, "tokenEndpoint", 1, "knows the client");
    expect_step(2, "jwks", 1, "1 key");
    expect_step(3, "capabilityStatement", 1, "by S ?b??.");
    assert_string_equal(fake.asked[1].url, "https://source.example/token");
    assert_string_equal(fake.asked[1].basic, "client:se-cret");
    assert_non_null(strstr(fake.asked[1].body, "grant_type=refresh_token&refresh_token=definition-test-"));
    for (int i = 0; i < fake.count; i++) assert_true(i == 1 || (!fake.asked[i].basic && !fake.asked[i].bearer && !fake.asked[i].body));
    assert_string_equal(fake.asked[3].url, "https://source.example/fhir/metadata");
}

/* Whatever is wrong, all four are tried as far as they can be. */
static void nothing_answers(void **state)
{
    (void)state;
    fake_failure(&fake, "unreachable");
    fake_failure(&fake, "unreachable");
    fake_failure(&fake, "timed-out");
    try_it();
    assert_false(all_ok());
    expect_step(0, "wellKnown", 0, "unreachable");
    expect_step(1, "tokenEndpoint", 0, "No token endpoint is known");
    expect_step(2, "jwks", 0, "No keys are known");
    expect_step(3, "capabilityStatement", 0, "timed-out");
}

/* Nothing that another issuer's document names is asked, and no secret goes there. */
static void another_issuer(void **state)
{
    (void)state;
    fake_answer(&fake, 200, "{\"issuer\":\"https://evil.example\",\"authorization_endpoint\":\"https://evil.example/a\","
                            "\"token_endpoint\":\"https://evil.example/token\",\"jwks_uri\":\"https://evil.example/jwks\"}");
    fake_answer(&fake, 404, "");
    fake_answer(&fake, 200, CAPABILITY);
    try_it();
    expect_step(0, "wellKnown", 0, "another issuer");
    expect_step(1, "tokenEndpoint", 0, "No token endpoint is known");
    expect_step(2, "jwks", 0, "No keys are known");
    expect_step(3, "capabilityStatement", 1, "FHIR R4");
    for (int i = 0; i < fake.count; i++) assert_null(strstr(fake.asked[i].url, "evil"));
}

/* The first step alone, with a document that is not as it has to be. */
static void document(int status, const char *body, const char *words)
{
    run_sql("UPDATE p2p_oidc_server SET token_endpoint = 'https://source.example/token'");
    fake_answer(&fake, status, body);
    fake_answer(&fake, 400, "{\"error\":\"invalid_grant\"}");
    if (strstr(body, "jwks")) fake_answer(&fake, 404, "");
    fake_answer(&fake, 200, CAPABILITY);
    try_it();
    assert_false(all_ok());
    expect_step(0, "wellKnown", 0, words);
}

static void documents(void **state)
{
    (void)state;
    document(302, "", WELL_KNOWN " redirects (302)");
    document(200, "[]", "not a JSON object");
    document(200, "{\"issuer\":\"x\"", "not a JSON object");
    document(200, "{}", "names no issuer");
    document(503, "", "answered 503");
    document(200, "{\"issuer\":\"https://source.example\",\"token_endpoint\":\"http://source.example/token\"}", "token_endpoint that cannot be used");
    document(200, "{\"issuer\":\"https://source.example\",\"token_endpoint\":\"http://127.0.0.1:9/token\"}", "token_endpoint that cannot be used");
    document(200, "{\"issuer\":\"https://source.example\"}", "no authorization_endpoint");
    document(200, "{\"issuer\":\"https://source.example\",\"jwks_uri\":\"https://source.example/jwks\"}", "no authorization_endpoint");
}

/* The second step alone. */
static void endpoint(int status, const char *body, int ok, const char *words)
{
    run_sql("UPDATE p2p_oidc_server SET client_secret = ''");
    fake_answer(&fake, 200, DOCUMENT);
    fake_answer(&fake, status, body);
    fake_answer(&fake, 200, apr_psprintf(pool, KEYS, ""));
    fake_answer(&fake, 200, CAPABILITY);
    try_it();
    expect_step(1, "tokenEndpoint", ok, words);
    assert_int_equal(all_ok(), ok);
}

static void endpoints(void **state)
{
    (void)state;
    endpoint(401, "{\"error\":\"invalid_client\"}", 0, "does not know the client");
    endpoint(400, "{\"error\":\"unauthorized_client\"}", 0, "may not refresh");
    endpoint(400, "{\"error\":\"unsupported_grant_type\"}", 1, "refreshes no tokens");
    endpoint(400, "{\"error\":\"invalid_request\"}", 1, "does not say whether");
    endpoint(400, "{\"error\":\"<script>\"}", 0, "not as a token endpoint does");
    endpoint(400, "<html>", 0, "not as a token endpoint does");
    endpoint(200, "{\"access_token\":\"x\"}", 0, "nobody issued");
    endpoint(307, "", 0, "redirects (307)");
    endpoint(500, "{\"error\":\"invalid_grant\"}", 0, "answered 500");
}

/* A client that is not known by the one way is shown by the other, once. */
static void by_the_other_way(void **state)
{
    (void)state;
    fake_answer(&fake, 200, DOCUMENT);
    fake_answer(&fake, 401, "{\"error\":\"invalid_client\"}");
    fake_answer(&fake, 400, "{\"error\":\"invalid_grant\"}");
    fake_answer(&fake, 200, apr_psprintf(pool, KEYS, ""));
    fake_answer(&fake, 200, CAPABILITY);
    try_it();
    assert_true(all_ok());
    assert_null(fake.asked[2].basic);
    assert_non_null(strstr(fake.asked[2].body, "client_secret=se-cret"));
}

/* Where the first document leaves the endpoint out it is the FHIR server's. */
static void by_the_second_document(void **state)
{
    (void)state;
    fake_answer(&fake, 404, "");
    fake_answer(&fake, 200, "{\"token_endpoint\":\"https://source.example/smart-token\"}");
    fake_answer(&fake, 400, "{\"error\":\"invalid_grant\"}");
    fake_answer(&fake, 200, CAPABILITY);
    try_it();
    assert_string_equal(fake.asked[1].url, "https://source.example/fhir/.well-known/smart-configuration");
    assert_string_equal(fake.asked[2].url, "https://source.example/smart-token");
    expect_step(1, "tokenEndpoint", 1, "knows the client");
}

static void smart_alone(void **state)
{
    (void)state;
    run_sql("UPDATE p2p_oidc_server SET auth_well_known = ''");
    fake_answer(&fake, 200, "{\"authorization_endpoint\":\"https://source.example/a\",\"token_endpoint\":\"https://source.example/smart-token\"}");
    fake_answer(&fake, 400, "{\"error\":\"invalid_grant\"}");
    fake_answer(&fake, 200, CAPABILITY);
    try_it();
    assert_true(all_ok());
    expect_step(0, "wellKnown", 1, "names no issuer");
    expect_step(2, "jwks", 1, "none are needed");
}

static void keys(void **state)
{
    (void)state;
    fake_answer(&fake, 200, DOCUMENT);
    fake_answer(&fake, 400, "{\"error\":\"invalid_grant\"}");
    fake_answer(&fake, 200, apr_psprintf(pool, KEYS, ",\"d\":\"se-cret\""));
    fake_answer(&fake, 200, CAPABILITY);
    try_it();
    expect_step(2, "jwks", 0, "https://source.example/jwks ");
    run_sql("UPDATE p2p_oidc_server SET auth_well_known = '', key_file = ''");
    fake_answer(&fake, 404, "");
    fake_answer(&fake, 200, CAPABILITY);
    try_it();
    expect_step(2, "jwks", 0, "No keys are known");
}

static void own_keys(void **state)
{
    p2p_oidc_server_t changed = some_server("source", server->issuer);
    apr_array_header_t *servers = apr_array_make(pool, 1, sizeof changed);
    int created, updated;

    (void)state;
    changed.key_text = apr_psprintf(pool, KEYS, "");
    APR_ARRAY_PUSH(servers, p2p_oidc_server_t) = changed;
    expect_ok(p2p_oidc_server_import(db, pool, ring, servers, &created, &updated));
    fake_answer(&fake, 404, "");
    fake_answer(&fake, 200, CAPABILITY);
    try_it();
    expect_step(2, "jwks", 1, "own keys can be used");
}

static void capability(int status, const char *body, int ok, const char *words)
{
    fake_answer(&fake, 404, "");
    fake_answer(&fake, 404, "");
    fake_answer(&fake, status, body);
    try_it();
    expect_step(3, "capabilityStatement", ok, words);
}

static void capabilities(void **state)
{
    (void)state;
    capability(200, "{\"resourceType\":\"CapabilityStatement\",\"fhirVersion\":\"4.0.1\"}", 1, "a program without a name");
    capability(200, "{\"resourceType\":\"CapabilityStatement\",\"fhirVersion\":\"5.0.0\"}", 0, "not FHIR R4");
    capability(200, "{\"resourceType\":\"CapabilityStatement\",\"fhirVersion\":\"4.0.1\",\"format\":[\"xml\"]}", 0, "JSON is none of them");
    capability(200, "{\"resourceType\":\"Patient\"}", 0, "no CapabilityStatement");
    capability(200, "nothing", 0, "no CapabilityStatement");
    capability(401, "", 0, "without a token");
    capability(302, "", 0, "redirects");
}

/* A definition that is gone, or that cannot be opened, fails with words. */
static void cannot_be_tried(void **state)
{
    p2p_chore_t *chore = claimed_chore(P2P_KIND_TEST, server->pid, "");

    (void)state;
    run_sql("DELETE FROM p2p_oidc_server");
    work_off(chore);
    expect_ok(p2p_chore_get(db, pool, P2P_KIND_TEST, server->pid, chore->job.id, &chore));
    assert_int_equal(chore->job.status, P2P_JOB_FAILED);
    assert_string_equal(chore->job.error_code, "no-such-server");
    assert_int_equal(fake.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRY_TEST(all_is_well), TRY_TEST(nothing_answers), TRY_TEST(another_issuer), TRY_TEST(documents), TRY_TEST(endpoints),
        TRY_TEST(by_the_other_way), TRY_TEST(by_the_second_document), TRY_TEST(smart_alone), TRY_TEST(keys), TRY_TEST(own_keys),
        TRY_TEST(capabilities), TRY_TEST(cannot_be_tried),
    };

    return run_group("definition_test", tests, sizeof tests / sizeof *tests);
}
