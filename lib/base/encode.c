/* SPDX-License-Identifier: Apache-2.0 */
/* Hex and base64url. */
#include "base/encode.h"

#include <limits.h>
#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <openssl/evp.h>

char *p2p_hex(apr_pool_t *p, const unsigned char *bytes, apr_size_t len)
{
    static const char digits[] = "0123456789abcdef";
    char *out = apr_palloc(p, len * 2 + 1);
    apr_size_t i;

    for (i = 0; i < len; i++) {
        out[i * 2] = digits[bytes[i] >> 4];
        out[i * 2 + 1] = digits[bytes[i] & 15];
    }
    out[len * 2] = '\0';
    return out;
}

int p2p_hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void swap_characters(char *s, const char *from, const char *to)
{
    for (; *s; s++) {
        const char *at = strchr(from, *s);

        if (at) *s = to[at - from];
    }
}

char *p2p_base64url_encode(apr_pool_t *p, const unsigned char *bytes, apr_size_t len)
{
    char *out = apr_palloc(p, (len + 2) / 3 * 4 + 1);

    EVP_EncodeBlock((unsigned char *)out, bytes, (int)len);
    swap_characters(out, "+/", "-_");
    out[strcspn(out, "=")] = '\0';
    return out;
}

/* OpenSSL's decoder forgives much, so the characters are looked at first. */
static int is_base64url(const char *text, apr_size_t len)
{
    apr_size_t i;

    for (i = 0; i < len; i++) {
        if (!apr_isalnum(text[i]) && text[i] != '-' && text[i] != '_') return 0;
    }
    return len % 4 != 1 && len < INT_MAX - 4;
}

/* Bytes have one text only: the last character's bits that belong to no byte are zero. */
static int is_canonical(const char *text, apr_size_t len)
{
    if (len % 4 == 2) return strchr("AQgw", text[len - 1]) != NULL;
    return len % 4 != 3 || strchr("AEIMQUYcgkosw048", text[len - 1]) != NULL;
}

int p2p_base64url_decode(apr_pool_t *p, const char *text, unsigned char **bytes, apr_size_t *len)
{
    apr_size_t n = strlen(text);
    char *padded;
    int out;

    if (!is_base64url(text, n) || !is_canonical(text, n)) return 0;
    padded = apr_pstrcat(p, text, &"==="[n % 4 ? n % 4 - 1 : 3], NULL);
    swap_characters(padded, "-_", "+/");
    *bytes = apr_palloc(p, strlen(padded) / 4 * 3 + 1);
    out = EVP_DecodeBlock(*bytes, (const unsigned char *)padded, (int)strlen(padded));
    *len = n / 4 * 3 + (n % 4 ? n % 4 - 1 : 0); /* OpenSSL counts the padding as bytes */
    return out >= 0;
}
