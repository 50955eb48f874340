/* SPDX-License-Identifier: Apache-2.0 */
/* Whose signature a token carries: every algorithm with every kind of key, and what is tried in place of one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <apr_thread_proc.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include "token_fixture.h"

static const struct {
    const char *name;
    int first, last; /* keys of its kind */
} algorithms[] = {
    {"RS256", RSA_2048, RSA_4096}, {"RS384", RSA_2048, RSA_4096}, {"RS512", RSA_2048, RSA_4096},
    {"PS256", RSA_2048, RSA_4096}, {"PS384", RSA_2048, RSA_4096}, {"PS512", RSA_2048, RSA_4096},
    {"ES256", EC_256, EC_256},     {"ES384", EC_384, EC_384},     {"ES512", EC_521, EC_521},
};

#define ALGORITHMS 9

static const char *good_token(int algorithm, int key)
{
    const char *name = algorithms[algorithm].name;

    return token_of(pool, keys[key], name, header_of(name, key), GOOD);
}

static void every_algorithm(void **state)
{
    (void)state;
    for (int a = 0; a < ALGORITHMS; a++) {
        for (int key = 0; key < KEYS; key++) {
            int fits = key >= algorithms[a].first && key <= algorithms[a].last;

            if (key == RSA_OTHER) continue;
            /* A key of another kind signs in its own way: the header promises what the key cannot. */
            assert_string_equal(verified(good_token(a, key)), fits ? "good 1" : "token-unknown-key 0");
        }
    }
}

/* The header names one algorithm, the signature is by another of the same key. */
static void other_algorithm(void **state)
{
    (void)state;
    for (int named = 0; named < 6; named++) {
        for (int used = 0; used < 6; used++) {
            const char *token = token_of(pool, keys[RSA_2048], algorithms[used].name, header_of(algorithms[named].name, RSA_2048), GOOD);
            assert_string_equal(verified(token), named == used ? "good 1" : "token-signature 1");
        }
    }
    for (int used = 7; used < 9; used++) {
        const char *token = token_of(pool, keys[EC_256], algorithms[used].name, header_of("ES256", EC_256), GOOD);
        assert_string_equal(verified(token), "token-signature 1");
    }
}

/* A key that is for one algorithm is for no other. */
static void own_algorithm(void **state)
{
    const char *ps = token_of(pool, keys[RSA_2048], "PS256", header_of("PS256", -1), GOOD);
    const char *rs = token_of(pool, keys[RSA_2048], "RS256", header_of("RS256", -1), GOOD);

    (void)state;
    assert_string_equal(verified_by(ps, set_with(keys[RSA_2048], ",\"alg\":\"PS256\"")), "good 1");
    assert_string_equal(verified_by(rs, set_with(keys[RSA_2048], ",\"alg\":\"PS256\"")), "token-unknown-key 0");
    assert_string_equal(verified_by(ps, set_with(keys[RSA_2048], ",\"alg\":\"RS256\"")), "token-unknown-key 0");
}

static void forged(void **state)
{
    const char *forged = token_of(pool, keys[RSA_OTHER], "RS256", header_of("RS256", RSA_2048), GOOD);
    const char *mine = good_token(0, RSA_2048), *his = saying(SAYS(",\"scope\":\"all\""));
    const char *swapped = apr_pstrcat(pool, apr_pstrmemdup(pool, his, (apr_size_t)(strrchr(his, '.') - his)), strrchr(mine, '.'), NULL);

    (void)state;
    assert_string_equal(verified(his), "good 1");
    assert_string_equal(verified(forged), "token-signature 1");
    assert_string_equal(verified(swapped), "token-signature 1");
    assert_string_equal(verified(apr_pstrcat(pool, signing_input(pool, header_of("RS256", 0), GOOD), ".", NULL)), "token-signature 0");
}

static void no_algorithm(void **state)
{
    static const char *const values[] = {
        "\"none\"",  "\"None\"",  "\"NONE\"",  "\"nOnE\"", "\"none \"", "\"\"",   "null", "0",         "[]",        "{}",
        "\"HS256\"", "\"rs256\"", "\"RS256 \"", "\"RS1\"",  "\"ES256K\"", "\"EdDSA\"", "[\"RS256\"]", "\"RSA-OAEP\"", "\"RS256\\u0000\"",
    };

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        const char *header = apr_psprintf(pool, "{\"alg\":%s}", values[i]), *input = signing_input(pool, header, GOOD);

        assert_string_equal(verified(under(header)), "token-algorithm 0");
        assert_string_equal(verified(apr_pstrcat(pool, input, ".", NULL)), "token-algorithm 0");
        assert_string_equal(verified(apr_pstrcat(pool, input, ".AAAA", NULL)), "token-algorithm 0");
    }
    assert_string_equal(verified(under("{}")), "token-algorithm 0");
    assert_string_equal(verified(under("{\"kid\":\"0\",\"typ\":\"JWT\"}")), "token-algorithm 0");
}

