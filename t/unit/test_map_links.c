/* SPDX-License-Identifier: Apache-2.0 */
/* References and attachments: every form, as mapped, as named by a urn, and as left over when what they refer to never comes. */
#include "map_fixture.h"

#define HEAD(id) "{\"resourceType\":\"Provenance\",\"id\":\"" id "\",\"meta\":{"
#define SOURCE "\"source\":\"" ENDPOINT "/Provenance/7\""
#define LOGICAL(url) "\"identifier\":{\"system\":\"urn:ietf:rfc:3986\",\"value\":\"" url "\"}"

/* Maps a resource of the given members. */
static p2p_resource_t *map_members(const char *in, const char *out)
{
    return map_as(apr_pstrcat(pool, HEAD("7") "},", in, "}", NULL), NULL,
                  apr_pstrcat(pool, HEAD("@Provenance/7@") SOURCE "},", out, "}", NULL));
}

static void expect_members(const p2p_resource_t *resource, const char *out)
{
    expect_render(resource, apr_pstrcat(pool, HEAD("@Provenance/7@") SOURCE "},", out, "}", NULL));
}

static void leave_all(p2p_resource_t *resource, int keep)
{
    unsigned i;

    for (i = 0; i < resource->link_count; i++) {
        p2p_map_unresolved(mapper, resource, &resource->links[i], keep);
        assert_true(resource->links[i].settled);
    }
}

/* As mapped (out); with all it refers to missing, logical; the same, kept as it was. */
static void expect(const char *in, const char *out, const char *logical)
{
    p2p_resource_t *resource = map_members(in, out);

    leave_all(resource, 0);
    expect_members(resource, logical);
    leave_all(resource, 1); /* twice does no harm */
    p2p_resource_free(resource);
    resource = map_members(in, out);
    leave_all(resource, 1);
    if (resource->link_count) expect_members(resource, in);
    p2p_resource_free(resource);
}

/* A Reference with this text becomes one to type/id; unresolved it names the URL. */
static void expect_resource(const char *text, const char *of, const char *url)
{
    expect(apr_psprintf(pool, "\"x\":{\"reference\":\"%s\"}", text),
           apr_psprintf(pool, "\"x\":{\"reference\":\"%.*s/@%s@\"}", (int)strcspn(of, "/"), of, of),
           apr_psprintf(pool, "\"x\":{" LOGICAL("%s") "}", url));
}

/* As far as is known it will never be received: it is as it was until that is settled. With external, a base may still be learned. */
static void expect_unknown(const char *text, const char *url, int external)
{
    const char *in = apr_psprintf(pool, "\"x\":{\"reference\":\"%s\",\"display\":\"D\"}", text);
    p2p_resource_t *resource = map_members(in, in);

    assert_int_equal(resource->link_count, 1);
    assert_int_equal(resource->links[0].hopeless, !external);
    assert_int_equal(resource->links[0].is_external, external);
    assert_true(resource->links[0].key == 0);
    if (external) assert_int_equal(p2p_map_look_again(mapper, resource, resource->links), 0);
    p2p_resource_free(resource);
    expect(in, in, apr_psprintf(pool, "\"x\":{" LOGICAL("%s") ",\"display\":\"D\"}", url));
}

static void expect_hopeless(const char *text, const char *url)
{
    expect_unknown(text, url, 0);
}

static void expect_external(const char *url)
{
    expect_unknown(url, url, 1);
}

/* No link at all: nothing changes, whatever comes. */
static void expect_untouched(const char *in)
{
    p2p_resource_t *resource = map_members(in, in);

    assert_int_equal(resource->link_count, 0);
    p2p_resource_free(resource);
}

static void forms(void **state)
{
    (void)state;
    expect_resource("Observation/1", "Observation/1", ENDPOINT "/Observation/1");
    expect_resource("Observation/1/_history/3", "Observation/1", ENDPOINT "/Observation/1/_history/3");
    expect_resource(ENDPOINT "/Observation/1", "Observation/1", ENDPOINT "/Observation/1");
    expect_resource("Observation\\/1", "Observation/1", ENDPOINT "/Observation\\/1");
    expect_resource("https:\\/\\/payer.example\\/fhir\\/Observation\\/1", "Observation/1",
                    "https:\\/\\/payer.example\\/fhir\\/Observation\\/1");
    expect_resource("Observation/a_b", "Observation/a_b", ENDPOINT "/Observation/a_b");
    expect_resource("Patient/2", "Patient/2", ENDPOINT "/Patient/2");
}

