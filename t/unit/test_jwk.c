/* SPDX-License-Identifier: Apache-2.0 */
/* Which keys are taken, from whom, and what is said of those that are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <apr_general.h>
#include <openssl/err.h>
#include "oidc/jwk_private.h"
#include "tokens.h"

#define RSA_RULE "must be an RSA key of 2048 to 4096 bits, its exponent odd, from 3 and below 2^32"
#define EC_RULE "must be a point on the curve P-256, P-384 or P-521"
#define USE_RULE "must be for signatures: its use \"sig\", its key_ops with \"verify\", or without them"
#define ALG_RULE "must have an alg that goes with its kty and curve: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or ES512"
#define NONE "must have a key that can be used: RSA of 2048 to 4096 bits, or EC on P-256, P-384 or P-521, for signatures"

static apr_pool_t *pool;
static EVP_PKEY *rsa, *rsa3072, *rsa4096, *small, *p256, *p384, *p521;

static int begin(void **state)
{
    (void)state;
    apr_initialize();
    apr_pool_create(&pool, NULL);
    rsa = rsa_key(2048);
    rsa3072 = rsa_key_3072();
    rsa4096 = rsa_key_4096();
    small = rsa_key(1024);
    p256 = EVP_EC_gen("P-256");
    p384 = EVP_EC_gen("P-384");
    p521 = EVP_EC_gen("P-521");
    return 0;
}

static int end(void **state)
{
    EVP_PKEY *all[] = {rsa, rsa3072, rsa4096, small, p256, p384, p521};

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) EVP_PKEY_free(all[i]);
    apr_pool_destroy(pool);
    return 0;
}

/* What is said of the text, or how many keys can be used; OpenSSL is left with nothing to tell. */
static const char *said(const char *text, p2p_jwk_source_t source)
{
    p2p_jwk_set_t *set;
    p2p_error_t *e = p2p_jwk_set_read(pool, text, strlen(text), source, &set);

    assert_int_equal(ERR_peek_error(), 0);
    if (!e) return apr_psprintf(pool, "%d", p2p_jwk_set_count(set));
    assert_null(set);
    assert_int_equal(e->kind, P2P_E_INVALID);
    assert_string_equal(e->code, "bad-keys");
    return e->sentence;
}

/* Refused where an administrator wrote it, passed over where an issuer did. */
static void assert_unfit(const char *key, const char *why)
{
    const char *set = apr_psprintf(pool, "{\"keys\":[%s,%s]}", jwk_text(pool, p256, ""), key);

    assert_string_equal(said(set, P2P_JWK_CONFIGURED), apr_psprintf(pool, "has a key that cannot be used: number 2 %s", why));
    assert_string_equal(said(set, P2P_JWK_PUBLISHED), "1");
    assert_string_equal(said(key, P2P_JWK_CONFIGURED), apr_psprintf(pool, "has a key that cannot be used: number 1 %s", why));
    assert_string_equal(said(key, P2P_JWK_PUBLISHED), NONE);
}

/* Refused from anybody. */
static void assert_fault(const char *text, const char *why)
{
    assert_string_equal(said(text, P2P_JWK_CONFIGURED), why);
    assert_string_equal(said(text, P2P_JWK_PUBLISHED), why);
}

static void good_keys(void **state)
{
    EVP_PKEY *all[] = {rsa, rsa3072, rsa4096, p256, p384, p521};
    const char *set = "";

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        assert_string_equal(said(jwk_text(pool, all[i], ""), P2P_JWK_CONFIGURED), "1");
        assert_string_equal(said(jwk_text(pool, all[i], ",\"use\":\"sig\",\"kid\":\"k\",\"x5t\":\"\""), P2P_JWK_PUBLISHED), "1");
        assert_string_equal(said(jwk_text(pool, all[i], ",\"key_ops\":[\"verify\"]"), P2P_JWK_CONFIGURED), "1");
        set = apr_pstrcat(pool, set, i ? "," : "", jwk_text(pool, all[i], apr_psprintf(pool, ",\"kid\":\"%d\"", (int)i)), NULL);
    }
    set = apr_pstrcat(pool, " {\"keys\":[", set, "],\"more\":1}\n", NULL);
    assert_string_equal(said(set, P2P_JWK_CONFIGURED), "6");
    assert_string_equal(said(set, P2P_JWK_PUBLISHED), "6");
}

