/* SPDX-License-Identifier: Apache-2.0 */
/* The scanner: tokens and their places, what it refuses and where, and that pieces make no difference. */
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

static apr_pool_t *pool;

/* What a scan told: a line for each token, the sum of them all in one string. */
typedef struct heard_t {
    const char *text;
    int left; /* tokens until the listener objects; below 0 never */
} heard_t;

static p2p_error_t *hear(void *baton, const p2p_scan_token_t *t)
{
    static const char kinds[] = "{}[]nsdtf0";
    heard_t *heard = baton;

    if (heard->left == 0) return p2p_error_make(pool, P2P_E_CONFLICT, "enough", "Enough.");
    heard->left--;
    heard->text = apr_psprintf(pool, "%s%c%u:%d-%d ", heard->text, kinds[t->kind], t->depth, (int)t->begin,
                               (int)t->end);
    return NULL;
}

/* The document in pieces of the given size, 0 = whole; copied to the heap, so that a sanitizer sees
 * each step beyond. */
static p2p_error_t *scan_pieces(const char *doc, size_t len, size_t size, heard_t *heard)
{
    p2p_scan_t scan;
    p2p_error_t *e = NULL;
    size_t at, n;

    heard->text = "";
    p2p_scan_init(&scan, hear, heard, pool);
    for (at = 0; at < len && !e; at += n) {
        char *piece;

        n = size && size < len - at ? size : len - at;
        piece = malloc(n);
        assert_non_null(piece);
        memcpy(piece, doc + at, n);
        e = p2p_scan_feed(&scan, piece, n);
        free(piece);
    }
    return e ? e : p2p_scan_finish(&scan);
}

/* Scans in all pieces from 1 to 40 bytes and asserts that each tells the same; gives what the whole told. */
static p2p_error_t *scan_every_way(const char *doc, size_t len, heard_t *heard)
{
    p2p_error_t *whole = scan_pieces(doc, len, 0, heard), *e;
    heard_t other = {"", -1};
    size_t size;

    for (size = 1; size <= 40; size++) {
        other.left = -1;
        e = scan_pieces(doc, len, size, &other);
        assert_string_equal(other.text, heard->text);
        assert_int_equal(!e, !whole);
        if (e) assert_string_equal(e->sentence, whole->sentence);
    }
    return whole;
}

static void expect_tokens(const char *doc, const char *tokens)
{
    heard_t heard = {"", -1};

    assert_null(scan_every_way(doc, strlen(doc), &heard));
    assert_string_equal(heard.text, tokens);
}

static void expect_accepted(const char *doc)
{
    heard_t heard = {"", -1};
    p2p_error_t *e = scan_every_way(doc, strlen(doc), &heard);

    if (e) fail_msg("%s: %s", doc, e->sentence);
}

static void expect_refused_at(const char *doc, size_t len, int offset)
{
    heard_t heard = {"", -1};
    p2p_error_t *e = scan_every_way(doc, len, &heard);
    const char *at;

    if (!e) fail_msg("accepted: %s", doc);
    assert_string_equal(e->code, "not-json");
    assert_int_equal(e->kind, P2P_E_INVALID);
    at = strstr(e->sentence, "byte ");
    assert_non_null(at);
    assert_int_equal(atoi(at + 5), offset);
}

static void expect_refused(const char *doc, int offset)
{
    expect_refused_at(doc, strlen(doc), offset);
}

static void expect_cut(const char *doc)
{
    heard_t heard = {"", -1};
    p2p_error_t *e = scan_every_way(doc, strlen(doc), &heard);

    if (!e) fail_msg("accepted: %s", doc);
    assert_string_equal(e->code, "json-cut-short");
}