static void other_bases(void **state)
{
    p2p_resource_t *resource;

    (void)state;
    expect_external("http://inside:8080/r4/Observation/1");
    p2p_bases_add(p2p_mapper_bases(mapper), "http://inside:8080/r4", 21);
    expect_resource("http://inside:8080/r4/Observation/1", "Observation/1", "http://inside:8080/r4/Observation/1");
    resource = map_as(HEAD("7") "},\"x\":{\"reference\":\"https://front/a/Observation/1/_history/2\"}}", "https:\\/\\/front\\/a\\/Provenance\\/7",
                      HEAD("@Provenance/7@") SOURCE "},\"x\":{\"reference\":\"Observation/@Observation/1@\"}}");
    p2p_resource_free(resource);
    expect_resource("https://front/a/Observation/1", "Observation/1", "https://front/a/Observation/1");
}

/* Mapped before its base is known, and looked at again when it is. */
static void learn(const char *in, int settled, const char *out, const char *logical)
{
    p2p_resource_t *resource;

    renew();
    resource = map_members(in, in);
    assert_int_equal(resource->link_count, 1);
    assert_false(resource->other_patient);
    assert_int_equal(p2p_map_look_again(mapper, resource, resource->links), 0);
    p2p_bases_add(p2p_mapper_bases(mapper), "http://inside", 13);
    assert_int_equal(p2p_map_look_again(mapper, resource, resource->links), 1);
    assert_false(resource->links[0].is_external);
    assert_int_equal(resource->links[0].settled, settled);
    assert_int_equal(resource->links[0].key != 0, 1);
    expect_members(resource, out);
    if (!settled) leave_all(resource, 0);
    expect_members(resource, logical);
    p2p_resource_free(resource);
    resource = map_members(in, out); /* as if it had been known */
    p2p_resource_free(resource);
}

static void base_learned_later(void **state)
{
    (void)state;
    learn("\"x\":{\"reference\":\"http://inside/Group/1\"}", 0, "\"x\":{\"reference\":\"Group/@Group/1@\"}",
          "\"x\":{" LOGICAL("http://inside/Group/1") "}");
    learn("\"x\":{\"reference\":\"http:\\/\\/inside\\/Group\\/1\\/_history\\/2\",\"identifier\":{}}", 0,
          "\"x\":{\"reference\":\"Group/@Group/1@\",\"identifier\":{}}", "\"x\":{\"identifier\":{}}");
    learn("\"subject\":{\"reference\":\"http://inside/Patient/" MEMBER "\"}", 1, "\"subject\":{\"reference\":\"Patient/" TARGET "\"}",
          "\"subject\":{\"reference\":\"Patient/" TARGET "\"}");
    learn("\"x\":{\"reference\":\"http://inside/Patient/2\"}", 0, "\"x\":{\"reference\":\"Patient/@Patient/2@\"}",
          "\"x\":{" LOGICAL("http://inside/Patient/2") "}");
    learn("\"x\":{\"url\":\"http://inside/Binary/1\"}", 0, "\"x\":{\"url\":\"Binary/@Binary/1@\"}",
          "\"x\":{\"url\":\"http://inside/Binary/1\"}");
    learn("\"x\":{\"url\":\"http://inside/Patient/" MEMBER "\"}", 0, "\"x\":{\"url\":\"Patient/@Patient/" MEMBER "@\"}",
          "\"x\":{\"url\":\"http://inside/Patient/" MEMBER "\"}");
    renew();
}

static void forms_without_hope(void **state)
{
    (void)state;
    expect_external("https://elsewhere/fhir/Observation/1");
    expect_external("https://elsewhere/fhir/Patient/" MEMBER);
    expect_hopeless("https://elsewhere", "https://elsewhere");
    expect_hopeless("Patient?identifier=urn:x|1", ENDPOINT "/Patient?identifier=urn:x|1");
    expect_hopeless("/Patient/1", ENDPOINT "//Patient/1");
    expect_hopeless("Patient/1/", ENDPOINT "/Patient/1/");
    expect_hopeless("x", ENDPOINT "/x");
    expect_hopeless("mailto:a\\u0040b", "mailto:a\\u0040b");
    expect_hopeless("caf\xc3\xa9 \\\"x\\\\", ENDPOINT "/caf\xc3\xa9 \\\"x\\\\");
}