static void no_sets(void **state)
{
    static const char *const texts[] = {"", "[]", "null", "1", "\"x\"", "{", "-----BEGIN PUBLIC KEY-----", "{\"keys\":[],\"keys\":[]}"};
    char *huge = apr_palloc(pool, P2P_JWK_SET_BYTES + 2);
    const char *many = jwk_text(pool, p256, "");

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) assert_fault(texts[i], "must be a JWK or a JWK set in JSON");
    assert_fault("{\"keys\":{}}", "must have an array as keys");
    assert_fault("{\"keys\":null}", "must have an array as keys");
    assert_fault("{\"keys\":[]}", NONE);
    memset(huge, ' ', P2P_JWK_SET_BYTES + 1);
    huge[P2P_JWK_SET_BYTES + 1] = 0;
    assert_fault(huge, "must not be longer than 65536 bytes");
    huge[P2P_JWK_SET_BYTES] = 0;
    memcpy(huge, many, strlen(many));
    assert_string_equal(said(huge, P2P_JWK_CONFIGURED), "1");
    for (int i = 1; i < P2P_JWK_SET_KEYS; i++) many = apr_pstrcat(pool, many, ",", jwk_text(pool, p256, ""), NULL);
    assert_string_equal(said(apr_pstrcat(pool, "{\"keys\":[", many, "]}", NULL), P2P_JWK_CONFIGURED), "32");
    assert_fault(apr_pstrcat(pool, "{\"keys\":[", many, ",{}]}", NULL), "must not have more than 32 keys");
}

static void secrets(void **state)
{
    static const char *const names[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "priv"};
    const char *good = jwk_text(pool, p256, "");

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *more = apr_psprintf(pool, ",\"%s\":\"c2VjcmV0\"", names[i]);
        assert_fault(jwk_text(pool, rsa, more), "has a private key: only public keys belong here");
        assert_fault(apr_psprintf(pool, "{\"keys\":[%s,{\"kty\":\"OKP\"%s}]}", good, more), "has a private key: only public keys belong here");
        assert_fault(apr_psprintf(pool, "{\"keys\":[%s]%s}", good, more), "has a private key: only public keys belong here");
    }
    assert_fault(jwk_text(pool, p384, ",\"d\":null"), "has a private key: only public keys belong here");
    assert_fault("{\"kty\":\"oct\"}", "has a symmetric key: only public keys belong here");
    assert_fault(apr_psprintf(pool, "{\"keys\":[%s,{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}]}", good), "has a symmetric key: only public keys belong here");
    assert_fault(jwk_text(pool, rsa, ",\"k\":\"c2VjcmV0\""), "has a symmetric key: only public keys belong here");
}

static void other_kinds(void **state)
{
    (void)state;
    assert_string_equal(said("{\"keys\":[7]}", P2P_JWK_CONFIGURED), "has a key that cannot be used: number 1 must be an object");
    assert_string_equal(said("{\"keys\":[7]}", P2P_JWK_PUBLISHED), NONE);
    assert_unfit("{}", "must be of the kty RSA or EC");
    assert_unfit("{\"kty\":7}", "must be of the kty RSA or EC");
    assert_unfit("{\"kty\":\"rsa\"}", "must be of the kty RSA or EC");
    assert_unfit("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}", "must be of the kty RSA or EC");
    assert_unfit(jwk_text(pool, rsa, ",\"use\":\"enc\""), USE_RULE);
    assert_unfit(jwk_text(pool, rsa, ",\"use\":7"), USE_RULE);
    assert_unfit(jwk_text(pool, rsa, ",\"key_ops\":[\"encrypt\",7]"), USE_RULE);
    assert_unfit(jwk_text(pool, rsa, ",\"key_ops\":\"verify\""), USE_RULE);
    assert_unfit(jwk_text(pool, rsa, ",\"key_ops\":[]"), USE_RULE);
    assert_unfit(jwk_text(pool, rsa, ",\"kid\":7"), "must have a text as kid");
    assert_unfit(jwk_text(pool, rsa, ",\"kid\":\"a\\u0000b\""), "must have a text as kid");
    assert_unfit(jwk_text(pool, rsa, ",\"alg\":7"), "must have a text as alg");
}

