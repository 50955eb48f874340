/* SPDX-License-Identifier: Apache-2.0 */
/* The Subscription in FHIR: as it is written, as servers give it back, and what tells two apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "fhir/subscription.h"

#define ENDPOINT "https://p2p.example:8443/hooks/task"
#define SUBSCRIPTION(members) "{\"resourceType\":\"Subscription\",\"id\":\"a\",\"status\":\"active\"," members "}"

static apr_pool_t *pool;

static p2p_hook_subscription_t wanted(const char *header)
{
    apr_array_header_t *headers = apr_array_make(pool, 2, sizeof(const char *));

    APR_ARRAY_PUSH(headers, const char *) = "Authorization: Bearer s-e_cret";
    if (header) APR_ARRAY_PUSH(headers, const char *) = header;
    return (p2p_hook_subscription_t){.id = "", .status = "requested", .reason = "", .criteria = "Task?code=a|b", .type = "rest-hook",
                                     .endpoint = ENDPOINT, .payload = "application/fhir+json", .headers = headers};
}

static p2p_hook_subscription_t *read_it(const char *text)
{
    p2p_hook_subscription_t *said;
    p2p_error_t *error = p2p_hook_subscription_read(pool, text, strlen(text), &said);

    if (error) fail_msg("%s", error->sentence);
    return said;
}

static void ids(void **state)
{
    const char *id = p2p_hook_subscription_id(pool, ENDPOINT);

    (void)state;
    assert_int_equal(strlen(id), 35);
    assert_int_equal(strncmp(id, "p2p-task-", 9), 0);
    assert_int_equal(strspn(id, "abcdefghijklmnopqrstuvwxyz234567-p"), 35);
    assert_string_equal(id, p2p_hook_subscription_id(pool, ENDPOINT));
    assert_string_not_equal(id, p2p_hook_subscription_id(pool, ENDPOINT "/"));
}

static void printed(void **state)
{
    p2p_hook_subscription_t one = wanted("X-Route: p2p");
    apr_size_t len;
    const char *text = p2p_hook_subscription_print(pool, &one, &len);

    (void)state;
    assert_int_equal(len, strlen(text));
    assert_string_equal(text, "{\"resourceType\":\"Subscription\",\"status\":\"requested\",\"reason\":\"Payer-to-payer: mail on Task events\","
        "\"criteria\":\"Task?code=a|b\",\"channel\":{\"type\":\"rest-hook\",\"endpoint\":\"" ENDPOINT "\",\"payload\":\"application/fhir+json\","
        "\"header\":[\"Authorization: Bearer s-e_cret\",\"X-Route: p2p\"]}}");
    one.id = "p2p-task-x";
    one.payload = "";
    text = p2p_hook_subscription_print(pool, &one, NULL);
    assert_non_null(strstr(text, "\"id\":\"p2p-task-x\""));
    assert_null(strstr(text, "payload"));
}

static void read_back(void **state)
{
    p2p_hook_subscription_t one = wanted(NULL), *said;

    (void)state;
    one.id = "x1";
    said = read_it(p2p_hook_subscription_print(pool, &one, NULL));
    assert_string_equal(said->id, "x1");
    assert_string_equal(said->status, "requested");
    assert_string_equal(said->reason, P2P_HOOK_REASON);
    assert_true(p2p_hook_subscription_same(pool, &one, said));
    assert_string_equal(p2p_hook_subscription_fingerprint(pool, &one), p2p_hook_subscription_fingerprint(pool, said));
}

static void strangers(void **state)
{
    p2p_hook_subscription_t *said;

    (void)state;
    assert_null(read_it("[]"));
    assert_null(read_it("{\"resourceType\":\"OperationOutcome\",\"id\":\"a\"}"));
    assert_null(read_it("{\"resourceType\":\"Subscription\"}"));
    assert_null(read_it("{\"resourceType\":\"Subscription\",\"id\":\"../a\"}"));
    said = read_it("{\"resourceType\":\"Subscription\",\"id\":\"a\",\"channel\":[],\"status\":7,\"criteria\":{}}");
    assert_string_equal(said->status, "");
    assert_int_equal(said->headers->nelts, 0);
    said = read_it(SUBSCRIPTION("\"channel\":{\"header\":[\"a: b\",7,null,{},\"c: d\"],\"endpoint\":[]}"));
    assert_int_equal(said->headers->nelts, 2);
    assert_string_equal(said->endpoint, "");
    assert_string_equal(p2p_hook_subscription_read(pool, "{]", 2, &said)->code, "not-json");
}

/* Whatever is not as it was asked for is seen. */
static void differences(void **state)
{
    p2p_hook_subscription_t a = wanted(NULL), b = wanted(NULL);

    (void)state;
    b.status = "off";
    b.reason = "other";
    b.id = "z";
    assert_true(p2p_hook_subscription_same(pool, &a, &b));
    b.criteria = "Task?";
    assert_false(p2p_hook_subscription_same(pool, &a, &b));
    b = wanted(NULL);
    b.endpoint = ENDPOINT "2";
    assert_false(p2p_hook_subscription_same(pool, &a, &b));
    b = wanted(NULL);
    b.payload = "";
    assert_false(p2p_hook_subscription_same(pool, &a, &b));
    b = wanted(NULL);
    b.type = "email";
    assert_false(p2p_hook_subscription_same(pool, &a, &b));
    b = wanted("X: y");
    assert_false(p2p_hook_subscription_same(pool, &a, &b));
    assert_string_not_equal(p2p_hook_subscription_fingerprint(pool, &a), p2p_hook_subscription_fingerprint(pool, &b));
}

static void pages(void **state)
{
    apr_array_header_t *all;
    static const char page[] = "{\"resourceType\":\"Bundle\",\"type\":\"searchset\",\"entry\":[{\"resource\":" SUBSCRIPTION("\"criteria\":\"c\"")
                               "},{\"resource\":{\"resourceType\":\"Patient\",\"id\":\"p\"}},{\"resource\":" SUBSCRIPTION("\"a\":1,\"a\":2") "}]}";

    (void)state;
    assert_null(p2p_hook_subscription_read_page(pool, page, sizeof page - 1, &all));
    assert_int_equal(all->nelts, 1);
    assert_string_equal(APR_ARRAY_IDX(all, 0, p2p_hook_subscription_t).criteria, "c");
    assert_string_equal(p2p_hook_subscription_read_page(pool, "{\"resourceType\":\"Patient\"}", 26, &all)->code, "not-fhir");
    assert_string_equal(p2p_hook_subscription_read_page(pool, "<a>", 3, &all)->code, "not-json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids), cmocka_unit_test(printed), cmocka_unit_test(read_back), cmocka_unit_test(strangers), cmocka_unit_test(differences),
        cmocka_unit_test(pages),
    };
    int failures;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    failures = cmocka_run_group_tests(tests, NULL, NULL);
    apr_pool_destroy(pool);
    apr_terminate();
    return failures;
}
