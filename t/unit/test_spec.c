/* SPDX-License-Identifier: Apache-2.0 */
/* The specification survives its way through JSON; what does not fit is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>

#include "model/spec.h"

static apr_pool_t *pool;

static void defaults(void **state)
{
    p2p_spec_t *spec;

    (void)state;
    assert_null(p2p_spec_parse(pool, "{\"unknown\":1,\"target\":null}", 27, &spec));
    assert_null(spec->target);
    assert_null(spec->user);
    assert_int_equal(spec->group, 0);
    assert_int_equal(spec->target_auth, P2P_AUTH_NONE);
    assert_int_equal(spec->bundle_size, 100);
    assert_int_equal(spec->bundle_bytes, 8388608);
    assert_int_equal(spec->follow_references, 200);
    assert_int_equal(spec->versioned_references, 1);
    assert_int_equal(spec->memory, 33554432);
    assert_int_equal(spec->spool_bytes, 2147483648);
    assert_int_equal(spec->runners, 1);
    assert_int_equal(spec->trusts->nelts, 0);
    assert_int_equal(p2p_keyring_count(spec->keyring), 0);
}

static void there_and_back(void **state)
{
    p2p_spec_t *spec = p2p_spec_make(pool), *back;
    const char *text, *key;

    (void)state;
    assert_null(p2p_key_generate(pool, &key));
    assert_null(p2p_keyring_add(spec->keyring, key));
    spec->target = "https://t.example/fhir";
    spec->target_auth = P2P_AUTH_CERTIFICATE;
    spec->target_cert = "-----BEGIN\nline\n";
    spec->db_driver = "pgsql";
    spec->db_params = "host='/a b' password=\"\\x\"";
    spec->allow_http = 1;
    spec->versioned_references = 0;
    spec->spool_bytes = 1234567890123;
    spec->slot = 3;
    spec->log_level = "debug";
    spec->user = "www-data";
    spec->group = 4294967294;
    spec->sign_in_issuer = "https://login.example";
    text = p2p_spec_print(pool, spec);
    assert_null(p2p_spec_parse(pool, text, strlen(text), &back));
    assert_string_equal(back->target, spec->target);
    assert_int_equal(back->target_auth, P2P_AUTH_CERTIFICATE);
    assert_string_equal(back->target_cert, spec->target_cert);
    assert_null(back->target_credential);
    assert_string_equal(back->db_params, spec->db_params);
    assert_int_equal(back->allow_http, 1);
    assert_int_equal(back->versioned_references, 0);
    assert_int_equal(back->spool_bytes, 1234567890123);
    assert_int_equal(back->slot, 3);
    assert_string_equal(back->user, "www-data");
    assert_int_equal(back->group, 4294967294);
    assert_string_equal(back->sign_in_issuer, "https://login.example");
    assert_int_equal(p2p_keyring_count(back->keyring), 1);
    assert_string_equal(p2p_keyring_text(pool, back->keyring, 0), p2p_keyring_text(pool, spec->keyring, 0));
    assert_string_equal(p2p_spec_print(pool, back), text);
}

static p2p_trust_t trust_of(const char *issuer, p2p_trust_kind_t kind, const char *jwks, const char *endpoint)
{
    return (p2p_trust_t){kind, issuer, jwks, "{\"kty\":\"RSA\"}", endpoint, "SECRET", "SECRET", NULL, NULL, NULL};
}

/* A runner learns whose keys it is to fetch, and no client's secret. */
static void trusts(void **state)
{
    static const p2p_trust_kind_t kinds[] = {P2P_TRUST_PUBLISHED, P2P_TRUST_KEYS, P2P_TRUST_INTROSPECTION, P2P_TRUST_DEFINITION};
    p2p_spec_t *spec = p2p_spec_make(pool), *back;
    const char *text;

    (void)state;
    for (int i = 0; i < 4; i++) {
        APR_ARRAY_PUSH(spec->trusts, p2p_trust_t) = trust_of("https://i.example", kinds[i], i ? "" : "https://i.example/jwks", i == 2 ? "https://i.example/ask" : "");
    }
    text = p2p_spec_print(pool, spec);
    assert_null(strstr(text, "SECRET"));
    assert_null(p2p_spec_parse(pool, text, strlen(text), &back));
    assert_int_equal(back->trusts->nelts, 4);
    for (int i = 0; i < 4; i++) {
        const p2p_trust_t *trust = &APR_ARRAY_IDX(back->trusts, i, p2p_trust_t);

        assert_int_equal(trust->kind, kinds[i]);
        assert_string_equal(trust->issuer, "https://i.example");
        assert_string_equal(trust->jwks_uri, i ? "" : "https://i.example/jwks");
        assert_string_equal(trust->introspection_endpoint, i == 2 ? "https://i.example/ask" : "");
        assert_string_equal(trust->client_secret, "");
        assert_int_equal(trust->audiences->nelts, 0);
    }
}

static void faults(void **state)
{
    static const char *const bad[][2] = {
        {"{\"target\":1}", "target"}, {"{\"target\":\"a\\u0000b\"}",
                                       "target"}, {"{\"targetAuth\":\"magic\"}", "targetAuth"},
        {"{\"keys\":\"x\"}", "keys"}, {"{\"keys\":[1]}", "keys"}, {"{\"bundleSize\":\"1\"}", "bundleSize"},
        {"{\"bundleSize\":3000000000}", "bundleSize"}, {"{\"memory\":-1}",
                                                        "memory"}, {"{\"memory\":1.5}", "memory"},
        {"{\"allowHttp\":1}", "allowHttp"}, {"{\"group\":-1}", "group"}, {"[]", "JSON object"},
        {"{\"trust\":{}}", "trust"}, {"{\"trust\":[1]}", "trust"}, {"{\"trust\":[{\"issuer\":1}]}", "issuer"},
        {"{\"trust\":[{\"issuer\":\"i\",\"kind\":\"magic\",\"jwksUri\":\"\",\"introspectionEndpoint\":\"\"}]}", "kind"},
    };
    p2p_spec_t *spec;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        p2p_error_t *error = p2p_spec_parse(pool, bad[i][0], strlen(bad[i][0]), &spec);

        if (!error) fail_msg("taken: %s", bad[i][0]);
        assert_string_equal(error->code, "bad-spec");
        if (!strstr(error->sentence, bad[i][1])) fail_msg("%s: %s", bad[i][0], error->sentence);
    }
    assert_non_null(p2p_spec_parse(pool, "{", 1, &spec));
    assert_non_null(p2p_spec_parse(pool, "{\"keys\":[\"nonsense\"]}", 21, &spec));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(defaults), cmocka_unit_test(there_and_back),
                                       cmocka_unit_test(trusts), cmocka_unit_test(faults)};
    int failures;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    failures = cmocka_run_group_tests_name("spec", tests, NULL, NULL);
    apr_pool_destroy(pool);
    apr_terminate();
    return failures;
}
