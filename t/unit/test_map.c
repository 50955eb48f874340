/* SPDX-License-Identifier: Apache-2.0 */
/* How a resource lands: id, meta, identifier and link; whose data it is; everything else byte for byte. */
#include "map_fixture.h"

#define SOURCE(of) "\"source\":\"" ENDPOINT "/" of "\""
#define IDENTIFIER(of) "{\"system\":\"" ENDPOINT "\",\"value\":\"" of "\"}"
#define SAME "{\"other\":{\"reference\":\"Patient/" TARGET "\"},\"type\":\"seealso\"}"

static void expect(const char *text, const char *expected)
{
    p2p_resource_free(map_as(text, NULL, expected));
}

static void ids(void **state)
{
    (void)state;
    expect("{\"resourceType\":\"Binary\",\"id\":\"7\"}",
           "{\"resourceType\":\"Binary\",\"id\":\"@Binary/7@\",\"meta\":{" SOURCE("Binary/7") "}}");
    expect("{\"id\":\"7\",\"resourceType\":\"Binary\",\"data\":\"AA==\"}",
           "{\"id\":\"@Binary/7@\",\"meta\":{" SOURCE("Binary/7") "},\"resourceType\":\"Binary\",\"data\":\"AA==\"}");
    expect("{\"data\":\"AA==\",\"resourceType\":\"Binary\",\"x\":[],\"id\":\"7\"}",
           "{\"data\":\"AA==\",\"resourceType\":\"Binary\",\"x\":[],\"id\":\"@Binary/7@\",\"meta\":{" SOURCE("Binary/7") "}}");
    expect("{\"meta\":{\"tag\":[]},\"id\":\"7\",\"resourceType\":\"Binary\"}",
           "{\"meta\":{" SOURCE("Binary/7") ",\"tag\":[]},\"id\":\"@Binary/7@\",\"resourceType\":\"Binary\"}");
    expect(" {\n  \"resourceType\" : \"Binary\" ,\n  \"id\" : \"7\"\n}\n",
           " {\n  \"resourceType\" : \"Binary\" ,\n  \"id\" : \"@Binary/7@\",\"meta\":{" SOURCE("Binary/7") "}\n}\n");
    expect("{\"resourceType\":\"B\\u0069nary\",\"id\":\"\\u0037\",\"_id\":{\"extension\":[]}}",
           "{\"resourceType\":\"B\\u0069nary\",\"id\":\"@Binary/7@\",\"meta\":{" SOURCE("Binary/7") "},\"_id\":{\"extension\":[]}}");
    expect("{\"resourceType\":\"Binary\",\"id\":\"a_b~1:2\"}",
           "{\"resourceType\":\"Binary\",\"id\":\"@Binary/a_b~1:2@\",\"meta\":{" SOURCE("Binary/a_b~1:2") "}}");
}

static void expect_url(const char *text, const char *url, const char *expected)
{
    p2p_resource_free(map_as(text, url, expected));
}

static void missing_ids(void **state)
{
    (void)state;
    expect_url("{\"resourceType\":\"Binary\"}", "urn:uuid:5-a", "{\"resourceType\":\"Binary\",\"id\":\"@Binary/5-a@\",\"meta\":{"
               SOURCE("Binary/5-a") "}}");
    expect_url("{\"a\":1,\"resourceType\":\"Binary\",\"b\":2}", "urn\\u003auuid:5-a",
               "{\"a\":1,\"resourceType\":\"Binary\",\"id\":\"@Binary/5-a@\",\"meta\":{" SOURCE("Binary/5-a") "},\"b\":2}");
    expect_url("{\"resourceType\":\"Binary\",\"id\":\"7\"}", "urn:uuid:5-a", "{\"resourceType\":\"Binary\",\"id\":\"@Binary/7@\","
               "\"meta\":{" SOURCE("Binary/7") "}}");
}

