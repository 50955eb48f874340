/* SPDX-License-Identifier: Apache-2.0 */
/* The file of P2PTargetAuth client-credentials: every fault has its sentence, and a good one makes the right request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <apr_general.h>
#include "keys.h"
#include "oidc/target_client.h"

static apr_pool_t *pool;
static EVP_PKEY *rsa, *ec, *small, *p256, *ed;
static apr_time_t now_is = 1790000000 * APR_USEC_PER_SEC;

static apr_time_t now(void *baton)
{
    (void)baton;
    return now_is;
}

static const p2p_clock_t clock_ = {now, now, NULL};

static int begin(void **state)
{
    (void)state;
    apr_initialize();
    apr_pool_create(&pool, NULL);
    rsa = EVP_RSA_gen(2048);
    small = EVP_RSA_gen(1024);
    ec = EVP_EC_gen("P-384");
    p256 = EVP_EC_gen("P-256");
    ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    return 0;
}

static int end(void **state)
{
    (void)state;
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(small);
    EVP_PKEY_free(ec);
    EVP_PKEY_free(p256);
    EVP_PKEY_free(ed);
    apr_pool_destroy(pool);
    return 0;
}

/* A file with a key. */
static const char *with_key(EVP_PKEY *key, const char *algorithm)
{
    json_object *doc = p2p_json_own(pool, json_object_new_object());

    p2p_json_add_str(doc, "clientId", "us");
    p2p_json_add_str(doc, "privateKey", key_pem(pool, key));
    p2p_json_add_str(doc, "keyId", "key-1");
    if (algorithm) p2p_json_add_str(doc, "algorithm", algorithm);
    return p2p_json_print(pool, doc, NULL);
}

/* All faults as "/member sentence; …". */
static const char *faults(const char *text)
{
    apr_array_header_t *errors = p2p_field_errors(pool);
    const char *all = "";

    p2p_target_client_read(pool, text, 0, errors);
    for (int i = 0; i < errors->nelts; i++) {
        const p2p_field_error_t *error = &APR_ARRAY_IDX(errors, i, p2p_field_error_t);
        all = apr_pstrcat(pool, all, i ? "; " : "", error->pointer, " ", error->detail, NULL);
    }
    return all;
}

static p2p_target_client_t *good(const char *text)
{
    apr_array_header_t *errors = p2p_field_errors(pool);
    p2p_target_client_t *client = p2p_target_client_read(pool, text, 0, errors);

    if (errors->nelts) fail_msg("%s", faults(text));
    return client;
}

static p2p_token_form_t form_of(const char *text)
{
    p2p_token_form_t form;

    assert_null(p2p_target_client_form(pool, good(text), "https://as.example/token", &clock_, &form));
    return form;
}

#define SECRET "\"clientId\":\"us\",\"clientSecret\":\"s\""

static void broken_files(void **state)
{
    static const struct {
        const char *text, *faults;
    } cases[] = {
        {"", " must be a JSON object"},
        {"[]", " must be a JSON object"},
        {"{}", "/clientId is required; /clientSecret is required where there is no privateKey"},
        {"{\"clientId\":7,\"clientSecret\":\"s\"}", "/clientId must be a string; /clientId is required"},
        {"{\"clientId\":\"us\",\"clientSecret\":\"a\\nb\"}",
         "/clientSecret must not contain control characters; /clientSecret is required where there is no privateKey"},
        {"{" SECRET ",\"client_secret\":\"s\"}", "/client_secret is no member that is known here"},
        {"{" SECRET ",\"tokenEndpoint\":\"http://as.example/token\"}",
         "/tokenEndpoint must be an https URL (http only for loopback)"},
        {"{" SECRET ",\"authMethod\":\"private_key_jwt\"}", "/authMethod must be client_secret_basic or client_secret_post"},
        {"{" SECRET ",\"algorithm\":\"RS384\",\"keyId\":\"1\"}",
         "/keyId goes with privateKey, not with clientSecret; /algorithm goes with privateKey, not with clientSecret"},
        {"{" SECRET ",\"privateKey\":\"x\"}", "/privateKey must not stand beside clientSecret"},
        {"{" SECRET ",\"scope\":[]}", "/scope must be a string"},
        {"{\"clientId\":\"us\",\"privateKey\":\"x\",\"algorithm\":\"HS256\"}",
         "/keyId is required with privateKey: the kid under which the server knows it; /algorithm must be RS384 or ES384"},
        {"{\"clientId\":\"us\",\"privateKey\":\"x\",\"keyId\":\"1\",\"algorithm\":\"RS384\",\"authMethod\":\"client_secret_post\"}",
         "/privateKey must be a private key in PEM form without a passphrase; /authMethod goes with clientSecret, not with privateKey"},
    };

    (void)state;
    for (apr_size_t i = 0; i < sizeof cases / sizeof *cases; i++) assert_string_equal(faults(cases[i].text), cases[i].faults);
}

