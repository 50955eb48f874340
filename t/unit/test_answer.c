/* SPDX-License-Identifier: Apache-2.0 */
/* Answers to transactions: status and version of each entry; what OperationOutcomes and other texts say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "base/scan.h"
#include "fhir/answer.h"

static apr_pool_t *pool;

#define BUNDLE(entries) "{\"resourceType\":\"Bundle\",\"type\":\"transaction-response\",\"entry\":[" entries "]}"

/* "status/version/outcome " of each entry, or the error's code. */
static const char *read_answer(const char *text)
{
    p2p_answer_entry_t *entries = NULL;
    apr_size_t len = strlen(text);
    char *copy = malloc(len ? len : 1);
    const char *said = "";
    p2p_error_t *error;
    int count = 0, i;

    assert_non_null(copy);
    memcpy(copy, text, len);
    error = p2p_answer_read(pool, copy, len, &entries, &count);
    for (i = 0; !error && i < count; i++)
        said = apr_psprintf(pool, "%s%d/%s/%.*s ", said, entries[i].status, entries[i].version,
                            (int)entries[i].outcome_len, entries[i].outcome ? entries[i].outcome : "");
    free(copy);
    return error ? error->code : said;
}

static void entries(void **state)
{
    (void)state;
    assert_string_equal(read_answer(BUNDLE("")), "");
    assert_string_equal(read_answer("{\"resourceType\":\"Bundle\"}"), "");
    assert_string_equal(read_answer("{\"entry\":[{}],\"resourceType\":\"Bundle\"}"), "0// ");
    assert_string_equal(read_answer(BUNDLE("{\"response\":{\"status\":\"201 Created\",\"location\":\"Patient/1/_history/7\","
                                           "\"etag\":\"1\"}},{\"response\":{\"status\":\"200\"}}")), "201/7/ 200// ");
    assert_string_equal(read_answer(BUNDLE("{\"fullUrl\":\"x\",\"link\":[{\"status\":\"999\"}],\"resource\":{\"status\":\"404\","
                                           "\"response\":{\"status\":\"405\"}},\"response\":{\"status\":\"200 OK\"}},"
                                           "{\"search\":{\"status\":\"300\"},\"response\":{\"status\":\"201\"}}")),
                        "200// 201// ");
    assert_string_equal(read_answer(BUNDLE("{\"response\":{\"outcome\":{\"resourceType\":\"OperationOutcome\",\"status\":\"1\"},"
                                           "\"status\":\"409 Conflict\"}},{\"response\":{\"status\":\"400\",\"outcome\":null}}")),
                        "409//{\"resourceType\":\"OperationOutcome\",\"status\":\"1\"} 400// ");
}

/* The id that the only entry's members tell. */
static const char *id_in(const char *members)
{
    const char *text = apr_psprintf(pool, BUNDLE("{%s}"), members);
    p2p_answer_entry_t *entry;
    int count;

    assert_null(p2p_answer_read(pool, text, strlen(text), &entry, &count));
    assert_int_equal(count, 1);
    return entry->id ? apr_pstrmemdup(pool, entry->id, entry->id_len) : "(none)";
}

static void ids(void **state)
{
    (void)state;
    assert_string_equal(id_in("\"response\":{\"location\":\"Patient/a-1/_history/7\"}"), "a-1");
    assert_string_equal(id_in("\"response\":{\"location\":\"https:\\/\\/h.example\\/fhir\\/Patient\\/a-1\\/_history\\/7\"}"), "(none)");
    assert_string_equal(id_in("\"response\":{\"location\":\"https:\\/\\/h.example\\/fhir\\/Patient\\/a-1\"}"), "a-1");
    assert_string_equal(id_in("\"response\":{\"location\":\"https://h.example/fhir/Patient/a-1/_history/7\"}"), "a-1");
    assert_string_equal(id_in("\"response\":{\"location\":\"Patient/a-1\"}"), "a-1");
    assert_string_equal(id_in("\"response\":{\"location\":\"a-1\"}"), "(none)");
    assert_string_equal(id_in("\"response\":{\"location\":\"Patient/a%201\"}"), "(none)");
    assert_string_equal(id_in("\"resource\":{\"resourceType\":\"Patient\",\"id\":\"b\",\"contained\":[{\"id\":\"c\"}]},\"response\":{}"), "b");
    assert_string_equal(id_in("\"resource\":{\"id\":\"b\"},\"response\":{\"location\":\"Patient/a\"}"), "a");
    assert_string_equal(id_in("\"response\":{\"status\":\"200\",\"id\":\"x\"}"), "(none)");
}