static void members_patient(void **state)
{
    (void)state;
    expect("\"x\":{\"reference\":\"Patient/" MEMBER "\"}", "\"x\":{\"reference\":\"Patient/" TARGET "\"}",
           "\"x\":{\"reference\":\"Patient/" TARGET "\"}");
    expect("\"x\":[{\"reference\":\"" ENDPOINT "/Patient/" MEMBER "/_history/1\",\"type\":\"Patient\"}]",
           "\"x\":[{\"reference\":\"Patient/" TARGET "\",\"type\":\"Patient\"}]",
           "\"x\":[{\"reference\":\"Patient/" TARGET "\",\"type\":\"Patient\"}]");
    expect("\"x\":{\"reference\":\"Patient\\/" MEMBER "\",\"identifier\":{}}", "\"x\":{\"reference\":\"Patient/" TARGET
           "\",\"identifier\":{}}", "\"x\":{\"reference\":\"Patient/" TARGET "\",\"identifier\":{}}");
}

/* A Reference that has an identifier already is logical without its reference. */
static void drops(void **state)
{
    (void)state;
    expect("\"x\":{\"reference\":\"Group/1\",\"identifier\":{\"value\":\"v\"}}",
           "\"x\":{\"reference\":\"Group/@Group/1@\",\"identifier\":{\"value\":\"v\"}}", "\"x\":{\"identifier\":{\"value\":\"v\"}}");
    expect("\"x\":{\"identifier\":{\"value\":\"v\"},\"reference\":\"Group/1\"}",
           "\"x\":{\"identifier\":{\"value\":\"v\"},\"reference\":\"Group/@Group/1@\"}", "\"x\":{\"identifier\":{\"value\":\"v\"}}");
    expect("\"x\":{ \"display\" : \"d\" , \"reference\" : \"Group/1\" , \"identifier\" : {} }",
           "\"x\":{ \"display\" : \"d\" , \"reference\" : \"Group/@Group/1@\" , \"identifier\" : {} }",
           "\"x\":{ \"display\" : \"d\" , \"identifier\" : {} }");
    expect("\"x\":{\"identifier\":{\"assigner\":{\"reference\":\"Group/2\"}},\"display\":\"d\",\"reference\":\"Group/1\"}",
           "\"x\":{\"identifier\":{\"assigner\":{\"reference\":\"Group/@Group/2@\"}},\"display\":\"d\",\"reference\":\"Group/@Group/1@\"}",
           "\"x\":{\"identifier\":{\"assigner\":{" LOGICAL(ENDPOINT "/Group/2") "}},\"display\":\"d\"}");
    expect("\"x\":{\"reference\":\"urn:uuid:1\",\"identifier\":{\"assigner\":{\"reference\":\"Group/2\",\"identifier\":{}}}}",
           "\"x\":{\"reference\":\"urn:uuid:1\",\"identifier\":{\"assigner\":{\"reference\":\"Group/@Group/2@\",\"identifier\":{}}}}",
           "\"x\":{\"identifier\":{\"assigner\":{\"identifier\":{}}}}");
    expect("\"x\":{\"reference\":\"Group/1\",\"_reference\":{\"extension\":[]},\"id\":\"i\"}",
           "\"x\":{\"reference\":\"Group/@Group/1@\",\"_reference\":{\"extension\":[]},\"id\":\"i\"}",
           "\"x\":{" LOGICAL(ENDPOINT "/Group/1") ",\"_reference\":{\"extension\":[]},\"id\":\"i\"}");
}

