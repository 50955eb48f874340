/* SPDX-License-Identifier: Apache-2.0 */
/* The key ring, key files and random values. */
#include "base/seal_keys.h"

#include <limits.h>
#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#define KEY_WORD "p2p-key "
#define KEY_WORD_LEN 8
#define KEY_BASE64_LEN 44
#define KEY_TEXT_LEN (KEY_WORD_LEN + P2P_KEY_ID_LEN + 1 + KEY_BASE64_LEN)
#define HEX "0123456789abcdef"

struct p2p_keyring_t {
    apr_pool_t *pool;
    apr_array_header_t *keys; /* p2p_key_t *: keys never move, so that no copy is left behind */
};

p2p_error_t *p2p_random(apr_pool_t *p, void *bytes, apr_size_t len)
{
    ERR_clear_error();
    if (len <= INT_MAX && RAND_bytes(bytes, (int)len) == 1) return NULL;
    ERR_clear_error();
    return p2p_error_make(p, P2P_E_INTERNAL, "no-random",
                          "OpenSSL gives no random bytes: see to its configuration.");
}

p2p_error_t *p2p_uuid4(apr_pool_t *p, const char **uuid)
{
    unsigned char b[16];
    const char *h;

    P2P_TRY(p2p_random(p, b, sizeof b));
    b[6] = (b[6] & 0x0F) | 0x40; /* version */
    b[8] = (b[8] & 0x3F) | 0x80; /* variant */
    h = p2p_hex(p, b, sizeof b);
    *uuid = apr_psprintf(p, "%.8s-%.4s-%.4s-%.4s-%s", h, h + 8, h + 12, h + 16, h + 20);
    return NULL;
}

static const char *key_text(apr_pool_t *p, const p2p_key_t *key)
{
    char base64[KEY_BASE64_LEN + 1];
    const char *text;

    EVP_EncodeBlock((unsigned char *)base64, key->bytes, P2P_KEY_BYTES);
    text = apr_pstrcat(p, KEY_WORD, key->id, " ", base64, "\n", NULL);
    OPENSSL_cleanse(base64, sizeof base64);
    return text;
}

p2p_error_t *p2p_key_generate(apr_pool_t *p, const char **text)
{
    unsigned char id[P2P_KEY_ID_LEN / 2];
    p2p_key_t key;

    P2P_TRY(p2p_random(p, id, sizeof id));
    P2P_TRY(p2p_random(p, key.bytes, sizeof key.bytes));
    memcpy(key.id, p2p_hex(p, id, sizeof id), sizeof key.id);
    *text = key_text(p, &key);
    OPENSSL_cleanse(&key, sizeof key);
    return NULL;
}

static apr_status_t wipe(void *data)
{
    p2p_keyring_t *ring = data;
    int i;

    for (i = 0; i < ring->keys->nelts; i++) {
        OPENSSL_cleanse(APR_ARRAY_IDX(ring->keys, i, p2p_key_t *), sizeof(p2p_key_t));
    }
    return APR_SUCCESS;
}

p2p_keyring_t *p2p_keyring_make(apr_pool_t *p)
{
    p2p_keyring_t *ring = apr_palloc(p, sizeof *ring);

    ring->pool = p;
    ring->keys = apr_array_make(p, 2, sizeof(p2p_key_t *));
    apr_pool_cleanup_register(p, ring, wipe, apr_pool_cleanup_null);
    return ring;
}

int p2p_key_id_is(const char *text)
{
    return strspn(text, HEX) >= P2P_KEY_ID_LEN;
}

/* The 32 bytes of exactly 44 characters of base64 with padding. */
static int decode_key(const char *base64, p2p_key_t *key)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char bytes[KEY_BASE64_LEN / 4 * 3];
    int ok = strspn(base64, alphabet) == KEY_BASE64_LEN - 1 && base64[KEY_BASE64_LEN - 1] == '=';

    if (ok) ok = EVP_DecodeBlock(bytes, (const unsigned char *)base64, KEY_BASE64_LEN) == (int)sizeof bytes;
    if (ok) memcpy(key->bytes, bytes, P2P_KEY_BYTES);
    OPENSSL_cleanse(bytes, sizeof bytes);
    return ok;
}

static int read_key(const char *text, p2p_key_t *key)
{
    const char *id = text + KEY_WORD_LEN, *end = text + KEY_TEXT_LEN;

    if (strlen(text) < KEY_TEXT_LEN || strncmp(text, KEY_WORD, KEY_WORD_LEN)) return 0;
    if (!p2p_key_id_is(id) || id[P2P_KEY_ID_LEN] != ' ' || end[strspn(end, " \t\r\n")]) return 0;
    memcpy(key->id, id, P2P_KEY_ID_LEN);
    key->id[P2P_KEY_ID_LEN] = '\0';
    return decode_key(id + P2P_KEY_ID_LEN + 1, key);
}

p2p_error_t *p2p_keyring_add(p2p_keyring_t *ring, const char *text)
{
    p2p_key_t key;
    p2p_error_t *e = NULL;

    if (!read_key(text, &key)) {
        e = p2p_error_make(ring->pool, P2P_E_INVALID, "bad-key",
                           "A key file must hold one line as p2p-runner keygen prints it: "
                           "p2p-key, 8 hex digits, 32 bytes in base64.");
    } else if (p2p_keyring_find(ring, key.id)) {
        e = p2p_error_make(ring->pool, P2P_E_INVALID, "bad-key",
                           "The key %s is there twice: name each key file once.", key.id);
    } else {
        APR_ARRAY_PUSH(ring->keys, p2p_key_t *) = apr_pmemdup(ring->pool, &key, sizeof key);
    }
    OPENSSL_cleanse(&key, sizeof key);
    return e;
}

int p2p_keyring_count(const p2p_keyring_t *ring)
{
    return ring->keys->nelts;
}

const p2p_key_t *p2p_keyring_at(const p2p_keyring_t *ring, int i)
{
    return i >= 0 && i < ring->keys->nelts ? APR_ARRAY_IDX(ring->keys, i, p2p_key_t *) : NULL;
}

const p2p_key_t *p2p_keyring_find(const p2p_keyring_t *ring, const char *text)
{
    int i;

    for (i = 0; i < ring->keys->nelts; i++) {
        const p2p_key_t *key = APR_ARRAY_IDX(ring->keys, i, p2p_key_t *);

        if (!strncmp(key->id, text, P2P_KEY_ID_LEN)) return key;
    }
    return NULL;
}

const char *p2p_keyring_id(const p2p_keyring_t *ring, int i)
{
    const p2p_key_t *key = p2p_keyring_at(ring, i);

    return key ? key->id : NULL;
}

const char *p2p_keyring_text(apr_pool_t *p, const p2p_keyring_t *ring, int i)
{
    const p2p_key_t *key = p2p_keyring_at(ring, i);

    return key ? key_text(p, key) : NULL;
}
