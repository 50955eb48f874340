/* SPDX-License-Identifier: Apache-2.0 */
/* What deliveries tell, in the forms of HAPI, Medplum and others, and what nobody understands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "fhir/delivery.h"

static apr_pool_t *pool;

/* The ids with blanks between; "look" stands for the search. */
static const char *ids_of(const p2p_delivery_t *delivery)
{
    const char *text = "";

    for (int i = 0; i < delivery->ids->nelts; i++) {
        const char *id = APR_ARRAY_IDX(delivery->ids, i, const char *);

        text = apr_pstrcat(pool, text, *text ? " " : "", *id ? id : "look", NULL);
    }
    return text;
}

static p2p_delivery_t read_it(const char *path, const char *deleted, const char *body)
{
    p2p_delivery_t delivery;

    p2p_delivery_read(pool, path, deleted, body, strlen(body), 0, &delivery);
    return delivery;
}

static void is_told(const char *path, const char *deleted, const char *body, const char *expected)
{
    p2p_delivery_t delivery = read_it(path, deleted, body);

    assert_string_equal(ids_of(&delivery), expected);
}

static void test_paths(void **state)
{
    (void)state;
    is_told("/Task/123", NULL, "", "123");
    is_told("/Task/123", NULL, "{\"resourceType\":\"Task\",\"id\":\"other\"}", "123");
    is_told("/Task/a-B.7/_history/3", NULL, "", "a-B.7");
    is_told("/Task/1?x=y", NULL, "", "1");
    is_told("", NULL, "", "look");
    is_told("/", NULL, "", "look");
    is_told("/Task", NULL, "", "look");
    is_told("/Task/", NULL, "", "look");
    is_told("/Task/..", NULL, "", "look");
    is_told("/Task/a b", NULL, "", "look");
    is_told("/Task/1;2", NULL, "", "look");
    is_told("/Patient/1", NULL, "", "look");
    is_told("/x/Task/1", NULL, "", "look");
    is_told("/Task/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL, "", "look"); /* 65 */
}

static void test_resources(void **state)
{
    (void)state;
    is_told("", NULL, "{\"resourceType\":\"Task\",\"id\":\"t1\"}", "t1");
    is_told("/", NULL, "{\"id\":\"t1\",\"resourceType\":\"Task\",\"x\":[{\"resourceType\":\"Task\",\"id\":\"t2\"}]}", "t1");
    is_told("", NULL, "{\"resourceType\":\"Task\"}", "look");
    is_told("", NULL, "{\"resourceType\":\"Task\",\"id\":7}", "look");
    is_told("", NULL, "{\"resourceType\":\"Task\",\"id\":\"../x\"}", "look");
    is_told("", NULL, "{\"resourceType\":\"Task\",\"id\":\"a\\u0000b\"}", "look");
    is_told("", NULL, "{\"resourceType\":\"Patient\",\"id\":\"p1\"}", "look");
    is_told("", NULL, "{}", "look");
    is_told("", NULL, "[]", "look");
    is_told("", NULL, "null", "look");
    is_told("", NULL, "{\"resourceType\":\"Task\",\"id\":\"t1\"", "look");
    is_told("", NULL, "resourceType=Task&id=t1", "look");
    is_told("", NULL, "<Task><id value=\"t1\"/></Task>", "look");
}

static void test_deleted(void **state)
{
    (void)state;
    is_told("", "Task/t1", "{}", "t1");
    is_told("", "Patient/p1", "{}", "look");
    is_told("", "", "{}", "look");
    is_told("", "Task/t1, Task/t2", "{}", "look");
    is_told("/Task/t2", "Task/t1", "", "t2 t1");
}

#define BUNDLE(type, entries) "{\"resourceType\":\"Bundle\",\"type\":\"" type "\",\"entry\":[" entries "]}"
#define TASK(id) "{\"resource\":{\"resourceType\":\"Task\",\"id\":\"" id "\"}}"

static void test_bundles(void **state)
{
    (void)state;
    is_told("", NULL, BUNDLE("transaction", TASK("t1") "," TASK("t2") "," TASK("t1")), "t1 t2");
    is_told("", NULL, BUNDLE("transaction", "{\"request\":{\"method\":\"DELETE\",\"url\":\"Task/t1\"}}"), "t1");
    is_told("", NULL, BUNDLE("history", "{\"fullUrl\":\"https://h/fhir/Task/t1\",\"request\":{\"method\":\"PUT\",\"url\":\"Task\"}}"), "t1");
    is_told("", NULL, BUNDLE("history", "{\"fullUrl\":\"https://h/fhir/Task/t1/_history/2\"}"), "t1");
    is_told("", NULL, BUNDLE("history", "{\"resource\":{\"resourceType\":\"Parameters\",\"id\":\"p\"},\"request\":{\"url\":\"Subscription/1/$status\"}},"
                                        TASK("t1")), "t1");
    is_told("", NULL, BUNDLE("batch", "{\"resource\":{\"resourceType\":\"Patient\",\"id\":\"p\"}}"), "look");
    is_told("", NULL, BUNDLE("transaction", "{\"request\":{\"url\":\"Task?identifier=Task/t1\"}}"), "look");
    is_told("", NULL, BUNDLE("transaction", "7,null,[],\"x\""), "look");
    is_told("", NULL, "{\"resourceType\":\"Bundle\",\"entry\":{\"resource\":1}}", "look");
    is_told("", NULL, "{\"resourceType\":\"Bundle\"}", "look");
}

static void test_forms(void **state)
{
    (void)state;
    assert_int_equal(read_it("", NULL, BUNDLE("transaction", TASK("t"))).form, P2P_DELIVERY_TRANSACTION);
    assert_int_equal(read_it("", NULL, BUNDLE("history", TASK("t"))).form, P2P_DELIVERY_TRANSACTION);
    assert_int_equal(read_it("", NULL, BUNDLE("batch", TASK("t"))).form, P2P_DELIVERY_BATCH);
    assert_int_equal(read_it("", NULL, "{\"resourceType\":\"Task\"}").form, P2P_DELIVERY_RESOURCE);
    assert_int_equal(read_it("", NULL, "").form, P2P_DELIVERY_RESOURCE);
}

/* As many as there may be, and more: the others are found by a search. */
static void test_many(void **state)
{
    char *body = apr_pstrdup(pool, "{\"resourceType\":\"Bundle\",\"type\":\"transaction\",\"entry\":[");
    p2p_delivery_t delivery;

    (void)state;
    for (int i = 0; i < P2P_DELIVERY_IDS; i++) body = apr_psprintf(pool, "%s%s{\"request\":{\"url\":\"Task/n%d\"}}", body, i ? "," : "", i);
    delivery = read_it("", NULL, apr_pstrcat(pool, body, "]}", NULL));
    assert_int_equal(delivery.ids->nelts, P2P_DELIVERY_IDS);
    delivery = read_it("", NULL, apr_pstrcat(pool, body, ",{\"request\":{\"url\":\"Task/n0\"}}]}", NULL));
    assert_int_equal(delivery.ids->nelts, P2P_DELIVERY_IDS);
    delivery = read_it("", NULL, apr_pstrcat(pool, body, ",{\"request\":{\"url\":\"Task/more\"}}]}", NULL));
    assert_int_equal(delivery.ids->nelts, P2P_DELIVERY_IDS + 1);
    assert_string_equal(APR_ARRAY_IDX(delivery.ids, P2P_DELIVERY_IDS, const char *), "");
}

static void test_cut(void **state)
{
    static const char body[] = "{\"resourceType\":\"Task\",\"id\":\"t1\"}";
    p2p_delivery_t delivery;

    (void)state;
    p2p_delivery_read(pool, "", NULL, body, sizeof body - 1, 1, &delivery);
    assert_string_equal(ids_of(&delivery), "look");
    p2p_delivery_read(pool, "/Task/t1", NULL, NULL, 0, 1, &delivery);
    assert_string_equal(ids_of(&delivery), "t1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),   cmocka_unit_test(test_resources), cmocka_unit_test(test_deleted), cmocka_unit_test(test_bundles),
        cmocka_unit_test(test_forms),   cmocka_unit_test(test_many),      cmocka_unit_test(test_cut),
    };

    apr_initialize();
    apr_pool_create(&pool, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