static void places(void **state)
{
    (void)state;
    expect("\"x\":{\"y\":[[{\"reference\":\"Group/1\"}],{\"z\":{\"reference\":\"Group/2\"}}]}",
           "\"x\":{\"y\":[[{\"reference\":\"Group/@Group/1@\"}],{\"z\":{\"reference\":\"Group/@Group/2@\"}}]}",
           "\"x\":{\"y\":[[{" LOGICAL(ENDPOINT "/Group/1") "}],{\"z\":{" LOGICAL(ENDPOINT "/Group/2") "}}]}");
    expect("\"extension\":[{\"url\":\"Group/1\",\"valueReference\":{\"extension\":[{\"url\":\"u\",\"valueReference\":{\"reference\":"
           "\"Group/2\"}}],\"reference\":\"Group/1\"}}]",
           "\"extension\":[{\"url\":\"Group/1\",\"valueReference\":{\"extension\":[{\"url\":\"u\",\"valueReference\":{\"reference\":"
           "\"Group/@Group/2@\"}}],\"reference\":\"Group/@Group/1@\"}}]",
           "\"extension\":[{\"url\":\"Group/1\",\"valueReference\":{\"extension\":[{\"url\":\"u\",\"valueReference\":{" LOGICAL(ENDPOINT
           "/Group/2") "}}]," LOGICAL(ENDPOINT "/Group/1") "}}]");
    expect("\"contained\":[{\"resourceType\":\"Group\",\"id\":\"g\",\"x\":{\"reference\":\"Group/1\"}}],\"y\":{\"reference\":\"#g\"}",
           "\"contained\":[{\"resourceType\":\"Group\",\"id\":\"g\",\"x\":{\"reference\":\"Group/@Group/1@\"}}],\"y\":{\"reference\":\"#g\"}",
           "\"contained\":[{\"resourceType\":\"Group\",\"id\":\"g\",\"x\":{" LOGICAL(ENDPOINT "/Group/1") "}}],\"y\":{\"reference\":\"#g\"}");
    expect("\"x\":{\"reference\":\n\"Group/1\" }", "\"x\":{\"reference\":\n\"Group/@Group/1@\" }",
           "\"x\":{" LOGICAL(ENDPOINT "/Group/1") " }");
}

static void untouched(void **state)
{
    (void)state;
    expect_untouched("\"x\":{\"reference\":\"#g\"}");
    expect_untouched("\"x\":{\"reference\":\"\"}");
    expect_untouched("\"x\":{\"reference\":null},\"y\":{\"reference\":7},\"z\":{\"reference\":[\"Group/1\"]}");
    expect_untouched("\"x\":{\"reference\":{\"x\":\"Group/1\"}}");
    expect_untouched("\"x\":{\"reference\":\"Group/1\",\"value\":1}"); /* only happens to be called so */
    expect_untouched("\"x\":{\"name\":\"n\",\"reference\":\"Group/1\"}");
    expect_untouched("\"reference\":\"Group/1\"");
    expect_untouched("\"x\":{\"_reference\":\"Group/1\"}");
    expect_untouched("\"instantiatesCanonical\":[\"" ENDPOINT "/PlanDefinition/1\"],\"x\":\"Group/1\"");
    expect_untouched("\"extension\":[{\"url\":\"" ENDPOINT "/Binary/1\"},{\"url\":\"Binary/1\",\"extension\":[{\"url\":\"Binary/2\"}]}]");
    expect_untouched("\"modifierExtension\":[{\"url\":\"Binary/1\"}],\"x\":{\"url\":\"Binary/1\",\"mode\":\"y\"}");
    expect_untouched("\"x\":{\"identifier\":{},\"display\":\"d\"}");
}

/* Attachments: only what leads to a resource of the source; never logical. */
static void attachments(void **state)
{
    (void)state;
    expect("\"x\":{\"contentType\":\"a/b\",\"url\":\"Binary/1\"}", "\"x\":{\"contentType\":\"a/b\",\"url\":\"Binary/@Binary/1@\"}",
           "\"x\":{\"contentType\":\"a/b\",\"url\":\"Binary/1\"}");
    expect("\"x\":[{\"url\":\"" ENDPOINT "/Binary/1\",\"title\":\"t\",\"_url\":null}]",
           "\"x\":[{\"url\":\"Binary/@Binary/1@\",\"title\":\"t\",\"_url\":null}]",
           "\"x\":[{\"url\":\"" ENDPOINT "/Binary/1\",\"title\":\"t\",\"_url\":null}]");
    expect("\"x\":{\"url\":\"urn:uuid:1\",\"size\":1,\"hash\":\"\",\"creation\":\"\",\"language\":\"\",\"data\":\"\"}",
           "\"x\":{\"url\":\"urn:uuid:1\",\"size\":1,\"hash\":\"\",\"creation\":\"\",\"language\":\"\",\"data\":\"\"}",
           "\"x\":{\"url\":\"urn:uuid:1\",\"size\":1,\"hash\":\"\",\"creation\":\"\",\"language\":\"\",\"data\":\"\"}");
    expect("\"x\":{\"url\":\"Patient/" MEMBER "\"}", "\"x\":{\"url\":\"Patient/@Patient/" MEMBER "@\"}",
           "\"x\":{\"url\":\"Patient/" MEMBER "\"}");
    expect("\"x\":{\"contentType\":\"a/b\",\"url\":\"https://elsewhere/Binary/1\"}",
           "\"x\":{\"contentType\":\"a/b\",\"url\":\"https://elsewhere/Binary/1\"}",
           "\"x\":{\"contentType\":\"a/b\",\"url\":\"https://elsewhere/Binary/1\"}");
    expect_untouched("\"x\":{\"contentType\":\"a/b\",\"url\":\"https://elsewhere/scan.pdf\"}");
    expect_untouched("\"x\":{\"contentType\":\"a/b\",\"url\":\"scan.pdf\"},\"y\":{\"url\":\"#b\"},\"z\":{\"url\":\"Binary?x=y\"}");
}