#define META(in, out)                                                                                    \
    expect("{\"resourceType\":\"Binary\",\"meta\":" in ",\"id\":\"7\"}",                                  \
           "{\"resourceType\":\"Binary\",\"meta\":" out ",\"id\":\"@Binary/7@\"}")

static void meta(void **state)
{
    (void)state;
    META("{}", "{" SOURCE("Binary/7") "}");
    META("{\"versionId\":\"1\"}", "{" SOURCE("Binary/7") "}");
    META("{ \"versionId\":\"1\",\"lastUpdated\":\"2020\",\"source\":\"#x\" }", "{" SOURCE("Binary/7") "}");
    META("{\"versionId\":\"1\",\"profile\":[\"p\"]}", "{" SOURCE("Binary/7") ",\"profile\":[\"p\"]}");
    META("{\"profile\":[\"p\"],\"versionId\":\"1\"}", "{" SOURCE("Binary/7") ",\"profile\":[\"p\"]}");
    META("{\"profile\":[\"p\"],\"source\":\"s\",\"tag\":[{\"code\":\"c\"}]}",
         "{" SOURCE("Binary/7") ",\"profile\":[\"p\"],\"tag\":[{\"code\":\"c\"}]}");
    META("{\"a\":1,\"source\":\"s\",\"versionId\":\"1\",\"b\":2,\"lastUpdated\":\"2020\"}", "{" SOURCE("Binary/7") ",\"a\":1,\"b\":2}");
    META("{\"lastUpdated\":\"2020\",\"a\":1,\"source\":\"s\",\"b\":2,\"versionId\":\"1\",\"c\":3}",
         "{" SOURCE("Binary/7") ",\"a\":1,\"b\":2,\"c\":3}");
    META("{\n \"versionId\" : \"1\" ,\n \"tag\" : [ ] ,\n \"lastUpdated\" : \"2020\"\n }",
         "{" SOURCE("Binary/7") ",\n \"tag\" : [ ]\n }");
    META("{\"_versionId\":{\"id\":\"x\"},\"versionId\":\"1\",\"_source\":null,\"x\":{\"versionId\":\"2\"}}",
         "{" SOURCE("Binary/7") ",\"x\":{\"versionId\":\"2\"}}");
    META("{\"security\":[{\"source\":\"s\",\"lastUpdated\":1}]}",
         "{" SOURCE("Binary/7") ",\"security\":[{\"source\":\"s\",\"lastUpdated\":1}]}");
    expect("{\"resourceType\":\"Binary\",\"id\":\"7\",\"x\":{\"meta\":{\"versionId\":\"1\"}},\"_meta\":{\"versionId\":\"1\"}}",
           "{\"resourceType\":\"Binary\",\"id\":\"@Binary/7@\",\"meta\":{" SOURCE("Binary/7") "},"
           "\"x\":{\"meta\":{\"versionId\":\"1\"}},\"_meta\":{\"versionId\":\"1\"}}");
}

/* References within what is dropped go with it. */
static void references_in_meta(void **state)
{
    (void)state;
    META("{\"_source\":{\"extension\":[{\"valueReference\":{\"reference\":\"Patient/2\"}}]}}", "{" SOURCE("Binary/7") "}");
    META("{\"a\":1,\"_source\":{\"extension\":[{\"valueReference\":{\"reference\":\"Patient/" MEMBER "\"}},"
         "{\"valueAttachment\":{\"url\":\"Binary/2\"}}]}}", "{" SOURCE("Binary/7") ",\"a\":1}");
    META("{\"_versionId\":{\"extension\":[{\"valueReference\":{\"reference\":\"urn:uuid:2\"}}]},\"extension\":[{\"valueReference\":"
         "{\"reference\":\"Patient/" MEMBER "\"}}]}",
         "{" SOURCE("Binary/7") ",\"extension\":[{\"valueReference\":{\"reference\":\"Patient/" TARGET "\"}}]}");
}

