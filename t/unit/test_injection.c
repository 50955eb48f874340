/* SPDX-License-Identifier: Apache-2.0 */
/* Provenance put into Bundles, cut everywhere: what is added where, what passes as it is and why, and that nothing else changes. */
#include "injection_fixture.h"

/* ---- What was added, made short ---- */

#define BEGIN ",{\"fullUrl\":\"urn:uuid:"
#define NEXT "\",\"resource\":{\"resourceType\":\"Provenance\",\"id\":\""
#define TARGET "\",\"target\":[{\"reference\":\""
#define END "\"}],\"recorded\":\"1970-01-01T00:00:01.000Z\",\"agent\":[{\"who\":{\"reference\":\"Organization/1\"}}]}," \
            "\"search\":{\"mode\":\"include\"}}"
#define BETWEEN "\"},{\"reference\":\""

static const char *behind(const char *at, const char *word)
{
    assert_memory_equal(at, word, strlen(word));
    return at + strlen(word);
}

/* The text with each entry that was added as @(reference reference). */
static const char *shorten(const char *text)
{
    const char *out = "", *at;

    while ((at = strstr(text, BEGIN)) != NULL && strncmp(at + strlen(BEGIN) + 36, NEXT, strlen(NEXT)) == 0) {
        const char *id = at + strlen(BEGIN), *end;

        out = apr_psprintf(scratch, "%s%.*s@(", out, (int)(at - text), text);
        at = behind(id + 36, NEXT);
        assert_memory_equal(at, id, 36);
        assert_true(id[14] == '5' && strchr("89ab", id[19]));
        at = behind(at + 36, TARGET);
        while ((end = strchr(at, '"')) != NULL && strncmp(end, BETWEEN, strlen(BETWEEN)) == 0) {
            out = apr_psprintf(scratch, "%s%.*s ", out, (int)(end - at), at);
            at = end + strlen(BETWEEN);
        }
        assert_non_null(end);
        out = apr_psprintf(scratch, "%s%.*s)", out, (int)(end - at), at);
        text = behind(end, END);
    }
    return apr_pstrcat(scratch, out, text, NULL);
}

static void same_everywhere(const char *text, const char *added, p2p_injection_why_t why, const char *next)
{
    size_t len = strlen(text), i;
    heard_t heard;

    for (i = 0; i <= 2 * len; i++) {
        apr_pool_clear(scratch);
        if (i <= len) run(&heard, &plain, text, len, i, 0);      /* two pieces, cut anywhere */
        else run(&heard, &plain, text, len, 0, i - len); /* many of one size */
        assert_string_equal(shorten(heard.text.data ? heard.text.data : ""), added);
        assert_string_equal(p2p_injection_why_word(heard.result.why), p2p_injection_why_word(why));
        if (next) assert_string_equal(heard.result.next ? heard.result.next : "(none)", next);
        else assert_null(heard.result.next);
        p2p_buf_free(&heard.text);
    }
}

static void expect(const char *text, const char *added)
{
    same_everywhere(text, added, P2P_INJECTION_FINE, NULL);
}

/* It passes as it is. */
static void passes(const char *text, p2p_injection_why_t why)
{
    same_everywhere(text, text, why, NULL);
}

/* ---- Tests ---- */

