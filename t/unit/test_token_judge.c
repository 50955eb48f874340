/* SPDX-License-Identifier: Apache-2.0 */
/* What claims have to say: for whom, by whom, until when, and what they let their bearer do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "token_fixture.h"

static p2p_token_claims_t claims;

/* The code for these claims, of a token or of an introspection endpoint's answer. */
static const char *judged_at(const char *text, int introspected, apr_time_t now)
{
    p2p_token_rules_t rules = rules_at(pool, now);
    json_object *all;

    assert_null(p2p_json_parse(pool, text, strlen(text), &all));
    memset(&claims, 0, sizeof claims);
    return code_of(p2p_token_judge(pool, all, introspected, &rules, &claims));
}

static const char *judged(const char *text)
{
    return judged_at(text, 0, apr_time_from_sec(NOW));
}

static const char *introspected(const char *text)
{
    return judged_at(text, 1, apr_time_from_sec(NOW));
}

typedef struct case_t {
    const char *claims, *code;
} case_t;

static void assert_cases(const case_t *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(judged(cases[i].claims), cases[i].code)) fail_msg("%s: %s, not %s", cases[i].claims, judged(cases[i].claims), cases[i].code);
}

#define ASSERT_CASES(cases) assert_cases(cases, sizeof cases / sizeof *cases)
#define REST ",\"client_id\":\"portal\"}"
#define BY(iss) "{\"iss\":" iss ",\"aud\":\"p2p\",\"exp\":1790000300" REST
#define FOR(aud) "{\"iss\":\"" ISSUER "\",\"aud\":" aud ",\"exp\":1790000300" REST
#define UNTIL(times) "{\"iss\":\"" ISSUER "\",\"aud\":\"p2p\"" times REST
#define OF(who) "{\"iss\":\"" ISSUER "\",\"aud\":\"p2p\",\"exp\":1790000300" who "}"

static void issuers(void **state)
{
    static const case_t cases[] = {
        {BY("\"" ISSUER "\""), "good"},
        {BY("\"" ISSUER "/\""), "good"},
        {BY("\"https://as.example/Realm\""), "token-wrong-issuer"},
        {BY("\"https://as.example\""), "token-wrong-issuer"},
        {BY("\"https://as.example/realm/x\""), "token-wrong-issuer"},
        {BY("\"https://as.example/realm\\u0000\""), "token-malformed"},
        {BY("\"\""), "token-wrong-issuer"},
        {BY("null"), "token-wrong-issuer"},
        {BY("7"), "token-malformed"},
        {BY("[\"" ISSUER "\"]"), "token-malformed"},
        {"{}", "token-wrong-issuer"},
    };

    (void)state;
    ASSERT_CASES(cases);
}

static void audiences(void **state)
{
    static const case_t cases[] = {
        {FOR("\"p2p\""), "good"},
        {FOR("\"https://p2p.example\""), "good"},
        {FOR("[\"planted\",\"p2p\"]"), "good"},
        {FOR("[\"https://p2p.example/\"]"), "token-wrong-audience"},
        {FOR("\"P2P\""), "token-wrong-audience"},
        {FOR("\"planted\""), "token-wrong-audience"},
        {FOR("\"\""), "token-wrong-audience"},
        {FOR("\"p2p other\""), "token-wrong-audience"},
        {FOR("[]"), "token-wrong-audience"},
        {FOR("null"), "token-wrong-audience"},
        {FOR("[\"p2p\",7]"), "token-malformed"},
        {FOR("[\"p2p\",null]"), "token-malformed"},
        {FOR("[[\"p2p\"]]"), "token-malformed"},
        {FOR("{\"p2p\":1}"), "token-malformed"},
        {FOR("7"), "token-malformed"},
        {FOR("\"p2p\\u0000\""), "token-malformed"},
        {"{\"iss\":\"" ISSUER "\",\"exp\":1790000300" REST, "token-wrong-audience"},
    };

    (void)state;
    ASSERT_CASES(cases);
}