static void last_updated(void **state)
{
    p2p_resource_t *resource;

    (void)state;
    resource = map_as("{\"resourceType\":\"Binary\",\"id\":\"7\",\"meta\":{\"lastUpdated\":\"2026-11-22T09:31:54.024+00:00\"}}", NULL,
                      "{\"resourceType\":\"Binary\",\"id\":\"@Binary/7@\",\"meta\":{" SOURCE("Binary/7") "}}");
    assert_true(resource->updated == 1795339914024);
    assert_true(resource->key != 0);
    assert_string_equal(resource->source_id, "7");
    assert_string_equal(p2p_mapper_type(mapper, resource->type), "Binary");
    p2p_resource_free(resource);
    resource = map_as("{\"resourceType\":\"Binary\",\"id\":\"7\",\"meta\":{\"lastUpdated\":\"soon\",\"x\":1}}", NULL,
                      "{\"resourceType\":\"Binary\",\"id\":\"@Binary/7@\",\"meta\":{" SOURCE("Binary/7") ",\"x\":1}}");
    assert_true(resource->updated == 0);
    p2p_resource_free(resource);
}

#define OBSERVATION(rest) "{\"resourceType\":\"Observation\",\"id\":\"7\",\"meta\":{}" rest "}"
#define LANDED(first, rest)                                                                               \
    "{\"resourceType\":\"Observation\",\"id\":\"@Observation/7@\"" first ",\"meta\":{" SOURCE("Observation/7") "}" rest "}"

static void identifiers(void **state)
{
    (void)state;
    expect(OBSERVATION(""), LANDED(",\"identifier\":[" IDENTIFIER("Observation/7") "]", ""));
    expect(OBSERVATION(",\"identifier\":[]"), LANDED("", ",\"identifier\":[" IDENTIFIER("Observation/7") "]"));
    expect(OBSERVATION(",\"identifier\":[ ]"), LANDED("", ",\"identifier\":[" IDENTIFIER("Observation/7") " ]"));
    expect(OBSERVATION(",\"identifier\":[{\"value\":\"v\"}\n]"),
           LANDED("", ",\"identifier\":[{\"value\":\"v\"}," IDENTIFIER("Observation/7") "\n]"));
    expect(OBSERVATION(",\"identifier\":[{\"value\":\"v\"},{\"value\":\"w\",\"assigner\":{\"reference\":\"Organization/1\"}}]"),
           LANDED("", ",\"identifier\":[{\"value\":\"v\"},{\"value\":\"w\",\"assigner\":{\"reference\":\"Organization/@Organization/1@\"}},"
                  IDENTIFIER("Observation/7") "]"));
    expect(OBSERVATION(",\"x\":{\"identifier\":[]},\"_identifier\":null"),
           LANDED(",\"identifier\":[" IDENTIFIER("Observation/7") "]", ",\"x\":{\"identifier\":[]},\"_identifier\":null"));
    expect(OBSERVATION(",\"identifier\":null"), LANDED("", ",\"identifier\":null"));
    expect(OBSERVATION(",\"identifier\":{\"value\":\"v\"}"), LANDED("", ",\"identifier\":{\"value\":\"v\"}"));
    expect("{\"resourceType\":\"Observation\",\"id\":\"7\"}", "{\"resourceType\":\"Observation\",\"id\":\"@Observation/7@\",\"meta\":{"
           SOURCE("Observation/7") "},\"identifier\":[" IDENTIFIER("Observation/7") "]}");
}

static void single_identifiers(void **state)
{
    (void)state;
    expect("{\"resourceType\":\"Composition\",\"id\":\"7\"}", "{\"resourceType\":\"Composition\",\"id\":\"@Composition/7@\",\"meta\":{"
           SOURCE("Composition/7") "},\"identifier\":" IDENTIFIER("Composition/7") "}");
    expect("{\"resourceType\":\"Composition\",\"id\":\"7\",\"identifier\":{\"value\":\"v\"}}",
           "{\"resourceType\":\"Composition\",\"id\":\"@Composition/7@\",\"meta\":{" SOURCE("Composition/7")
           "},\"identifier\":{\"value\":\"v\"}}");
    expect("{\"resourceType\":\"Parameters\",\"id\":\"7\",\"identifier\":[]}", "{\"resourceType\":\"Parameters\",\"id\":"
           "\"@Parameters/7@\",\"meta\":{" SOURCE("Parameters/7") "},\"identifier\":[]}");
}

