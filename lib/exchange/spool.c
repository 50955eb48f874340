/* SPDX-License-Identifier: Apache-2.0 */
/* Records of AES-256-GCM in runs of blocks; a bitmap says which are taken. */
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

#define BLOCK 512
#define NONCE 12
#define TAG 16
#define OVERHEAD (NONCE + TAG)
#define PIECE 65536 /* bytes encrypted at a time: a large record is never in memory twice */

struct p2p_spool_t {
    const char *dir;
    apr_uint64_t *taken;                /* a bit for each block of the file */
    apr_size_t words;                   /* room in taken */
    apr_size_t max, end, used, next;    /* in blocks: at most, of the file, taken, where the next search begins */
    int fd, unusable;
    unsigned char key[32];
    apr_uint64_t sequence;              /* the next nonce: never used twice with this key */
    EVP_CIPHER_CTX *cipher;
};

static apr_status_t free_spool(void *data)
{
    p2p_spool_t *spool = data;

    if (spool->fd >= 0) close(spool->fd);
    free(spool->taken);
    EVP_CIPHER_CTX_free(spool->cipher);
    OPENSSL_cleanse(spool->key, sizeof spool->key);
    return APR_SUCCESS;
}

p2p_spool_t *p2p_spool_make(apr_pool_t *p, const char *dir, apr_int64_t max)
{
    p2p_spool_t *spool = apr_pcalloc(p, sizeof *spool);

    spool->dir = apr_pstrdup(p, dir);
    spool->max = max > 0 ? (apr_size_t)(max / BLOCK) : 0;
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

/* ---- The file ---- */

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

/* ---- Blocks ---- */

static apr_size_t blocks_of(apr_size_t len)
{
    return (len + OVERHEAD + BLOCK - 1) / BLOCK;
}

static int is_taken(const p2p_spool_t *spool, apr_size_t block)
{
    return spool->taken[block / 64] >> block % 64 & 1;
}

static void mark(p2p_spool_t *spool, apr_size_t first, apr_size_t count, int taken)
{
    apr_size_t i;

    for (i = first; i < first + count; i++) {
        if (taken) spool->taken[i / 64] |= (apr_uint64_t)1 << i % 64;
        else spool->taken[i / 64] &= ~((apr_uint64_t)1 << i % 64);
    }
    spool->used += taken ? count : -count;
}

/* The first of so many free blocks side by side within [begin, end), or end. */
static apr_size_t find_run(const p2p_spool_t *spool, apr_size_t begin, apr_size_t end, apr_size_t count)
{
    apr_size_t at = begin, run = 0;

    while (at < end && run < count) {
        if (at % 64 == 0 && spool->taken[at / 64] == ~(apr_uint64_t)0) {
            run = 0;
            at += 64;
        } else run = is_taken(spool, at++) ? 0 : run + 1;
    }
    return run == count && at <= end ? at - count : end;
}

static void reach(p2p_spool_t *spool, apr_size_t end)
{
    apr_size_t words = (end + 63) / 64, have = spool->words;

    if (words > have) {
        spool->words = words > 2 * have ? words : 2 * have;
        spool->taken = realloc(spool->taken, spool->words * sizeof *spool->taken);
        if (!spool->taken) abort();
        memset(spool->taken + have, 0, (spool->words - have) * sizeof *spool->taken);
    }
    if (end > spool->end) spool->end = end;
}

/* Room for count blocks: where a quarter of the file is free among what is taken there, else behind its end. Returns 0 where there is
 * none. */
static int find_room(p2p_spool_t *spool, apr_size_t count, apr_size_t *first)
{
    apr_size_t holes = spool->end - spool->used;
    int may_grow = count <= spool->max - spool->end && spool->max >= spool->end;

    if (holes >= count && (!may_grow || holes >= spool->end / 4)) {
        *first = find_run(spool, spool->next, spool->end, count);
        if (*first == spool->end) *first = find_run(spool, 0, spool->end, count);
        if (*first < spool->end) return 1;
    }
    *first = spool->end;
    return may_grow;
}

/* ---- Records ---- */

/* nonce, ciphertext, tag */
static int write_record(p2p_spool_t *spool, const unsigned char *bytes, apr_size_t len, apr_int64_t at)
{
    unsigned char nonce[NONCE] = {0}, tag[TAG], piece[PIECE];
    int n, ok;

    memcpy(nonce, &spool->sequence, sizeof spool->sequence);
    spool->sequence++;
    ok = EVP_EncryptInit_ex(spool->cipher, EVP_aes_256_gcm(), NULL, spool->key, nonce) == 1
         && write_all(spool->fd, nonce, NONCE, at);
    at += NONCE;
    while (ok && len > 0) {
        apr_size_t some = len < PIECE ? len : PIECE;

        ok = EVP_EncryptUpdate(spool->cipher, piece, &n, bytes, (int)some) == 1 && write_all(spool->fd, piece, some, at);
        bytes += some;
        len -= some;
        at += (apr_int64_t)some;
    }
    return ok && EVP_EncryptFinal_ex(spool->cipher, piece, &n) == 1
           && EVP_CIPHER_CTX_ctrl(spool->cipher, EVP_CTRL_GCM_GET_TAG, TAG, tag) == 1 && write_all(spool->fd, tag, TAG, at);
}

/* Decrypts where it lies. */
static int read_record(p2p_spool_t *spool, unsigned char *bytes, apr_size_t len, apr_int64_t at)
{
    unsigned char nonce[NONCE], tag[TAG];
    int n;

    return read_all(spool->fd, nonce, NONCE, at) && read_all(spool->fd, bytes, len, at + NONCE)
           && read_all(spool->fd, tag, TAG, at + NONCE + (apr_int64_t)len)
           && EVP_DecryptInit_ex(spool->cipher, EVP_aes_256_gcm(), NULL, spool->key, nonce) == 1
           && EVP_DecryptUpdate(spool->cipher, bytes, &n, bytes, (int)len) == 1
           && EVP_CIPHER_CTX_ctrl(spool->cipher, EVP_CTRL_GCM_SET_TAG, TAG, tag) == 1
           && EVP_DecryptFinal_ex(spool->cipher, bytes + n, &n) == 1;
}

int p2p_spool_has_room(p2p_spool_t *spool, apr_size_t len)
{
    apr_size_t first;

    return !spool->unusable && find_room(spool, blocks_of(len), &first);
}

p2p_error_t *p2p_spool_put(p2p_spool_t *spool, apr_pool_t *p, const void *bytes, apr_size_t len, apr_int64_t *at)
{
    apr_size_t count = blocks_of(len), first;

    if (spool->unusable || !find_room(spool, count, &first))
        return p2p_error_make(p, P2P_E_CONFLICT, "spool-full", "the spool is full");
    P2P_TRY(open_file(spool, p));
    if (!write_record(spool, bytes, len, (apr_int64_t)first * BLOCK)) return unusable(spool, p, "it cannot be written", errno ? errno : EIO);
    reach(spool, first + count);
    mark(spool, first, count, 1);
    spool->next = first + count;
    *at = (apr_int64_t)first * BLOCK;
    return NULL;
}

p2p_error_t *p2p_spool_get(p2p_spool_t *spool, apr_pool_t *p, apr_int64_t at, void *bytes, apr_size_t len)
{
    if (read_record(spool, bytes, len, at)) return NULL;
    return p2p_error_make(p, P2P_E_INTERNAL, "spool-unreadable",
                          "P2PSpool %s: what was put there cannot be read back; order the exchange again", spool->dir);
}

void p2p_spool_drop(p2p_spool_t *spool, apr_int64_t at, apr_size_t len)
{
    mark(spool, (apr_size_t)(at / BLOCK), blocks_of(len), 0);
    if (spool->used) return;
    spool->end = spool->next = 0;
    if (spool->fd >= 0 && ftruncate(spool->fd, 0) != 0) spool->unusable = 1;
}