/* The public key in a form that a careless verifier takes for the secret of an HMAC. */
static const char *public_key(EVP_PKEY *key, int form, int *len)
{
    unsigned char *der = NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    const char *text;
    char *pem;

    *len = i2d_PUBKEY(key, &der);
    text = apr_pmemdup(pool, der, (apr_size_t)*len);
    OPENSSL_free(der);
    PEM_write_bio_PUBKEY(bio, key);
    if (form == 1) *len = (int)BIO_get_mem_data(bio, &pem), text = apr_pmemdup(pool, pem, (apr_size_t)*len);
    BIO_free(bio);
    if (form == 2) text = key_number(pool, key, OSSL_PKEY_PARAM_RSA_N, 0, 0), *len = (int)strlen(text);
    if (form == 3) text = jwk_text(pool, key, ""), *len = (int)strlen(text);
    return text;
}

static void hmac_with_public_key(void **state)
{
    static const char *const names[] = {"HS256", "HS384", "HS512", "RS256"};

    (void)state;
    for (int form = 0; form < 4; form++) {
        for (int i = 0; i < 4; i++) {
            const char *input = signing_input(pool, header_of(names[i], RSA_2048), GOOD), *secret;
            const EVP_MD *hash = i == 1 ? EVP_sha384() : i == 2 ? EVP_sha512() : EVP_sha256();
            unsigned char mac[64];
            unsigned mac_len;
            int len;

            secret = public_key(keys[RSA_2048], form, &len);
            HMAC(hash, secret, len, (const unsigned char *)input, strlen(input), mac, &mac_len);
            assert_string_equal(verified(apr_pstrcat(pool, input, ".", p2p_base64url_encode(pool, mac, mac_len), NULL)),
                                i == 3 ? "token-signature 0" : "token-algorithm 0");
        }
    }
}

static void key_ids(void **state)
{
    const char *anonymous = token_of(pool, keys[EC_384], "ES384", header_of("ES384", -1), GOOD);

    (void)state;
    assert_string_equal(verified(under("{\"alg\":\"RS256\",\"kid\":\"planted\"}")), "token-unknown-key 0");
    assert_string_equal(verified(under(header_of("RS256", EC_256))), "token-unknown-key 0");
    assert_string_equal(verified(under(header_of("RS256", RSA_3072))), "token-signature 0"); /* too short for it */
    assert_string_equal(verified(token_of(pool, keys[RSA_OTHER], "RS256", header_of("RS256", RSA_OTHER), GOOD)), "token-unknown-key 0");
    assert_string_equal(verified(under("{\"alg\":\"RS256\",\"kid\":7}")), "token-malformed 0");
    assert_string_equal(verified(under("{\"alg\":\"RS256\",\"kid\":null}")), "token-malformed 0");
    assert_string_equal(verified(under("{\"alg\":\"RS256\",\"kid\":\"\"}")), "good 1");
    assert_string_equal(verified(anonymous), "good 1");
    assert_string_equal(verified_by(good_token(7, EC_384), set_with(keys[EC_384], "")), "good 1"); /* the keys have no kid */
    assert_string_equal(verified_by(anonymous, set_with(keys[EC_256], "")), "token-unknown-key 0");
    assert_string_equal(verified_by(good_token(0, RSA_2048), set_with(keys[RSA_OTHER], ",\"kid\":\"0\"")), "token-signature 1");
}

/* As many keys as may be, all of which would fit; one of them is ours. */
static const char *tried(int place, int kid)
{
    const char *set = "", *more = kid < 0 ? "" : ",\"kid\":\"0\"";

    for (int i = 0; i < P2P_JWK_SET_KEYS; i++) {
        unsigned char n[256];

        for (int b = 0; b < 256; b++) n[b] = (unsigned char)(i * 7 + b);
        n[0] = 0xff, n[255] |= 1;
        set = apr_pstrcat(pool, set, i ? "," : "", i == place ? jwk_text(pool, keys[RSA_2048], more) :
                          apr_psprintf(pool, "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"%s\"%s}", p2p_base64url_encode(pool, n, 256), more), NULL);
    }
    return verified_by(under(header_of("RS256", kid)), set_of(apr_pstrcat(pool, "{\"keys\":[", set, "]}", NULL)));
}