static void tokens_and_places(void **state)
{
    (void)state;
    expect_tokens("{}", "{0:0-1 }0:1-2 ");
    expect_tokens(" [ ] ", "[0:1-2 ]0:3-4 ");
    expect_tokens("{\"a\":1}", "{0:0-1 n1:1-4 d1:5-6 }0:6-7 ");
    expect_tokens("[true,false,null]", "[0:0-1 t1:1-5 f1:6-11 01:12-16 ]0:16-17 ");
    expect_tokens("{\"a\":{\"b\":[\"c\"]},\"d\":-1.5e+3}",
                  "{0:0-1 n1:1-4 {1:5-6 n2:6-9 [2:10-11 s3:11-14 ]2:14-15 }1:15-16 "
                  "n1:17-20 d1:21-28 }0:28-29 ");
    expect_tokens("\"a\\u00e9\\\"\\\\\"", "s0:0-13 ");
    expect_tokens("\n\t{ \"a\" : [ 1 , 2 ] }\r\n",
                  "{0:2-3 n1:4-7 [1:10-11 d2:12-13 d2:16-17 ]1:18-19 }0:20-21 ");
    expect_tokens("[[],{}]", "[0:0-1 [1:1-2 ]1:2-3 {1:4-5 }1:5-6 ]0:6-7 ");
}

static void top_level_values(void **state)
{
    (void)state;
    expect_tokens("12", "d0:0-2 ");
    expect_tokens("12 ", "d0:0-2 ");
    expect_tokens("-0", "d0:0-2 ");
    expect_tokens("null", "00:0-4 ");
    expect_tokens("\"\"", "s0:0-2 ");
    expect_cut("");
    expect_cut(" \n");
    expect_refused("1 2", 2);
    expect_refused("{} {}", 3);
    expect_refused("{},", 2);
    expect_refused("nulll", 4);
}

static void numbers(void **state)
{
    static const char *const good[] = {
        "0", "-0", "10", "0.10000000000000000000001", "1E400", "1e-0", "1.5E+09",
        "123456789012345678901234567890"};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof good / sizeof *good; i++) {
        expect_accepted(good[i]);
        expect_accepted(apr_psprintf(pool, "[%s]", good[i]));
        expect_accepted(apr_psprintf(pool, "[%s ,%s]", good[i], good[i]));
    }
    expect_refused("01", 1);
    expect_refused("-01", 2);
    expect_refused("[1.]", 3);
    expect_refused("[1.e1]", 3);
    expect_refused("[.5]", 1);
    expect_refused("+1", 0);
    expect_refused("[1e]", 3);
    expect_refused("[1e+]", 4);
    expect_refused("[-]", 2);
    expect_refused("--1", 1);
    expect_refused("1.2.3", 3);
    expect_refused("1e1e1", 3);
    expect_refused("1e1.0", 3);
    expect_refused("0x10", 1);
    expect_refused("NaN", 0);
    expect_refused("-Infinity", 1);
    expect_cut("-");
    expect_cut("1.");
    expect_cut("1e");
    expect_cut("1e-");
    expect_cut("[1");
}

static void structure(void **state)
{
    (void)state;
    expect_refused("[1,]", 3);
    expect_refused("[,1]", 1);
    expect_refused("[1 2]", 3);
    expect_refused("{\"a\":1,}", 7);
    expect_refused("{,}", 1);
    expect_refused("{\"a\" 1}", 5);
    expect_refused("{\"a\",1}", 4);
    expect_refused("{\"a\"}", 4);
    expect_refused("{\"a\":}", 5);
    expect_refused("{\"a\":1 \"b\":2}", 7);
    expect_refused("{a:1}", 1);
    expect_refused("{'a':1}", 1);
    expect_refused("{1:1}", 1);
    expect_refused("[1}", 2);
    expect_refused("{\"a\":1]", 6);
    expect_refused("]", 0);
    expect_refused("[1]]", 3);
    expect_refused("[//\n1]", 1);
    expect_refused("[tru]", 4);
    expect_refused("[True]", 1);
    expect_refused("[nulL]", 4);
}

