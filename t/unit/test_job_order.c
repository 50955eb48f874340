/* SPDX-License-Identifier: Apache-2.0 */
/* What a portal may order, and how it is told what is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "model/job_order.h"

#define ENDPOINT "https://source.example/fhir"
#define TARGET "\"targetPayer\":{\"patientId\":\"t-1\",\"organizationId\":\"O\"}"
#define TOKENS "\"oidcToken\":\"at\",\"oidcRefreshToken\":\"rt\""

static apr_pool_t *pool;
static apr_array_header_t *errors;
static p2p_oidc_server_t server;

static p2p_job_order_t read_text(const char *text)
{
    p2p_job_order_t order;
    json_object *doc;
    p2p_error_t *error = p2p_json_parse(pool, text, strlen(text), &doc);

    if (error) fail_msg("%s: %s", text, error->sentence);
    errors = p2p_field_errors(pool);
    p2p_job_order_read(pool, doc, &server, &order, errors);
    return order;
}

/* An order with these members of sourcePayer besides tokens and patient. */
static p2p_job_order_t with_source(const char *members)
{
    return read_text(apr_pstrcat(pool, "{\"sourcePayer\":{" TOKENS ",\"patientId\":\"s.1\"",
                                 *members ? "," : "", members,
                                 "}," TARGET "}", NULL));
}

static void expect_fault(int i, const char *pointer, const char *detail)
{
    const p2p_field_error_t *error;

    if (i >= errors->nelts) fail_msg("no error %d where %s was expected", i, pointer);
    error = &APR_ARRAY_IDX(errors, i, p2p_field_error_t);
    assert_string_equal(error->pointer, pointer);
    if (!strstr(error->detail, detail)) fail_msg("%s: %s", pointer, error->detail);
}

static void expect_one(const char *pointer, const char *detail)
{
    expect_fault(0, pointer, detail);
    assert_int_equal(errors->nelts, 1);
}

static void expect_urls(const p2p_job_order_t *order, const char *first, const char *second)
{
    if (errors->nelts) expect_fault(0, "none", "none");
    assert_int_equal(order->urls->nelts, second ? 2 : 1);
    assert_string_equal(APR_ARRAY_IDX(order->urls, 0, const char *), first);
    if (second) assert_string_equal(APR_ARRAY_IDX(order->urls, 1, const char *), second);
}

static void everything(void **state)
{
    p2p_job_order_t order = with_source("");

    (void)state;
    expect_urls(&order, ENDPOINT "/Patient/s.1/$everything", NULL);
    assert_string_equal(order.access_token, "at");
    assert_string_equal(order.refresh_token, "rt");
    assert_string_equal(order.source_patient, "s.1");
    assert_string_equal(order.target_patient, "t-1");
    assert_string_equal(order.organization, "O");
    order = with_source("\"fhirBundleRequest\":\"\"");
    expect_urls(&order, ENDPOINT "/Patient/s.1/$everything", NULL);
    order = with_source("\"fhirBundleRequest\":null,\"unknown\":{}");
    expect_urls(&order, ENDPOINT "/Patient/s.1/$everything", NULL);
}

static void single_urls(void **state)
{
    p2p_job_order_t order = with_source("\"fhirBundleRequest\":\"Observation?patient={patientId}&code=http://loinc.org|1&x={patientId}\"");

    (void)state;
    expect_urls(&order, ENDPOINT "/Observation?patient=s.1&code=http://loinc.org|1&x=s.1", NULL);
    order = with_source("\"fhirBundleRequest\":\"/Patient/1\"");
    expect_urls(&order, ENDPOINT "/Patient/1", NULL);
    order = with_source("\"fhirBundleRequest\":\"HTTPS://Source.example:443/fhir/Patient/1\"");
    expect_urls(&order, ENDPOINT "/Patient/1", NULL);
    order = with_source("\"fhirBundleRequest\":\"?_type=Patient\"");
    expect_urls(&order, ENDPOINT "/?_type=Patient", NULL);
}

