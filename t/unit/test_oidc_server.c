/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of a definition, and the documents made of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "model/oidc_server.h"

static apr_pool_t *pool;
static apr_array_header_t *errors;

#define GOOD "\"name\":\"A\",\"issuer\":\"https://a.example/issuer/\",\"fhirEndpoint\":\"https://a.example/fhir/\""

static p2p_oidc_server_t read_text(const char *text, int allow_http)
{
    p2p_oidc_server_t server;
    json_object *doc;
    p2p_error_t *error = p2p_json_parse(pool, text, strlen(text), &doc);

    if (error) fail_msg("%s: %s", text, error->sentence);
    errors = p2p_field_errors(pool);
    p2p_oidc_server_read(pool, doc, allow_http, "/3", &server, errors);
    return server;
}

static const p2p_field_error_t *error_at(int i)
{
    return &APR_ARRAY_IDX(errors, i, p2p_field_error_t);
}

/* GOOD with further members has exactly this fault. */
static void expect_fault(const char *members, const char *pointer, const char *detail)
{
    read_text(apr_pstrcat(pool, "{" GOOD ",", members, "}", NULL), 0);
    if (errors->nelts != 1) fail_msg("%s: %d errors", members, errors->nelts);
    assert_string_equal(error_at(0)->pointer, pointer);
    if (!strstr(error_at(0)->detail, detail)) fail_msg("%s: %s", members, error_at(0)->detail);
}

static void expect_good(const char *members)
{
    read_text(apr_pstrcat(pool, "{" GOOD ",", members, "}", NULL), 0);
    if (errors->nelts) fail_msg("%s: %s %s", members, error_at(0)->pointer, error_at(0)->detail);
}

static void all_members(void **state)
{
    p2p_oidc_server_t s = read_text(
        "{\"name\":\"P2P Source Payer A\",\"issuer\":\"https://sourcepayerA.com/issuer\",\"clientId\":\"p2pexchangeclientId\","
        "\"clientSecret\":\"s\",\"keyText\":\"{\\\"keys\\\":[{\\\"kty\\\":\\\"RSA\\\"}]}\",\"keyFile\":\"a.jwks\","
        "\"scopes\":\"openid profile offline_access\",\"customTokenParams\":\"memberId\","
        "\"authWellKnown\":\"https://sourcepayerA.com/.well-known/openid-configuration\","
        "\"tokenEndpoint\":\"https://sourcepayerA.com/token-endpoint\",\"fhirEndpoint\":\"https://sourcepayerA.com/fhir-endpoint\","
        "\"responseType\":\"code\",\"organizationId\":\"ABCD\",\"notes\":\"two\\nlines\",\"unknown\":[1]}", 0);

    (void)state;
    assert_int_equal(errors->nelts, 0);
    assert_string_equal(s.client_secret, "s");
    assert_string_equal(s.key_file, "a.jwks");
    assert_string_equal(s.notes, "two\nlines");
    assert_string_equal(s.id_namespace, s.issuer);
    s.pid = 1;
    assert_string_equal(
        p2p_json_print(pool, p2p_oidc_server_public(pool, &s), NULL),
        "{\"pid\":1,\"name\":\"P2P Source Payer A\",\"issuer\":\"https://sourcepayerA.com/issuer\",\"clientId\":\"p2pexchangeclientId\","
        "\"scopes\":\"openid profile offline_access\",\"customTokenParams\":\"memberId\","
        "\"authWellKnown\":\"https://sourcepayerA.com/.well-known/openid-configuration\","
        "\"tokenEndpoint\":\"https://sourcepayerA.com/token-endpoint\",\"fhirEndpoint\":\"https://sourcepayerA.com/fhir-endpoint\","
        "\"responseType\":\"code\",\"organizationId\":\"ABCD\"}");
    assert_string_equal(p2p_json_print(pool, p2p_oidc_server_listed(pool, &s), NULL),
                        "{\"pid\":1,\"name\":\"P2P Source Payer A\"}");
}

static void least(void **state)
{
    p2p_oidc_server_t s = read_text("{" GOOD ",\"notes\":null}", 0);

    (void)state;
    assert_int_equal(errors->nelts, 0);
    assert_string_equal(s.issuer, "https://a.example/issuer");
    assert_string_equal(s.fhir_endpoint, "https://a.example/fhir");
    assert_string_equal(s.response_type, "code");
    assert_string_equal(s.token_endpoint, "");
    assert_string_equal(s.notes, "");
}

