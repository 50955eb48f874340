/* SPDX-License-Identifier: Apache-2.0 */
/* Add Payer Tasks: the guide's as it stands, and what strangers make of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "fhir/add_payer.h"

#define TARGET "https://target.example/fhir"
#define CODING(code) "{\"coding\":[{\"system\":\"" P2P_CODE_SYSTEM "\",\"code\":\"" code "\",\"display\":\"display\"}]}"
#define INPUT(code, value) "{\"type\":" CODING(code) ",\"valueString\":" value "}"
#define CODE "\"code\":" CODING("p2p-request-add-provider-id")
#define TASK(members) "{\"resourceType\":\"Task\",\"id\":\"7\",\"status\":\"requested\"," CODE members "}"

static apr_pool_t *pool;

/* A copy of its own, so that what reads beyond it is seen. */
static p2p_add_payer_t *read_it(const char *text)
{
    apr_size_t len = strlen(text);
    char *copy = malloc(len ? len : 1);
    p2p_add_payer_t *task = NULL;
    p2p_error_t *error;

    assert_non_null(copy);
    memcpy(copy, text, len);
    error = p2p_add_payer_read(pool, copy, len, TARGET, &task);
    free(copy);
    if (error) fail_msg("%s", error->sentence);
    return task;
}

static void as_in_the_guide(void **state)
{
    p2p_add_payer_t *task = read_it("{\"resourceType\":\"Task\",\"id\":\"a-1\",\"meta\":{\"versionId\":\"1\",\"lastUpdated\":\"2026-11-22T10:31:54.024+01:00\"},"
        "\"identifier\":[{\"system\":\"" P2P_CODE_SYSTEM "\",\"value\":\"1-2-3\"}],\"status\":\"requested\",\"intent\":\"original-order\","
        "\"priority\":\"routine\"," CODE ",\"authoredOn\":\"2026-11-22\",\"requester\":{\"reference\":\"Patient/m1\",\"type\":\"Patient\"},"
        "\"owner\":{\"reference\":\"Organization/o\"},\"input\":[" INPUT("requester-first-name", "\"Ada\"") "," INPUT("requester-last-name", "\"L\\u00fc\"")
        "," INPUT("new-payer-name", "\"Payer X\"") "," INPUT("requester-email", "\"ada@example.org\"") ","
        "{\"type\":{\"coding\":[{\"system\":\"" P2P_CODE_SYSTEM "\",\"code\":\"requester-phone\",\"display\":\"1111111111\"}],"
        "\"text\":\"1111111111\"},\"valueString\":\"1111111111\"}]}");

    (void)state;
    assert_string_equal(task->id, "a-1");
    assert_string_equal(task->status, "requested");
    assert_int_equal(task->last_updated, 1795339914024000);
    assert_string_equal(task->patient, "m1");
    assert_string_equal(task->first_name, "Ada");
    assert_string_equal(task->last_name, "L\xC3\xBC");
    assert_string_equal(task->payer, "Payer X");
    assert_string_equal(task->email, "ada@example.org");
    assert_string_equal(task->phone, "1111111111");
}

static void others(void **state)
{
    static const char *const texts[] = {
        "{}", "[]", "null", "\"Task\"", "{\"resourceType\":\"Task\",\"id\":\"1\"}", "{\"resourceType\":\"Patient\",\"id\":\"1\"," CODE "}",
        "{\"resourceType\":\"Task\"," CODE "}", "{\"resourceType\":\"Task\",\"id\":\"../x\"," CODE "}", "{\"resourceType\":\"Task\",\"id\":1," CODE "}",
        "{\"resourceType\":\"Task\",\"id\":\"1\",\"code\":" CODING("p2p-exchange") "}",
        "{\"resourceType\":\"Task\",\"id\":\"1\",\"code\":{\"coding\":[{\"code\":\"p2p-request-add-provider-id\"}]}}",
        "{\"resourceType\":\"Task\",\"id\":\"1\",\"code\":{\"coding\":[{\"system\":\"urn:x\",\"code\":\"p2p-request-add-provider-id\"}]}}",
        "{\"resourceType\":\"Task\",\"id\":\"1\",\"code\":{\"coding\":[\"p2p-request-add-provider-id\",null,7]}}",
        "{\"resourceType\":\"Task\",\"id\":\"1\",\"code\":{\"text\":\"Add Payer\"}}",
    };
    p2p_add_payer_t *task;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (read_it(texts[i])) fail_msg("%s", texts[i]);
    }
    assert_string_equal(p2p_add_payer_read(pool, "{]", 2, TARGET, &task)->code, "not-json");
    assert_non_null(read_it("{\"resourceType\":\"Task\",\"id\":\"1\",\"code\":{\"coding\":[{\"system\":\"urn:x\",\"code\":\"y\"},{\"system\":\""
                            P2P_CODE_SYSTEM "\",\"code\":\"else\"},{\"system\":\"" P2P_CODE_SYSTEM "\",\"code\":\"p2p-request-add-provider-id\"}]}}"));
}