static void times(void **state)
{
    static const case_t cases[] = {
        {UNTIL(",\"exp\":1790000001"), "good"},
        {UNTIL(",\"exp\":1789999971"), "good"}, /* 29 seconds ago */
        {UNTIL(",\"exp\":1789999970"), "token-expired"},
        {UNTIL(",\"exp\":1789999970.5"), "good"},
        {UNTIL(",\"exp\":1789999969.99"), "token-expired"},
        {UNTIL(",\"exp\":1.79e9"), "good"},
        {UNTIL(",\"exp\":0"), "token-expired"},
        {UNTIL(",\"exp\":253402300799"), "good"},
        {UNTIL(",\"exp\":253402300800"), "token-malformed"},
        {UNTIL(",\"exp\":18446744073709551615"), "token-malformed"},
        {UNTIL(",\"exp\":-1"), "token-malformed"},
        {UNTIL(",\"exp\":1e400"), "token-malformed"},
        {UNTIL(",\"exp\":-1e400"), "token-malformed"},
        {UNTIL(",\"exp\":\"1790000300\""), "token-malformed"},
        {UNTIL(",\"exp\":null"), "token-malformed"},
        {UNTIL(",\"exp\":true"), "token-malformed"},
        {UNTIL(""), "token-malformed"},
        {UNTIL(",\"exp\":1790000300,\"nbf\":1790000000"), "good"},
        {UNTIL(",\"exp\":1790000300,\"nbf\":1790000030"), "good"},
        {UNTIL(",\"exp\":1790000300,\"nbf\":1790000031"), "token-not-yet-valid"},
        {UNTIL(",\"exp\":1790000300,\"nbf\":1790000030.5"), "token-not-yet-valid"},
        {UNTIL(",\"exp\":1790000300,\"nbf\":null"), "good"},
        {UNTIL(",\"exp\":1790000300,\"nbf\":\"0\""), "token-malformed"},
        {UNTIL(",\"exp\":1790000300,\"nbf\":1e300"), "token-malformed"},
    };

    (void)state;
    ASSERT_CASES(cases);
    assert_string_equal(judged(UNTIL(",\"exp\":1790000300.25")), "good");
    assert_true(claims.expires == apr_time_from_sec(1790000300) + 250000);
    assert_string_equal(judged_at(UNTIL(",\"exp\":1790000300"), 0, apr_time_from_sec(1790000330) - 1), "good");
    assert_string_equal(judged_at(UNTIL(",\"exp\":1790000300"), 0, apr_time_from_sec(1790000330)), "token-expired");
}

static const char *client_of(const char *text)
{
    const char *code = judged(text);

    return strcmp(code, "good") ? code : apr_pstrcat(pool, claims.client_id, " ", claims.subject, NULL);
}

static void names(void **state)
{
    char *wide = apr_pcalloc(pool, 1026);

    (void)state;
    assert_string_equal(client_of(OF(",\"client_id\":\"a\",\"azp\":\"b\",\"sub\":\"c\"")), "a c");
    assert_string_equal(client_of(OF(",\"azp\":\"b\",\"sub\":\"c\"")), "b c");
    assert_string_equal(client_of(OF(",\"client_id\":\"\",\"azp\":null,\"sub\":\"c\"")), "c c");
    assert_string_equal(client_of(OF(",\"client_id\":\"a\"")), "a ");
    assert_string_equal(client_of(OF("")), "token-malformed");
    assert_string_equal(client_of(OF(",\"client_id\":7,\"sub\":\"c\"")), "token-malformed");
    assert_string_equal(client_of(OF(",\"client_id\":\"a\\nb\"")), "token-malformed");
    assert_string_equal(client_of(OF(",\"client_id\":\"a\",\"sub\":\"\\u0000\"")), "token-malformed");
    assert_string_equal(client_of(OF(",\"client_id\":\"a\",\"azp\":[]")), "token-malformed");
    memset(wide, 'w', 1025);
    assert_string_equal(client_of(apr_psprintf(pool, OF(",\"client_id\":\"%s\""), wide)), "token-malformed");
}

static const char *scopes_of(const char *text)
{
    const char *code = judged(text);

    return strcmp(code, "good") ? code : claims.scopes;
}

static int has(const char *first, const char *second)
{
    apr_array_header_t *wanted = apr_array_make(pool, 2, sizeof(const char *));

    if (first) APR_ARRAY_PUSH(wanted, const char *) = first;
    if (second) APR_ARRAY_PUSH(wanted, const char *) = second;
    return p2p_token_has_scope(&claims, wanted);
}

#define C ",\"client_id\":\"portal\""

static void scopes(void **state)
{
    (void)state;
    assert_string_equal(scopes_of(OF(C)), "");
    assert_string_equal(scopes_of(OF(C ",\"scope\":\"  b  a \"")), "b a");
    assert_string_equal(scopes_of(OF(C ",\"scope\":[\"b\",\"a\"],\"scp\":\"c\"")), "b a");
    assert_string_equal(scopes_of(OF(C ",\"scp\":\"b a\"")), "b a");
    assert_string_equal(scopes_of(OF(C ",\"scope\":null,\"scp\":[\"b\",\"a\"]")), "b a");
    assert_string_equal(scopes_of(OF(C ",\"scope\":[]")), "");
    assert_string_equal(scopes_of(OF(C ",\"scope\":[\"b a\"]")), "token-malformed");
    assert_string_equal(scopes_of(OF(C ",\"scope\":[7]")), "token-malformed");
    assert_string_equal(scopes_of(OF(C ",\"scope\":7")), "token-malformed");
    assert_string_equal(scopes_of(OF(C ",\"scope\":{}")), "token-malformed");
    assert_string_equal(scopes_of(OF(C ",\"scope\":\"a\\tb\"")), "token-malformed");
    assert_string_equal(scopes_of(OF(C ",\"scope\":\"portal portal.admin x\"")), "portal portal.admin x");
    assert_true(has("portal", NULL));
    assert_true(has("none", "portal.admin"));
    assert_true(has("x", "x"));
    assert_false(has("portal.", "admin"));
    assert_false(has("Portal", "orta"));
    assert_false(has("l p", ""));
    assert_false(has(NULL, NULL));
    assert_string_equal(scopes_of(OF(C ",\"scope\":\"aaa aa\"")), "aaa aa");
    assert_true(has("aa", NULL));
    assert_false(has("a", NULL));
}

