/* SPDX-License-Identifier: Apache-2.0 */
/* Small documents: what json-c would bend is refused, all else comes back as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "base/json.h"

static apr_pool_t *pool;

static json_object *parsed(const char *text)
{
    json_object *obj = NULL;
    p2p_error_t *e = p2p_json_parse(pool, text, strlen(text), &obj);

    if (e) fail_msg("%s: %s", text, e->sentence);
    return obj;
}

static void expect_same(const char *text)
{
    apr_size_t len;
    const char *printed = p2p_json_print(pool, parsed(text), &len);

    assert_string_equal(printed, text);
    assert_int_equal(len, strlen(text));
}

static void expect_refused_len(const char *text, apr_size_t len, const char *word)
{
    json_object *obj;
    p2p_error_t *e = p2p_json_parse(pool, text, len, &obj);

    if (!e) fail_msg("accepted: %s", text);
    assert_null(obj);
    assert_int_equal(e->kind, P2P_E_INVALID);
    if (!strstr(e->sentence, word)) fail_msg("%s: %s", text, e->sentence);
}

static void expect_refused(const char *text, const char *word)
{
    expect_refused_len(text, strlen(text), word);
}

static void comes_back(void **state)
{
    (void)state;
    expect_same("{}");
    expect_same("[]");
    expect_same("{\"b\":[1,-2,true,false,null],\"a\":{\"x\":\"y/z\"}}");
    expect_same("[1.50,1.0,1E2,0.10000000000000000000001,1e400,-0.0]");
    expect_same("[9223372036854775807,-9223372036854775808,18446744073709551615]");
    expect_same("\"\xC3\xA9\xF0\x9F\x98\x80\"");
    expect_same("12");
    expect_same("1.5");
    expect_same("true");
    expect_same("null");
    assert_null(parsed("null"));
    assert_string_equal(p2p_json_print(pool, parsed(" [ 1 , { } ] \r\n\t "), NULL), "[1,{}]");
    assert_string_equal(p2p_json_print(pool, parsed("\"\\u00e9\\/\\ud83d\\ude00\""), NULL),
                        "\"\xC3\xA9/\xF0\x9F\x98\x80\"");
}

/* The text need not end with a NUL, and what lies behind it is not looked at. */
static void only_len_bytes(void **state)
{
    json_object *obj;

    (void)state;
    assert_null(p2p_json_parse(pool, "[1]]", 3, &obj));
    assert_null(p2p_json_parse(pool, "123456", 3, &obj));
    assert_int_equal(json_object_get_int(obj), 123);
    expect_refused_len("[1]\0", 4, "byte 3");
}

static void not_json(void **state)
{
    (void)state;
    expect_refused("", "ends after 0 bytes");
    expect_refused("{", "ends after 1 bytes");
    expect_refused("{'a':1}", "byte 1");
    expect_refused("[1,]", "byte 3");
    expect_refused("[NaN]", "byte 1");
    expect_refused("[1.]", "byte 3");
    expect_refused("[\"a\nb\"]", "byte 3");
    expect_refused("[1] x", "byte 4");
    expect_refused("/**/[]", "byte 0");
}

static void names_twice(void **state)
{
    (void)state;
    expect_refused("{\"a\":1,\"a\":1}", "named twice");
    expect_refused("{\"a\":1,\"b\":2,\"c\":{},\"a\":null}", "named twice");
    expect_refused("{\"a\":1,\"\\u0061\":2}", "named twice");
    expect_refused("{\"\xC3\xA9\":1,\"\\u00E9\":2}", "named twice");
    expect_refused("{\"/\":1,\"\\/\":2}", "named twice");
    expect_refused("{\"\":1,\"\":2}", "named twice");
    expect_refused("[{\"x\":{\"y\":[{\"a\":1,\"b\":2,\"a\":3}]}}]", "named twice");
    expect_refused("{\"x\":{\"a\":1},\"y\":[],\"x\":1}", "named twice");
    expect_same("{\"a\":{\"a\":{\"a\":1}},\"b\":[{\"a\":1},{\"a\":1}]}");
    expect_same("{\"a\":1,\"aa\":2,\"A\":3,\"\":4}");
}

static void many_names(void **state)
{
    char *text = apr_palloc(pool, 20 * 50000), *at = text;
    json_object *obj;
    int i;

    (void)state;
    *at++ = '{';
    for (i = 0; i < 50000; i++) at += apr_snprintf(at, 20, "\"n%d\":0,", i * 7919 % 50000);
    at[-1] = '}';
    assert_null(p2p_json_parse(pool, text, (apr_size_t)(at - text), &obj));
    assert_int_equal(json_object_object_length(obj), 50000);
}