#define PATIENT(rest) "{\"resourceType\":\"Patient\",\"identifier\":[],\"meta\":{},\"id\":\"" MEMBER "\"" rest "}"
#define PATIENT_LANDED(rest)                                                                                             \
    "{\"resourceType\":\"Patient\",\"identifier\":[" IDENTIFIER("Patient/" MEMBER) "],\"meta\":{" SOURCE("Patient/" MEMBER) \
    "},\"id\":\"@Patient/" MEMBER "@\"" rest "}"

static void patients(void **state)
{
    p2p_resource_t *resource = NULL;

    (void)state;
    expect(PATIENT(""), PATIENT_LANDED(",\"link\":[" SAME "]"));
    expect(PATIENT(",\"link\":[]"), PATIENT_LANDED(",\"link\":[" SAME "]"));
    expect(PATIENT(",\"link\":[{\"other\":{\"reference\":\"Patient/2\"},\"type\":\"refer\"}]"),
           PATIENT_LANDED(",\"link\":[{\"other\":{\"reference\":\"Patient/@Patient/2@\"},\"type\":\"refer\"}," SAME "]"));
    expect(PATIENT(",\"link\":[{\"other\":{\"reference\":\"Patient/" MEMBER "\"}}]"),
           PATIENT_LANDED(",\"link\":[{\"other\":{\"reference\":\"Patient/" TARGET "\"}}," SAME "]"));
    resource = map_as(PATIENT(",\"x\":1"), NULL, PATIENT_LANDED(",\"link\":[" SAME "],\"x\":1"));
    assert_false(resource->other_patient);
    p2p_resource_free(resource);
    assert_null(map_text("{\"resourceType\":\"Patient\",\"id\":\"M1\"}", 36, NULL, &resource));
    assert_true(resource->other_patient);
    p2p_resource_free(resource);
}

static int is_other(const char *members)
{
    const char *text = apr_pstrcat(pool, "{\"resourceType\":\"Task\",\"id\":\"7\",", members, "}", NULL);
    p2p_resource_t *resource;
    int other;

    assert_null(map_text(text, strlen(text), NULL, &resource));
    free(render(resource));
    other = resource->other_patient;
    p2p_resource_free(resource);
    return other;
}