/* Thousands of words cost no more than their length. */
static void many_scopes(void **state)
{
    apr_array_header_t *words = apr_array_make(pool, 32000, sizeof(const char *));

    (void)state;
    for (int i = 0; i < 32000; i++) APR_ARRAY_PUSH(words, const char *) = "s";
    assert_int_equal(strlen(scopes_of(apr_psprintf(pool, OF(C ",\"scope\":\"%s\""), apr_array_pstrcat(pool, words, ' ')))), 63999);
}

static void bound_tokens(void **state)
{
    (void)state;
    assert_string_equal(judged(OF(C ",\"cnf\":{\"jkt\":\"planted\"}")), "token-malformed");
    assert_string_equal(judged(OF(C ",\"cnf\":{\"x5t#S256\":\"planted\"}")), "token-malformed");
    assert_string_equal(introspected("{\"active\":true,\"aud\":\"p2p\",\"exp\":1790000300,\"cnf\":{}" REST), "token-malformed");
}

#define ACTIVE(more) "{\"active\":true,\"aud\":\"p2p\",\"exp\":1790000300" more REST

static void introspection(void **state)
{
    (void)state;
    assert_string_equal(introspected(ACTIVE("")), "good");
    assert_string_equal(claims.client_id, "portal");
    assert_string_equal(introspected(ACTIVE(",\"iss\":\"" ISSUER "/\"")), "good");
    assert_string_equal(introspected(ACTIVE(",\"iss\":\"https://other.example\"")), "token-wrong-issuer");
    assert_string_equal(introspected(ACTIVE(",\"token_type\":\"bearer\"")), "good");
    assert_string_equal(introspected(ACTIVE(",\"token_type\":\"access_token\"")), "good");
    assert_string_equal(introspected(ACTIVE(",\"token_type\":\"DPoP\"")), "token-malformed");
    assert_string_equal(judged(ACTIVE(",\"iss\":\"" ISSUER "\",\"token_type\":\"access\"")), "good"); /* a claim of some signed tokens */
    assert_string_equal(introspected(ACTIVE(",\"token_type\":\"refresh_token\"")), "token-malformed");
    assert_string_equal(introspected("{\"active\":true,\"aud\":\"p2p\"" REST), "token-malformed");
    assert_string_equal(introspected("{\"active\":true,\"exp\":1790000300" REST), "token-wrong-audience");
    assert_string_equal(introspected("{\"active\":true,\"aud\":\"p2p\",\"exp\":1700000000" REST), "token-expired");
    assert_string_equal(introspected("{\"active\":false}"), "token-inactive");
    assert_string_equal(introspected("{\"active\":\"true\",\"aud\":\"p2p\",\"exp\":1790000300" REST), "token-inactive");
    assert_string_equal(introspected("{\"active\":1,\"aud\":\"p2p\",\"exp\":1790000300" REST), "token-inactive");
    assert_string_equal(introspected("{\"aud\":\"p2p\",\"exp\":1790000300" REST), "token-inactive");
    assert_string_equal(introspected("{}"), "token-inactive");
    assert_string_equal(introspected("[]"), "token-malformed");
    assert_string_equal(introspected("null"), "token-malformed");
}

/* A signature that holds opens nothing by itself. */
static void after_the_signature(void **state)
{
    (void)state;
    assert_string_equal(verified(saying(FOR("\"planted\""))), "token-wrong-audience 1");
    assert_string_equal(verified(saying(BY("\"https://planted.example\""))), "token-wrong-issuer 1");
    assert_string_equal(verified(saying(UNTIL(",\"exp\":1700000000"))), "token-expired 1");
    assert_string_equal(verified(saying(UNTIL(",\"exp\":1790000300,\"nbf\":1790000200"))), "token-not-yet-valid 1");
    assert_string_equal(verified(saying(UNTIL(",\"exp\":1790000300"))), "good 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(issuers), cmocka_unit_test(audiences),   cmocka_unit_test(times),
        cmocka_unit_test(names),   cmocka_unit_test(scopes),      cmocka_unit_test(many_scopes),
        cmocka_unit_test(bound_tokens), cmocka_unit_test(introspection), cmocka_unit_test(after_the_signature),
    };

    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
