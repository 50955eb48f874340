/* SPDX-License-Identifier: Apache-2.0 */
/* Derived ids: SHA-256 and base32. References repeat what was met shortly before, so the last digests are remembered. */
#include "fhir/resource_id.h"

#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>
#include <openssl/evp.h>

#define MEMO_SLOTS 512
#define MEMO_NAME 95 /* bytes of the longest name that is remembered */

typedef struct memo_t {
    unsigned char digest[P2P_DIGEST_BYTES];
    unsigned char len; /* of name; 0: nothing here */
    char name[MEMO_NAME];
} memo_t;

struct p2p_id_deriver_t {
    memo_t memo[MEMO_SLOTS];
    EVP_MD *sha256;
    EVP_MD_CTX *work;
    const char *prefix; /* the namespace and LF */
    apr_size_t prefix_len;
};

static apr_status_t free_deriver(void *data)
{
    p2p_id_deriver_t *deriver = data;

    EVP_MD_CTX_free(deriver->work);
    EVP_MD_free(deriver->sha256);
    return APR_SUCCESS;
}

/* SHA-256 of memory cannot fail but for want of memory, which ends the process as it does in APR. */
static void demand(int ok)
{
    if (!ok) abort();
}

p2p_id_deriver_t *p2p_id_deriver_make(apr_pool_t *p, const char *id_namespace)
{
    p2p_id_deriver_t *deriver = apr_pcalloc(p, sizeof *deriver);

    deriver->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    deriver->work = EVP_MD_CTX_new();
    deriver->prefix = apr_pstrcat(p, id_namespace, "\n", NULL);
    deriver->prefix_len = strlen(deriver->prefix);
    demand(deriver->sha256 && deriver->work);
    apr_pool_cleanup_register(p, deriver, free_deriver, apr_pool_cleanup_null);
    return deriver;
}

static void derive(p2p_id_deriver_t *deriver, const char *type, apr_size_t type_len, const char *id, apr_size_t id_len,
                   unsigned char digest[P2P_DIGEST_BYTES])
{
    demand(EVP_DigestInit_ex2(deriver->work, deriver->sha256, NULL));
    demand(EVP_DigestUpdate(deriver->work, deriver->prefix, deriver->prefix_len));
    demand(EVP_DigestUpdate(deriver->work, type, type_len));
    demand(EVP_DigestUpdate(deriver->work, "/", 1));
    demand(EVP_DigestUpdate(deriver->work, id, id_len));
    demand(EVP_DigestFinal_ex(deriver->work, digest, NULL));
}

/* The one place where a name may be remembered. */
static memo_t *memo_of(p2p_id_deriver_t *deriver, const char *name, apr_size_t len)
{
    apr_uint64_t hash = len, word;

    for (; len >= 8; len -= 8, name += 8) {
        memcpy(&word, name, 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
    }
    for (; len; len--) hash = (hash ^ (unsigned char)*name++) * 0x100000001b3u;
    return &deriver->memo[(hash ^ hash >> 20) % MEMO_SLOTS];
}

void p2p_id_digest(p2p_id_deriver_t *deriver, const char *type, apr_size_t type_len, const char *id, apr_size_t id_len,
                   unsigned char digest[P2P_DIGEST_BYTES])
{
    apr_size_t len = type_len + 1 + id_len;
    char name[MEMO_NAME];
    memo_t *memo;

    if (len > MEMO_NAME) {
        derive(deriver, type, type_len, id, id_len, digest);
        return;
    }
    memcpy(name, type, type_len);
    name[type_len] = '/';
    memcpy(name + type_len + 1, id, id_len);
    memo = memo_of(deriver, name, len);
    if (memo->len != len || memcmp(memo->name, name, len) != 0) {
        derive(deriver, type, type_len, id, id_len, memo->digest);
        memcpy(memo->name, name, len);
        memo->len = (unsigned char)len;
    }
    memcpy(digest, memo->digest, P2P_DIGEST_BYTES);
}

/* The eight characters of five bytes, the first one the highest. */
static void put_base32(char *to, apr_uint64_t bits)
{
    static const char a[] = "abcdefghijklmnopqrstuvwxyz234567";

    to[0] = a[bits >> 35 & 31];
    to[1] = a[bits >> 30 & 31];
    to[2] = a[bits >> 25 & 31];
    to[3] = a[bits >> 20 & 31];
    to[4] = a[bits >> 15 & 31];
    to[5] = a[bits >> 10 & 31];
    to[6] = a[bits >> 5 & 31];
    to[7] = a[bits & 31];
}

void p2p_id_text(const unsigned char digest[P2P_DIGEST_BYTES], char out[P2P_RESOURCE_ID_LEN + 1])
{
    const unsigned char *d = digest;
    char *to = out + 4, last[8];

    memcpy(out, "p2p-", 4);
    for (; d < digest + 30; d += 5, to += 8)
        put_base32(to, (apr_uint64_t)d[0] << 32 | (apr_uint64_t)d[1] << 24 | (apr_uint64_t)(d[2] << 16 | d[3] << 8 | d[4]));
    put_base32(last, (apr_uint64_t)d[0] << 32 | (apr_uint64_t)d[1] << 24);
    memcpy(to, last, 4);
    to[4] = '\0';
}

apr_uint64_t p2p_id_key(const unsigned char digest[P2P_DIGEST_BYTES])
{
    apr_uint64_t key;

    memcpy(&key, digest, sizeof key);
    return key ? key : 1;
}

static int base32_value(char c)
{
    if (c >= 'a' && c <= 'z') return c - 'a';
    return c >= '2' && c <= '7' ? c - '2' + 26 : -1;
}

apr_uint64_t p2p_id_text_key(const char *text)
{
    unsigned char digest[P2P_DIGEST_BYTES] = {0};
    unsigned bits = 0, held = 0;
    int i, at = 0;

    if (strncmp(text, "p2p-", 4) != 0) return 0;
    for (i = 4; i < P2P_RESOURCE_ID_LEN && at < P2P_DIGEST_BYTES; i++) {
        int value = base32_value(text[i]);

        if (value < 0) return 0;
        bits = (bits << 5 | (unsigned)value) & 0xfff;
        held += 5;
        if (held < 8) continue;
        held -= 8;
        digest[at++] = (unsigned char)(bits >> held);
    }
    return p2p_id_key(digest);
}

const char *p2p_id_derive(apr_pool_t *p, p2p_id_deriver_t *deriver, const char *type, const char *id)
{
    unsigned char digest[P2P_DIGEST_BYTES];
    char *text = apr_palloc(p, P2P_RESOURCE_ID_LEN + 1);

    p2p_id_digest(deriver, type, strlen(type), id, strlen(id), digest);
    p2p_id_text(digest, text);
    return text;
}