static void algorithms(void **state)
{
    static const char *const all[] = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"};
    EVP_PKEY *keys[] = {rsa, rsa, rsa, rsa, rsa, rsa, p256, p384, p521};

    (void)state;
    for (size_t i = 0; i < 9; i++) {
        for (size_t k = 0; k < 9; k++) {
            const char *key = jwk_text(pool, keys[k], apr_psprintf(pool, ",\"alg\":\"%s\"", all[i]));
            if (keys[k] == keys[i]) assert_string_equal(said(key, P2P_JWK_CONFIGURED), "1");
            else assert_unfit(key, ALG_RULE);
        }
    }
    assert_unfit(jwk_text(pool, rsa, ",\"alg\":\"HS256\""), ALG_RULE);
    assert_unfit(jwk_text(pool, rsa, ",\"alg\":\"none\""), ALG_RULE);
    assert_unfit(jwk_text(pool, rsa, ",\"alg\":\"RSA-OAEP\""), ALG_RULE);
    assert_unfit(jwk_text(pool, rsa, ",\"alg\":\"rs256\""), ALG_RULE);
    assert_unfit(jwk_text(pool, p256, ",\"alg\":\"ES256K\""), ALG_RULE);
}

static const char *rsa_with(const char *n, const char *e)
{
    return apr_psprintf(pool, "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"}", n, e);
}

static void rsa_numbers(void **state)
{
    static const char *const bad[] = {"AQ", "AA", "Ag", "BA", "AQAA", "AQAAAAE", "", "AQAB=", "AQ AB", "AR", "A"};
    static const char *const good[] = {"Aw", "AQAB", "_____w", "AAEAAQ"};
    const char *n = key_number(pool, rsa, OSSL_PKEY_PARAM_RSA_N, 0, 0);
    unsigned char wide[513] = {1};

    (void)state;
    assert_unfit(jwk_text(pool, small, ""), RSA_RULE);
    assert_unfit(rsa_with(key_number(pool, rsa, OSSL_PKEY_PARAM_RSA_N, 0, 0x80), "AQAB"), RSA_RULE); /* 2047 bits */
    wide[512] = 1;
    assert_unfit(rsa_with(p2p_base64url_encode(pool, wide, 513), "AQAB"), RSA_RULE); /* 4097 bits */
    assert_unfit(rsa_with(p2p_base64url_encode(pool, wide, 256), "AQAB"), RSA_RULE); /* even */
    assert_unfit(apr_psprintf(pool, "{\"kty\":\"RSA\",\"e\":\"AQAB\"}"), RSA_RULE);
    assert_unfit(apr_psprintf(pool, "{\"kty\":\"RSA\",\"n\":\"%s\"}", n), RSA_RULE);
    assert_unfit(apr_psprintf(pool, "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":65537}", n), RSA_RULE);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_unfit(rsa_with(n, bad[i]), RSA_RULE);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_string_equal(said(rsa_with(n, good[i]), P2P_JWK_CONFIGURED), "1");
}

/* Old programs write a byte of zeros first; it makes no signature longer. */
static void leading_zero(void **state)
{
    BIGNUM *n = NULL;
    unsigned char bytes[257];
    const char *key;
    p2p_jwk_set_t *set;

    (void)state;
    EVP_PKEY_get_bn_param(rsa, OSSL_PKEY_PARAM_RSA_N, &n);
    BN_bn2binpad(n, bytes, 257);
    BN_free(n);
    key = rsa_with(p2p_base64url_encode(pool, bytes, 257), "AQAB");
    assert_null(p2p_jwk_set_read(pool, key, strlen(key), P2P_JWK_PUBLISHED, &set));
    assert_int_equal(p2p_jwk_at(set, 0)->signature, 256);
}

static const char *ec_with(const char *curve, const char *x, const char *y)
{
    return apr_psprintf(pool, "{\"kty\":\"EC\",\"crv\":\"%s\",\"x\":\"%s\",\"y\":\"%s\"}", curve, x, y);
}

static void ec_points(void **state)
{
    EVP_PKEY *all[] = {p256, p384, p521};
    unsigned char zeros[66] = {0};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        int len = coordinate_bytes(all[i]);
        const char *curve = curve_name(all[i]), *zero = p2p_base64url_encode(pool, zeros, (apr_size_t)len);
        const char *x = key_number(pool, all[i], OSSL_PKEY_PARAM_EC_PUB_X, len, 0);
        const char *y = key_number(pool, all[i], OSSL_PKEY_PARAM_EC_PUB_Y, len, 0);

        assert_string_equal(said(ec_with(curve, x, y), P2P_JWK_CONFIGURED), "1");
        assert_unfit(ec_with(curve, key_number(pool, all[i], OSSL_PKEY_PARAM_EC_PUB_X, len, 1), y), EC_RULE);
        assert_unfit(ec_with(curve, x, key_number(pool, all[i], OSSL_PKEY_PARAM_EC_PUB_Y, len, 1)), EC_RULE);
        assert_unfit(ec_with(curve, zero, zero), EC_RULE);
        assert_unfit(ec_with(curve, x, key_number(pool, all[i], OSSL_PKEY_PARAM_EC_PUB_Y, len + 1, 0)), EC_RULE);
        assert_unfit(ec_with(curve, x, ""), EC_RULE);
        assert_unfit(ec_with(curve_name(all[(i + 1) % 3]), x, y), EC_RULE);
        assert_unfit(ec_with("secp256k1", x, y), EC_RULE);
    }
    assert_unfit("{\"kty\":\"EC\"}", EC_RULE);
}

