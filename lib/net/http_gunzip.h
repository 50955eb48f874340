/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies that come compressed, inflated only as fast as they are taken: a few bytes of gzip may stand for any number. */
#ifndef P2P_NET_HTTP_GUNZIP_H
#define P2P_NET_HTTP_GUNZIP_H

#include <apr.h>
#include "net/http.h"

typedef struct p2p_gunzip_t p2p_gunzip_t;

/* Takes what came out; P2P_HTTP_PAUSE: no more for now. */
typedef p2p_http_flow_t (*p2p_gunzip_fn)(void *baton, const char *bytes, apr_size_t len);

typedef enum {
    P2P_GUNZIP_TAKEN,  /* all of it: the next bytes, please */
    P2P_GUNZIP_PAUSED, /* the same bytes again (more may follow them), when it goes on */
    P2P_GUNZIP_TAKEN_AND_PAUSED,
    P2P_GUNZIP_STOPPED,
    P2P_GUNZIP_BROKEN  /* it is not gzip */
} p2p_gunzip_word_t;

/* One on the heap; NULL where no memory is left. */
p2p_gunzip_t *p2p_gunzip_make(void);
void p2p_gunzip_free(p2p_gunzip_t *gunzip);

/* Inflates len bytes and gives what comes out to out, in pieces of at most 16 KiB. */
p2p_gunzip_word_t p2p_gunzip_feed(p2p_gunzip_t *gunzip, const char *bytes, apr_size_t len, p2p_gunzip_fn out, void *baton);

/* Has it come to its end? */
int p2p_gunzip_is_whole(const p2p_gunzip_t *gunzip);

#endif