static void cut_short(void **state)
{
    static const char doc[] = "{\"name\":[true,false,null,\"x\\n\\u0041\xC3\xA9\",-1.5e3]}";
    heard_t heard = {"", -1};
    size_t len;

    (void)state;
    for (len = 0; len < sizeof doc - 1; len++) {
        p2p_error_t *e = scan_every_way(doc, len, &heard);

        assert_non_null(e);
        assert_string_equal(e->code, "json-cut-short");
    }
    expect_accepted(doc);
}

static void strings(void **state)
{
    (void)state;
    expect_accepted("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u12aB\"");
    expect_accepted("\"\\ud800\"");
    expect_accepted("\"\x7F\"");
    expect_refused("\"\\x\"", 2);
    expect_refused("\"\\U0041\"", 2);
    expect_refused("\"\\u12g4\"", 5);
    expect_refused("\"\\u123\"", 6);
    expect_refused("\"a\nb\"", 2);
    expect_refused("\"a\tb\"", 2);
    expect_refused("\"0123456789abcdef0123456789\x1F\"", 27);
    expect_refused_at("\"\0\"", 3, 1);
    expect_refused_at("[1\0]", 4, 2);
    expect_cut("\"abc");
    expect_cut("\"abc\\");
    expect_cut("\"abc\\u00");
}

static void every_byte_in_a_string(void **state)
{
    char doc[] = "[\"0123456789abcdefghijklmnopqrstuvwxyz\"]";
    int c, at;

    (void)state;
    for (c = 0; c < 256; c++) {
        for (at = 2; at < 37; at++) {
            heard_t heard = {"", -1};
            char was = doc[at], next = doc[at + 1];
            p2p_error_t *e;

            doc[at] = (char)c;
            e = scan_pieces(doc, sizeof doc - 1, 0, &heard);
            doc[at] = was;
            if (c == '\\') assert_int_equal(!e, strchr("bfnrt", next) != NULL);
            else assert_int_equal(!e, c >= 0x20 && c < 0x80 && c != '"');
            apr_pool_clear(pool);
        }
    }
}

static void utf8(void **state)
{
    (void)state;
    expect_accepted("\"\xC2\x80 \xDF\xBF \xE0\xA0\x80 \xED\x9F\xBF \xEE\x80\x80 \xEF\xBF\xBF\"");
    expect_accepted("\"\xF0\x90\x80\x80 \xF4\x8F\xBF\xBF\"");
    expect_accepted("{\"\xE4\xBD\xA0\":\"\xE5\xA5\xBD\"}");
    expect_refused("\"\x80\"", 1);
    expect_refused("\"\xC0\x80\"", 1);
    expect_refused("\"\xC1\xBF\"", 1);
    expect_refused("\"\xE0\x9F\xBF\"", 2);
    expect_refused("\"\xED\xA0\x80\"", 2);
    expect_refused("\"\xF0\x8F\xBF\xBF\"", 2);
    expect_refused("\"\xF4\x90\x80\x80\"", 2);
    expect_refused("\"\xF5\x80\x80\x80\"", 1);
    expect_refused("\"\xC3\"", 2);
    expect_refused("\"\xE4\xBD\"", 3);
    expect_refused("\xEF\xBB\xBF{}", 0);
    expect_refused("{}\xEF\xBB\xBF", 2);
    expect_refused("[\xC2\xA0]", 1);
    expect_cut("\"\xE4\xBD");
}

static char *nested(int depth, const char *open, const char *close)
{
    char *doc = apr_pcalloc(pool, (apr_size_t)depth * 12 + 1);
    char *at = doc;
    int i;

    for (i = 0; i < depth; i++) at = apr_cpystrn(at, open, 8);
    for (i = 0; i < depth; i++) at = apr_cpystrn(at, close, 8);
    return doc;
}

static void depth(void **state)
{
    (void)state;
    expect_accepted(nested(P2P_SCAN_DEPTH, "[", "]"));
    expect_refused(nested(P2P_SCAN_DEPTH + 1, "[", "]"), P2P_SCAN_DEPTH);
    expect_refused(nested(P2P_SCAN_DEPTH + 1, "{\"\":", "}"), P2P_SCAN_DEPTH * 4);
    expect_accepted("[{\"\":[{\"\":[0,{}]},[[]]]},{}]");
    expect_refused(nested(60, "[", "}"), 60);
}

