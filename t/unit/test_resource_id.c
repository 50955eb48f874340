/* SPDX-License-Identifier: Apache-2.0 */
/* Derived ids: the published vectors, other namespaces, and the way back from an id to its key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "fhir/resource_id.h"
#include "fhir/resource_type.h"

static apr_pool_t *pool;

static void vectors(void **state)
{
    p2p_id_deriver_t *deriver = p2p_id_deriver_make(pool, "https://payer-a.example/issuer");

    (void)state;
    assert_string_equal(p2p_id_derive(pool, deriver, "Patient", "123"),
                        "p2p-7q36xx6wllcqgdk37mofhxiv5sqsbvld7jumjfq6rnn4xis5uy3q");
    assert_string_equal(p2p_id_derive(pool, deriver, "Observation", "3f9a-B.7"),
                        "p2p-rvtbxneoewfitvse22425hzqfghyhbk7wylwe2o5xjvo3lb6ly2a");
    assert_string_equal(p2p_id_derive(pool, deriver, "Patient", "123"),
                        "p2p-7q36xx6wllcqgdk37mofhxiv5sqsbvld7jumjfq6rnn4xis5uy3q");
}

static void namespaces_differ(void **state)
{
    char name[] = "https://payer-b.example/issuer";
    p2p_id_deriver_t *a = p2p_id_deriver_make(pool, "https://payer-a.example/issuer");
    p2p_id_deriver_t *b = p2p_id_deriver_make(pool, name);

    (void)state;
    memset(name, 'x', sizeof name - 1);
    assert_string_not_equal(p2p_id_derive(pool, a, "Patient", "1"), p2p_id_derive(pool, b, "Patient", "1"));
    assert_string_not_equal(p2p_id_derive(pool, a, "Patient", "1"), p2p_id_derive(pool, a, "Person", "1"));
    b = p2p_id_deriver_make(pool, "");
    assert_int_equal(strlen(p2p_id_derive(pool, b, "Patient", "1")), P2P_RESOURCE_ID_LEN);
}

static void texts_of_digests(void **state)
{
    unsigned char digest[P2P_DIGEST_BYTES];
    char text[P2P_RESOURCE_ID_LEN + 1];

    (void)state;
    memset(digest, 0, sizeof digest);
    p2p_id_text(digest, text);
    assert_string_equal(text, "p2p-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    assert_int_equal(p2p_id_key(digest), 1); /* 0 is no key */
    memset(digest, 0xff, sizeof digest);
    p2p_id_text(digest, text);
    assert_string_equal(text, "p2p-777777777777777777777777777777777777777777777777777q");
}

static void keys_of_texts(void **state)
{
    p2p_id_deriver_t *deriver = p2p_id_deriver_make(pool, "n");
    unsigned char digest[P2P_DIGEST_BYTES];
    char text[P2P_RESOURCE_ID_LEN + 1];
    int i;

    (void)state;
    for (i = 0; i < 1000; i++) {
        const char *id = apr_itoa(pool, i);

        p2p_id_digest(deriver, "Patient", 7, id, strlen(id), digest);
        p2p_id_text(digest, text);
        assert_true(p2p_id_key(digest) != 0);
        assert_true(p2p_id_text_key(text) == p2p_id_key(digest));
    }
}

static void no_keys(void **state)
{
    (void)state;
    assert_true(p2p_id_text_key("") == 0);
    assert_true(p2p_id_text_key("p2p") == 0);
    assert_true(p2p_id_text_key("p2p-") == 0);
    assert_true(p2p_id_text_key("p2p-abc") == 0);
    assert_true(p2p_id_text_key("abc-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa") == 0);
    assert_true(p2p_id_text_key("p2p-Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa") == 0);
    assert_true(p2p_id_text_key("p2p-1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa") == 0);
}

static void identifiers_of_types(void **state)
{
    static const char *many[] = {"Account", "Patient", "Observation", "Practitioner", "VisionPrescription", "List",
                                 "MeasureReport", NULL};
    static const char *one[] = {"Bundle", "Composition", "QuestionnaireResponse", "AdverseEvent", "TestScript", NULL};
    static const char *none[] = {"Binary", "OperationOutcome", "Parameters", "Provenance", "AuditEvent", "Nothing", "",
                                 "patient", "Linkage", NULL};
    int i;

    (void)state;
    for (i = 0; many[i]; i++) assert_int_equal(p2p_identifier_kind(many[i]), P2P_IDENTIFIER_MANY);
    for (i = 0; one[i]; i++) assert_int_equal(p2p_identifier_kind(one[i]), P2P_IDENTIFIER_ONE);
    for (i = 0; none[i]; i++) assert_int_equal(p2p_identifier_kind(none[i]), P2P_IDENTIFIER_NONE);
}

static int set_up(void **state)
{
    (void)state;
    apr_initialize();
    return apr_pool_create(&pool, NULL);
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
        cmocka_unit_test(vectors), cmocka_unit_test(namespaces_differ), cmocka_unit_test(texts_of_digests),
        cmocka_unit_test(keys_of_texts), cmocka_unit_test(no_keys), cmocka_unit_test(identifiers_of_types)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