static void two_checks_at_most(void **state)
{
    (void)state;
    for (int kid = -1; kid < 1; kid++) {
        assert_string_equal(tried(0, kid), "good 1");
        assert_string_equal(tried(1, kid), "good 2");
        assert_string_equal(tried(2, kid), "token-signature 2");
        assert_string_equal(tried(99, kid), "token-signature 2");
    }
}

static const char *ec_token(const unsigned char *signature, apr_size_t len)
{
    const char *input = signing_input(pool, header_of("ES256", EC_256), GOOD);

    return apr_pstrcat(pool, input, ".", p2p_base64url_encode(pool, signature, len), NULL);
}

static void odd_signatures(void **state)
{
    const char *input = signing_input(pool, header_of("ES256", EC_256), GOOD);
    unsigned char bytes[132];

    (void)state;
    assert_string_equal(verified(apr_pstrcat(pool, input, ".", signature_of(pool, keys[EC_256], "ES256", input, 1), NULL)), "token-signature 0");
    memset(bytes, 0, sizeof bytes);
    assert_string_equal(verified(ec_token(bytes, 64)), "token-signature 1");
    assert_string_equal(verified(ec_token(bytes, 63)), "token-signature 0");
    assert_string_equal(verified(ec_token(bytes, 132)), "token-signature 0");
    memset(bytes, 0xff, sizeof bytes);
    assert_string_equal(verified(ec_token(bytes, 64)), "token-signature 1");
    memset(bytes, 0, sizeof bytes);
    bytes[31] = bytes[63] = 1;
    assert_string_equal(verified(ec_token(bytes, 64)), "token-signature 1");
}

static void headers(void **state)
{
    static const char *const good[] = {"\"JWT\"", "\"jwt\"", "\"at+jwt\"", "\"AT+JWT\"", "\"application/at+jwt\"", "\"Application/JWT\""};
    static const char *const bad[] = {"\"\"", "null", "7", "\"logout+jwt\"", "\"dpop+jwt\"", "\"JOSE\"", "\"application/\"", "\"JWT \""};
    static const char *const more[] = {"\"crit\":[]", "\"crit\":[\"exp\"]", "\"crit\":null", "\"b64\":false", "\"b64\":true", "\"crit\":[\"b64\"],\"b64\":false"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_string_equal(verified(under(apr_psprintf(pool, "{\"alg\":\"RS256\",\"typ\":%s}", good[i]))), "good 1");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_string_equal(verified(under(apr_psprintf(pool, "{\"alg\":\"RS256\",\"typ\":%s}", bad[i]))), "token-malformed 0");
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        assert_string_equal(verified(under(apr_psprintf(pool, "{\"alg\":\"RS256\",%s}", more[i]))), "token-malformed 0");
    assert_string_equal(verified(under("{\"alg\":\"RS256\"}")), "good 1");
}

/* Keys that a token brings along, or says where to find, are nobody's. */
static void brought_keys(void **state)
{
    const char *own = jwk_text(pool, keys[RSA_OTHER], "");
    const char *headers[] = {
        apr_psprintf(pool, "{\"alg\":\"RS256\",\"kid\":\"0\",\"jwk\":%s}", own),
        "{\"alg\":\"RS256\",\"kid\":\"0\",\"jku\":\"https://planted.example/jwks\"}",
        "{\"alg\":\"RS256\",\"kid\":\"0\",\"x5u\":\"https://planted.example/cert\",\"x5c\":[\"AAAA\"]}",
    };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(verified(token_of(pool, keys[RSA_OTHER], "RS256", headers[i], GOOD)), "token-signature 1");
        assert_string_equal(verified(under(headers[i])), "good 1");
    }
    assert_string_equal(verified(token_of(pool, keys[RSA_OTHER], "RS256", apr_psprintf(pool, "{\"alg\":\"RS256\",\"kid\":\"x\",\"jwk\":%s}", own), GOOD)),
                        "token-unknown-key 0");
}