static void expect_version(const char *members, const char *said)
{
    assert_string_equal(read_answer(apr_pstrcat(pool, BUNDLE("{\"response\":{"), NULL)), "not-json");
    assert_string_equal(read_answer(apr_psprintf(pool, BUNDLE("{\"response\":{\"status\":\"200\",%s}}"), members)), said);
}

static void versions(void **state)
{
    (void)state;
    expect_version("\"location\":\"http://h/fhir/Patient/1/_history/12\"", "200/12/ ");
    expect_version("\"location\":\"Patient\\/1\\/_history\\/12\"", "200/12/ ");
    expect_version("\"location\":\"Patient/1/_history/abc\"", "200/abc/ ");
    expect_version("\"location\":\"Patient/1/_history/a5\"", "200/a5/ ");
    expect_version("\"location\":\"Patient/1/_history/\"", "200// ");
    expect_version("\"location\":\"Patient/15\"", "200// ");
    expect_version("\"location\":\"Patient/1/_history/abc\",\"etag\":\"W/\\\"3\\\"\"", "200/abc/ ");
    expect_version("\"etag\":\"W/\\\"3\\\"\"", "200/3/ ");
    expect_version("\"etag\":\"\\\"3\\\"\"", "200/3/ ");
    expect_version("\"etag\":\"3\"", "200/3/ ");
    expect_version("\"etag\":\"\"", "200// ");
    expect_version("\"etag\":\"W/\\\"\\\"\"", "200// ");
    expect_version("\"etag\":\"W/\\\"abc3\\\"\"", "200/abc3/ ");
    expect_version("\"etag\":\"3\",\"location\":\"Patient/1/_history/4\"", "200/4/ ");
    expect_version("\"etag\":\"999999999999999999\"", "200/999999999999999999/ ");
    expect_version("\"etag\":\"1999999999999999999\"", "200/1999999999999999999/ ");
    expect_version("\"etag\":5,\"location\":null", "200// ");
}

static void hostile(void **state)
{
    (void)state;
    assert_string_equal(read_answer(""), "json-cut-short");
    assert_string_equal(read_answer("<html>"), "not-json");
    assert_string_equal(read_answer("[]"), "not-fhir");
    assert_string_equal(read_answer("\"Bundle\""), "not-fhir");
    assert_string_equal(read_answer("7"), "not-fhir");
    assert_string_equal(read_answer("[\"x\",{\"entry\":[{\"response\":{\"status\":\"200\"}}]}]"), "not-fhir");
    assert_string_equal(read_answer("{\"resourceType\":\"OperationOutcome\"}"), "not-fhir");
    assert_string_equal(read_answer("{\"resourceType\":[\"Bundle\"]}"), "not-fhir");
    assert_string_equal(read_answer(BUNDLE("null,7,\"x\",[{\"response\":{\"status\":\"200\"}}]")), "");
    assert_string_equal(read_answer(BUNDLE("{\"response\":{\"status\":\"ok\"}},{\"response\":{\"status\":\"\"}},"
                                           "{\"response\":{\"status\":200}},{\"response\":[{\"status\":\"200\"}]},{\"response\":7},"
                                           "{\"response\":{\"status\":\"20\"}}")), "0// 0// 0// 0// 0// 0// ");
}

static void expect_text(const char *body, const char *text)
{
    assert_string_equal(p2p_outcome_text(pool, body, strlen(body)), text);
}