static void other_people(void **state)
{
    static const char *const names[] = {"subject", "patient", "beneficiary", "for"};
    int i;

    (void)state;
    for (i = 0; i < 4; i++) {
        const char *name = names[i];

        assert_false(is_other(apr_pstrcat(pool, "\"", name, "\":{\"reference\":\"Patient/" MEMBER "\"}", NULL)));
        assert_true(is_other(apr_pstrcat(pool, "\"", name, "\":{\"reference\":\"Patient/2\"}", NULL)));
        assert_true(is_other(apr_pstrcat(pool, "\"", name, "\":{\"display\":\"x\",\"reference\":\"" ENDPOINT "/Patient/2\"}", NULL)));
        assert_true(is_other(apr_pstrcat(pool, "\"", name, "\":{\"reference\":\"https://other/Patient/2/_history/1\"}", NULL)));
        assert_true(is_other(apr_pstrcat(pool, "\"", name, "\":[{\"reference\":\"Patient\\/2\"}]", NULL)));
        assert_false(is_other(apr_pstrcat(pool, "\"", name, "\":[{\"reference\":\"Patient/2\"},{\"reference\":\"Patient/" MEMBER "\"}]",
                                          NULL)));
        assert_false(is_other(apr_pstrcat(pool, "\"_", name, "\":{\"reference\":\"Patient/2\"}", NULL)));
        assert_false(is_other(apr_pstrcat(pool, "\"x\":{\"", name, "\":{\"reference\":\"Patient/2\"}}", NULL)));
        assert_false(is_other(apr_pstrcat(pool, "\"", name, "\":{\"reference\":\"Group/2\"}", NULL)));
        assert_false(is_other(apr_pstrcat(pool, "\"", name, "\":{\"reference\":\"#p\"}", NULL)));
    }
    assert_true(is_other("\"subject\":{\"reference\":\"Patient/2\"},\"for\":{\"reference\":\"Patient/" MEMBER "\"}"));
    assert_false(is_other("\"performer\":[{\"reference\":\"Patient/2\"}]"));
    assert_false(is_other("\"subject\":{\"x\":{\"reference\":\"Patient/2\"}}"));
    /* a nested resource that claims to be the subject changes nothing */
    assert_true(is_other("\"subject\":{\"reference\":\"Patient/2\"},\"x\":[{\"fullUrl\":\"Patient/2\",\"resource\":{\"resourceType\":"
                         "\"Patient\",\"id\":\"2\"}}]"));
    /* nor does the member's id at another server make it the member's data */
    expect("{\"resourceType\":\"Provenance\",\"id\":\"7\",\"meta\":{},\"patient\":{\"reference\":\"https://other/Patient/" MEMBER "\"}}",
           "{\"resourceType\":\"Provenance\",\"id\":\"@Provenance/7@\",\"meta\":{" SOURCE("Provenance/7")
           "},\"patient\":{\"reference\":\"https://other/Patient/" MEMBER "\"}}");
}

/* What nobody may touch. */
static void other_bytes(void **state)
{
    static const char rest[] = ",\"a\":12345678901234567890.0000,\"b\":-0,\"c\":1.50,\"d\":1E+2,\"_e\":[null,{\"id\":\"x\"}],"
                               "\"f\":\"\\u00e9\\/\\b\\f\\n\\r\\t\\\\\\\"\\ud83d\\ude00 \xf0\x9f\x98\x80\",\"g\":true,\"h\":[ ],\"i\":{ },"
                               "\"text\":{\"status\":\"generated\",\"div\":\"<div><a href=\\\"Patient/2\\\">Patient/2</a></div>\"},"
                               "\"contained\":[{\"resourceType\":\"Patient\",\"id\":\"p\",\"meta\":{\"versionId\":\"1\"},\"identifier\":[]}]";

    (void)state;
    expect(apr_pstrcat(pool, "{\"resourceType\":\"Binary\",\"id\":\"7\",\"meta\":{}", rest, "}", NULL),
           apr_pstrcat(pool, "{\"resourceType\":\"Binary\",\"id\":\"@Binary/7@\",\"meta\":{" SOURCE("Binary/7") "}", rest, "}", NULL));
}

static void refuse(const char *text, const char *url, const char *code)
{
    p2p_resource_t *resource = NULL;
    p2p_error_t *error = map_text(text, strlen(text), url, &resource);

    if (!error) fail_msg("taken: %s", text);
    assert_string_equal(error->code, code);
    assert_null(resource);
}