static int is_refused(const char *token)
{
    return !strncmp(verified(token), "token-", 6);
}

static void every_byte(void **state)
{
    const char *tokens[] = {good_token(0, RSA_2048), good_token(6, EC_256)};

    (void)state;
    for (int t = 0; t < 2; t++) {
        apr_size_t len = strlen(tokens[t]);

        for (apr_size_t i = 0; i < len; i++) {
            char *changed = apr_pstrdup(pool, tokens[t]);

            if (!is_refused(apr_pstrmemdup(pool, tokens[t], i))) fail_msg("token %d is good without what follows byte %d", t, (int)i);
            changed[i] = changed[i] == 'A' ? 'B' : 'A';
            if (!is_refused(changed)) fail_msg("token %d is good with byte %d changed", t, (int)i);
            changed[i] = tokens[t][i] == '.' ? 'A' : (char)(tokens[t][i] ^ 0x80);
            if (!is_refused(changed)) fail_msg("token %d is good with byte %d no ASCII", t, (int)i);
        }
    }
}

static void sizes(void **state)
{
    char *padding = apr_pcalloc(pool, P2P_TOKEN_BYTES + 1);
    const char *token, *bare = saying(SAYS(",\"x\":\"\""));
    apr_size_t room = (P2P_TOKEN_BYTES - strlen(bare)) / 4 * 3;

    (void)state;
    memset(padding, 'x', room - 24); /* the scope of GOOD */
    token = saying(apr_psprintf(pool, "{\"x\":\"%s\",%s", padding, &GOOD[1]));
    assert_true(strlen(token) <= P2P_TOKEN_BYTES && strlen(token) > P2P_TOKEN_BYTES - 40);
    assert_string_equal(verified(token), "good 1");
    assert_string_equal(verified(apr_pstrcat(pool, token, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", NULL)), "token-malformed 0");
    memset(padding, 'x', P2P_TOKEN_BYTES);
    assert_string_equal(verified(saying(apr_psprintf(pool, "{\"x\":\"%s\",%s", padding, &GOOD[1]))), "token-malformed 0");
}

static void odd_forms(void **state)
{
    const char *token = good_token(0, RSA_2048), *dot = strchr(token, '.');
    const char *forms[] = {
        "", ".", "..", "...", "a.b.c", "opaque", apr_pstrcat(pool, token, ".", NULL), apr_pstrcat(pool, token, ".AAAA.AAAA", NULL),
        apr_pstrcat(pool, token, "=", NULL), apr_pstrcat(pool, token, " ", NULL), apr_pstrcat(pool, " ", token, NULL),
        apr_pstrcat(pool, token, "\n", NULL), apr_pstrcat(pool, ".", token, NULL), dot, dot + 1, apr_pstrcat(pool, "bnVsbA", dot, NULL),
        apr_pstrcat(pool, "W10", dot, NULL), apr_pstrcat(pool, token, "AAAA", NULL), apr_pstrcat(pool, token, "A", NULL),
    };
    const char *twice[] = {
        "{\"alg\":\"RS256\",\"alg\":\"none\"}", "{\"alg\":\"none\",\"alg\":\"RS256\"}", "{\"alg\":\"RS256\",\"\\u0061lg\":\"RS256\"}",
        "{\"alg\":\"RS256\",\"x\":{\"y\":1,\"y\":2}}", "{\"alg\":\"RS256\"} x", "{\"alg\":\"RS256\",}", "{'alg':'RS256'}", "[\"alg\",\"RS256\"]",
        "{\"alg\":\"RS256\",\"kid\":\"\\ud800\"}", "{\"alg\":\"RS256\",\"kid\":\"\xff\"}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (!is_refused(forms[i])) fail_msg("form %d is good", (int)i);
    for (size_t i = 0; i < sizeof twice / sizeof *twice; i++) assert_string_equal(verified(under(twice[i])), "token-malformed 0");
    assert_string_equal(verified(saying(SAYS(",\"iss\":\"x\""))), "token-malformed 0");
}

static void peeks(void **state)
{
    p2p_token_peek_t peek;

    (void)state;
    assert_null(p2p_token_peek(pool, under("{\"alg\":\"none\",\"kid\":\"k\"}"), &peek));
    assert_string_equal(peek.issuer, ISSUER);
    assert_string_equal(peek.key_id, "k");
    assert_null(p2p_token_peek(pool, token_of(pool, keys[EC_256], "ES256", "{}", "{\"iss\":\"https://a.example//\"}"), &peek));
    assert_string_equal(peek.issuer, "https://a.example");
    assert_string_equal(peek.key_id, "");
    assert_null(p2p_token_peek(pool, token_of(pool, keys[EC_256], "ES256", "{}", "{}"), &peek));
    assert_string_equal(peek.issuer, "");
    assert_string_equal(code_of(p2p_token_peek(pool, saying("{\"iss\":7}"), &peek)), "token-malformed");
    assert_string_equal(code_of(p2p_token_peek(pool, under("{\"kid\":7}"), &peek)), "token-malformed");
    assert_string_equal(code_of(p2p_token_peek(pool, "opaque", &peek)), "token-malformed");
    assert_true(p2p_token_is_jwt("a.b.c"));
    assert_true(p2p_token_is_jwt(".."));
    assert_false(p2p_token_is_jwt(""));
    assert_false(p2p_token_is_jwt("a.b"));
    assert_false(p2p_token_is_jwt("a.b.c.d"));
    assert_false(p2p_token_is_jwt("a.b.c.d.e"));
    assert_true(p2p_token_is_cut(pool, "eyJhbGciOiJFUzI1NiJ9."));
    assert_true(p2p_token_is_cut(pool, "eyJhbGciOiJFUzI1NiJ9.eyJpc3M"));
    assert_false(p2p_token_is_cut(pool, "eyJhbGciOiJFUzI1NiJ9.eyJpc3M.x"));
    assert_false(p2p_token_is_cut(pool, "eyJhbGciOiJFUzI1NiJ9"));
    assert_false(p2p_token_is_cut(pool, "e30.eyJpc3M"));
    assert_false(p2p_token_is_cut(pool, "a.b"));
    assert_false(p2p_token_is_cut(pool, ""));
}

typedef struct verifying_t {
    const char **tokens;
    int right; /* how many were taken for what they are */
} verifying_t;

/* One thread of several that verify with the same keys. It returns: leaving by apr_thread_exit looks to ASan like a broken stack. */
static void *APR_THREAD_FUNC verify_all(apr_thread_t *thread, void *baton)
{
    verifying_t *verifying = baton;
    apr_pool_t *p = apr_thread_pool_get(thread);
    p2p_token_rules_t rules = rules_at(p, apr_time_from_sec(NOW));

    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 2 * ALGORITHMS; i++) {
            p2p_token_claims_t claims;
            p2p_error_t *e = p2p_token_verify(p, verifying->tokens[i], published, &rules, &claims, NULL);
            verifying->right += i % 2 ? e && !strcmp(e->code, "token-signature") : !e && !strcmp(claims.client_id, "portal");
        }
    }
    return NULL;
}

static void many_threads(void **state)
{
    const char *tokens[2 * ALGORITHMS];
    apr_thread_t *threads[4];
    verifying_t verifying[4];
    apr_status_t left;

    (void)state;
    for (int a = 0; a < ALGORITHMS; a++) {
        tokens[2 * a] = good_token(a, algorithms[a].first);
        tokens[2 * a + 1] = apr_pstrcat(pool, signing_input(pool, header_of(algorithms[a].name, algorithms[a].first), SAYS("")),
                                        strrchr(tokens[2 * a], '.'), NULL);
    }
    for (int i = 0; i < 4; i++) {
        verifying[i] = (verifying_t){tokens, 0};
        assert_int_equal(apr_thread_create(&threads[i], NULL, verify_all, &verifying[i], pool), APR_SUCCESS);
    }
    for (int i = 0; i < 4; i++) {
        apr_thread_join(&left, threads[i]);
        assert_int_equal(verifying[i].right, 20 * 2 * ALGORITHMS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_algorithm),      cmocka_unit_test(other_algorithm), cmocka_unit_test(own_algorithm),
        cmocka_unit_test(forged),               cmocka_unit_test(no_algorithm),    cmocka_unit_test(hmac_with_public_key),
        cmocka_unit_test(key_ids),              cmocka_unit_test(headers),         cmocka_unit_test(brought_keys),
        cmocka_unit_test(two_checks_at_most),   cmocka_unit_test(odd_signatures),  cmocka_unit_test(every_byte),
        cmocka_unit_test(sizes),                cmocka_unit_test(odd_forms),       cmocka_unit_test(peeks),
        cmocka_unit_test(many_threads),
    };

    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