static void urls_elsewhere(void **state)
{
    static const char *const bad[] = {
        "../admin", "/../admin", "Patient/../../x", "//evil.example/fhir/Patient/1", "https://evil.example/fhir/Patient/1",
        "https://source.example/fhirx/Patient/1", "https://source.example/other", "http://source.example/fhir/Patient/1",
        "https://source.example:444/fhir/Patient/1", "https://u@source.example/fhir/Patient/1", "Patient/1#x",
        "javascript:x", "Patient/%2e%2e/%2e%2e/x", "Patient/a b",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        with_source(apr_psprintf(pool, "\"fhirBundleRequest\":\"%s\"", bad[i]));
        if (errors->nelts != 1) fail_msg("taken: %s", bad[i]);
        expect_one("/sourcePayer/fhirBundleRequest", "must be");
    }
    with_source(apr_psprintf(pool, "\"fhirBundleRequest\":\"%05000d\"", 0));
    expect_one("/sourcePayer/fhirBundleRequest", "4096");
    with_source("\"fhirBundleRequest\":5");
    expect_one("/sourcePayer/fhirBundleRequest", "must be a Bundle");
    with_source("\"fhirBundleRequest\":[]");
    expect_one("/sourcePayer/fhirBundleRequest", "must be a Bundle");
    with_source("\"fhirBundleRequest\":\"a\\u0000b\"");
    expect_one("/sourcePayer/fhirBundleRequest", "must be a Bundle");
}

#define ENTRY(method, url) "{\"request\":{\"method\":\"" method "\",\"url\":\"" url "\"}}"
#define BUNDLE(entries) "{\"resourceType\":\"Bundle\",\"type\":\"batch\",\"entry\":[" entries "]}"

static const char *quoted(const char *text)
{
    return apr_pstrcat(pool, "\"fhirBundleRequest\":",
                       json_object_to_json_string(p2p_json_own(pool, json_object_new_string(text))), NULL);
}

static void bundles(void **state)
{
    static const char *bundle = BUNDLE(ENTRY("GET",
                                             "Patient/{patientId}") "," ENTRY("GET", "Coverage?beneficiary={patientId}"));
    p2p_job_order_t order = with_source(apr_pstrcat(pool, "\"fhirBundleRequest\":", bundle, NULL));

    (void)state;
    expect_urls(&order, ENDPOINT "/Patient/s.1", ENDPOINT "/Coverage?beneficiary=s.1");
    order = with_source(quoted(apr_pstrcat(pool, " \n", bundle, NULL)));
    expect_urls(&order, ENDPOINT "/Patient/s.1", ENDPOINT "/Coverage?beneficiary=s.1");
}

static void bad_bundles(void **state)
{
    const char *entries = ENTRY("GET", "A"), *bundle;

    (void)state;
    bundle = BUNDLE(ENTRY("GET", "A") "," ENTRY("POST",
                                                "B") ",{}," ENTRY("GET", "") "," ENTRY("GET", "/../x") ",5");
    with_source(apr_pstrcat(pool, "\"fhirBundleRequest\":", bundle, NULL));
    assert_int_equal(errors->nelts, 5);
    expect_fault(0, "/sourcePayer/fhirBundleRequest/entry/1", "GET");
    expect_fault(1, "/sourcePayer/fhirBundleRequest/entry/2", "request");
    expect_fault(2, "/sourcePayer/fhirBundleRequest/entry/3", "request.url");
    expect_fault(3, "/sourcePayer/fhirBundleRequest/entry/4", "under the FHIR endpoint");
    expect_fault(4, "/sourcePayer/fhirBundleRequest/entry/5", "request");
    with_source(quoted(bundle));
    assert_int_equal(errors->nelts, 5);
    expect_fault(0, "/sourcePayer/fhirBundleRequest", "/entry/1 must have the request.method GET");
    with_source(quoted("{\"resourceType\":"));
    expect_one("/sourcePayer/fhirBundleRequest", "JSON");
    with_source("\"fhirBundleRequest\":{\"resourceType\":\"Bundle\",\"type\":\"transaction\",\"entry\":[{}]}");
    expect_one("/sourcePayer/fhirBundleRequest", "batch");
    with_source("\"fhirBundleRequest\":" BUNDLE(""));
    expect_one("/sourcePayer/fhirBundleRequest", "1 to 100");
    for (int i = 1; i < 101; i++) entries = apr_pstrcat(pool, entries, "," ENTRY("GET", "A"), NULL);
    with_source(apr_pstrcat(pool,
                            "\"fhirBundleRequest\":{\"resourceType\":\"Bundle\",\"type\":\"batch\",\"entry\":[", entries, "]}", NULL));
    expect_one("/sourcePayer/fhirBundleRequest", "1 to 100");
}

