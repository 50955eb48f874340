/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing and opening of values, and keyed hashes to find them again. */
#include "base/seal.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "base/seal_keys.h"

#define NONCE_BYTES 12
#define TAG_BYTES 16
#define HASH_BYTES 32
#define PLAIN_MAX (1 << 30) /* OpenSSL counts in int */
#define PREFIX "v1."
#define PREFIX_LEN 3
#define MEND "restore it from a backup, or enter it again."

/* One value on its way through the cipher. box = nonce, text, tag. */
typedef struct work_t {
    const p2p_key_t *key;
    const char *aad;
    unsigned char *box;
    unsigned char *plain;
    int len; /* of the plain text */
} work_t;

/* OpenSSL's queue must be empty when others of the process (mod_ssl) look at it. */
static p2p_error_t *openssl_error(apr_pool_t *p, const char *code, const char *sentence)
{
    p2p_error_t *e = p2p_error_make(p, P2P_E_INTERNAL, code, "%s", sentence);
    unsigned long first = ERR_get_error();

    if (first) p2p_error_detail(p, e, ERR_error_string(first, NULL));
    ERR_clear_error();
    return e;
}

/* The value's place and key, no two of them with the same text. */
static const char *associated_data(apr_pool_t *p, const p2p_seal_place_t *place, const p2p_key_t *key)
{
    return apr_psprintf(p, "p2p-seal-v1\n%s\n%s\n%" APR_INT64_T_FMT "\n%s", place->table, place->column,
                        place->row, key->id);
}

static int begin_cipher(EVP_CIPHER_CTX *ctx, const work_t *work, int encrypt)
{
    int n;

    return EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, work->key->bytes, work->box, encrypt) &&
           EVP_CipherUpdate(ctx, NULL, &n, (const unsigned char *)work->aad, (int)strlen(work->aad));
}

static int encrypt_box(EVP_CIPHER_CTX *ctx, work_t *work)
{
    unsigned char *text = work->box + NONCE_BYTES;
    int n, rest;

    return begin_cipher(ctx, work, 1) && EVP_EncryptUpdate(ctx, text, &n, work->plain, work->len) &&
           EVP_EncryptFinal_ex(ctx, text + n, &rest) && n + rest == work->len &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, text + work->len);
}

/* The tag is compared within OpenSSL, in constant time. */
static int decrypt_box(EVP_CIPHER_CTX *ctx, work_t *work)
{
    unsigned char *text = work->box + NONCE_BYTES;
    int n, rest;

    return begin_cipher(ctx, work, 0) && EVP_DecryptUpdate(ctx, work->plain, &n, text, work->len) &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, text + work->len) &&
           EVP_DecryptFinal_ex(ctx, work->plain + n, &rest) && n + rest == work->len;
}