static p2p_named_t named_as(const char *type, const char *id)
{
    p2p_named_t named = {0};
    unsigned char digest[P2P_DIGEST_BYTES];

    p2p_id_digest(deriver, type, strlen(type), id, strlen(id), digest);
    named.key = p2p_id_key(digest);
    named.type = (unsigned)p2p_mapper_type_number(mapper, type, strlen(type));
    p2p_id_text(digest, named.target_id);
    return named;
}

static void resolve(const char *in, const char *type, const char *id, int foreign, const char *out)
{
    p2p_resource_t *resource = map_members(in, in);
    p2p_named_t named = named_as(type, id);
    p2p_link_t *link = resource->links;

    assert_int_equal(resource->link_count, 1);
    assert_true(link->is_urn && link->key != 0);
    assert_int_equal(p2p_map_resolve_urn(mapper, resource, link, &named), foreign);
    assert_false(link->is_urn);
    assert_true(link->key == named.key);
    expect_members(resource, out);
    if (!link->settled) {
        p2p_map_unresolved(mapper, resource, link, 1);
        expect_members(resource, in);
    }
    p2p_resource_free(resource);
}

static void urns(void **state)
{
    (void)state;
    resolve("\"x\":{\"reference\":\"urn:uuid:1\"}", "Group", "1", 0, "\"x\":{\"reference\":\"Group/@Group/1@\"}");
    resolve("\"x\":{\"reference\":\"urn:oid:1.2\",\"identifier\":{}}", "Group", "1", 0,
            "\"x\":{\"reference\":\"Group/@Group/1@\",\"identifier\":{}}");
    resolve("\"x\":{\"reference\":\"urn:uuid:1\"}", "Patient", "2", 0, "\"x\":{\"reference\":\"Patient/@Patient/2@\"}");
    resolve("\"subject\":{\"reference\":\"urn:uuid:1\"}", "Patient", MEMBER, 0, "\"subject\":{\"reference\":\"Patient/" TARGET "\"}");
    resolve("\"subject\":{\"reference\":\"urn:uuid:1\"}", "Patient", "2", 1, "\"subject\":{\"reference\":\"Patient/@Patient/2@\"}");
    resolve("\"patient\":[{\"reference\":\"urn:uuid:1\"}]", "Group", "2", 0, "\"patient\":[{\"reference\":\"Group/@Group/2@\"}]");
    resolve("\"x\":{\"url\":\"urn:uuid:1\"}", "Patient", MEMBER, 0, "\"x\":{\"url\":\"Patient/@Patient/" MEMBER "@\"}");
}

/* The key by which a link knows a urn is that of the resource whose fullUrl it is, however either is spelled. */
static void urn_keys(void **state)
{
    p2p_resource_t *named = map_as("{\"resourceType\":\"Parameters\",\"id\":\"1\",\"meta\":{\"x\":1}}", "urn:uuid:a-1",
                                   "{\"resourceType\":\"Parameters\",\"id\":\"@Parameters/1@\",\"meta\":{\"source\":\"" ENDPOINT
                                   "/Parameters/1\",\"x\":1}}");
    p2p_resource_t *refers = map_members("\"x\":{\"reference\":\"urn\\u003auuid:a-1\"},\"y\":{\"reference\":\"Parameters/1\"}",
                                         "\"x\":{\"reference\":\"urn\\u003auuid:a-1\"},\"y\":{\"reference\":\"Parameters/@Parameters/1@\"}");

    (void)state;
    assert_true(named->urn != 0 && named->urn != named->key);
    assert_true(refers->links[0].is_urn && refers->links[0].key == named->urn);
    assert_true(!refers->links[1].is_urn && refers->links[1].key == named->key);
    assert_true(refers->urn == 0);
    p2p_resource_free(named);
    p2p_resource_free(refers);
}