static void tokens(void **state)
{
    (void)state;
    read_text("{\"sourcePayer\":{\"patientId\":\"s\"}," TARGET "}");
    expect_one("/sourcePayer/oidcToken", "is required");
    read_text("{\"sourcePayer\":{\"patientId\":\"s\",\"oidcToken\":\"\",\"oidcRefreshToken\":null}," TARGET "}");
    expect_one("/sourcePayer/oidcToken", "is required");
    read_text("{\"sourcePayer\":{\"patientId\":\"s\",\"oidcToken\":7}," TARGET "}");
    expect_one("/sourcePayer/oidcToken", "must be a string");
    read_text("{\"sourcePayer\":{\"patientId\":\"s\",\"oidcToken\":\"top secret\"}," TARGET "}");
    expect_one("/sourcePayer/oidcToken", "printable ASCII");
    assert_null(strstr(APR_ARRAY_IDX(errors, 0, p2p_field_error_t).detail, "secret"));
    read_text("{\"sourcePayer\":{\"patientId\":\"s\",\"oidcToken\":\"a\\r\\nX: y\"}," TARGET "}");
    expect_one("/sourcePayer/oidcToken", "control");
    read_text(apr_psprintf(pool,
                           "{\"sourcePayer\":{\"patientId\":\"s\",\"oidcToken\":\"%08193d\"}," TARGET "}", 0));
    expect_one("/sourcePayer/oidcToken", "8192");
    read_text("{\"sourcePayer\":{\"patientId\":\"s\",\"oidcRefreshToken\":\"rt\"}," TARGET "}");
    assert_int_equal(errors->nelts, 0);
}

static void patients(void **state)
{
    static const char *const bad[] = {"", "..", ".", "a/b", "a b", "Patient/1", "\xc3\xa9", "a_b", "a?b",
        "12345678901234567890123456789012345678901234567890123456789012345"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        read_text(apr_psprintf(pool,
                               "{\"sourcePayer\":{" TOKENS ",\"patientId\":\"%s\"},\"targetPayer\":{\"patientId\":\"%s\","
                               "\"organizationId\":\"O\"}}", bad[i], bad[i]));
        assert_int_equal(errors->nelts, 2);
        expect_fault(0, "/sourcePayer/patientId", "");
        expect_fault(1, "/targetPayer/patientId", "");
    }
    read_text("{\"sourcePayer\":{" TOKENS ",\"patientId\":9},\"targetPayer\":{\"patientId\":9,\"organizationId\":\"O\"}}");
    assert_int_equal(errors->nelts, 2);
    expect_fault(0, "/sourcePayer/patientId", "must be a string");
}

/* The token answer may name the patient, where there will be one. */
static void patient_from_token(void **state)
{
    p2p_job_order_t order;

    (void)state;
    server.custom_token_params = "a=b, memberId";
    order = read_text("{\"sourcePayer\":{" TOKENS "}," TARGET "}");
    expect_urls(&order, ENDPOINT "/Patient/{patientId}/$everything", NULL);
    assert_string_equal(order.source_patient, "");
    read_text("{\"sourcePayer\":{\"oidcToken\":\"at\"}," TARGET "}");
    expect_one("/sourcePayer/patientId", "is required");
    server.custom_token_params = "a=b";
    read_text("{\"sourcePayer\":{" TOKENS "}," TARGET "}");
    expect_one("/sourcePayer/patientId", "is required");
    server.custom_token_params = "";
}

static void whole_bodies(void **state)
{
    (void)state;
    read_text("[]");
    expect_one("", "JSON object");
    read_text("{}");
    assert_int_equal(errors->nelts, 2);
    expect_fault(0, "/sourcePayer", "is required");
    expect_fault(1, "/targetPayer", "is required");
    read_text("{\"sourcePayer\":[],\"targetPayer\":\"x\"}");
    assert_int_equal(errors->nelts, 2);
    expect_fault(1, "/targetPayer", "must be an object");
    read_text("{\"sourcePayer\":{},\"targetPayer\":{}}");
    assert_int_equal(errors->nelts, 4);
    expect_fault(3, "/targetPayer/organizationId", "is required");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything),  cmocka_unit_test(single_urls), cmocka_unit_test(urls_elsewhere),
        cmocka_unit_test(bundles),     cmocka_unit_test(bad_bundles), cmocka_unit_test(tokens),
        cmocka_unit_test(patients),    cmocka_unit_test(patient_from_token), cmocka_unit_test(whole_bodies),
    };
    int failures;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    server.fhir_endpoint = ENDPOINT;
    server.custom_token_params = "";
    failures = cmocka_run_group_tests_name("job_order", tests, NULL, NULL);
    apr_pool_destroy(pool);
    apr_terminate();
    return failures;
}