static int with_cipher(work_t *work, int (*step)(EVP_CIPHER_CTX *, work_t *))
{
    EVP_CIPHER_CTX *ctx;
    int ok;

    ERR_clear_error();
    ctx = EVP_CIPHER_CTX_new();
    ok = ctx && step(ctx, work);
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

p2p_error_t *p2p_seal(apr_pool_t *p, const p2p_keyring_t *ring, const p2p_seal_place_t *place,
                      const char *plain, apr_size_t len, const char **sealed)
{
    work_t work = {.key = p2p_keyring_at(ring, 0), .plain = (unsigned char *)plain, .len = (int)len};

    *sealed = "";
    if (!len) return NULL;
    if (!work.key) {
        return p2p_error_make(p, P2P_E_INTERNAL, "no-key",
                              "There is no key to seal with: set P2PSecretKeyFile.");
    }
    if (len > PLAIN_MAX) {
        return p2p_error_make(p, P2P_E_INTERNAL, "cannot-seal", "A value of over 1 GiB cannot be sealed.");
    }
    work.aad = associated_data(p, place, work.key);
    work.box = apr_palloc(p, NONCE_BYTES + len + TAG_BYTES);
    P2P_TRY(p2p_random(p, work.box, NONCE_BYTES));
    if (!with_cipher(&work, encrypt_box)) {
        return openssl_error(p, "cannot-seal",
                             "A value could not be sealed: OpenSSL's AES-256-GCM does not work.");
    }
    *sealed = apr_pstrcat(p, PREFIX, work.key->id, ".",
                          p2p_base64url_encode(p, work.box, NONCE_BYTES + len + TAG_BYTES), NULL);
    return NULL;
}

static p2p_error_t *cannot_open(apr_pool_t *p, const char *sentence)
{
    return p2p_error_make(p, P2P_E_INTERNAL, "cannot-open", "%s", sentence);
}

/* Finds the key and the box of a sealed value. */
static p2p_error_t *read_sealed(apr_pool_t *p, const p2p_keyring_t *ring, const char *sealed, work_t *work)
{
    const char *id = sealed + PREFIX_LEN;
    apr_size_t len;

    /* What should be an id may be anything in a damaged value: only one of the right form is shown. */
    if (strncmp(sealed, PREFIX, PREFIX_LEN) || !p2p_key_id_is(id) || id[P2P_KEY_ID_LEN] != '.' ||
        !p2p_base64url_decode(p, id + P2P_KEY_ID_LEN + 1, &work->box, &len) ||
        len <= NONCE_BYTES + TAG_BYTES) {
        return cannot_open(p, "A sealed value of the database is damaged: " MEND);
    }
    work->len = (int)(len - NONCE_BYTES - TAG_BYTES);
    work->key = p2p_keyring_find(ring, id);
    if (work->key) return NULL;
    return p2p_error_make(p, P2P_E_INTERNAL, "key-missing",
                          "A value was sealed with key %.*s, which is missing: "
                          "name its file in P2PSecretKeyFile, behind the first.", P2P_KEY_ID_LEN, id);
}

p2p_error_t *p2p_unseal(apr_pool_t *p, const p2p_keyring_t *ring, const p2p_seal_place_t *place,
                        const char *sealed, const char **plain, apr_size_t *len)
{
    work_t work = {NULL, NULL, NULL, NULL, 0};

    *plain = "";
    if (len) *len = 0;
    if (!*sealed) return NULL;
    P2P_TRY(read_sealed(p, ring, sealed, &work));
    work.aad = associated_data(p, place, work.key);
    work.plain = apr_palloc(p, (apr_size_t)work.len + 1);
    if (!with_cipher(&work, decrypt_box)) {
        OPENSSL_cleanse(work.plain, (size_t)work.len); /* nobody may see text that is not authentic */
        return openssl_error(p, "cannot-open",
                             "A sealed value of the database was moved from its place or changed: " MEND);
    }
    work.plain[work.len] = '\0';
    *plain = (const char *)work.plain;
    if (len) *len = (apr_size_t)work.len;
    return NULL;
}

int p2p_is_unopenable(const p2p_error_t *error)
{
    return !strcmp(error->code, "key-missing") || !strcmp(error->code, "cannot-open");
}

/* HKDF-SHA256 (RFC 5869) of the key without salt, the purpose as info. */
static int derive(const p2p_key_t *key, const char *purpose, unsigned char out[HASH_BYTES])
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    OSSL_PARAM params[4] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)key->bytes, P2P_KEY_BYTES),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)purpose, strlen(purpose)),
        OSSL_PARAM_construct_end()};
    int ok = ctx && EVP_KDF_derive(ctx, out, HASH_BYTES, params) == 1;

    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return ok;
}

const char *p2p_keyed_hash(apr_pool_t *p, const p2p_keyring_t *ring, int i, const char *purpose,
                           const char *text)
{
    const p2p_key_t *key = p2p_keyring_at(ring, i);
    unsigned char derived[HASH_BYTES], mac[HASH_BYTES];
    size_t n = 0;

    ERR_clear_error();
    /* A missing hash would make different values look the same: without it nothing may go on. */
    if (!key || !derive(key, purpose, derived)) abort();
    if (!EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, derived, sizeof derived, (const unsigned char *)text,
                   strlen(text), mac, sizeof mac, &n) || n != sizeof mac) {
        abort();
    }
    OPENSSL_cleanse(derived, sizeof derived);
    return p2p_hex(p, mac, sizeof mac);
}
