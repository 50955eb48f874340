/* SPDX-License-Identifier: Apache-2.0 */
/* zlib, paused and continued between any two pieces. */
#include "net/http_gunzip.h"
#include <stdlib.h>
#include <zlib.h>

#define PIECE 16384
#define GZIP_ONLY (16 + MAX_WBITS)

struct p2p_gunzip_t {
    z_stream z;
    apr_size_t done; /* of the bytes that will be fed again */
    int ended;       /* a member has; another may follow (RFC 1952, section 2.2) */
    int begun;
};

p2p_gunzip_t *p2p_gunzip_make(void)
{
    p2p_gunzip_t *gunzip = calloc(1, sizeof *gunzip);

    if (gunzip && inflateInit2(&gunzip->z, GZIP_ONLY) == Z_OK) return gunzip;
    free(gunzip);
    return NULL;
}

void p2p_gunzip_free(p2p_gunzip_t *gunzip)
{
    if (!gunzip) return;
    inflateEnd(&gunzip->z);
    free(gunzip);
}

/* Inflates until a piece is full or the bytes are used up. Returns the length of what came out, -1 where it is broken. */
static int inflate_piece(p2p_gunzip_t *gunzip, char *piece)
{
    z_stream *z = &gunzip->z;
    int code;

    z->next_out = (unsigned char *)piece;
    z->avail_out = PIECE;
    if (gunzip->ended && z->avail_in && inflateReset(z) != Z_OK) return -1;
    if (gunzip->ended && z->avail_in) gunzip->ended = 0;
    if (gunzip->ended) return 0;
    if (z->avail_in) gunzip->begun = 1;
    code = inflate(z, Z_NO_FLUSH);
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) return -1;
    gunzip->ended = code == Z_STREAM_END;
    return PIECE - (int)z->avail_out;
}

/* A piece that is full may have more behind it, though no bytes are left to go in. */
static int is_more(const p2p_gunzip_t *gunzip, int len)
{
    return gunzip->z.avail_in > 0 || len == PIECE;
}

p2p_gunzip_word_t p2p_gunzip_feed(p2p_gunzip_t *gunzip, const char *bytes, apr_size_t len, p2p_gunzip_fn out, void *baton)
{
    char piece[PIECE];
    p2p_http_flow_t flow;
    int came;

    gunzip->z.next_in = (unsigned char *)(apr_uintptr_t)(bytes + gunzip->done);
    gunzip->z.avail_in = (unsigned)(len - gunzip->done);
    do {
        came = inflate_piece(gunzip, piece);
        if (came < 0) return P2P_GUNZIP_BROKEN;
        flow = came ? out(baton, piece, (apr_size_t)came) : P2P_HTTP_GO;
        if (flow == P2P_HTTP_STOP) return P2P_GUNZIP_STOPPED;
        if (flow == P2P_HTTP_PAUSE && is_more(gunzip, came)) {
            gunzip->done = len - gunzip->z.avail_in;
            return P2P_GUNZIP_PAUSED;
        }
    } while (is_more(gunzip, came));
    gunzip->done = 0;
    return flow == P2P_HTTP_PAUSE ? P2P_GUNZIP_TAKEN_AND_PAUSED : P2P_GUNZIP_TAKEN;
}

int p2p_gunzip_is_whole(const p2p_gunzip_t *gunzip)
{
    return gunzip->ended || !gunzip->begun;
}
