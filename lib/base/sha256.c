/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL's. */
#include "base/sha256.h"

#include <stdlib.h>

#include <openssl/evp.h>

#include "base/encode.h"

p2p_sha256_t *p2p_sha256_begin(void)
{
    EVP_MD_CTX *sha256 = EVP_MD_CTX_new();

    if (!sha256 || !EVP_DigestInit_ex2(sha256, EVP_sha256(), NULL)) abort();
    return sha256;
}

void p2p_sha256_add(p2p_sha256_t *sha256, const void *bytes, apr_size_t len)
{
    EVP_DigestUpdate(sha256, bytes, len);
}

const char *p2p_sha256_end(apr_pool_t *p, p2p_sha256_t *sha256)
{
    unsigned char digest[32];

    EVP_DigestFinal_ex(sha256, digest, NULL);
    EVP_MD_CTX_free(sha256);
    return p2p_hex(p, digest, sizeof digest);
}

void p2p_sha256_drop(p2p_sha256_t *sha256)
{
    EVP_MD_CTX_free(sha256);
}