/* References within a nested Bundle that its own entries satisfy stay; others, and those outside, do not. */
static void nested_bundles(void **state)
{
#define ENTRY(before, text, after)                                                                             \
    "{\"fullUrl\":\"https:\\/\\/x\\/Group\\/9\",\"resource\":{\"resourceType\":\"Group\",\"id\":\"9\"}},{" before   \
    "\"resource\":{\"resourceType\":\"Group\",\"y\":[{\"reference\":\"Group/9\"},{\"reference\":\"https://x/Group/9\"},{" text "}],\"id\":\"8\"}" after "}"
#define OUTSIDE(text) "],\"z\":{\"reference\":\"" text "\"}"

    (void)state;
    expect("\"x\":[" ENTRY("", "\"reference\":\"Group/8\"", "") OUTSIDE("Group/9"),
           "\"x\":[" ENTRY("", "\"reference\":\"Group/8\"", "") OUTSIDE("Group/@Group/9@"),
           "\"x\":[" ENTRY("", "\"reference\":\"Group/8\"", "") "],\"z\":{" LOGICAL(ENDPOINT "/Group/9") "}");
    expect("\"x\":[" ENTRY("\"fullUrl\":\"urn:uuid:8\",", "\"reference\":\"urn:uuid:8\"", "") "]",
           "\"x\":[" ENTRY("\"fullUrl\":\"urn:uuid:8\",", "\"reference\":\"urn:uuid:8\"", "") "]",
           "\"x\":[" ENTRY("\"fullUrl\":\"urn:uuid:8\",", "\"reference\":\"urn:uuid:8\"", "") "]");
    expect("\"x\":[" ENTRY("", "\"reference\":\"Group/7\"", ",\"fullUrl\":\"u\"") "]",
           "\"x\":[" ENTRY("", "\"reference\":\"Group/@Group/7@\"", ",\"fullUrl\":\"u\"") "]",
           "\"x\":[" ENTRY("", LOGICAL(ENDPOINT "/Group/7"), ",\"fullUrl\":\"u\"") "]");
}

static const char *url_of(const char *text)
{
    p2p_resource_t *resource;
    const char *url, *whole = apr_pstrcat(pool, HEAD("7") "},\"x\":{\"reference\":\"", text, "\"}}", NULL);

    assert_null(map_text(whole, strlen(whole), NULL, &resource));
    assert_int_equal(resource->link_count, 1);
    url = p2p_map_link_url(mapper, resource, resource->links, pool);
    p2p_resource_free(resource);
    return url ? url : "(none)";
}

static void urls_of_links(void **state)
{
    (void)state;
    assert_string_equal(url_of("Group/1"), ENDPOINT "/Group/1");
    assert_string_equal(url_of("Group\\/1\\/_history\\/2"), ENDPOINT "/Group/1");
    assert_string_equal(url_of("https://front/a/Group/1"), ENDPOINT "/Group/1");
    assert_string_equal(url_of("Group/a|b{c"), ENDPOINT "/Group/a%7Cb%7Bc");
    assert_string_equal(url_of("https://elsewhere/Group/1"), "(none)");
    assert_string_equal(url_of("Group?x=y"), "(none)");
    assert_string_equal(url_of("urn:uuid:1"), "(none)");
}

static void many_references(void **state)
{
    enum { COUNT = 200001 };
    char *text = malloc(COUNT * 24 + 100), *to = text;
    p2p_resource_t *resource;
    p2p_error_t *error;
    int i;

    (void)state;
    to += apr_snprintf(to, 99, HEAD("7") "},\"x\":[");
    for (i = 0; i < COUNT; i++) to += apr_snprintf(to, 40, "%s{\"reference\":\"A/1\"}", i ? "," : "");
    memcpy(to, "]}", 2);
    error = map_text(text, (size_t)(to + 2 - text), NULL, &resource);
    assert_non_null(error);
    assert_string_equal(error->code, "not-fhir");
    memcpy(to - 20, "]}", 2);
    assert_null(map_text(text, (size_t)(to - 18 - text), NULL, &resource));
    assert_int_equal(resource->link_count, COUNT - 1);
    p2p_resource_free(resource);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms), cmocka_unit_test(other_bases), cmocka_unit_test(forms_without_hope),
        cmocka_unit_test(members_patient), cmocka_unit_test(drops), cmocka_unit_test(places), cmocka_unit_test(untouched),
        cmocka_unit_test(attachments), cmocka_unit_test(urns), cmocka_unit_test(urn_keys), cmocka_unit_test(nested_bundles),
        cmocka_unit_test(urls_of_links), cmocka_unit_test(base_learned_later),
        cmocka_unit_test(many_references)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