static void nothing_said(void **state)
{
    p2p_add_payer_t *task = read_it("{\"resourceType\":\"Task\",\"id\":\"7\",\"status\":[\"requested\"],\"meta\":\"x\",\"requester\":[],\"input\":{}," CODE "}");

    (void)state;
    assert_string_equal(task->status, "");
    assert_int_equal(task->last_updated, 0);
    assert_string_equal(apr_pstrcat(pool, task->patient, task->first_name, task->last_name, task->payer, task->email, task->phone, NULL), "");
    assert_false(p2p_add_payer_is_open(task));
}

static const char *patient(const char *reference)
{
    return read_it(apr_psprintf(pool, TASK(",\"requester\":{\"reference\":\"%s\"}"), reference))->patient;
}

static void requesters(void **state)
{
    (void)state;
    assert_string_equal(patient("Patient/1"), "1");
    assert_string_equal(patient("Patient/1/_history/3"), "1");
    assert_string_equal(patient(TARGET "/Patient/a.b-C"), "a.b-C");
    assert_string_equal(patient(TARGET "/Patient/1/_history/2"), "1");
    assert_string_equal(patient("https://else.example/fhir/Patient/1"), "");
    assert_string_equal(patient(TARGET ".evil.example/Patient/1"), "");
    assert_string_equal(patient("Practitioner/1"), "");
    assert_string_equal(patient("Patient/1/Observation/2"), "");
    assert_string_equal(patient("Patient?identifier=x"), "");
    assert_string_equal(patient("Patient/.."), "");
    assert_string_equal(patient("Patient/a%2fb"), "");
    assert_string_equal(patient("Patient/"), "");
    assert_string_equal(patient("#p"), "");
    assert_string_equal(patient("urn:uuid:3b241101-e2bb-4255-8caf-4136c566a962"), "");
    assert_string_equal(patient(""), "");
    assert_string_equal(patient(apr_pstrcat(pool, "Patient/", apr_psprintf(pool, "%065d", 1), NULL)), "");
}

static void inputs(void **state)
{
    p2p_add_payer_t *task = read_it(TASK(",\"input\":[null,[],7,{\"type\":" CODING("requester-email") ",\"valueCode\":\"no@example.org\"},"
        INPUT("requester-email", "{\"a\":1}") "," INPUT("requester-email", "\"first@example.org\"") "," INPUT("requester-email", "\"second@example.org\"")
        "," INPUT("new-payer-name", "\"\"") "," INPUT("new-payer-name", "\"later\"") ",{\"valueString\":\"x\"},"
        "{\"type\":{\"coding\":[{\"system\":\"urn:x\",\"code\":\"requester-phone\"}]},\"valueString\":\"5\"}]"));

    (void)state;
    assert_string_equal(task->email, "first@example.org");
    assert_string_equal(task->payer, "");
    assert_string_equal(task->phone, "");
}

static void long_texts(void **state)
{
    char *name = apr_pcalloc(pool, 10242);
    p2p_add_payer_t *task;

    (void)state;
    memset(name, 'x', 10240);
    memcpy(name + 998, "\xE2\x82\xAC", 3); /* its last byte lies beyond */
    task = read_it(apr_psprintf(pool, TASK(",\"input\":[" INPUT("requester-first-name", "\"%s\"") "]"), name));
    assert_int_equal(strlen(task->first_name), 998);
    task = read_it(apr_psprintf(pool, TASK(",\"input\":[" INPUT("requester-first-name", "\"%s\"") "]"), name + 1));
    assert_int_equal(strlen(task->first_name), 1000);
}