static void required(void **state)
{
    (void)state;
    read_text("{}", 0);
    assert_int_equal(errors->nelts, 3);
    assert_string_equal(error_at(0)->pointer, "/3/name");
    assert_string_equal(error_at(1)->pointer, "/3/issuer");
    assert_string_equal(error_at(2)->pointer, "/3/fhirEndpoint");
    read_text("{\"name\":5,\"issuer\":[],\"fhirEndpoint\":{}}", 0);
    assert_int_equal(errors->nelts, 3);
    assert_string_equal(error_at(1)->detail, "must be a string");
    read_text("[1]", 0);
    assert_int_equal(errors->nelts, 1);
    assert_string_equal(error_at(0)->pointer, "/3");
    read_text("null", 0);
    assert_int_equal(errors->nelts, 1);
}

static void urls(void **state)
{
    (void)state;
    expect_fault("\"tokenEndpoint\":\"http://a.example/token\"", "/3/tokenEndpoint", "https");
    expect_fault("\"tokenEndpoint\":\"https://u:p@a.example/token\"", "/3/tokenEndpoint",
                 "without user name");
    expect_fault("\"tokenEndpoint\":\"https://a.example/token#x\"", "/3/tokenEndpoint", "fragment");
    expect_fault("\"authWellKnown\":\"/relative\"", "/3/authWellKnown", "absolute");
    expect_fault("\"authWellKnown\":\"https://a.example/a b\"", "/3/authWellKnown", "spaces");
    expect_good("\"tokenEndpoint\":\"http://127.0.0.1:8/token?x=1\"");
    read_text("{\"name\":\"A\",\"issuer\":\"http://a.example\",\"fhirEndpoint\":\"http://a.example/fhir\"}",
              1);
    assert_int_equal(errors->nelts, 0);
    read_text("{\"name\":\"A\",\"issuer\":\"http://a.example\",\"fhirEndpoint\":\"https://a.example/fhir?x=1\"}", 0);
    assert_int_equal(errors->nelts, 2);
}

static void response_types(void **state)
{
    static const char *const good[] = {"code", "token", "id_token", "id_token token", "code id_token",
                                       "code token",
                                       "code id_token token", "none"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        p2p_oidc_server_t s = read_text(apr_psprintf(pool, "{" GOOD ",\"responseType\":\"%s\"}", good[i]), 0);

        assert_int_equal(errors->nelts, 0);
        assert_string_equal(s.response_type, good[i]);
    }
    assert_string_equal(read_text("{" GOOD ",\"responseType\":\" token  code\"}", 0).response_type,
                        "code token");
    expect_fault("\"responseType\":\"code none\"", "/3/responseType", "alone");
    expect_fault("\"responseType\":\"code code\"", "/3/responseType", "one or more of");
    expect_fault("\"responseType\":\"Code\"", "/3/responseType", "one or more of");
    expect_fault("\"responseType\":1", "/3/responseType", "must be a string");
}

static void token_params(void **state)
{
    (void)state;
    expect_good("\"customTokenParams\":\"memberId\"");
    expect_good("\"customTokenParams\":\"memberId, audience=https://x/?a=b resource=1\"");
    expect_good("\"customTokenParams\":\" , \"");
    expect_fault("\"customTokenParams\":\"a b\"", "/3/customTokenParams", "more than one");
    expect_fault("\"customTokenParams\":\"=x\"", "/3/customTokenParams", "name=value");
    expect_fault("\"customTokenParams\":\"a&b=x\"", "/3/customTokenParams", "name=value");
    expect_fault("\"customTokenParams\":\"grant_type=x\"", "/3/customTokenParams", "grant_type");
}

