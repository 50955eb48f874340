/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of an issuer, its set, and what becomes of a token that is verified with it. */
#ifndef T_UNIT_TOKEN_FIXTURE_H
#define T_UNIT_TOKEN_FIXTURE_H

#include <apr_general.h>
#include <openssl/err.h>
#include "oidc/token.h"
#include "tokens.h"

#define NOW 1790000000
#define ISSUER "https://as.example/realm"
#define SAYS(more) "{\"iss\":\"" ISSUER "\",\"aud\":\"https://p2p.example\",\"exp\":1790000300,\"client_id\":\"portal\"" more "}"
#define GOOD SAYS(",\"scope\":\"one two\"")

enum { RSA_2048, RSA_3072, RSA_4096, RSA_OTHER, EC_256, EC_384, EC_521, KEYS };

static apr_pool_t *pool;
static EVP_PKEY *keys[KEYS];
static p2p_jwk_set_t *published; /* all of them but RSA_OTHER; the kid is the number */

static inline p2p_jwk_set_t *set_of(const char *text)
{
    p2p_jwk_set_t *set = NULL;
    p2p_error_t *e = p2p_jwk_set_read(pool, text, strlen(text), P2P_JWK_PUBLISHED, &set);

    if (e) fail_msg("%s", e->sentence);
    return set;
}

/* A set of one key. */
static inline p2p_jwk_set_t *set_with(EVP_PKEY *key, const char *more)
{
    return set_of(jwk_text(pool, key, more));
}

static inline int make_keys(void **state)
{
    const char *set = "";

    (void)state;
    apr_initialize();
    apr_pool_create(&pool, NULL);
    keys[RSA_2048] = rsa_key(2048);
    keys[RSA_OTHER] = rsa_key(2048);
    keys[RSA_3072] = rsa_key_3072();
    keys[RSA_4096] = rsa_key_4096();
    keys[EC_256] = EVP_EC_gen("P-256");
    keys[EC_384] = EVP_EC_gen("P-384");
    keys[EC_521] = EVP_EC_gen("P-521");
    for (int i = 0; i < KEYS; i++)
        if (i != RSA_OTHER)
            set = apr_pstrcat(pool, set, *set ? "," : "", jwk_text(pool, keys[i], apr_psprintf(pool, ",\"kid\":\"%d\"", i)), NULL);
    published = set_of(apr_pstrcat(pool, "{\"keys\":[", set, "]}", NULL));
    return 0;
}

static inline int free_keys(void **state)
{
    (void)state;
    for (int i = 0; i < KEYS; i++) EVP_PKEY_free(keys[i]);
    apr_pool_destroy(pool);
    return 0;
}

static inline p2p_token_rules_t rules_at(apr_pool_t *p, apr_time_t now)
{
    p2p_token_rules_t rules = {.issuer = ISSUER, .now = now};
    apr_array_header_t *audiences = apr_array_make(p, 2, sizeof(const char *));

    APR_ARRAY_PUSH(audiences, const char *) = "p2p";
    APR_ARRAY_PUSH(audiences, const char *) = "https://p2p.example";
    rules.audiences = audiences;
    return rules;
}

/* A refusal's code. Its sentence is one, has no word that a token of these tests has, and OpenSSL has nothing left to tell. */
static inline const char *code_of(const p2p_error_t *e)
{
    assert_int_equal(ERR_peek_error(), 0);
    if (!e) return "good";
    assert_int_equal(e->kind, P2P_E_REFUSED);
    assert_true(e->sentence[strlen(e->sentence) - 1] == '.');
    assert_null(strstr(e->sentence, "portal"));
    assert_null(strstr(e->sentence, "example"));
    assert_null(strstr(e->sentence, "planted"));
    assert_null(e->detail);
    return e->code;
}

/* What becomes of a token, and after how many checks of a signature: "good 1". */
static inline const char *verified_by(const char *token, const p2p_jwk_set_t *set)
{
    p2p_token_rules_t rules = rules_at(pool, apr_time_from_sec(NOW));
    p2p_token_claims_t claims;
    int checks = -1;
    p2p_error_t *e = p2p_token_verify(pool, token, set, &rules, &claims, &checks);

    return apr_psprintf(pool, "%s %d", code_of(e), checks);
}

static inline const char *verified(const char *token)
{
    return verified_by(token, published);
}

/* {"alg":…,"kid":…}, the kid without where it is negative. */
static inline const char *header_of(const char *algorithm, int kid)
{
    if (kid < 0) return apr_psprintf(pool, "{\"alg\":\"%s\",\"typ\":\"at+jwt\"}", algorithm);
    return apr_psprintf(pool, "{\"alg\":\"%s\",\"typ\":\"at+jwt\",\"kid\":\"%d\"}", algorithm, kid);
}

/* Good claims under the header, signed with the key by RS256. */
static inline const char *under(const char *header)
{
    return token_of(pool, keys[RSA_2048], "RS256", header, GOOD);
}

static inline const char *saying(const char *claims)
{
    return token_of(pool, keys[RSA_2048], "RS256", header_of("RS256", RSA_2048), claims);
}

#endif