static void names_with_nul(void **state)
{
    (void)state;
    expect_refused("{\"id\\u0000x\":1}", "u0000");
    expect_refused("{\"\\u0000\":1}", "u0000");
    assert_null(p2p_json_str(parsed("{\"a\":\"x\\u0000y\"}"), "a"));
    assert_string_equal(p2p_json_print(pool, parsed("{\"a\":\"\\\\u0000\"}"), NULL), "{\"a\":\"\\\\u0000\"}");
}

static void surrogates(void **state)
{
    static const char *const bad[] = {"\\ud800", "\\uDFFF", "\\ud800x", "\\ud800\\n", "\\ud800\\u0041",
                                      "\\udc00\\ud800", "\\ud83d\\ude00\\ude00", "x\\ud83d\\ud83d\\ude00"};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        expect_refused(apr_psprintf(pool, "[\"%s\"]", bad[i]), "surrogate");
        expect_refused(apr_psprintf(pool, "{\"%s\":1}", bad[i]), "surrogate");
    }
    parsed("\"\\\\ud800\"");
    parsed("\"\\ud83d\\ude00\\ud83d\\ude00\"");
    parsed("\"\\\"\\\\\\ud83d\\ude00\"");
}

static void long_integers(void **state)
{
    (void)state;
    expect_refused("[18446744073709551616]", "64 bits");
    expect_refused("[-9223372036854775809]", "64 bits");
    expect_refused("{\"a\":123456789012345678901}", "64 bits");
    expect_refused("99999999999999999999", "64 bits");
    expect_same("[123456789012345678901.0,123456789012345678901e0]");
    expect_same("[18446744073709551609]");
}

static const char *nested(int depth)
{
    char *text = apr_palloc(pool, (apr_size_t)depth * 2 + 2);

    memset(text, '[', (size_t)depth);
    text[depth] = '1';
    memset(text + depth + 1, ']', (size_t)depth);
    text[depth * 2 + 1] = '\0';
    return text;
}

static void depth(void **state)
{
    (void)state;
    expect_same(nested(64));
    expect_refused(nested(65), "deeper than 64");
    expect_refused(nested(100000), "nest");
}

static void members(void **state)
{
    json_object *obj = parsed("{\"s\":\"x\",\"o\":{},\"a\":[],\"i\":-5,"
                              "\"big\":18446744073709551615,\"d\":1.5,\"n\":null}");

    (void)state;
    assert_string_equal(p2p_json_str(obj, "s"), "x");
    assert_null(p2p_json_str(obj, "i"));
    assert_null(p2p_json_str(obj, "n"));
    assert_null(p2p_json_str(obj, "none"));
    assert_null(p2p_json_str(NULL, "s"));
    assert_null(p2p_json_str(parsed("[1]"), "s"));
    assert_non_null(p2p_json_obj(obj, "o"));
    assert_null(p2p_json_obj(obj, "a"));
    assert_non_null(p2p_json_arr(obj, "a"));
    assert_null(p2p_json_arr(obj, "o"));
    assert_int_equal(p2p_json_int(obj, "i", 7), -5);
    assert_int_equal(p2p_json_int(obj, "s", 7), 7);
    assert_int_equal(p2p_json_int(obj, "d", 7), 7);
    assert_int_equal(p2p_json_int(obj, "big", 7), 7);
    assert_int_equal(p2p_json_int(NULL, "i", 7), 7);
}

static void writes(void **state)
{
    json_object *obj = p2p_json_own(pool, json_object_new_object());

    (void)state;
    assert_null(p2p_json_own(pool, NULL));
    p2p_json_add_str(obj, "s", "a/\"b\"");
    p2p_json_add_str(obj, "n", NULL);
    p2p_json_add_int(obj, "i", INT64_MIN);
    p2p_json_add_bool(obj, "t", 4);
    p2p_json_add_bool(obj, "f", 0);
    assert_string_equal(p2p_json_print(pool, obj, NULL),
                        "{\"s\":\"a/\\\"b\\\"\",\"n\":null,"
                        "\"i\":-9223372036854775808,\"t\":true,\"f\":false}");
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
        cmocka_unit_test(comes_back), cmocka_unit_test(only_len_bytes), cmocka_unit_test(not_json),
        cmocka_unit_test(names_twice), cmocka_unit_test(many_names), cmocka_unit_test(names_with_nul),
        cmocka_unit_test(surrogates), cmocka_unit_test(long_integers), cmocka_unit_test(depth),
        cmocka_unit_test(members), cmocka_unit_test(writes)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