/* The ids were computed with another program: uuid5(namespace, each reference and a line feed). */
static void the_text_itself(void **state)
{
    static const p2p_injection_settings_t full = {
        "http://hl7.org/fhir/us/davinci-pdex/StructureDefinition/pdex-provenance",
        "http://terminology.hl7.org/CodeSystem/provenance-participant-type|author", "Organization/\"9\"", APR_INT64_C(1795339914024999)};
    static const char text[] = "{" PAGE ",\"entry\":[" ENTRY("1") "," ENTRY("2") "]}";
    heard_t heard;

    (void)state;
    run(&heard, &full, text, sizeof text - 1, 0, 0);
    assert_string_equal(heard.text.data,
        "{" PAGE ",\"entry\":[" ENTRY("1") "," ENTRY("2") ",{\"fullUrl\":\"urn:uuid:64f1b95b-6446-50af-8070-053266b6551b\",\"resource\":{"
        "\"resourceType\":\"Provenance\",\"id\":\"64f1b95b-6446-50af-8070-053266b6551b\",\"meta\":{\"profile\":["
        "\"http://hl7.org/fhir/us/davinci-pdex/StructureDefinition/pdex-provenance\"]},\"target\":[{\"reference\":\"https://h/Patient/1\"},"
        "{\"reference\":\"https://h/Patient/2\"}],\"recorded\":\"2026-11-22T09:31:54.024Z\",\"agent\":[{\"type\":{\"coding\":[{\"system\":"
        "\"http://terminology.hl7.org/CodeSystem/provenance-participant-type\",\"code\":\"author\"}]},\"who\":{\"reference\":"
        "\"Organization/\\\"9\\\"\"}}]},\"search\":{\"mode\":\"include\"}}]}");
    assert_int_equal(heard.result.entries, 2);
    assert_int_equal(heard.result.targets, 2);
    assert_int_equal(heard.result.provenances, 1);
    assert_int_equal(heard.last, 0);
    p2p_buf_free(&heard.text);
    run(&heard, &plain, text, sizeof text - 1, 0, 1);
    assert_non_null(strstr(heard.text.data, "\"id\":\"64f1b95b-6446-50af-8070-053266b6551b\",\"target\":["));
    p2p_buf_free(&heard.text);
}

#define RESOURCE(members) "{\"resource\":{" members "}}"
#define OF(url, members) "{\"fullUrl\":\"" url "\",\"resource\":{\"resourceType\":\"Patient\"" members "}}"

static void one_target(const char *entry, const char *target)
{
    const char *before = apr_psprintf(pool, "{" PAGE ",\"entry\":[%s]}", entry);

    expect(before, apr_psprintf(pool, "{" PAGE ",\"entry\":[%s@(%s)]}", entry, target));
}

static void no_target(const char *entry)
{
    passes(apr_psprintf(pool, "{" PAGE ",\"entry\":[%s]}", entry), P2P_INJECTION_NO_TARGET);
}

static void targets(void **state)
{
    (void)state;
    one_target(OF("https://h/Patient/1", ""), "https://h/Patient/1");
    one_target(OF("https://h/Patient/1", ",\"meta\":{\"versionId\":\"7\"}"), "https://h/Patient/1/_history/7");
    one_target("{\"search\":{\"mode\":\"match\"},\"resource\":{\"meta\":{\"tag\":[{\"versionId\":\"8\"}],\"versionId\":\"7\"},\"id\":\"x\","
               "\"resourceType\":\"Patient\",\"contained\":[{\"resourceType\":\"Provenance\",\"id\":\"y\"}]},\"fullUrl\":\"http://h/Patient/1\"}",
               "http://h/Patient/1/_history/7");
    one_target(OF("https:\\/\\/h\\/Patient\\/\\u0031", ",\"meta\":{\"v\\u0065rsionId\":\"\\u0037\"}"), "https://h/Patient/1/_history/7");
    one_target("{\"full\\u0055rl\":\"https://h/Patient/1\",\"resource\":{}}", "https://h/Patient/1");
    one_target(OF("https://h/Patient/1/_history/2", ",\"meta\":{\"versionId\":\"7\"}"), "https://h/Patient/1/_history/2");
    one_target(OF("https://h/x?id=1", ",\"meta\":{\"versionId\":\"7\"}"), "https://h/x?id=1");
    one_target(OF("urn:uuid:0a", ",\"id\":\"1\",\"meta\":{\"versionId\":\"7\"}"), "urn:uuid:0a");
    one_target(OF("https://h/Patient/1", ",\"meta\":{\"versionId\":7}"), "https://h/Patient/1");
    one_target(OF("https://h/Patient/1", ",\"meta\":{\"versionId\":\"7 x\"}"), "https://h/Patient/1");
    one_target(OF("https://h/Patient/1", ",\"meta\":[{\"versionId\":\"7\"}]"), "https://h/Patient/1");
    one_target(OF("https://h/Patient/1", ",\"text\":{\"meta\":{\"versionId\":\"7\"}},\"meta\":{\"x\":{\"versionId\":\"7\"}}"),
               "https://h/Patient/1");
}