static void outcomes(void **state)
{
    (void)state;
    expect_text("{\"resourceType\":\"OperationOutcome\",\"issue\":[{\"severity\":\"error\",\"code\":\"invalid\",\"diagnostics\":\"D\"},"
                "{\"severity\":\"error\",\"code\":\"processing\",\"details\":{\"text\":\"T\"}}]}", "invalid: D; processing: T");
    expect_text("{\"issue\":[{\"code\":\"x\",\"details\":{\"text\":\"T\"},\"diagnostics\":\"D\"}]}", "x: T: D");
    expect_text("{\"issue\":[]}", "");
    expect_text("{\"issue\":[null,7,\"x\",[],{}]}", "issue; issue; issue; issue; issue");
    expect_text("{\"issue\":[{\"code\":7,\"diagnostics\":[],\"details\":\"x\"}]}", "issue");
    expect_text("<html>\n\001</html>", "<html>  </html>");
    expect_text("", "");
    expect_text("[1]", "[1]");
    expect_text("\"x\"", "\"x\"");
}

static void long_outcomes(void **state)
{
    apr_size_t n = 300000, len;
    char *body = apr_palloc(pool, n + 100);
    const char *text;

    (void)state;
    memset(body, 'x', n);
    text = p2p_outcome_text(pool, body, n);
    assert_int_equal(strlen(text), 200);
    text = apr_pstrcat(pool, "{\"issue\":[{\"code\":\"abc\",\"diagnostics\":\"", NULL);
    len = strlen(text);
    memcpy(body, text, len);
    for (n = len; n < 6000; n += 2) memcpy(body + n, "\xc3\xa9", 2);
    memcpy(body + n, "\"}]}", 4);
    text = p2p_outcome_text(pool, body, n + 4);
    len = strlen(text);
    assert_in_range(len, 1990, 2000);
    assert_memory_equal(text, "abc: \xc3\xa9", 7);
    assert_memory_equal(text + len - 2, "\xc3\xa9", 2); /* no character is cut in two */
}

/* What repeats the request does not tell what opens the door; other words stay. */
static void tokens(void **state)
{
    (void)state;
    expect_text("{\"issue\":[{\"code\":\"login\",\"diagnostics\":\"no: Authorization: Bearer eyJhbGciOi.eyJzdWIi.c2ln-_x~+/= is over\"}]}",
         "login: no: Authorization: Bearer *** is over");
    expect_text("{\"issue\":[{\"diagnostics\":\"POST /x?access_token=0123456789abcdef&y=0123456789abcdefg&client_secret=a%2Fb%2Bc0123456789\"}]}",
         "issue: POST /x?access_token=***&y=0123456789abcdefg&client_secret=***");
    expect_text("{\"refresh_token\":\"0123456789abcdef0123456789abcdef\",\"x\":1}", "{\"refresh_token\":\"***\",\"x\":1}");
    expect_text("BASIC dXNlcjpwYXNzd29yZA== PASSWORD : 0123456789abcdef", "BASIC *** PASSWORD : ***");
    expect_text("bearer 0123456789abcdef", "bearer ***");
    expect_text("{\"issue\":[{\"diagnostics\":\"Unexpected token 'resourcetype' at 0123456789abcdef0; basic profile\"}]}",
         "issue: Unexpected token 'resourcetype' at 0123456789abcdef0; basic profile");
    expect_text("", "");
}

static void cut_token(void **state)
{
    char *body = apr_pcalloc(pool, 301);

    (void)state;
    memset(body, 'x', 300);
    memset(body + 150, ' ', 40);
    memcpy(body + 180, "Bearer ", 7); /* its token is cut at 200 */
    assert_null(strstr(p2p_outcome_text(pool, body, 300) + 187, "xxx"));
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(entries), cmocka_unit_test(ids), cmocka_unit_test(versions), cmocka_unit_test(hostile),
                                       cmocka_unit_test(outcomes), cmocka_unit_test(long_outcomes), cmocka_unit_test(tokens),
                                       cmocka_unit_test(cut_token)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
