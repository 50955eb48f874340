/* SPDX-License-Identifier: Apache-2.0 */
/* Private keys from OpenSSL's hands into cjose's, and signatures out of them. */
#include "oidc/jws.h"
#include <apr_strings.h>
#include <cjose/cjose.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#define RSA_LEAST 2048
#define RSA_MOST 8192
#define NUMBER_BYTES (RSA_MOST / 8)

struct p2p_jws_key_t {
    cjose_jwk_t *jwk;
    const char *algorithm, *key_id;
};

int p2p_jws_algorithm(const char *name)
{
    return !strcmp(name, CJOSE_HDR_ALG_RS384) || !strcmp(name, CJOSE_HDR_ALG_ES384);
}

static p2p_error_t *bad_key(apr_pool_t *p, const char *what)
{
    return p2p_error_make(p, P2P_E_INVALID, "bad-key", "%s", what);
}

/* A key with a passphrase would make OpenSSL ask at the terminal. */
static int no_passphrase(char *buffer, int size, int writing, void *baton)
{
    (void)buffer, (void)size, (void)writing, (void)baton;
    return -1;
}

static EVP_PKEY *read_pem(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);

    BIO_free(bio);
    ERR_clear_error();
    return key;
}

typedef struct number_t {
    uint8_t bytes[NUMBER_BYTES];
    size_t len;
} number_t;

/* A number of the key, big-endian, of len bytes (0: as many as it takes); 0 where the key has none. */
static int get_number(const EVP_PKEY *key, const char *name, size_t len, number_t *out)
{
    BIGNUM *number = NULL;
    int taken = -1;

    if (!EVP_PKEY_get_bn_param(key, name, &number)) return 0;
    if (!len) len = (size_t)BN_num_bytes(number);
    if (len <= NUMBER_BYTES) taken = BN_bn2binpad(number, out->bytes, (int)len);
    BN_clear_free(number);
    out->len = taken < 0 ? 0 : (size_t)taken;
    return taken > 0;
}

static cjose_jwk_t *make_rsa(const EVP_PKEY *key)
{
    static const char *const names[] = {OSSL_PKEY_PARAM_RSA_E, OSSL_PKEY_PARAM_RSA_N, OSSL_PKEY_PARAM_RSA_D};
    number_t numbers[3];
    cjose_jwk_rsa_keyspec spec = {0};
    cjose_jwk_t *jwk = NULL;
    int i = 0;

    while (i < 3 && get_number(key, names[i], 0, &numbers[i])) i++;
    if (i == 3) {
        spec.e = numbers[0].bytes, spec.elen = numbers[0].len;
        spec.n = numbers[1].bytes, spec.nlen = numbers[1].len;
        spec.d = numbers[2].bytes, spec.dlen = numbers[2].len;
        jwk = cjose_jwk_create_RSA_spec(&spec, NULL);
    }
    OPENSSL_cleanse(numbers, sizeof numbers);
    return jwk;
}

static cjose_jwk_t *make_ec(const EVP_PKEY *key)
{
    static const char *const names[] = {OSSL_PKEY_PARAM_EC_PUB_X, OSSL_PKEY_PARAM_EC_PUB_Y, OSSL_PKEY_PARAM_PRIV_KEY};
    number_t numbers[3];
    cjose_jwk_ec_keyspec spec = {.crv = CJOSE_JWK_EC_P_384};
    cjose_jwk_t *jwk = NULL;
    int i = 0;

    while (i < 3 && get_number(key, names[i], 48, &numbers[i])) i++;
    if (i == 3) {
        spec.x = numbers[0].bytes, spec.xlen = numbers[0].len;
        spec.y = numbers[1].bytes, spec.ylen = numbers[1].len;
        spec.d = numbers[2].bytes, spec.dlen = numbers[2].len;
        jwk = cjose_jwk_create_EC_spec(&spec, NULL);
    }
    OPENSSL_cleanse(numbers, sizeof numbers);
    return jwk;
}

static int is_p384(const EVP_PKEY *key)
{
    char curve[40] = "";

    return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, curve, sizeof curve, NULL) && !strcmp(curve, "secp384r1");
}

static const char *unfit(const EVP_PKEY *key, int is_rsa)
{
    int bits = EVP_PKEY_get_bits(key);

    if (!is_rsa) return is_p384(key) ? NULL : "must be a key on the curve P-384 (secp384r1) for ES384";
    if (!EVP_PKEY_is_a(key, "RSA")) return "must be an RSA key for RS384";
    return bits >= RSA_LEAST && bits <= RSA_MOST ? NULL : "must be an RSA key of 2048 to 8192 bits";
}

static apr_status_t release(void *baton)
{
    cjose_jwk_release(baton);
    return APR_SUCCESS;
}

p2p_error_t *p2p_jws_key_read(apr_pool_t *p, const char *pem, const char *algorithm, const char *key_id,
                              p2p_jws_key_t **out)
{
    int is_rsa = !strcmp(algorithm, CJOSE_HDR_ALG_RS384);
    EVP_PKEY *private_key = read_pem(pem);
    const char *wrong = private_key ? unfit(private_key, is_rsa) : "must be a private key in PEM form without a passphrase";
    p2p_jws_key_t *key = apr_pcalloc(p, sizeof *key);

    if (!wrong) key->jwk = is_rsa ? make_rsa(private_key) : make_ec(private_key);
    EVP_PKEY_free(private_key);
    ERR_clear_error();
    if (!wrong && !key->jwk) wrong = "must be a key whose numbers can be read";
    if (wrong) return bad_key(p, wrong);
    key->algorithm = apr_pstrdup(p, algorithm);
    key->key_id = apr_pstrdup(p, key_id);
    apr_pool_cleanup_register(p, key->jwk, release, apr_pool_cleanup_null);
    *out = key;
    return NULL;
}

static cjose_header_t *make_header(const p2p_jws_key_t *key)
{
    cjose_header_t *header = cjose_header_new(NULL);

    if (header && cjose_header_set(header, CJOSE_HDR_ALG, key->algorithm, NULL) && cjose_header_set(header, "typ", "JWT", NULL)
        && (!*key->key_id || cjose_header_set(header, CJOSE_HDR_KID, key->key_id, NULL)))
        return header;
    if (header) cjose_header_release(header);
    return NULL;
}

p2p_error_t *p2p_jws_sign(apr_pool_t *p, const p2p_jws_key_t *key, const char *claims, const char **jwt)
{
    cjose_header_t *header = make_header(key);
    cjose_jws_t *jws = header ? cjose_jws_sign(key->jwk, header, (const uint8_t *)claims, strlen(claims), NULL) : NULL;
    const char *text = NULL;

    if (jws && cjose_jws_export(jws, &text, NULL)) *jwt = apr_pstrdup(p, text);
    else text = NULL;
    if (jws) cjose_jws_release(jws);
    if (header) cjose_header_release(header);
    ERR_clear_error();
    if (text) return NULL;
    return p2p_error_make(p, P2P_E_INTERNAL, "cannot-sign", "A token could not be signed with %s.", key->algorithm);
}