static int is_open(const char *status)
{
    return p2p_add_payer_is_open(read_it(apr_psprintf(pool, "{\"resourceType\":\"Task\",\"id\":\"1\",\"status\":\"%s\"," CODE "}", status)));
}

static void statuses(void **state)
{
    (void)state;
    assert_true(is_open("requested") && is_open("draft") && is_open("received") && is_open("accepted") && is_open("in-progress") && is_open("on-hold"));
    assert_false(is_open("completed") || is_open("cancelled") || is_open("failed") || is_open("rejected") || is_open("entered-in-error"));
    assert_false(is_open("") || is_open("<b>") || is_open("a\\nb") || is_open(apr_psprintf(pool, "%033d", 0)) || is_open("abcdefghijklmnopqrstuvwxyz-abcdef"));
}

#define ENTRY(resource) "{\"fullUrl\":\"" TARGET "/Task/7\",\"resource\":" resource ",\"search\":{\"mode\":\"match\"}}"
#define PAGE(links, entries) "{\"resourceType\":\"Bundle\",\"type\":\"searchset\"," links "\"entry\":[" entries "]}"

static p2p_error_t *read_page(const char *text, p2p_add_payer_page_t *page)
{
    return p2p_add_payer_read_page(pool, text, strlen(text), TARGET, page);
}

static void pages(void **state)
{
    p2p_add_payer_page_t page;

    (void)state;
    assert_null(read_page(PAGE("\"link\":[{\"relation\":\"self\",\"url\":\"x\"},{\"relation\":\"next\",\"url\":\"" TARGET "?_getpages=1&a=\\u00e9\"}],",
        ENTRY(TASK(",\"meta\":{\"lastUpdated\":\"2026-11-22T09:31:54Z\"}")) ","
        ENTRY("{\"resourceType\":\"Task\",\"id\":\"8\",\"meta\":{\"lastUpdated\":\"2026-11-22T09:31:55Z\"}}") ","
        "{\"resource\":{\"resourceType\":\"OperationOutcome\"},\"search\":{\"mode\":\"outcome\"}}," ENTRY("{\"resourceType\":\"Patient\",\"id\":\"9\"}")), &page));
    assert_int_equal(page.tasks->nelts, 1);
    assert_string_equal(APR_ARRAY_IDX(page.tasks, 0, p2p_add_payer_t).id, "7");
    assert_string_equal(page.next, TARGET "?_getpages=1&a=\xC3\xA9");
    assert_int_equal(page.latest, 1795339915000000);
    assert_null(read_page("{\"resourceType\":\"Bundle\",\"type\":\"searchset\"}", &page));
    assert_int_equal(page.tasks->nelts, 0);
    assert_string_equal(page.next, "");
    assert_int_equal(page.latest, 0);
}

/* One that json-c would bend keeps nobody from reading the others. */
static void pages_of_strangers(void **state)
{
    char deep[201] = "";
    p2p_add_payer_page_t page;

    (void)state;
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    assert_null(read_page(apr_psprintf(pool, PAGE("", ENTRY(TASK(",\"x\":%s")) "," ENTRY(TASK(",\"a\":1,\"a\":2")) "," ENTRY(TASK(""))), deep), &page));
    assert_int_equal(page.tasks->nelts, 1);
    assert_string_equal(read_page(TASK(""), &page)->code, "not-fhir");
    assert_string_equal(read_page("{\"resourceType\":\"OperationOutcome\"}", &page)->code, "not-fhir");
    assert_string_equal(read_page("<html>", &page)->code, "not-json");
    assert_string_equal(read_page("{\"resourceType\":\"Bundle\",\"entry\":[", &page)->code, "json-cut-short");
    assert_string_equal(read_page("", &page)->code, "json-cut-short");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_in_the_guide), cmocka_unit_test(others), cmocka_unit_test(nothing_said), cmocka_unit_test(requesters),
        cmocka_unit_test(inputs), cmocka_unit_test(long_texts), cmocka_unit_test(statuses), cmocka_unit_test(pages),
        cmocka_unit_test(pages_of_strangers),
    };
    int failures;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    failures = cmocka_run_group_tests(tests, NULL, NULL);
    apr_pool_destroy(pool);
    apr_terminate();
    return failures;
}
