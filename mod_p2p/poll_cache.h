/* SPDX-License-Identifier: Apache-2.0 */
/* What administrators have just been shown, kept in a child of httpd for a moment by its ETag alone: the console asks every two seconds whether
 * anything has changed, and whoever has the same view open asks the same. */
#ifndef P2P_MOD_POLL_CACHE_H
#define P2P_MOD_POLL_CACHE_H

#include <httpd.h>

#include "route.h"

#define P2P_POLL_KEPT apr_time_from_sec(1) /* so old may be what is said to be unchanged; nothing older than a change of an administrator's by this httpd */

typedef struct p2p_poll_t {
    apr_uint64_t generation; /* and monotonic time, of before the answer was made; 0: nothing is to be kept */
    apr_time_t asked;
} p2p_poll_t;

/* Is this a GET of an administrator's with the ETag (If-None-Match) that another one of the same URL was answered with less than P2P_POLL_KEPT ago? Then
 * it returns HTTP_NOT_MODIFIED with the answer's headers set; else OK, and notes in *poll when it was asked for. */
int p2p_poll_same(request_rec *r, const p2p_route_t *route, p2p_poll_t *poll);

/* Keeps the ETag of what a handler has answered with answer. */
void p2p_poll_answered(request_rec *r, const p2p_poll_t *poll, int answer);

/* child_init hook. */
void p2p_poll_child(apr_pool_t *p, server_rec *s);

#endif