static void key_ids(void **state)
{
    const char *twice = apr_psprintf(pool, "{\"keys\":[%s,%s]}", jwk_text(pool, rsa, ",\"kid\":\"a\",\"alg\":\"RS256\""),
                                     jwk_text(pool, rsa, ",\"kid\":\"a\",\"alg\":\"PS256\""));
    p2p_jwk_set_t *set;

    (void)state;
    assert_string_equal(said(twice, P2P_JWK_CONFIGURED), "has a key that cannot be used: number 2 must have a kid of its own");
    assert_string_equal(said(twice, P2P_JWK_PUBLISHED), "2");
    assert_null(p2p_jwk_set_read(pool, twice, strlen(twice), P2P_JWK_PUBLISHED, &set));
    assert_string_equal(p2p_jwk_at(set, 1)->key_id, "a");
    assert_int_equal(p2p_jwk_at(set, 1)->signature, 256);
    assert_true(p2p_jwk_fits(p2p_jwk_at(set, 1), "PS256"));
    assert_false(p2p_jwk_fits(p2p_jwk_at(set, 1), "RS256"));
    assert_false(p2p_jwk_fits(p2p_jwk_at(set, 1), "ES256"));
}

/* What is said never has a word of the text. */
static void nothing_told(void **state)
{
    static const char *const texts[] = {
        "{\"kty\":\"planted\"}", "{\"kty\":\"RSA\",\"use\":\"planted\"}", "{\"kty\":\"EC\",\"crv\":\"planted\"}",
        "{\"kty\":\"RSA\",\"alg\":\"planted\"}", "{\"keys\":\"planted\"}", "{\"planted\":1,\"planted\":2}", "planted",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        p2p_jwk_set_t *set;
        p2p_error_t *e = p2p_jwk_set_read(pool, texts[i], strlen(texts[i]), P2P_JWK_CONFIGURED, &set);

        assert_non_null(e);
        assert_null(strstr(e->sentence, "planted"));
        if (e->detail) assert_null(strstr(e->detail, "planted"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_keys),   cmocka_unit_test(no_sets),     cmocka_unit_test(secrets),   cmocka_unit_test(other_kinds),
        cmocka_unit_test(algorithms),  cmocka_unit_test(rsa_numbers), cmocka_unit_test(ec_points), cmocka_unit_test(key_ids),
        cmocka_unit_test(nothing_told), cmocka_unit_test(leading_zero),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
