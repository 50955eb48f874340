/* SPDX-License-Identifier: Apache-2.0 */
/* Private keys made on the spot, and what was signed with them. */
#ifndef T_UNIT_KEYS_H
#define T_UNIT_KEYS_H

#include <apr_base64.h>
#include <apr_strings.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <string.h>

static const char *key_pem(apr_pool_t *p, EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    long len;

    PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    len = BIO_get_mem_data(bio, &text);
    text = apr_pstrmemdup(p, text, (apr_size_t)len);
    BIO_free(bio);
    return text;
}

/* Bytes of base64url text, in p. */
static unsigned char *from_base64url(apr_pool_t *p, const char *text, apr_size_t len, apr_size_t *out_len)
{
    char *plain = apr_pcalloc(p, len + 4);
    unsigned char *out;

    for (apr_size_t i = 0; i < len; i++) plain[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
    while (len % 4) plain[len++] = '=';
    out = apr_pcalloc(p, (apr_size_t)apr_base64_decode_len(plain) + 1);
    *out_len = (apr_size_t)apr_base64_decode_binary(out, plain);
    out[*out_len] = 0;
    return out;
}

/* A part of a JWT as text: 0 the header, 1 the claims. */
static const char *jwt_part(apr_pool_t *p, const char *jwt, int part)
{
    apr_size_t len;

    for (; part; part--) jwt = strchr(jwt, '.') + 1;
    return (const char *)from_base64url(p, jwt, strcspn(jwt, "."), &len);
}

/* JOSE writes an ECDSA signature as its two numbers, OpenSSL wants them in DER. */
static unsigned char *ecdsa_der(apr_pool_t *p, const unsigned char *raw, apr_size_t *len)
{
    ECDSA_SIG *sig = ECDSA_SIG_new();
    unsigned char *der = NULL, *copy;
    int n;

    ECDSA_SIG_set0(sig, BN_bin2bn(raw, (int)*len / 2, NULL), BN_bin2bn(raw + *len / 2, (int)*len / 2, NULL));
    n = i2d_ECDSA_SIG(sig, &der);
    copy = apr_pmemdup(p, der, (apr_size_t)n);
    OPENSSL_free(der);
    ECDSA_SIG_free(sig);
    *len = (apr_size_t)n;
    return copy;
}

static int jwt_is_by(apr_pool_t *p, const char *jwt, EVP_PKEY *key)
{
    const char *last = strrchr(jwt, '.');
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    apr_size_t len;
    unsigned char *signature = from_base64url(p, last + 1, strlen(last + 1), &len);
    int good;

    if (EVP_PKEY_is_a(key, "EC")) signature = ecdsa_der(p, signature, &len);
    EVP_DigestVerifyInit(md, NULL, EVP_sha384(), NULL, key);
    good = EVP_DigestVerify(md, signature, len, (const unsigned char *)jwt, (size_t)(last - jwt)) == 1;
    EVP_MD_CTX_free(md);
    return good;
}

#endif
