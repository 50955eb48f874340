/* SPDX-License-Identifier: Apache-2.0 */
/* Signed tokens: taken apart, their header judged before any key is touched, their signature checked. */
#include <apr_cstr.h>
#include <apr_strings.h>
#include <string.h>
#include "base/encode.h"
#include "base/uri.h"
#include "oidc/jwk_private.h"
#include "oidc/token_private.h"

/* A compact JWS, decoded. */
typedef struct parts_t {
    json_object *header, *claims;
    apr_size_t signature; /* its bytes */
} parts_t;

static const char *dot_of(const char *text)
{
    const char *dot = strchr(text, '.');

    return dot ? dot + 1 : NULL;
}

int p2p_token_is_jwt(const char *token)
{
    const char *claims = dot_of(token), *signature = claims ? dot_of(claims) : NULL;

    return signature && !dot_of(signature);
}

static json_object *decode_object(apr_pool_t *p, const char *text, apr_size_t len)
{
    unsigned char *bytes;
    apr_size_t n;
    json_object *doc = NULL;

    if (!p2p_base64url_decode(p, apr_pstrmemdup(p, text, len), &bytes, &n)) return NULL;
    if (p2p_json_parse(p, (const char *)bytes, n, &doc)) return NULL;
    return json_object_is_type(doc, json_type_object) ? doc : NULL;
}

int p2p_token_is_cut(apr_pool_t *p, const char *token)
{
    const char *claims = dot_of(token);
    json_object *header = claims && !dot_of(claims) ? decode_object(p, token, (apr_size_t)(claims - token - 1)) : NULL;

    return header && json_object_object_get_ex(header, "alg", NULL);
}

static p2p_error_t *take_apart(apr_pool_t *p, const char *token, parts_t *parts)
{
    const char *claims, *signature;
    unsigned char *bytes;

    if (strnlen(token, P2P_TOKEN_BYTES + 1) > P2P_TOKEN_BYTES) return p2p_token_malformed(p, "is longer than 16384 bytes");
    if (!p2p_token_is_jwt(token)) return p2p_token_malformed(p, "is no signed token: it does not have three parts");
    claims = dot_of(token);
    signature = dot_of(claims);
    parts->header = decode_object(p, token, (apr_size_t)(claims - token - 1));
    parts->claims = decode_object(p, claims, (apr_size_t)(signature - claims - 1));
    if (!parts->header) return p2p_token_malformed(p, "has a header that is no JSON object in base64url");
    if (!parts->claims) return p2p_token_malformed(p, "has claims that are no JSON object in base64url");
    if (p2p_base64url_decode(p, signature, &bytes, &parts->signature)) return NULL;
    return p2p_token_malformed(p, "has a signature that is not base64url");
}

p2p_error_t *p2p_token_peek(apr_pool_t *p, const char *token, p2p_token_peek_t *peek)
{
    const char *issuer, *key_id;
    parts_t parts;

    P2P_TRY(take_apart(p, token, &parts));
    if (!p2p_jwk_text(parts.claims, "iss", &issuer)) return p2p_token_malformed(p, "has an iss that is no text");
    if (!p2p_jwk_text(parts.header, "kid", &key_id)) return p2p_token_malformed(p, "has a kid that is no text");
    peek->issuer = p2p_uri_trim(p, issuer);
    peek->key_id = apr_pstrdup(p, key_id);
    return NULL;
}

/* An access token, as RFC 9068 or everybody before it called one. */
static int is_access_type(const char *type)
{
    if (!apr_cstr_casecmpn(type, "application/", 12)) type += 12;
    return !apr_cstr_casecmp(type, "JWT") || !apr_cstr_casecmp(type, "at+jwt");
}

p2p_error_t *p2p_token_refuse(apr_pool_t *p, const char *code, const char *sentence)
{
    return p2p_error_make(p, P2P_E_REFUSED, code, "%s", sentence);
}

p2p_error_t *p2p_token_malformed(apr_pool_t *p, const char *what)
{
    return p2p_error_make(p, P2P_E_REFUSED, "token-malformed", "The token %s. " P2P_TOKEN_GET_ANOTHER, what);
}

static p2p_error_t *judge_header(apr_pool_t *p, json_object *header)
{
    const char *algorithm = p2p_json_str(header, "alg"), *text;

    if (!algorithm || !p2p_jwk_algorithm(algorithm))
        return p2p_token_refuse(p, "token-algorithm",
                                "The token is not signed by an algorithm that is accepted: RS256, RS384, RS512, PS256, PS384, "
                                "PS512, ES256, ES384 or ES512. Have its issuer sign by one of them.");
    if (json_object_object_get_ex(header, "crit", NULL) || json_object_object_get_ex(header, "b64", NULL))
        return p2p_token_malformed(p, "asks in its header (crit, b64) for what is not known here");
    if (!p2p_jwk_text(header, "kid", &text)) return p2p_token_malformed(p, "has a kid that is no text");
    if (!json_object_object_get_ex(header, "typ", NULL)) return NULL;
    text = p2p_json_str(header, "typ");
    if (text && is_access_type(text)) return NULL;
    return p2p_token_malformed(p, "is no access token by its typ, which must be JWT or at+jwt");
}

static int has_key_ids(const p2p_jwk_set_t *keys)
{
    for (int i = 0; i < p2p_jwk_set_count(keys); i++)
        if (*p2p_jwk_at(keys, i)->key_id) return 1;
    return 0;
}

/* Tries the keys that fit; *fitting is how many those are. */
static int is_signed(const char *token, const parts_t *parts, const p2p_jwk_set_t *keys, int *fitting, int *checks)
{
    const char *algorithm = p2p_json_str(parts->header, "alg"), *key_id;
    int by_id = p2p_jwk_text(parts->header, "kid", &key_id) && *key_id && has_key_ids(keys);

    for (int i = 0; i < p2p_jwk_set_count(keys); i++) {
        const p2p_jwk_t *key = p2p_jwk_at(keys, i);

        if (!p2p_jwk_fits(key, algorithm) || (by_id && strcmp(key->key_id, key_id))) continue;
        ++*fitting;
        if (parts->signature != key->signature || *checks == P2P_TOKEN_SIGNATURES) continue;
        ++*checks;
        if (p2p_jwk_verifies(key, token, strlen(token))) return 1;
    }
    return 0;
}

static p2p_error_t *check_signature(apr_pool_t *p, const char *token, const parts_t *parts, const p2p_jwk_set_t *keys,
                                    int *checks)
{
    int fitting = 0;

    if (is_signed(token, parts, keys, &fitting, checks)) return NULL;
    if (fitting)
        return p2p_token_refuse(p, "token-signature",
                                "The token's signature was not made with a key of its issuer. " P2P_TOKEN_GET_ANOTHER);
    return p2p_token_refuse(p, "token-unknown-key",
                            "The token is signed with a key that its issuer is not known to have. " P2P_TOKEN_GET_ANOTHER);
}

p2p_error_t *p2p_token_verify(apr_pool_t *p, const char *token, const p2p_jwk_set_t *keys, const p2p_token_rules_t *rules,
                              p2p_token_claims_t *claims, int *checks)
{
    int made = 0;
    parts_t parts;
    p2p_error_t *e;

    if (checks) *checks = 0;
    P2P_TRY(take_apart(p, token, &parts));
    P2P_TRY(judge_header(p, parts.header));
    e = check_signature(p, token, &parts, keys, &made);
    if (checks) *checks = made;
    return e ? e : p2p_token_judge(p, parts.claims, 0, rules, claims);
}