static void keys_and_texts(void **state)
{
    (void)state;
    expect_good("\"keyText\":\"{\\n\\\"kty\\\":\\\"EC\\\"}\"");
    expect_good("\"keyFile\":\"A-b_c.9.json\"");
    expect_fault("\"keyFile\":\"/etc/passwd\"", "/3/keyFile", "plain file name");
    expect_fault("\"keyFile\":\"../a\"", "/3/keyFile", "plain file name");
    expect_fault("\"keyFile\":\".a\"", "/3/keyFile", "plain file name");
    expect_fault("\"keyFile\":\"a b\"", "/3/keyFile", "plain file name");
    expect_fault("\"keyFile\":5", "/3/keyFile", "must be a string");
    expect_good("\"archived\":null");
    expect_fault("\"archived\":\"true\"", "/3/archived", "true or false");
    expect_fault("\"archived\":1", "/3/archived", "true or false");
    expect_fault("\"clientId\":\"a\\u0000b\"", "/3/clientId", "control");
    expect_fault("\"clientId\":\"a\\nb\"", "/3/clientId", "control");
    expect_fault(apr_psprintf(pool, "\"organizationId\":\"%0201d\"", 0), "/3/organizationId",
                 "longer than 200");
}

/* The document of "old" after a patch, as far as it is to be read again. */
static const char *merged(const char *patch)
{
    p2p_oidc_server_t old = read_text("{" GOOD ",\"scopes\":\"s\",\"clientSecret\":\"planted\",\"keyText\":\"planted\",\"keyFile\":\"f\",\"notes\":\"n\","
                                      "\"archived\":true}", 0);
    json_object *doc;

    old.pid = 7;
    assert_null(p2p_json_parse(pool, patch, strlen(patch), &doc));
    return p2p_json_print(pool, p2p_oidc_server_merge(pool, &old, doc), NULL);
}

#define OLD_HEAD "{\"pid\":7,\"name\":\"A\",\"issuer\":\"https://a.example/issuer\",\"clientId\":\"\","
#define OLD_MIDDLE "\"customTokenParams\":\"\",\"authWellKnown\":\"\",\"tokenEndpoint\":\"\",\"fhirEndpoint\":\"https://a.example/fhir\"," \
    "\"responseType\":\"code\",\"organizationId\":\"\","

/* RFC 7396: what is named is set, null removes, all else stays; what is secret is not there unless it is named. */
static void merge(void **state)
{
    (void)state;
    assert_string_equal(merged("{}"), OLD_HEAD "\"scopes\":\"s\"," OLD_MIDDLE "\"notes\":\"n\",\"keyFile\":\"f\",\"archived\":true}");
    assert_string_equal(merged("{\"scopes\":null,\"notes\":\"m\",\"none\":null}"),
                        OLD_HEAD OLD_MIDDLE "\"notes\":\"m\",\"keyFile\":\"f\",\"archived\":true}");
    assert_string_equal(merged("{\"clientSecret\":\"x\",\"keyText\":null,\"archived\":false,\"keyFile\":[{\"a\":null}]}"),
                        OLD_HEAD "\"scopes\":\"s\"," OLD_MIDDLE "\"notes\":\"n\",\"keyFile\":[{\"a\":null}],\"archived\":false,\"clientSecret\":\"x\"}");
}

static void for_administrators(void **state)
{
    p2p_oidc_server_t s = read_text("{" GOOD ",\"clientSecret\":\"planted\",\"keyText\":\"planted\",\"keyFile\":\"f\",\"notes\":\"n\"}", 0);
    const char *text;

    (void)state;
    s.pid = 7;
    s.version = 3;
    s.client_secret_set = 1;
    text = p2p_json_print(pool, p2p_oidc_server_admin(pool, &s), NULL);
    assert_null(strstr(text, "planted"));
    assert_non_null(strstr(text, "\"notes\":\"n\",\"keyFile\":\"f\",\"archived\":false,\"clientSecretSet\":true,\"keyTextSet\":false,"
                           "\"idNamespace\":\"https://a.example/issuer\",\"version\":3,\"lastUpdated\":null}"));
    s.last_updated = 1;
    assert_non_null(strstr(p2p_json_print(pool, p2p_oidc_server_admin(pool, &s), NULL), "\"lastUpdated\":\"1970-01-01T00:00:00.000Z\"}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_members),    cmocka_unit_test(least),        cmocka_unit_test(required),
        cmocka_unit_test(urls),           cmocka_unit_test(response_types), cmocka_unit_test(token_params),
        cmocka_unit_test(keys_and_texts), cmocka_unit_test(merge),        cmocka_unit_test(for_administrators),
    };
    int failures;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    failures = cmocka_run_group_tests_name("oidc_server", tests, NULL, NULL);
    apr_pool_destroy(pool);
    apr_terminate();
    return failures;
}
