/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL's. */
#include "base/sha256.h"

#include <stdlib.h>

#include <openssl/evp.h>

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

void p2p_sha256_end(p2p_sha256_t *sha256, char hex[P2P_SHA256_HEX + 1])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[P2P_SHA256_HEX / 2];

    EVP_DigestFinal_ex(sha256, digest, NULL);
    EVP_MD_CTX_free(sha256);
    for (unsigned i = 0; i < sizeof digest; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[P2P_SHA256_HEX] = '\0';
}

void p2p_sha256_drop(p2p_sha256_t *sha256)
{
    EVP_MD_CTX_free(sha256);
}
