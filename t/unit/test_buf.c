/* SPDX-License-Identifier: Apache-2.0 */
/* The buffer: growth, its limit, and JSON strings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>

#include "base/buf.h"

static void expect(p2p_buf_t *buf, const char *text)
{
    assert_int_equal(buf->len, strlen(text));
    assert_string_equal(buf->data, text);
}

static void grows(void **state)
{
    p2p_buf_t buf;
    int i;

    (void)state;
    p2p_buf_init(&buf, 1000000);
    assert_null(buf.data);
    for (i = 0; i < 100000; i++) p2p_buf_add(&buf, "0123456789", 10);
    assert_int_equal(buf.len, 1000000);
    assert_int_equal(buf.data[buf.len], 0);
    assert_false(buf.overflow);
    p2p_buf_puts(&buf, "x");
    assert_true(buf.overflow);
    assert_int_equal(buf.len, 1000000);
    p2p_buf_free(&buf);
    assert_null(buf.data);
    assert_int_equal(buf.max, 1000000);
}

static void empty(void **state)
{
    p2p_buf_t buf;

    (void)state;
    p2p_buf_init(&buf, 0);
    p2p_buf_add(&buf, NULL, 0);
    expect(&buf, "");
    assert_false(p2p_buf_reserve(&buf, 1));
    assert_true(buf.overflow);
    p2p_buf_clear(&buf);
    assert_false(buf.overflow);
    p2p_buf_free(&buf);
}

static void limit_is_all_or_nothing(void **state)
{
    p2p_buf_t buf;

    (void)state;
    p2p_buf_init(&buf, 5);
    p2p_buf_puts(&buf, "abc");
    p2p_buf_puts(&buf, "def");
    expect(&buf, "abc");
    assert_true(buf.overflow);
    p2p_buf_clear(&buf);
    p2p_buf_printf(&buf, "%d-%s", 12, "ab");
    expect(&buf, "12-ab");
    assert_false(buf.overflow);
    p2p_buf_printf(&buf, "%d", 1);
    expect(&buf, "12-ab");
    assert_true(buf.overflow);
    p2p_buf_clear(&buf);
    p2p_buf_json(&buf, "abcd", 4);
    expect(&buf, "");
    assert_true(buf.overflow);
    p2p_buf_free(&buf);
}

static void no_limit(void **state)
{
    p2p_buf_t buf;

    (void)state;
    p2p_buf_init(&buf, APR_SIZE_MAX);
    p2p_buf_puts(&buf, "abc");
    assert_false(p2p_buf_reserve(&buf, APR_SIZE_MAX));
    expect(&buf, "abc");
    p2p_buf_free(&buf);
}

static void consumes(void **state)
{
    p2p_buf_t buf;

    (void)state;
    p2p_buf_init(&buf, 100);
    p2p_buf_consume(&buf, 3);
    p2p_buf_puts(&buf, "abcdef");
    p2p_buf_consume(&buf, 0);
    p2p_buf_consume(&buf, 2);
    expect(&buf, "cdef");
    p2p_buf_consume(&buf, 9);
    expect(&buf, "");
    p2p_buf_free(&buf);
}

static void expect_json(const char *text, size_t len, const char *json)
{
    p2p_buf_t buf;

    p2p_buf_init(&buf, 1000);
    p2p_buf_json(&buf, text, len);
    expect(&buf, json);
    p2p_buf_free(&buf);
}

static void json(void **state)
{
    (void)state;
    expect_json("", 0, "\"\"");
    expect_json("a/b\x7F", 4, "\"a/b\x7F\"");
    expect_json("\"\\\b\f\n\r\t", 7, "\"\\\"\\\\\\b\\f\\n\\r\\t\"");
    expect_json("a\0\x1F", 3, "\"a\\u0000\\u001f\"");
    expect_json("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", 9, "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"");
}

/* Whatever the bytes are, what comes out is UTF-8. */
static void json_of_no_utf8(void **state)
{
    (void)state;
    expect_json("a\x80z", 3, "\"a\xEF\xBF\xBDz\"");
    expect_json("\xC0\xAF", 2, "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");
    expect_json("\xED\xA0\x80", 3, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
    expect_json("\xE2\x82", 2, "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");
    expect_json("\xE2\x82z", 3, "\"\xEF\xBF\xBD\xEF\xBF\xBDz\"");
    expect_json("\xF4\x90\x80\x80", 4, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

static void given_back(void **state)
{
    p2p_buf_t buf;
    char *block;

    (void)state;
    p2p_buf_init(&buf, 4 << 20);
    assert_int_equal(p2p_buf_reserve(&buf, 1 << 20), 1);
    p2p_buf_puts(&buf, "few");
    p2p_buf_trim(&buf);
    assert_true(buf.cap < 1000);
    assert_string_equal(buf.data, "few");
    p2p_buf_puts(&buf, " more");
    assert_string_equal(buf.data, "few more");
    block = p2p_buf_take(&buf);
    assert_string_equal(block, "few more");
    free(block);
    assert_null(p2p_buf_take(&buf));
    p2p_buf_puts(&buf, "anew");
    assert_string_equal(buf.data, "anew");
    p2p_buf_free(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows), cmocka_unit_test(empty), cmocka_unit_test(limit_is_all_or_nothing),
        cmocka_unit_test(no_limit), cmocka_unit_test(consumes), cmocka_unit_test(json),
        cmocka_unit_test(json_of_no_utf8), cmocka_unit_test(given_back)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
