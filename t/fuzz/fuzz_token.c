/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens under any input: none is good but those that were signed, two signatures are checked at most, and what is refused is refused in a
 * sentence of ours. As claims, the same input never makes a caller without a name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <openssl/err.h>

#include "base/sha256.h"
#include "fuzz.h"
#include "oidc/token.h"
#include "token_keys.h"

#define NOW apr_time_from_sec(1790000000)

static apr_pool_t *pool;

static void require(int holds, const char *rule)
{
    if (holds) return;
    fprintf(stderr, "# broken: %s\n", rule);
    abort();
}

/* Anew for each input: the leak checker does not look into pools that stay. */
static p2p_jwk_set_t *read_keys(void)
{
    p2p_jwk_set_t *keys;
    p2p_error_t *e = p2p_jwk_set_read(pool, published_keys, strlen(published_keys), P2P_JWK_CONFIGURED, &keys);

    require(!e && p2p_jwk_set_count(keys) == 6, "the keys can be used");
    return keys;
}

static p2p_token_rules_t rules(void)
{
    p2p_token_rules_t rules = {.issuer = "https://as.example/realm", .now = NOW};
    apr_array_header_t *audiences = apr_array_make(pool, 2, sizeof(const char *));

    APR_ARRAY_PUSH(audiences, const char *) = "p2p";
    APR_ARRAY_PUSH(audiences, const char *) = "https://p2p.example";
    rules.audiences = audiences;
    return rules;
}

static int was_signed(const char *token)
{
    p2p_sha256_t *sha256 = p2p_sha256_begin();
    const char *hash;

    p2p_sha256_add(sha256, token, (apr_size_t)(strrchr(token, '.') - token));
    hash = p2p_sha256_end(pool, sha256);
    for (size_t i = 0; i < sizeof good_tokens / sizeof *good_tokens; i++)
        if (!strcmp(hash, good_tokens[i])) return 1;
    return 0;
}

static void check_refusal(const p2p_error_t *e)
{
    require(!ERR_peek_error(), "OpenSSL has nothing left to tell");
    if (!e) return;
    require(e->kind == P2P_E_REFUSED && !strncmp(e->code, "token-", 6), "what is refused is refused as a token");
    require(e->sentence[strlen(e->sentence) - 1] == '.' && strlen(e->sentence) < 300 && !e->detail, "in a sentence of ours");
}

static void check_claims(const p2p_token_claims_t *claims)
{
    require(*claims->client_id && claims->subject && claims->scopes && claims->all, "good claims are all there");
    for (const char *c = claims->client_id; *c; c++) require(!apr_iscntrl(*c), "a name has no control characters");
    require(!strstr(claims->scopes, "  ") && *claims->scopes != ' ', "scopes are parted by single spaces");
    require(claims->expires > NOW - P2P_TOKEN_LEEWAY, "what is good has not expired");
}

static void check_token(const char *token)
{
    p2p_token_rules_t wanted = rules();
    p2p_token_claims_t claims;
    p2p_token_peek_t peek = {NULL, NULL};
    int checks = -1;
    p2p_error_t *peeked = p2p_token_peek(pool, token, &peek);
    p2p_error_t *e = p2p_token_verify(pool, token, read_keys(), &wanted, &claims, &checks);

    check_refusal(peeked);
    check_refusal(e);
    require(checks >= 0 && checks <= P2P_TOKEN_SIGNATURES, "two signatures are checked at most");
    if (peeked) require(e && !checks, "what cannot be looked at is not verified");
    if (e) return;
    require(p2p_token_is_jwt(token) && was_signed(token), "nothing is good but what was signed");
    require(!strcmp(peek.issuer, wanted.issuer), "a look tells the issuer");
    check_claims(&claims);
}

static void check_as_claims(const char *bytes, size_t size)
{
    p2p_token_rules_t wanted = rules();
    json_object *all;

    if (p2p_json_parse(pool, bytes, size, &all)) return;
    for (int introspected = 0; introspected < 2; introspected++) {
        p2p_token_claims_t claims;
        p2p_error_t *e = p2p_token_judge(pool, all, introspected, &wanted, &claims);

        check_refusal(e);
        if (!e) check_claims(&claims);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!pool) {
        apr_initialize();
        apr_pool_create(&pool, NULL);
    }
    if (size > 1 << 17) return 0;
    check_token(size ? apr_pstrmemdup(pool, (const char *)data, size) : "");
    check_as_claims((const char *)data, size);
    apr_pool_clear(pool);
    return 0;
}