static void refused(void **state)
{
    static const char *const texts[] = {
        "[]", "7", "\"x\"", "null", "{}", "[{\"resourceType\":\"Patient\",\"id\":\"1\"}]", "{\"id\":\"1\"}",
        "{\"resourceType\":\"Patient\"}", "{\"resourceType\":7,\"id\":\"1\"}", "{\"resourceType\":\"patient\",\"id\":\"1\"}",
        "{\"resourceType\":\"Pat ient\",\"id\":\"1\"}", "{\"resourceType\":\"\",\"id\":\"1\"}", "{\"resourceType\":\"Patient\",\"id\":7}",
        "{\"resourceType\":\"Patient\",\"id\":\"\"}", "{\"resourceType\":\"Patient\",\"id\":\"a/b\"}",
        "{\"resourceType\":\"Patient\",\"id\":\"a b\"}", "{\"resourceType\":\"Patient\",\"id\":\"a\\\"b\"}",
        "{\"resourceType\":\"Patient\",\"id\":\"a\\u0000b\"}", "{\"resourceType\":\"Patient\",\"id\":\"\\u00e9\"}",
        "{\"resourceType\":\"Patient\",\"id\":\"1\",\"id\":\"2\"}", "{\"resourceType\":\"Patient\",\"id\":\"1\",\"resourceType\":\"Task\"}",
        "{\"resourceType\":\"Patient\",\"id\":\"1\",\"meta\":{},\"meta\":{}}", "{\"resourceType\":\"Patient\",\"id\":\"1\",\"meta\":[]}",
        "{\"resourceType\":\"Patient\",\"id\":\"1\",\"meta\":null}", "{\"resourceType\":\"Patient\",\"id\":null}",
        "{\"resourceType\":\"Patient\",\"id\":\"1\",\"meta\":{\"source\":\"a\",\"source\":\"b\"}}",
        "{\"resourceType\":\"Task\",\"id\":\"1\",\"for\":{\"reference\":\"Patient/2\",\"reference\":\"Patient/" MEMBER "\"}}",
        "{\"resourceType\":\"Task\",\"id\":\"1\",\"for\":{\"refer\\u0065nce\":\"Patient/2\"}}",
        "{\"resourceType\":\"Patient\",\"id\":\"1\",\"link\":[],\"link\":[]}", NULL};
    char *many = apr_palloc(pool, 4000), *to = many;
    int i;

    (void)state;
    for (i = 0; texts[i]; i++) refuse(texts[i], NULL, "not-fhir");
    refuse("{\"resourceType\":\"Patient\"}", "https://h/Patient/1", "not-fhir");
    refuse("{\"resourceType\":\"Patient\"}", "urn:oid:1.2", "not-fhir");
    refuse("{\"resourceType\":\"Patient\"}", "urn:uuid:", "not-fhir");
    refuse("{\"resourceType\":\"Patient\",\"id\":\"1\"", NULL, "json-cut-short");
    refuse("{\"resourceType\":\"Patient\",\"id\":\"1\"]", NULL, "not-json");
    to += apr_snprintf(to, 99, "{\"resourceType\":\"Patient\",\"id\":\"1\",\"meta\":{\"a\":0");
    for (i = 0; i < 64; i++) to += apr_snprintf(to, 99, ",\"a%d\":0", i);
    apr_snprintf(to, 99, "}}");
    refuse(many, NULL, "not-fhir");
}

static void types(void **state)
{
    char name[8] = "Aaaa";
    int i, number = p2p_mapper_type_number(mapper, "Patient", 7);

    (void)state;
    assert_int_equal(p2p_mapper_type_number(mapper, "Patient", 7), number);
    assert_int_equal(p2p_mapper_type_number(mapper, "", 0), -1);
    assert_int_equal(p2p_mapper_type_number(mapper, "Pat/x", 5), -1);
    for (i = 0; i < 2000; i++) {
        apr_snprintf(name, sizeof name, "T%c%c%c", 'a' + i % 26, 'a' + i / 26 % 26, 'a' + i / 676);
        p2p_mapper_type_number(mapper, name, 4);
    }
    assert_int_equal(p2p_mapper_type_number(mapper, "Zzzz", 4), -1);
    assert_int_equal(p2p_mapper_type_number(mapper, "Patient", 7), number);
    assert_string_equal(p2p_mapper_type(mapper, (unsigned)number), "Patient");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids), cmocka_unit_test(missing_ids), cmocka_unit_test(meta), cmocka_unit_test(references_in_meta),
        cmocka_unit_test(last_updated), cmocka_unit_test(identifiers), cmocka_unit_test(single_identifiers),
        cmocka_unit_test(patients), cmocka_unit_test(other_people), cmocka_unit_test(other_bytes), cmocka_unit_test(refused),
        cmocka_unit_test(types)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
