/* SPDX-License-Identifier: Apache-2.0 */
/* Which requests ask for Provenance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>

#include "fhir/injection_request.h"

#define FORM "application/x-www-form-urlencoded"
#define JSON "application/fhir+json"

static apr_pool_t *pool;

static int get(const char *path, const char *query)
{
    p2p_injection_request_t request = {.path = path, .query = query};

    assert_false(p2p_injection_needs_body(&request));
    return p2p_injection_asked(pool, &request);
}

/* The body lies at the end of a block of its own, without a NUL. */
static int post(const char *path, const char *query, const char *type, const char *body)
{
    p2p_injection_request_t request = {1, path, query, type, NULL, strlen(body)};
    char *copy = malloc(request.len ? request.len : 1);
    int asked;

    assert_non_null(copy);
    memcpy(copy, body, request.len);
    request.body = copy;
    asked = p2p_injection_asked(pool, &request);
    free(copy);
    return asked;
}

static void everything(void **state)
{
    (void)state;
    assert_true(get("/fhir/Patient/1/$everything", NULL));
    assert_true(get("/fhir/Patient/1/$everything", "_count=50"));
    assert_true(get("/fhir/Patient/$everything", ""));
    assert_true(get("/fhir/Encounter/1/%24everything", NULL));
    assert_true(get("$everything", NULL));
    assert_true(get("/fhir/Patient/1/$everything/", NULL));
    assert_false(get("/fhir/Patient/1/$everything/x", NULL));
    assert_false(get("/fhir/Patient/1/x$everything", NULL));
    assert_false(get("/fhir/Patient/1/$everythin", NULL));
    assert_false(get("/fhir/Patient/1/$everything2", NULL));
    assert_false(get("/fhir/Patient/1/$EVERYTHING", NULL));
    assert_false(get("/fhir/Patient/1/%2Feverything", NULL));
    assert_false(get("/fhir/Patient/1", "x=$everything"));
    assert_false(get("", NULL));
    assert_false(get("///", NULL));
}

static void types_of_everything(void **state)
{
    static const char *const with[] = {"_type=Provenance", "_type=Patient,Provenance", "_type=Provenance,Patient",
                                       "_type=Patient%2CProvenance", "_type=Patient&_type=Provenance", "_%74ype=%50rovenance", "_type=",
                                       "_type", "_typ=Patient", "_type=Patient,+Provenance", "_type=Patient,%20Provenance+,Group", "_types=x"};
    static const char *const without[] = {"_type=Patient", "_type=Patient,Observation", "_type=ProvenanceX", "_type=XProvenance",
                                          "_type=Patient%00,", "_type=provenance", "_type=,", "_type=%", "_type=Provenance%00",
                                          "a=b&_type=Observation&_count=3", "_type=Patient;Provenance"};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof with / sizeof *with; i++) assert_true(get("/fhir/Patient/1/$everything", with[i]));
    for (i = 0; i < sizeof without / sizeof *without; i++) assert_false(get("/fhir/Patient/1/$everything", without[i]));
}

static void searches(void **state)
{
    static const char *const with[] = {"_revinclude=Provenance:target", "code=1&_revinclude=Provenance%3Atarget", "_revinclude=Provenance:target&x",
                                       "_revinclude:iterate=Provenance:target", "_revinclude%3Aiterate=Provenance%3atarget",
                                       "_revinclude:recurse=Provenance:target", "_revinclude=Observation:subject&_revinclude=Provenance:target",
                                       "_revinclude=Provenance:target&_revinclude=Observation:subject", "%5Frevinclude=Provenance:target",
                                       "_revinclude=Provenance:target:Patient", "&&=&_revinclude=Provenance:target&"};
    static const char *const without[] = {"", "_revinclude", "_revinclude=", "_revinclude=Provenance", "_revinclude=Provenance:targets",
                                          "_revinclude=Provenance:agent", "_revinclude=provenance:target", "_include=Provenance:target",
                                          "_revinclude:x=Provenance:target", "_revinclude:iterate:x=Provenance:target", "_revincludes=Provenance:target",
                                          "_revinclude=Provenance:target%00", "_revinclude=XProvenance:target", "x=_revinclude=Provenance:target",
                                          "_revinclude=%2", "_revinclude=%", "_revinclude=Provenance%253Atarget", "_type=Provenance",
                                          "_REVINCLUDE=Provenance:target", "_revinclude=Provenance:target+x"};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof with / sizeof *with; i++) {
        assert_true(get("/fhir/Observation", with[i]));
        assert_true(get("/fhir/Observation/_search", with[i]));
        assert_true(get("/fhir", with[i]));
        assert_true(post("/fhir/Observation/_search", NULL, FORM, with[i]));
        assert_true(post("/fhir/Observation/_search", with[i], FORM, "code=1"));
        assert_false(post("/fhir/Observation", with[i], JSON, "{}"));
    }
    for (i = 0; i < sizeof without / sizeof *without; i++) {
        assert_false(get("/fhir/Observation", without[i]));
        assert_false(post("/fhir/Observation/_search", without[i], FORM, without[i]));
    }
    assert_false(get("/fhir/Observation", NULL));
}

