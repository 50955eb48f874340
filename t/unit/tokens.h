/* SPDX-License-Identifier: Apache-2.0 */
/* Keys as JWK and tokens signed with them, made by OpenSSL alone. */
#ifndef T_UNIT_TOKENS_H
#define T_UNIT_TOKENS_H

#include <apr_strings.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <string.h>
#include "base/encode.h"

/* An RSA key of 2048 bits (or of 1024, which nobody takes). */
static inline EVP_PKEY *rsa_key(int bits)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *key = NULL;

    EVP_PKEY_keygen_init(ctx);
    EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, bits);
    if (bits >= 2048) EVP_PKEY_CTX_set_rsa_keygen_primes(ctx, 3); /* faster to make; nobody sees it in the public key */
    EVP_PKEY_generate(ctx, &key);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

/* The prime of a group of OpenSSL's. */
static inline BIGNUM *group_prime(const char *group)
{
    OSSL_PARAM params[] = {OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)(apr_uintptr_t)group, 0), OSSL_PARAM_END};
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "DH", NULL);
    EVP_PKEY *key = NULL;
    BIGNUM *prime = NULL;

    EVP_PKEY_paramgen_init(ctx);
    EVP_PKEY_CTX_set_params(ctx, params);
    EVP_PKEY_paramgen(ctx, &key);
    EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_FFC_P, &prime);
    EVP_PKEY_free(key);
    EVP_PKEY_CTX_free(ctx);
    return prime;
}

/* An RSA key out of two known primes, because looking for large ones takes minutes under valgrind. */
static inline EVP_PKEY *rsa_key_of(BIGNUM *p, BIGNUM *q)
{
    BN_CTX *bn = BN_CTX_new();
    BIGNUM *n = BN_new(), *e = BN_new(), *phi = BN_new(), *d = BN_new();
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params;

    BN_set_word(e, 65537);
    BN_mul(n, p, q, bn);
    BN_sub_word(p, 1);
    BN_sub_word(q, 1);
    BN_mul(phi, p, q, bn);
    BN_mod_inverse(d, e, phi, bn);
    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n);
    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e);
    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_D, d);
    params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_fromdata_init(ctx);
    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(ctx);
    BN_CTX_free(bn);
    BN_free(n), BN_free(e), BN_free(phi), BN_free(d), BN_free(p), BN_free(q);
    return key;
}

static inline EVP_PKEY *rsa_key_3072(void)
{
    return rsa_key_of(BN_get_rfc2409_prime_1024(NULL), BN_get_rfc3526_prime_2048(NULL));
}

static inline EVP_PKEY *rsa_key_4096(void)
{
    return rsa_key_of(group_prime("ffdhe2048"), BN_get_rfc3526_prime_2048(NULL));
}

/* A number of the key in base64url, of so many bytes (0: as many as it takes), the first byte changed by flip. */
static inline const char *key_number(apr_pool_t *p, EVP_PKEY *key, const char *name, int len, int flip)
{
    unsigned char bytes[1024];
    BIGNUM *number = NULL;

    if (!EVP_PKEY_get_bn_param(key, name, &number)) return NULL;
    if (!len) len = BN_num_bytes(number);
    BN_bn2binpad(number, bytes, len);
    BN_clear_free(number);
    bytes[0] ^= (unsigned char)flip;
    return p2p_base64url_encode(p, bytes, (apr_size_t)len);
}

static inline int coordinate_bytes(EVP_PKEY *key)
{
    return (EVP_PKEY_get_bits(key) + 7) / 8;
}

static inline const char *curve_name(EVP_PKEY *key)
{
    int bits = EVP_PKEY_get_bits(key);

    return bits == 256 ? "P-256" : bits == 384 ? "P-384" : "P-521";
}

/* The public members, without braces; more is text such as ",\"kid\":\"1\"". */
static inline const char *jwk_members(apr_pool_t *p, EVP_PKEY *key, const char *more)
{
    int len;

    if (EVP_PKEY_is_a(key, "RSA"))
        return apr_psprintf(p, "\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"%s", key_number(p, key, OSSL_PKEY_PARAM_RSA_N, 0, 0),
                            key_number(p, key, OSSL_PKEY_PARAM_RSA_E, 0, 0), more);
    len = coordinate_bytes(key);
    return apr_psprintf(p, "\"kty\":\"EC\",\"crv\":\"%s\",\"x\":\"%s\",\"y\":\"%s\"%s", curve_name(key),
                        key_number(p, key, OSSL_PKEY_PARAM_EC_PUB_X, len, 0), key_number(p, key, OSSL_PKEY_PARAM_EC_PUB_Y, len, 0), more);
}

static inline const char *jwk_text(apr_pool_t *p, EVP_PKEY *key, const char *more)
{
    return apr_pstrcat(p, "{", jwk_members(p, key, more), "}", NULL);
}

/* DER to the two numbers that JOSE wants, each of len bytes. */
static inline const char *raw_ecdsa(apr_pool_t *p, const unsigned char *der, size_t der_len, int len)
{
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)der_len);
    unsigned char raw[132];

    BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, len);
    BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + len, len);
    ECDSA_SIG_free(sig);
    return p2p_base64url_encode(p, raw, (apr_size_t)(2 * len));
}

/* The signature over input by RS256 … ES512, whatever kind of key it is; der: an ECDSA one as OpenSSL writes it. */
static inline const char *signature_of(apr_pool_t *p, EVP_PKEY *key, const char *algorithm, const char *input, int der)
{
    const EVP_MD *hash = strstr(algorithm, "256") ? EVP_sha256() : strstr(algorithm, "384") ? EVP_sha384() : EVP_sha512();
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_PKEY_CTX *ctx;
    unsigned char bytes[1024];
    size_t len = sizeof bytes;

    EVP_DigestSignInit(md, &ctx, hash, NULL, key);
    if (*algorithm == 'P') {
        EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING);
        EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST);
    }
    if (!EVP_DigestSign(md, bytes, &len, (const unsigned char *)input, strlen(input))) len = 0;
    EVP_MD_CTX_free(md);
    ERR_clear_error(); /* a key was asked to sign in a way that is not its own */
    if (EVP_PKEY_is_a(key, "EC") && !der) return raw_ecdsa(p, bytes, len, coordinate_bytes(key));
    return p2p_base64url_encode(p, bytes, len);
}

static inline const char *base64url_text(apr_pool_t *p, const char *text)
{
    return p2p_base64url_encode(p, (const unsigned char *)text, strlen(text));
}

/* The parts of a token that are signed. */
static inline const char *signing_input(apr_pool_t *p, const char *header, const char *claims)
{
    return apr_pstrcat(p, base64url_text(p, header), ".", base64url_text(p, claims), NULL);
}

/* A token of this header and these claims, signed by the algorithm, whatever the header says. */
static inline const char *token_of(apr_pool_t *p, EVP_PKEY *key, const char *algorithm, const char *header, const char *claims)
{
    const char *input = signing_input(p, header, claims);

    return apr_pstrcat(p, input, ".", signature_of(p, key, algorithm, input, 0), NULL);
}

#endif