static void unfit_keys(void **state)
{
    (void)state;
    assert_string_equal(faults(with_key(small, "RS384")), "/privateKey must be an RSA key of 2048 to 8192 bits");
    assert_string_equal(faults(with_key(ec, "RS384")), "/privateKey must be an RSA key for RS384");
    assert_string_equal(faults(with_key(rsa, "ES384")), "/privateKey must be a key on the curve P-384 (secp384r1) for ES384");
    assert_string_equal(faults(with_key(p256, "ES384")), "/privateKey must be a key on the curve P-384 (secp384r1) for ES384");
    assert_string_equal(faults(with_key(ed, "ES384")), "/privateKey must be a key on the curve P-384 (secp384r1) for ES384");
    assert_string_equal(faults(with_key(rsa, NULL)), "/algorithm must be RS384 or ES384");
}

static void secrets(void **state)
{
    p2p_token_form_t form = form_of("{\"clientId\":\"a b+c\",\"clientSecret\":\"s/%:\",\"scope\":\"system/*.rs\"}");

    (void)state;
    assert_string_equal(form.body, "grant_type=client_credentials&scope=system%2F%2A.rs");
    assert_string_equal(form.basic, "a%20b%2Bc:s%2F%25%3A");
    form = form_of("{\"clientId\":\"a b+c\",\"clientSecret\":\"s/%:\",\"authMethod\":\"client_secret_post\",\"audience\":\"x\"}");
    assert_null(form.basic);
    assert_string_equal(form.body, "grant_type=client_credentials&audience=x&client_id=a%20b%2Bc&client_secret=s%2F%25%3A");
}

static const char *assertion_of(const char *text)
{
    p2p_token_form_t form = form_of(text);
    const char *jwt = strstr(form.body, "&client_assertion=");

    assert_null(form.basic);
    assert_null(strstr(form.body, "client_id="));
    assert_non_null(strstr(form.body, "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&"));
    assert_non_null(jwt);
    return jwt + strlen("&client_assertion=");
}

static void assertions(EVP_PKEY *key, EVP_PKEY *other, const char *algorithm)
{
    const char *text = with_key(key, algorithm), *jwt = assertion_of(text), *header = jwt_part(pool, jwt, 0), *jti;
    json_object *claims;

    assert_true(jwt_is_by(pool, jwt, key));
    assert_false(jwt_is_by(pool, jwt, other));
    assert_string_equal(header, apr_psprintf(pool, "{\"alg\":\"%s\",\"typ\":\"JWT\",\"kid\":\"key-1\"}", algorithm));
    assert_null(p2p_json_parse(pool, jwt_part(pool, jwt, 1), strlen(jwt_part(pool, jwt, 1)), &claims));
    assert_string_equal(p2p_json_str(claims, "iss"), "us");
    assert_string_equal(p2p_json_str(claims, "sub"), "us");
    assert_string_equal(p2p_json_str(claims, "aud"), "https://as.example/token");
    assert_in_range(p2p_json_int(claims, "exp", 0), apr_time_sec(now_is) + 60, apr_time_sec(now_is) + 300);
    jti = p2p_json_str(claims, "jti");
    assert_true(strlen(jti) >= 32);
    assert_null(strstr(jwt_part(pool, assertion_of(text), 1), jti)); /* each attempt has its own */
}

static void signed_ones(void **state)
{
    EVP_PKEY *other = EVP_EC_gen("P-384");

    (void)state;
    assertions(ec, other, "ES384");
    EVP_PKEY_free(other);
    other = EVP_RSA_gen(2048);
    assertions(rsa, other, "RS384");
    EVP_PKEY_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_files), cmocka_unit_test(unfit_keys), cmocka_unit_test(secrets), cmocka_unit_test(signed_ones),
    };

    return cmocka_run_group_tests_name("target_client", tests, begin, end);
}