static void without_target(void **state)
{
    (void)state;
    no_target("null");
    no_target("1,true,\"x\",[{\"resource\":{}}]");
    no_target("{}");
    no_target(OF("Patient/2", ",\"id\":\"1\",\"meta\":{\"versionId\":\"7\"}"));
    no_target(RESOURCE("\"resourceType\":\"Patient\",\"id\":\"1\""));
    no_target("{\"fullUrl\":null,\"resource\":{\"resourceType\":\"Patient\",\"id\":\"1\"}}");
    no_target("{\"fullUrl\":\"https://h/Patient/1\"}");
    no_target("{\"fullUrl\":\"https://h/Patient/1\",\"resource\":[{}]}");
    no_target("{\"fullUrl\":\"https://h/Patient/1\",\"resource\":null}");
    no_target(OF("https://", ""));
    no_target(OF("https://h/Patient/1\\n2", ""));
    no_target(OF("https://h/Patient/1\\u0000", ",\"id\":\"1\""));
    no_target(OF("https://h/\\\"", ",\"id\":\"1\""));
    no_target(OF("urn:", ",\"id\":\"1\""));
    no_target(RESOURCE("\"resourceType\":\"Pat/ient\",\"id\":\"1\""));
    no_target(RESOURCE("\"resourceType\":\"Patient\",\"id\":\"..\""));
    no_target(RESOURCE("\"resourceType\":\"Patient\",\"id\":\"a/b\""));
    no_target(RESOURCE("\"resourceType\":\"Patient\""));
    no_target(RESOURCE("\"id\":\"1\""));
    no_target("{\"fullUrl\":\"https://h/Patient/1\",\"fullUrl\":\"https://h/Patient/2\",\"resource\":{}}");
    no_target("{\"fullUrl\":\"https://h/Patient/1\",\"full\\u0055rl\":\"https://h/Patient/2\",\"resource\":{}}");
    no_target("{\"fullUrl\":\"https://h/Patient/1\",\"resource\":{},\"resource\":{}}");
    no_target("{\"fullUrl\":\"https://h/Patient/1\",\"resource\":{\"id\":\"1\",\"id\":\"1\"}}");
    no_target("{\"fullUrl\":\"https://h/Patient/1\",\"resource\":{\"meta\":{\"versionId\":\"1\",\"versionId\":\"2\"}}}");
}

static void left_out(void **state)
{
    static const char text[] = "{" PAGE ",\"entry\":[" ENTRY("1") ",{\"search\":{\"mode\":\"outcome\"},\"resource\":{\"resourceType\":\"Patient\"}},"
                               OF("https://h/Patient/2", ",\"meta\":null") ",{\"fullUrl\":\"https://h/p\",\"resource\":{\"resourceType\":"
                               "\"Provenance\",\"id\":\"1\"}},{\"fullUrl\":\"https://h/o\",\"resource\":{\"resourceType\":\"OperationOutcome\"}},null]}";
    heard_t heard;

    (void)state;
    no_target("{\"fullUrl\":\"https://h/o\",\"resource\":{\"resourceType\":\"OperationOutcome\"}}");
    no_target("{\"fullUrl\":\"https://h/o\",\"resource\":{\"resourceType\":\"Provenance\",\"id\":\"1\"},\"search\":{\"mode\":\"include\"}}");
    no_target("{\"fullUrl\":\"https://h/o\",\"resource\":{\"resourceType\":\"Patient\"},\"search\":{\"score\":1,\"mode\":\"\\u006futcome\"}}");
    one_target("{\"fullUrl\":\"https://h/Patient/1\",\"resource\":{\"search\":{\"mode\":\"outcome\"}},\"search\":{\"x\":{\"mode\":\"outcome\"}}}",
               "https://h/Patient/1");
    run(&heard, &plain, text, sizeof text - 1, 0, 0);
    assert_int_equal(heard.result.entries, 6);
    assert_int_equal(heard.result.targets, 2);
    assert_int_equal(heard.result.left_out, 3);
    assert_int_equal(heard.result.unnamed, 1);
    assert_non_null(strstr(shorten(heard.text.data), "}},null@(https://h/Patient/1 https://h/Patient/2)]}"));
    p2p_buf_free(&heard.text);
}

