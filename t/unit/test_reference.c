/* SPDX-License-Identifier: Apache-2.0 */
/* The forms of a reference, and the bases of a source: where they come from and how many there are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "fhir/reference.h"

static apr_pool_t *pool;
static p2p_bases_t bases;

/* The parse of text, which lies in a block of its size, so that a sanitizer sees each step beyond. */
static const char *form_of(const char *text)
{
    static const char *const kinds[] = {"other", "resource", "urn", "conditional", "external"};
    apr_size_t len = strlen(text);
    char *copy = malloc(len ? len : 1);
    p2p_reference_t ref;
    const char *form;

    assert_non_null(copy);
    memcpy(copy, text, len);
    ref = p2p_reference_parse(&bases, copy, len);
    form = apr_psprintf(pool, "%s %.*s/%.*s", kinds[ref.kind], (int)ref.type_len, ref.type ? ref.type : "", (int)ref.id_len,
                        ref.id ? ref.id : "");
    free(copy);
    return form;
}

static void expect(const char *text, const char *form)
{
    assert_string_equal(form_of(text), form);
}

static void relative(void **state)
{
    (void)state;
    expect("Patient/123", "resource Patient/123");
    expect("Patient/a-B.9", "resource Patient/a-B.9");
    expect("Patient/123/_history/4", "resource Patient/123");
    expect("Patient/123/_history/v.4-x", "resource Patient/123");
    expect("Patient/under_score~1:2", "resource Patient/under_score~1:2"); /* beyond FHIR's ids, seen on servers */
}

static void absolute(void **state)
{
    (void)state;
    expect("https://payer.example/fhir/Patient/1", "resource Patient/1");
    expect("https://payer.example/fhir/Patient/1/_history/2", "resource Patient/1");
    expect("http://internal:8080/r4/Patient/1", "resource Patient/1");
    expect("https://payer.example/fhir2/Patient/1", "external Patient/1");
    expect("https://payer.example/Patient/1", "external Patient/1");
    expect("https://payer.example/fhir/x/Patient/1/_history/3", "external Patient/1");
    expect("https://other.example/Organization/7", "external Organization/7");
    expect("https://other.example/", "external /");
    expect("https://other.example", "external /");
    expect("http://", "external /");
    expect("https://payer.example/fhir", "external /");
    expect("https://payer.example/fhir/", "external /");
    expect("https://payer.example/fhir/Patient", "external /");
    expect("https://payer.example/fhir/Patient?x=y", "external /");
}

static void others(void **state)
{
    (void)state;
    expect("", "other /");
    expect("#", "other /");
    expect("#p1", "other /");
    expect("#Patient/1", "other /");
    expect("urn:uuid:6fed515d-df89-45cf-ac5a-a149a42c7b1d", "urn /");
    expect("urn:oid:1.2.3", "urn /");
    expect("Patient?identifier=a|b", "conditional /");
    expect("Patient?", "conditional /");
    expect("Patient?name=a/b", "conditional /");
}

/* Nothing that a target could take for one of its own resources goes through as it is. */
static void of_no_known_form(void **state)
{
    static const char *texts[] = {"Patient", "Patient/", "/Patient/1", "./Patient/1", "../fhir/Patient/1", "Patient/1/",
                                  "Patient/1/2", "Patient/1/_history/", "Patient//1", "patient/1", "Pa-tient/1", "mailto:a@b",
                                  "urn:isbn:123", "urn:", "?x", "Patient/a b", "Patient/1?x=y", "Patient/1#x", "Patient/\xc3\xa4",
                                  "ftp://payer.example/fhir/Patient/1", "HTTP://payer.example/fhir/Patient/1", NULL};
    int i;

    (void)state;
    for (i = 0; texts[i]; i++) assert_memory_equal(form_of(texts[i]), "external ", 9);
}

static void ids_and_types(void **state)
{
    char text[130];

    (void)state;
    memset(text, 'A', sizeof text);
    assert_true(p2p_is_fhir_id(text, 64));
    assert_false(p2p_is_fhir_id(text, 65));
    assert_false(p2p_is_fhir_id(text, 0));
    assert_false(p2p_is_fhir_id("a_b", 3));
    assert_false(p2p_is_fhir_id("a\0b", 3));
    assert_false(p2p_is_fhir_id("\xc3\xa4", 2));
    assert_true(p2p_is_fhir_type(text, 64));
    assert_false(p2p_is_fhir_type(text, 65));
    assert_false(p2p_is_fhir_type("patient", 7));
    assert_false(p2p_is_fhir_type("Patient1", 8));
    assert_false(p2p_is_fhir_type("", 0));
}

static void learns(void **state)
{
    p2p_bases_t own = {.pool = pool};
    const char *url = "https://h/a/b/Patient/1";

    (void)state;
    p2p_bases_learn(&own, url, strlen(url), "Patient", "2");
    p2p_bases_learn(&own, url, strlen(url), "Person", "1");
    p2p_bases_learn(&own, "", 0, "Patient", "1");
    p2p_bases_learn(&own, "x", 1, "Patient", "1");
    p2p_bases_learn(&own, "/Patient/1", 10, "Patient", "1");
    p2p_bases_learn(&own, "urn:uuid:1/Patient/1", 20, "Patient", "1");
    assert_int_equal(own.count, 0);
    p2p_bases_learn(&own, url, strlen(url), "Patient", "1");
    assert_int_equal(own.count, 1);
    assert_string_equal(own.base[0], "https://h/a/b");
}

static void limits_of_bases(void **state)
{
    p2p_bases_t own = {.pool = pool};
    char *text = apr_palloc(pool, 3000);
    int i;

    (void)state;
    memset(text, 'a', 3000);
    memcpy(text, "https://h/", 10);
    p2p_bases_add(&own, text, 2049);
    p2p_bases_add(&own, "", 0);
    p2p_bases_add(&own, "///", 3);
    p2p_bases_add(&own, "ftp://h/", 8);
    assert_int_equal(own.count, 0);
    p2p_bases_add(&own, "https://h//", 11);
    p2p_bases_add(&own, "https://h", 9);
    assert_int_equal(own.count, 1);
    assert_string_equal(own.base[0], "https://h");
    for (i = 0; i < 100; i++) {
        const char *base = apr_psprintf(pool, "https://h/%d", i);

        p2p_bases_add(&own, base, strlen(base));
    }
    assert_int_equal(own.count, P2P_BASES_MAX);
}

static int set_up(void **state)
{
    (void)state;
    apr_initialize();
    if (apr_pool_create(&pool, NULL)) return -1;
    bases.pool = pool;
    p2p_bases_add(&bases, "https://payer.example/fhir/", 27);
    p2p_bases_add(&bases, "http://internal:8080/r4", 23);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    apr_terminate();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relative), cmocka_unit_test(absolute), cmocka_unit_test(others),
        cmocka_unit_test(of_no_known_form), cmocka_unit_test(ids_and_types), cmocka_unit_test(learns),
        cmocka_unit_test(limits_of_bases)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