static void events_can_end_it(void **state)
{
    static const char doc[] = "{\"a\":[1,true,\"x\",{}]} ";
    heard_t heard;
    int i;

    (void)state;
    for (i = 0; i <= 10; i++) {
        p2p_error_t *e;

        heard.left = i;
        e = scan_pieces(doc, sizeof doc - 1, i % 3, &heard);
        if (i == 10) assert_null(e); /* there are ten tokens */
        else assert_string_equal(e->code, "enough");
    }
}

static void nothing_after_an_error(void **state)
{
    p2p_scan_t scan;

    (void)state;
    p2p_scan_init(&scan, NULL, NULL, pool);
    assert_non_null(p2p_scan_feed(&scan, "[x", 2));
    assert_non_null(p2p_scan_feed(&scan, "]", 1));
    assert_non_null(p2p_scan_finish(&scan));
    p2p_scan_init(&scan, NULL, NULL, pool);
    assert_null(p2p_scan_feed(&scan, "[", 1));
    assert_null(p2p_scan_feed(&scan, NULL, 0));
    assert_null(p2p_scan_feed(&scan, "]", 1));
    assert_null(p2p_scan_finish(&scan));
    assert_null(p2p_scan_all("[1]", 3, NULL, NULL, pool));
}

static void words(void **state)
{
    (void)state;
    assert_true(p2p_scan_is("\"entry\"", 7, "entry"));
    assert_false(p2p_scan_is("\"entry\"", 7, "entr"));
    assert_false(p2p_scan_is("\"entry\"", 7, "entryx"));
    assert_false(p2p_scan_is("\"entrx\"", 7, "entry"));
    assert_true(p2p_scan_is("\"\"", 2, ""));
}

static void expect_unescaped(const char *text, const char *plain, apr_size_t len)
{
    apr_size_t n = 0;
    char *out = p2p_scan_unescape(pool, text, strlen(text), &n);

    assert_int_equal(n, len);
    assert_memory_equal(out, plain, len + 1);
}

static void unescape(void **state)
{
    (void)state;
    expect_unescaped("\"\"", "", 0);
    expect_unescaped("\"plain\"", "plain", 5);
    expect_unescaped("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8);
    expect_unescaped("\"a\\u0041\\u00e9\\u20AC\"", "aA\xC3\xA9\xE2\x82\xAC", 7);
    expect_unescaped("\"\\ud83d\\uDE00\"", "\xF0\x9F\x98\x80", 4);
    expect_unescaped("\"\\ud83d\"", "\xEF\xBF\xBD", 3);
    expect_unescaped("\"\\ud83dx\"", "\xEF\xBF\xBDx", 4);
    expect_unescaped("\"\\ud83d\\n\"", "\xEF\xBF\xBD\n", 4);
    expect_unescaped("\"\\ud83d\\u0041\"", "\xEF\xBF\xBD" "A", 4);
    expect_unescaped("\"\\ud83d\\ud83d\\ude00\"", "\xEF\xBF\xBD\xF0\x9F\x98\x80", 7);
    expect_unescaped("\"\\ude00\"", "\xEF\xBF\xBD", 3);
    expect_unescaped("\"a\\u0000b\"", "a\0b", 3);
    assert_string_equal(p2p_scan_unescape(pool, "\"x\"", 3, NULL), "x");
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
        cmocka_unit_test(tokens_and_places), cmocka_unit_test(top_level_values), cmocka_unit_test(numbers),
        cmocka_unit_test(structure), cmocka_unit_test(cut_short), cmocka_unit_test(strings),
        cmocka_unit_test(every_byte_in_a_string), cmocka_unit_test(utf8), cmocka_unit_test(depth),
        cmocka_unit_test(events_can_end_it), cmocka_unit_test(nothing_after_an_error),
        cmocka_unit_test(words),
        cmocka_unit_test(unescape)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