/* All bytes that are not added stay: white space, numbers, members in any order. */
static void shapes(void **state)
{
    (void)state;
    expect("\t{ \"total\" : 1.50, \"type\":\"searchset\" ,\r\n\"resourceType\": \"Bundle\",\"entry\" :\n[ " ENTRY("1") " ,\n " ENTRY("2") " \n] , "
           "\"x\":[{\"entry\":[1]}] } \n",
           "\t{ \"total\" : 1.50, \"type\":\"searchset\" ,\r\n\"resourceType\": \"Bundle\",\"entry\" :\n[ " ENTRY("1") " ,\n " ENTRY("2")
           " \n@(https://h/Patient/1 https://h/Patient/2)] , \"x\":[{\"entry\":[1]}] } \n");
    expect("{\"resource\\u0054ype\":\"B\\u0075ndle\",\"type\":\"searchset\",\"entry\":[" ENTRY("1") "]}",
           "{\"resource\\u0054ype\":\"B\\u0075ndle\",\"type\":\"searchset\",\"entry\":[" ENTRY("1") "@(https://h/Patient/1)]}");
    expect("{\"meta\":{\"type\":1,\"entry\":[{}]}," PAGE ",\"entry\":[{\"fullUrl\":\"https://h/Patient/1\",\"resource\":{\"resourceType\":\"Bundle\","
           "\"type\":\"collection\",\"entry\":[" ENTRY("2") "]}}]}",
           "{\"meta\":{\"type\":1,\"entry\":[{}]}," PAGE ",\"entry\":[{\"fullUrl\":\"https://h/Patient/1\",\"resource\":{\"resourceType\":\"Bundle\","
           "\"type\":\"collection\",\"entry\":[" ENTRY("2") "]}}@(https://h/Patient/1)]}");
}

static void not_ours(void **state)
{
    (void)state;
    passes("", P2P_INJECTION_NOT_JSON);
    passes("<Bundle/>", P2P_INJECTION_NOT_JSON);
    passes("\xEF\xBB\xBF{" PAGE ",\"entry\":[" ENTRY("1") "]}", P2P_INJECTION_NOT_JSON);
    passes("{" PAGE ",", P2P_INJECTION_NOT_JSON);
    passes("[{" PAGE "}]", P2P_INJECTION_NOT_BUNDLE);
    passes("\"x\"", P2P_INJECTION_NOT_BUNDLE);
    passes("12", P2P_INJECTION_NOT_BUNDLE);
    passes("{}", P2P_INJECTION_NOT_BUNDLE);
    passes("{\"resourceType\":\"Patient\",\"entry\":[" ENTRY("1") "]}", P2P_INJECTION_NOT_BUNDLE);
    passes("{\"resourceType\":{},\"entry\":[" ENTRY("1") "]}", P2P_INJECTION_NOT_BUNDLE);
    passes("{\"resourceType\":\"Bundle\"}", P2P_INJECTION_NOT_SEARCHSET);
    passes("{\"resourceType\":\"Bundle\",\"type\":\"collection\",\"entry\":[" ENTRY("1") "]}", P2P_INJECTION_NOT_SEARCHSET);
    passes("{\"resourceType\":\"Bundle\",\"type\":null,\"entry\":[" ENTRY("1") "]}", P2P_INJECTION_NOT_SEARCHSET);
    passes("{\"resourceType\":\"Bundle\",\"entry\":[" ENTRY("1") "],\"type\":\"searchset\"}", P2P_INJECTION_ENTRY_FIRST);
    passes("{\"type\":\"searchset\",\"entry\":[" ENTRY("1") "],\"resourceType\":\"Bundle\"}", P2P_INJECTION_ENTRY_FIRST);
    passes("{" PAGE "}", P2P_INJECTION_NO_ENTRY);
    passes("{" PAGE ",\"entry\":[ ]}", P2P_INJECTION_NO_ENTRY);
    passes("{" PAGE ",\"entry\":[],\"type\":2}", P2P_INJECTION_NO_ENTRY);
    passes("{" PAGE ",\"entry\":[]", P2P_INJECTION_NO_ENTRY);
    passes("{" PAGE ",\"entry\":{\"a\":[" ENTRY("1") "]}}", P2P_INJECTION_ODD);
    passes("{" PAGE ",\"entry\":null,\"entry\":[" ENTRY("1") "]}", P2P_INJECTION_ODD);
    passes("{" PAGE ",\"type\":\"searchset\",\"entry\":[" ENTRY("1") "]}", P2P_INJECTION_ODD);
    passes("{" PAGE ",\"t\\u0079pe\":\"searchset\",\"entry\":[" ENTRY("1") "]}", P2P_INJECTION_ODD);
}

