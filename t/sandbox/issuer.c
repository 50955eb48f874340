/* SPDX-License-Identifier: Apache-2.0 */
/* The payer as an issuer of JWTs: a key of its own (P-256), made at each start, and what it signs. */
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include "base/encode.h"
#include "base/sha256.h"
#include "door.h"

#define HALF 32 /* bytes of a coordinate, and of either number of a signature */
#define ID_TOKEN_SECONDS 300

typedef struct sandbox_key_t {
    EVP_PKEY *key;
    const char *kid, *x, *y;
} sandbox_key_t;

static apr_status_t free_key(void *key)
{
    EVP_PKEY_free(key);
    return APR_SUCCESS;
}

int sandbox_key_make(sandbox_payer_t *payer, apr_pool_t *pool)
{
    sandbox_key_t *key = apr_pcalloc(pool, sizeof(*key));
    unsigned char point[1 + 2 * HALF];
    p2p_sha256_t *digest;
    size_t len = 0;

    key->key = EVP_EC_gen("P-256");
    if (!key->key) return 0;
    apr_pool_cleanup_register(pool, key->key, free_key, apr_pool_cleanup_null);
    if (!EVP_PKEY_get_octet_string_param(key->key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &len) || len != sizeof(point)) return 0;
    key->x = p2p_base64url_encode(pool, point + 1, HALF);
    key->y = p2p_base64url_encode(pool, point + 1 + HALF, HALF);
    digest = p2p_sha256_begin();
    p2p_sha256_add(digest, point, sizeof(point));
    key->kid = apr_pstrndup(pool, p2p_sha256_end(pool, digest), 16); /* another one at each start: who has the old ones looks again */
    payer->key = key;
    return 1;
}

const char *sandbox_issuer(sandbox_call_t *call)
{
    return call->payer->issuer ? call->payer->issuer : sandbox_origin(call);
}

int sandbox_jwks(sandbox_call_t *call)
{
    const sandbox_key_t *key = call->payer->key;
    sandbox_out_t out;

    sandbox_out_init(&out, call, 512);
    p2p_buf_printf(&out.buf, "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"use\":\"sig\",\"alg\":\"ES256\",\"kid\":\"%s\",\"x\":\"%s\",\"y\":\"%s\"}]}",
                   key->kid, key->x, key->y);
    return sandbox_out_send(&out, HTTP_OK, "application/json");
}

/* JWS wants the two numbers one behind the other, not DER. */
static int plain_signature(const unsigned char *der, size_t len, unsigned char *plain)
{
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &der, (long)len);
    int done;

    if (!signature) return 0;
    done = BN_bn2binpad(ECDSA_SIG_get0_r(signature), plain, HALF) == HALF &&
        BN_bn2binpad(ECDSA_SIG_get0_s(signature), plain + HALF, HALF) == HALF;
    ECDSA_SIG_free(signature);
    return done;
}

static int sign(EVP_PKEY *key, const char *text, unsigned char *plain)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char der[128];
    size_t len = sizeof(der);
    int done = context && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) > 0 &&
        EVP_DigestSign(context, der, &len, (const unsigned char *)text, strlen(text)) > 0 && plain_signature(der, len, plain);

    EVP_MD_CTX_free(context);
    return done;
}

const char *sandbox_sign(sandbox_call_t *call, const char *typ, const char *claims)
{
    apr_pool_t *pool = call->r->pool;
    const sandbox_key_t *key = call->payer->key;
    const char *head = apr_psprintf(pool, "{\"alg\":\"ES256\",\"typ\":\"%s\",\"kid\":\"%s\"}", typ, key->kid), *text;
    unsigned char plain[2 * HALF];

    text = apr_pstrcat(pool, p2p_base64url_encode(pool, (const unsigned char *)head, strlen(head)), ".",
                       p2p_base64url_encode(pool, (const unsigned char *)claims, strlen(claims)), NULL);
    if (!sign(key->key, text, plain)) return NULL;
    return apr_pstrcat(pool, text, ".", p2p_base64url_encode(pool, plain, sizeof(plain)), NULL);
}

const char *sandbox_id_token(sandbox_call_t *call, const sandbox_ask_t *ask)
{
    apr_int64_t now = apr_time_sec(apr_time_now());
    const char *const texts[] = {"iss", sandbox_issuer(call), "sub", ask->text[SANDBOX_ASK_MEMBER], "aud", ask->text[SANDBOX_ASK_CLIENT],
                                 "nonce", ask->text[SANDBOX_ASK_NONCE]};
    const char *token;
    p2p_buf_t claims;

    p2p_buf_init(&claims, 65536);
    for (apr_size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i += 2) {
        if (!texts[i + 1]) continue;
        p2p_buf_printf(&claims, "%s\"%s\":", claims.len ? "," : "{", texts[i]);
        p2p_buf_json(&claims, texts[i + 1], strlen(texts[i + 1]));
    }
    p2p_buf_printf(&claims, ",\"iat\":%" APR_INT64_T_FMT ",\"exp\":%" APR_INT64_T_FMT "}", now, now + ID_TOKEN_SECONDS);
    token = sandbox_sign(call, "JWT", claims.data);
    p2p_buf_free(&claims);
    return token;
}
