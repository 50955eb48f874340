/* SPDX-License-Identifier: Apache-2.0 */
/* CapabilityStatements: the few strings that matter, wherever they stand, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "fhir/capability.h"

static apr_pool_t *pool;

/* "type version url", - for what is missing; or the error's code. */
static const char *read_it(const char *text)
{
    p2p_capability_t said;
    p2p_error_t *error = p2p_capability_read(pool, text, strlen(text), &said);

    if (error) return error->code;
    return apr_pstrcat(pool, said.resource_type ? said.resource_type : "-", " ", said.fhir_version ? said.fhir_version : "-", " ",
                       said.implementation_url ? said.implementation_url : "-", NULL);
}

static void strings(void **state)
{
    (void)state;
    assert_string_equal(read_it("{\"resourceType\":\"CapabilityStatement\",\"fhirVersion\":\"4.0.1\"}"), "CapabilityStatement 4.0.1 -");
    assert_string_equal(read_it("{\"implementation\":{\"description\":\"d\",\"url\":\"http:\\/\\/x\"},\"fhirVersion\":\"4.0.1\"}"), "- 4.0.1 http://x");
    assert_string_equal(read_it("{\"fhirVersion\":\"\\u0034.0.1\"}"), "- 4.0.1 -");
    assert_string_equal(read_it("{}"), "- - -");
}

/* "name formats json", - for no name. */
static const char *read_software(const char *text)
{
    p2p_capability_t said;

    assert_null(p2p_capability_read(pool, text, strlen(text), &said));
    return apr_psprintf(pool, "%s %d %d", said.software_name ? said.software_name : "-", said.formats, said.json_formats);
}

static void software(void **state)
{
    (void)state;
    assert_string_equal(read_software("{\"software\":{\"name\":\"S\",\"url\":\"x\"},\"format\":[\"xml\",\"json\",\"application/fhir+json\"]}"), "S 3 2");
    assert_string_equal(read_software("{\"name\":\"a\",\"implementation\":{\"name\":\"b\"},\"format\":[\"xml\",[\"json\"]],\"x\":[\"json\"]}"), "- 1 0");
    assert_string_equal(read_software("{\"software\":{\"deep\":{\"name\":\"a\"}},\"format\":\"json\"}"), "- 0 0");
    assert_string_equal(read_it("{\"software\":{\"url\":\"x\"},\"implementation\":{\"url\":\"y\"}}"), "- - y");
}

static void elsewhere(void **state)
{
    (void)state;
    assert_string_equal(read_it("{\"rest\":{\"url\":\"a\",\"fhirVersion\":\"b\",\"resourceType\":\"c\"}}"), "- - -");
    assert_string_equal(read_it("{\"implementation\":{\"deep\":{\"url\":\"a\"}},\"url\":\"b\"}"), "- - -");
    assert_string_equal(read_it("{\"implementation\":[\"a\",{\"url\":\"b\"}]}"), "- - -");
    assert_string_equal(read_it("{\"resourceType\":[\"a\"],\"fhirVersion\":{\"x\":\"b\"}}"), "- - -");
    assert_string_equal(read_it("{\"fhirVersion\":4,\"resourceType\":null}"), "- - -");
    assert_string_equal(read_it("[\"resourceType\",\"CapabilityStatement\"]"), "- - -");
    assert_string_equal(read_it("{\"implementation\":{\"url\":{\"url\":\"a\"}}}"), "- - -");
}

static void long_strings(void **state)
{
    char *text = apr_pcalloc(pool, 6000);

    (void)state;
    memset(text, 'x', 5000);
    memcpy(text, "{\"fhirVersion\":\"", 16);
    strcpy(text + 5000, "\"}");
    assert_string_equal(read_it(text), "- - -");
}

static void no_json(void **state)
{
    (void)state;
    assert_string_equal(read_it(""), "json-cut-short");
    assert_string_equal(read_it("{\"fhirVersion\":"), "json-cut-short");
    assert_string_equal(read_it("<html>"), "not-json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(strings),
        cmocka_unit_test(software), cmocka_unit_test(elsewhere), cmocka_unit_test(long_strings),
                                       cmocka_unit_test(no_json)};
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_pool_destroy(pool);
    apr_terminate();
    return failed;
}
