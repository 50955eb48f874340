/* SPDX-License-Identifier: Apache-2.0 */
/* URLs: parsing, resolving (RFC 3986 section 5.4), origins, endpoints and how they are shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "base/uri.h"

static apr_pool_t *pool;

static p2p_uri_t parsed(const char *text)
{
    p2p_uri_t uri;
    p2p_error_t *e = p2p_uri_parse(pool, text, &uri);

    if (e) fail_msg("%s: %s", text, e->sentence);
    return uri;
}

static void expect_text(const char *text, const char *normal)
{
    p2p_uri_t uri = parsed(text);

    assert_string_equal(p2p_uri_text(pool, &uri), normal);
}

static void expect_bad(const char *text)
{
    p2p_uri_t uri;
    p2p_error_t *e = p2p_uri_parse(pool, text, &uri);

    if (!e) fail_msg("accepted: %s", text);
    assert_int_equal(e->kind, P2P_E_INVALID);
    assert_string_equal(e->code, "bad-url");
}

static void parses(void **state)
{
    p2p_uri_t uri = parsed("HTTPS://u:p@Example.COM:8443/a%2Fb/?q=1&r=a|b#frag");

    (void)state;
    assert_string_equal(uri.scheme, "https");
    assert_string_equal(uri.host, "example.com");
    assert_int_equal(uri.port, 8443);
    assert_string_equal(uri.path, "/a%2Fb/");
    assert_string_equal(uri.query, "q=1&r=a|b");
    assert_true(uri.has_userinfo);
    assert_true(uri.has_fragment);
    uri = parsed("http://h");
    assert_string_equal(uri.path, "/");
    assert_null(uri.query);
    assert_int_equal(uri.port, 80);
    assert_false(uri.has_userinfo || uri.has_fragment);
    uri = parsed("https://[2001:DB8::1]?");
    assert_string_equal(uri.host, "[2001:db8::1]");
    assert_string_equal(uri.query, "");
    assert_int_equal(uri.port, 443);
    assert_int_equal(parsed("https://[::1]:9/").port, 9);
    assert_string_equal(parsed("https://a@b@h/").host, "h");
}

static void normal_text(void **state)
{
    (void)state;
    expect_text("https://h:443/a", "https://h/a");
    expect_text("http://h:80", "http://h/");
    expect_text("http://h:443/", "http://h:443/");
    expect_text("https://h:/", "https://h/");
    expect_text("https://u@h/a/./b/../c?x#f", "https://h/a/c?x");
    expect_text("https://h/..", "https://h/");
    expect_text("https://h/../../a", "https://h/a");
    expect_text("https://h/a/b/..", "https://h/a/");
    expect_text("https://h/a/.", "https://h/a/");
    expect_text("https://h/a//../b", "https://h/a/b");
    expect_text("https://h//", "https://h//");
    expect_text("https://h/...", "https://h/...");
    expect_text("https://h/.a/..b", "https://h/.a/..b");
    expect_text("https://h/?a/../b", "https://h/?a/../b");
}

static void refuses(void **state)
{
    static const char *const bad[] = {
        "", "h", "/a", "//h/a", "ftp://h/", "https:", "https:/h", "https://", "https:///a",
        "https://:80/", "https://u@/", "https://h:0/", "https://h:65536/", "https://h:99999999999/",
        "https://h:8a/", "https://h:-1/", "https://h h/", "https://h/a b", "https://h/a\\b",
        "https://h\\@evil/", "https://h/\t", "https://h/\n", " https://h/", "https://h/\x7f",
        "https://h/\xc3\xa9", "https://h/<a>", "https://h/\"", "https://[::1", "https://::1]/",
        "https://[]/", "https://[::g]/", "https://[fe80::1%25eth0]/", "https://[127.0.0.1]/",
        "https://[::1]x/", "https://a%2eb/", "https://a,b/", "https://.h/", "javascript:alert(1)",
        "https://h[/"};
    char *big = apr_palloc(pool, 9000);
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bad / sizeof *bad; i++) expect_bad(bad[i]);
    memset(big, 'a', 8999);
    memcpy(big, "https://h/", 10);
    big[8193] = '\0';
    expect_bad(big);
    big[8192] = '\0';
    parsed(big);
}

static void expect_resolved(const char *base, const char *reference, const char *text)
{
    p2p_uri_t uri;
    p2p_error_t *e = p2p_uri_resolve(pool, base, reference, &uri);

    if (e) fail_msg("%s: %s", reference, e->sentence);
    assert_string_equal(p2p_uri_text(pool, &uri), text);
}

static void resolves(void **state)
{
    static const char *const cases[][2] = {
        {"g", "http://a/b/c/g"}, {"./g", "http://a/b/c/g"}, {"g/", "http://a/b/c/g/"},
        {"/g", "http://a/g"}, {"//g", "http://g/"}, {"?y", "http://a/b/c/d;p?y"},
        {"g?y", "http://a/b/c/g?y"}, {"#s", "http://a/b/c/d;p?q"}, {"g#s", "http://a/b/c/g"},
        {"g?y#s", "http://a/b/c/g?y"}, {";x", "http://a/b/c/;x"}, {"g;x", "http://a/b/c/g;x"},
        {"", "http://a/b/c/d;p?q"}, {".", "http://a/b/c/"}, {"./", "http://a/b/c/"},
        {"..", "http://a/b/"}, {"../", "http://a/b/"}, {"../g", "http://a/b/g"}, {"../..", "http://a/"},
        {"../../", "http://a/"}, {"../../g", "http://a/g"}, {"../../../g", "http://a/g"},
        {"../../../../g", "http://a/g"}, {"/./g", "http://a/g"}, {"/../g", "http://a/g"},
        {"g.", "http://a/b/c/g."}, {".g", "http://a/b/c/.g"}, {"g..", "http://a/b/c/g.."},
        {"..g", "http://a/b/c/..g"}, {"./../g", "http://a/b/g"}, {"./g/.", "http://a/b/c/g/"},
        {"g/./h", "http://a/b/c/g/h"}, {"g/../h", "http://a/b/c/h"},
        {"g;x=1/./y", "http://a/b/c/g;x=1/y"}, {"g;x=1/../y", "http://a/b/c/y"},
        {"g?y/./x", "http://a/b/c/g?y/./x"}, {"g?y/../x", "http://a/b/c/g?y/../x"},
        {"https://z/y", "https://z/y"}};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect_resolved("http://a/b/c/d;p?q", cases[i][0], cases[i][1]);
    }
    expect_resolved("https://h:8443/fhir", "?_getpages=1", "https://h:8443/fhir?_getpages=1");
    expect_resolved("https://h:8443/fhir/", "Patient/1", "https://h:8443/fhir/Patient/1");
}

static void resolves_not(void **state)
{
    static const char *const bad[] = {
        "g:h", "http:g", "mailto:a@b", "///x", "//", "/\\evil", "a b", "file:///etc/passwd",
        "https:\\\\evil"};
    p2p_uri_t uri;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (!p2p_uri_resolve(pool, "http://a/b/c/d;p?q", bad[i], &uri)) fail_msg("resolved: %s", bad[i]);
    }
    assert_non_null(p2p_uri_resolve(pool, "a/b", "http://h/", &uri));
}

static int same_origin(const char *a, const char *b)
{
    p2p_uri_t x = parsed(a), y = parsed(b);

    return p2p_uri_same_origin(&x, &y);
}

static int under(const char *endpoint, const char *url)
{
    p2p_uri_t x = parsed(endpoint), y = parsed(url);

    return p2p_uri_is_under(&x, &y);
}

static void origins(void **state)
{
    (void)state;
    assert_true(same_origin("https://H/a", "https://h:443/b?c"));
    assert_false(same_origin("https://h/", "http://h/"));
    assert_false(same_origin("http://h:443/", "https://h/"));
    assert_false(same_origin("https://h/", "https://h:8443/"));
    assert_false(same_origin("https://h/", "https://h.evil/"));
}

static void endpoints(void **state)
{
    (void)state;
    assert_true(under("https://h/fhir", "https://h/fhir"));
    assert_true(under("https://h/fhir/", "https://h/fhir"));
    assert_true(under("https://h/fhir", "https://h/fhir/"));
    assert_true(under("https://h/fhir", "https://h/fhir?_getpages=1"));
    assert_true(under("https://h/fhir/", "https://h/fhir/Patient/1/$everything"));
    assert_true(under("https://h", "https://h/x"));
    assert_true(under("https://h/a%2Fb", "https://h/a%2Fb/Patient/1"));
    assert_true(under("https://h/fhir", "https://h/fhir/Binary/a.b"));
    assert_false(under("https://h/fhir", "https://h/fhirx"));
    assert_false(under("https://h/fhir", "https://h/fhi"));
    assert_false(under("https://h/fhir", "https://h/FHIR/Patient"));
    assert_false(under("https://h/fhir", "https://h/fhir/../admin"));
    assert_false(under("https://h/fhir", "https://h/fhir/%2e%2e/admin"));
    assert_false(under("https://h/fhir", "https://h/fhir/.%2E/admin"));
    assert_false(under("https://h/fhir", "https://h/fhir/..%2Fadmin"));
    assert_false(under("https://h/fhir", "https://h/fhir/..%5cadmin"));
    assert_false(under("https://h/fhir", "https://h/fhir/..;/admin"));
    assert_false(under("https://h/fhir", "https://evil/fhir/Patient"));
    assert_false(under("https://h/fhir", "http://h/fhir/Patient"));
}

static int loopback(const char *text)
{
    p2p_uri_t uri = parsed(text);

    return p2p_uri_is_loopback(&uri);
}

static void loopbacks(void **state)
{
    (void)state;
    assert_true(loopback("http://localhost:8080/"));
    assert_true(loopback("http://LOCALHOST/"));
    assert_true(loopback("http://127.0.0.1/"));
    assert_true(loopback("http://127.255.1.2/"));
    assert_true(loopback("http://[::1]/"));
    assert_true(loopback("http://[0:0:0:0:0:0:0:1]/"));
    assert_false(loopback("http://127.0.0.1.evil/"));
    assert_false(loopback("http://localhost.evil/"));
    assert_false(loopback("http://128.0.0.1/"));
    assert_false(loopback("http://[::2]/"));
    assert_false(loopback("http://0.0.0.0/"));
}

static void expect_endpoint(const char *text, int allow_http, const char *word)
{
    p2p_error_t *e = p2p_uri_check_endpoint(pool, text, allow_http);

    if (!word) {
        assert_null(e);
        return;
    }
    if (!e) fail_msg("accepted: %s", text);
    assert_string_equal(e->code, "bad-url");
    assert_non_null(strstr(e->sentence, word));
}

static void endpoint_rules(void **state)
{
    (void)state;
    expect_endpoint("https://h/fhir", 0, NULL);
    expect_endpoint("http://h/fhir", 1, NULL);
    expect_endpoint("http://127.0.0.1/fhir", 0, NULL);
    expect_endpoint("http://h/fhir", 0, "https");
    expect_endpoint("https://u:p@h/fhir", 1, "user name");
    expect_endpoint("https://@h/fhir", 1, "user name");
    expect_endpoint("https://h/fhir#x", 1, "fragment");
    expect_endpoint("https://h/fhir#", 1, "fragment");
    expect_endpoint("fhir", 1, "absolute");
}

static void expect_public(const char *text, const char *endpoint, const char *shown)
{
    assert_string_equal(p2p_uri_public(pool, text, endpoint), shown);
}

static void shown(void **state)
{
    char *slashes = apr_palloc(pool, 8193);

    (void)state;
    expect_public("https://h:8443/fhir/Patient/123/$everything?_count=1", NULL,
                  "https://h:8443/fhir/Patient/{id}/$everything");
    expect_public("https://u:p@h/fhir/r4/Patient/p-7/_history/2#x", "https://h/fhir/r4/",
                  "https://h/fhir/r4/Patient/{id}/_history/{id}");
    expect_public("https://h/fhir/Patient/jane-doe/$everything", NULL, "https://h/fhir/Patient/{id}/$everything");
    expect_public("https://h/fhir/Patient/Jane/_history/Jane", NULL, "https://h/fhir/Patient/{id}/_history/Jane");
    expect_public("https://h/fhir/Patient/$match", NULL, "https://h/fhir/Patient/$match");
    expect_public("https://h/fhir/r4", NULL, "https://h/fhir/{id}");
    expect_public("https://h/fhir/r4", "https://h/fhir/r4", "https://h/fhir/r4");
    expect_public("https://h/fhir/r4x/1", "https://h/fhir/r4", "https://h/fhir/{id}/{id}");
    expect_public("https://other/fhir/r4", "https://h/fhir/r4", "https://other/fhir/{id}");
    expect_public("https://h/a%20b/c.d//", NULL, "https://h/{id}/{id}//");
    expect_public("https://h", NULL, "https://h/");
    expect_public("not a URL with 123", NULL, "(a malformed URL)");
    memset(slashes, '/', 8192);
    memcpy(slashes, "https://h", 9);
    slashes[8192] = '\0';
    assert_int_equal(strlen(p2p_uri_public(pool, slashes, NULL)), 8192);
}

static void small_helpers(void **state)
{
    (void)state;
    assert_string_equal(p2p_uri_trim(pool, "https://h/a//"), "https://h/a");
    assert_string_equal(p2p_uri_trim(pool, "///"), "");
    assert_string_equal(p2p_uri_trim(pool, ""), "");
    assert_string_equal(p2p_uri_encode(pool, "aZ09-._~"), "aZ09-._~");
    assert_string_equal(p2p_uri_encode(pool, "a b/c|\xC3\xA9%"), "a%20b%2Fc%7C%C3%A9%25");
    assert_string_equal(p2p_uri_encode(pool, ""), "");
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
        cmocka_unit_test(parses), cmocka_unit_test(normal_text), cmocka_unit_test(refuses),
        cmocka_unit_test(resolves), cmocka_unit_test(resolves_not), cmocka_unit_test(origins),
        cmocka_unit_test(endpoints), cmocka_unit_test(loopbacks), cmocka_unit_test(endpoint_rules),
        cmocka_unit_test(shown), cmocka_unit_test(small_helpers)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