/* From where it breaks nothing is added; what was added stays. */
static void breaks(void **state)
{
    (void)state;
    passes("{" PAGE ",\"entry\":[" ENTRY("1") ",}" ENTRY("2") "]}", P2P_INJECTION_BROKEN);
    passes("{" PAGE ",\"entry\":[" ENTRY("1") ",{\"a\":\"\xC0\"}]}", P2P_INJECTION_BROKEN);
    passes("{" PAGE ",\"entry\":[" ENTRY("1") "," ENTRY("2"), P2P_INJECTION_BROKEN);
    passes("{" PAGE ",\"entry\":[" ENTRY("1") ",{\"full", P2P_INJECTION_BROKEN);
    same_everywhere("{" PAGE ",\"entry\":[" ENTRY("1") "],\"entry\":[" ENTRY("2") "]}",
                    "{" PAGE ",\"entry\":[" ENTRY("1") "@(https://h/Patient/1)],\"entry\":[" ENTRY("2") "]}", P2P_INJECTION_ODD, NULL);
    same_everywhere("{" PAGE ",\"entry\":[" ENTRY("1") "],\"type\":\"batch\"}", "{" PAGE ",\"entry\":[" ENTRY("1") "@(https://h/Patient/1)],"
                    "\"type\":\"batch\"}", P2P_INJECTION_ODD, NULL);
    same_everywhere("{" PAGE ",\"entry\":[" ENTRY("1") "]}x", "{" PAGE ",\"entry\":[" ENTRY("1") "@(https://h/Patient/1)]}x",
                    P2P_INJECTION_BROKEN, NULL);
    same_everywhere("{" PAGE ",\"entry\":[" ENTRY("1") "]", "{" PAGE ",\"entry\":[" ENTRY("1") "@(https://h/Patient/1)]",
                    P2P_INJECTION_BROKEN, NULL);
}

static void next_links(void **state)
{
    static const char first[] = "{" PAGE "," LINK("https://h/fhir?_getpages=1&x=2") ",\"entry\":[" ENTRY("1") "]}";
    static const char last[] = "{" PAGE ",\"entry\":[" ENTRY("1") "]," LINK("https:\\/\\/h/\\u0032") "}";
    static const char both[] = "{" PAGE "," LINK("a") ",\"entry\":[],\"x\":1}";
    static const char late[] = "{" PAGE ",\"entry\":[]," LINK("b") "}";
    static const char look_alikes[] = "{" PAGE ",\"link\":[null,[{\"relation\":\"next\",\"url\":\"x\"}],{\"relation\":\"next\",\"url\":{}},{\"relation\":"
                                      "\"next\"},{\"url\":\"y\"},{\"relation\":\"next\",\"relation\":\"self\",\"url\":\"n\"},{\"relation\":\"next\","
                                      "\"url\":\"o\"}],\"entry\":[{\"link\":[{\"relation\":\"next\",\"url\":\"z\"}]}]}";

    (void)state;
    same_everywhere(first, "{" PAGE "," LINK("https://h/fhir?_getpages=1&x=2") ",\"entry\":[" ENTRY("1") "@(https://h/Patient/1)]}",
                    P2P_INJECTION_FINE, "https://h/fhir?_getpages=1&x=2");
    same_everywhere(last, "{" PAGE ",\"entry\":[" ENTRY("1") "@(https://h/Patient/1)]," LINK("https:\\/\\/h/\\u0032") "}",
                    P2P_INJECTION_FINE, "https://h/2");
    same_everywhere(both, both, P2P_INJECTION_NO_ENTRY, "a");
    same_everywhere(late, late, P2P_INJECTION_NO_ENTRY, "b");
    same_everywhere(look_alikes, look_alikes, P2P_INJECTION_NO_TARGET, "o");
    passes("{" PAGE ",\"link\":{\"relation\":\"next\",\"url\":\"x\"}}", P2P_INJECTION_NO_ENTRY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_itself), cmocka_unit_test(targets), cmocka_unit_test(without_target), cmocka_unit_test(left_out),
        cmocka_unit_test(shapes), cmocka_unit_test(not_ours), cmocka_unit_test(breaks), cmocka_unit_test(next_links)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
