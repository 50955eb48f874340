/* SPDX-License-Identifier: Apache-2.0 */
/* Records of AES-256-GCM one behind the other; when the last one is dropped the file begins anew. */
#include "exchange/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#define NONCE 12
#define TAG 16
#define OVERHEAD (NONCE + TAG)

struct p2p_spool_t {
    const char *dir;
    apr_int64_t max, end;   /* end of the file */
    apr_int64_t live;       /* records that are still needed */
    int fd, unusable;
    unsigned char key[32];
    apr_uint64_t sequence;  /* the next nonce: never used twice with this key */
    EVP_CIPHER_CTX *cipher;
};

static apr_status_t free_spool(void *data)
{
    p2p_spool_t *spool = data;

    if (spool->fd >= 0) close(spool->fd);
    EVP_CIPHER_CTX_free(spool->cipher);
    OPENSSL_cleanse(spool->key, sizeof spool->key);
    return APR_SUCCESS;
}

p2p_spool_t *p2p_spool_make(apr_pool_t *p, const char *dir, apr_int64_t max)
{
    p2p_spool_t *spool = apr_pcalloc(p, sizeof *spool);

    spool->dir = apr_pstrdup(p, dir);
    spool->max = max;
    spool->fd = -1;
    apr_pool_cleanup_register(p, spool, free_spool, apr_pool_cleanup_null);
    return spool;
}

static p2p_error_t *unusable(p2p_spool_t *spool, apr_pool_t *p, const char *what, int code)
{
    spool->unusable = 1;
    return p2p_error_make(p, P2P_E_INTERNAL, "spool-unusable", "P2PSpool %s: %s: %s; what waits stays in memory", spool->dir, what,
                          strerror(code));
}

/* A file without a name; where the file system knows no O_TMPFILE it has one for a moment. */
static int open_unlinked(apr_pool_t *p, const char *dir)
{
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
    char *name;

    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR)) return fd;
    name = apr_pstrcat(p, dir, "/p2p-spool-XXXXXX", NULL);
    fd = mkostemp(name, O_CLOEXEC);
    if (fd >= 0) unlink(name);
    return fd;
}

static p2p_error_t *open_file(p2p_spool_t *spool, apr_pool_t *p)
{
    if (spool->fd >= 0) return NULL;
    spool->fd = open_unlinked(p, spool->dir);
    if (spool->fd < 0) return unusable(spool, p, "no file can be made there", errno);
    spool->cipher = EVP_CIPHER_CTX_new();
    if (!spool->cipher || RAND_bytes(spool->key, sizeof spool->key) != 1) return unusable(spool, p, "no key can be made", EIO);
    return NULL;
}

static int write_all(int fd, const unsigned char *bytes, apr_size_t len, apr_int64_t at)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, bytes, len, at);

        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return 0;
        bytes += n;
        len -= (apr_size_t)n;
        at += n;
    }
    return 1;
}

static int read_all(int fd, unsigned char *bytes, apr_size_t len, apr_int64_t at)
{
    while (len > 0) {
        ssize_t n = pread(fd, bytes, len, at);

        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return 0;
        bytes += n;
        len -= (apr_size_t)n;
        at += n;
    }
    return 1;
}

/* nonce, ciphertext, tag */
static int encrypt(p2p_spool_t *spool, unsigned char *record, const void *bytes, apr_size_t len)
{
    int n;

    memset(record, 0, NONCE);
    memcpy(record, &spool->sequence, sizeof spool->sequence);
    spool->sequence++;
    return EVP_EncryptInit_ex(spool->cipher, EVP_aes_256_gcm(), NULL, spool->key, record) == 1
           && EVP_EncryptUpdate(spool->cipher, record + NONCE, &n, bytes, (int)len) == 1
           && EVP_EncryptFinal_ex(spool->cipher, record + NONCE + n, &n) == 1
           && EVP_CIPHER_CTX_ctrl(spool->cipher, EVP_CTRL_GCM_GET_TAG, TAG, record + NONCE + len) == 1;
}

static int decrypt(p2p_spool_t *spool, unsigned char *record, void *bytes, apr_size_t len)
{
    int n;

    return EVP_DecryptInit_ex(spool->cipher, EVP_aes_256_gcm(), NULL, spool->key, record) == 1
           && EVP_DecryptUpdate(spool->cipher, bytes, &n, record + NONCE, (int)len) == 1
           && EVP_CIPHER_CTX_ctrl(spool->cipher, EVP_CTRL_GCM_SET_TAG, TAG, record + NONCE + len) == 1
           && EVP_DecryptFinal_ex(spool->cipher, (unsigned char *)bytes + n, &n) == 1;
}

p2p_error_t *p2p_spool_put(p2p_spool_t *spool, apr_pool_t *p, const void *bytes, apr_size_t len, apr_int64_t *at)
{
    unsigned char *record;
    int ok;

    if (spool->unusable || spool->end + (apr_int64_t)(len + OVERHEAD) > spool->max)
        return p2p_error_make(p, P2P_E_CONFLICT, "spool-full", "the spool is full");
    P2P_TRY(open_file(spool, p));
    record = malloc(len + OVERHEAD);
    if (!record) abort();
    ok = encrypt(spool, record, bytes, len) && write_all(spool->fd, record, len + OVERHEAD, spool->end);
    free(record);
    if (!ok) return unusable(spool, p, "it cannot be written", errno ? errno : EIO);
    *at = spool->end;
    spool->end += (apr_int64_t)(len + OVERHEAD);
    spool->live++;
    return NULL;
}

p2p_error_t *p2p_spool_get(p2p_spool_t *spool, apr_pool_t *p, apr_int64_t at, void *bytes, apr_size_t len)
{
    unsigned char *record = malloc(len + OVERHEAD);
    int ok;

    if (!record) abort();
    ok = read_all(spool->fd, record, len + OVERHEAD, at) && decrypt(spool, record, bytes, len);
    free(record);
    if (ok) return NULL;
    return p2p_error_make(p, P2P_E_INTERNAL, "spool-unreadable",
                          "P2PSpool %s: what was put there cannot be read back; order the exchange again", spool->dir);
}

void p2p_spool_drop(p2p_spool_t *spool)
{
    if (--spool->live > 0) return;
    spool->end = 0;
    if (spool->fd >= 0 && ftruncate(spool->fd, 0) != 0) spool->unusable = 1;
}