static void forms(void **state)
{
    static const char asks[] = "_revinclude=Provenance:target";

    (void)state;
    assert_true(post("/fhir/Patient/1/Observation/_search", NULL, "Application/X-WWW-Form-Urlencoded; charset=UTF-8", asks));
    assert_true(post("/fhir/_search/", NULL, FORM, asks));
    assert_false(post("/fhir/_search", NULL, FORM "x", asks));
    assert_false(post("/fhir/_search", NULL, NULL, asks));
    assert_false(post("/fhir/_search", NULL, JSON, asks));
    assert_false(post("/fhir/_search", NULL, FORM, "_revinclude=Provenance:tar"));
    assert_false(post("/fhir/_search", NULL, FORM, "_revinclude=Provenance:targe%7"));
    assert_false(post("/fhir", NULL, FORM, asks));
}

#define PARAMETERS(list) "{\"resourceType\":\"Parameters\",\"parameter\":[" list "]}"

static void bodies_of_everything(void **state)
{
    static const char path[] = "/fhir/Patient/1/$everything";

    (void)state;
    assert_true(post(path, NULL, NULL, ""));
    assert_true(post(path, NULL, "text/xml", ""));
    assert_false(post(path, NULL, "application/fhir+xml", "<Parameters/>"));
    assert_false(post(path, NULL, NULL, "x"));
    assert_true(post(path, NULL, JSON, PARAMETERS("")));
    assert_true(post(path, NULL, JSON, "{\"resourceType\":\"Parameters\"}"));
    assert_true(post(path, NULL, "application/json; charset=x", PARAMETERS("{\"name\":\"_count\",\"valueInteger\":3}")));
    assert_false(post(path, NULL, JSON, PARAMETERS("{\"name\":\"_type\",\"valueCode\":\"Patient\"}")));
    assert_true(post(path, NULL, JSON, PARAMETERS("{\"name\":\"_type\",\"valueCode\":\"Patient\"},{\"name\":\"_type\",\"valueCode\":\"Provenance\"}")));
    assert_true(post(path, NULL, JSON, PARAMETERS("1,null,[],{\"name\":7},{\"valueString\":\"Patient,Provenance\",\"name\":\"_type\"}")));
    assert_false(post(path, NULL, JSON, PARAMETERS("{\"name\":\"_type\",\"valueString\":\"Patient+Provenance\"}")));
    assert_false(post(path, "_type=Patient", JSON, PARAMETERS("")));
    assert_true(post(path, "_type=Patient", JSON, PARAMETERS("{\"name\":\"_type\",\"valueCode\":\"Provenance\"}")));
    assert_true(post(path, NULL, JSON, "nonsense"));
    assert_true(post(path, NULL, JSON, "[1,2]"));
    assert_false(post(path, NULL, FORM, "_type=Patient"));
    assert_true(post(path, NULL, FORM, "_type=Patient,Provenance"));
    assert_true(post(path, NULL, FORM, "_count=1"));
}

static void which_bodies(void **state)
{
    p2p_injection_request_t request = {.post = 1, .path = "/fhir/Patient/_search"};

    (void)state;
    assert_true(p2p_injection_needs_body(&request));
    request.path = "/fhir/Patient/1/%24everything";
    assert_true(p2p_injection_needs_body(&request));
    request.path = "/fhir/Patient";
    assert_false(p2p_injection_needs_body(&request));
    request.path = "/fhir/Patient/_search";
    request.post = 0;
    assert_false(p2p_injection_needs_body(&request));
}

/* Long input is read once: a megabyte of parameters is nothing. */
static void long_input(void **state)
{
    apr_size_t len = 1 << 20;
    char *text = malloc(len + 1), *at;

    (void)state;
    assert_non_null(text);
    for (at = text; at + 8 <= text + len; at += 8) memcpy(at, "_type=a&", 8);
    *at = '\0';
    assert_false(get("/fhir/Patient/1/$everything", text));
    memcpy(text + len - 30, "&_type=x,,%,%2,Provenance&_a=b", 30);
    assert_true(get("/fhir/Patient/1/$everything", text));
    memset(text, ',', len);
    memcpy(text, "_type=", 6);
    assert_false(get("/fhir/Patient/1/$everything", text));
    memset(text, '&', len);
    assert_true(get("/fhir/Patient/1/$everything", text));
    memset(text, '/', len);
    assert_false(get(text, NULL));
    free(text);
}

static int set_up(void **state)
{
    (void)state;
    apr_initialize();
    apr_pool_create(&pool, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    apr_terminate();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything), cmocka_unit_test(types_of_everything), cmocka_unit_test(searches), cmocka_unit_test(forms),
        cmocka_unit_test(bodies_of_everything), cmocka_unit_test(which_bodies), cmocka_unit_test(long_input)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
