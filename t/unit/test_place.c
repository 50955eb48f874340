/* SPDX-License-Identifier: Apache-2.0 */
/* Where links of a source lead, in all their forms; none outside gets to be its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "exchange/place.h"

#define FROM "https://payer.example/gw/fhir/Patient/1/$everything?_count=2"

static apr_pool_t *pool;
static p2p_bases_t bases;
static p2p_places_t places = {"https://payer.example/gw/fhir", "https://files.example:8443 http://127.0.0.1:81", &bases};

static const char *led(const char *link)
{
    static const char *const kinds[] = {"own", "listed", "elsewhere"};
    p2p_place_t place;
    p2p_error_t *error = p2p_place_of(&places, pool, FROM, link, &place);

    return error ? error->code : apr_pstrcat(pool, kinds[place.kind], " ", place.url, NULL);
}

#define leads(link, where) assert_string_equal(led(link), where)

static void forms(void **state)
{
    (void)state;
    leads("https://payer.example/gw/fhir?_getpages=1", "own https://payer.example/gw/fhir?_getpages=1");
    leads("https://PAYER.example:443/x", "own https://payer.example/x");
    leads("?_getpages=1", "own https://payer.example/gw/fhir/Patient/1/$everything?_getpages=1");
    leads("./next?x=1", "own https://payer.example/gw/fhir/Patient/1/next?x=1");
    leads("../../p", "own https://payer.example/gw/fhir/p");
    leads("/fhir?p=2", "own https://payer.example/fhir?p=2");
    leads("//payer.example/a", "own https://payer.example/a");
    leads("//other.example/a", "elsewhere https://other.example/a");
    leads("http://payer.example/gw/fhir?p=2", "elsewhere http://payer.example/gw/fhir?p=2");
    leads("https://payer.example:8443/gw/fhir?p=2", "elsewhere https://payer.example:8443/gw/fhir?p=2");
    leads("https://payer.example.evil.example/gw/fhir", "elsewhere https://payer.example.evil.example/gw/fhir");
    leads("https://payer.example@evil.example/gw/fhir", "elsewhere https://evil.example/gw/fhir");
    leads("ftp://payer.example/x", "bad-url");
    leads("https://payer.example/a b", "bad-url");
    leads("javascript:alert(1)", "bad-url");
}

static void listed(void **state)
{
    (void)state;
    leads("https://FILES.example:8443/a?_format=xml", "listed https://files.example:8443/a?_format=xml");
    leads("http://127.0.0.1:81/", "listed http://127.0.0.1:81/");
    leads("https://files.example/a", "elsewhere https://files.example/a");
    leads("http://files.example:8443/a", "elsewhere http://files.example:8443/a");
}

static void as_json(void **state)
{
    (void)state;
    leads("/f?a=1&_format=xml&b=2", "own https://payer.example/f?a=1&_format=json&b=2");
    leads("/f?_format=application%2Ffhir%2Bxml", "own https://payer.example/f?_format=json");
    leads("/f?_format=", "own https://payer.example/f?_format=json");
    leads("/f?_format=application/fhir%2BJSON&x=", "own https://payer.example/f?_format=application/fhir%2BJSON&x=");
    leads("/f?my_format=xml", "own https://payer.example/f?my_format=xml");
    leads("/f?_format=xml&_format=xml", "own https://payer.example/f?_format=json&_format=json");
}

/* Names that only count inside: the same place under the endpoint. */
static void inside(void **state)
{
    const char *const internal = "http://hapi-internal:8080/fhir";

    (void)state;
    leads("http://hapi-internal:8080/fhir?_getpages=7", "elsewhere http://hapi-internal:8080/fhir?_getpages=7");
    p2p_bases_add(&bases, internal, strlen(internal));
    leads("http://hapi-internal:8080/fhir?_getpages=7", "own https://payer.example/gw/fhir?_getpages=7");
    leads("http://hapi-internal:8080/fhir/Patient/1?_format=xml", "own https://payer.example/gw/fhir/Patient/1?_format=json");
    leads("http://hapi-internal:8080/fhirstore/x", "elsewhere http://hapi-internal:8080/fhirstore/x");
    leads("http://hapi-internal:8080/", "elsewhere http://hapi-internal:8080/");
    leads("http://hapi-internal:8080/fhir/%2e%2e/admin", "elsewhere http://hapi-internal:8080/fhir/%2e%2e/admin");
    leads("http://hapi-internal:8080/fhir/../admin", "elsewhere http://hapi-internal:8080/admin");
    leads("http://hapi-internal:8081/fhir/x", "elsewhere http://hapi-internal:8081/fhir/x");
}

static void sentences(void **state)
{
    p2p_place_t place;

    (void)state;
    assert_null(p2p_place_of(&places, pool, FROM, "https://A.example/secret?token=1", &place));
    assert_string_equal(p2p_place_refusal(&place, pool, "it"),
                        "it leads to another origin, https://a.example, and is not followed; if that is the source payer's as well, write "
                        "P2POrigins https://a.example");
    assert_null(p2p_place_of(&places, pool, FROM, "http://a.example:80/", &place));
    assert_non_null(strstr(p2p_place_refusal(&place, pool, "it"), "write P2POrigins http://a.example and P2PAllowHttp On"));
}

/* 4 KB and more. */
static void long_ones(void **state)
{
    char link[6001];

    (void)state;
    memset(link, 'x', 6000);
    link[6000] = '\0';
    link[0] = '?';
    assert_int_equal(strlen(led(link)), 4 + strlen("https://payer.example/gw/fhir/Patient/1/$everything") + 6000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(forms), cmocka_unit_test(listed), cmocka_unit_test(as_json), cmocka_unit_test(inside),
                                       cmocka_unit_test(sentences), cmocka_unit_test(long_ones)};
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    bases.pool = pool;
    p2p_bases_add(&bases, places.endpoint, strlen(places.endpoint));
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_pool_destroy(pool);
    return failed;
}
