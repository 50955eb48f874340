/* SPDX-License-Identifier: Apache-2.0 */
/* The overview, kept in a child of httpd for a moment: whoever has it open asks every two seconds. */
#ifndef P2P_MOD_OVERVIEW_CACHE_H
#define P2P_MOD_OVERVIEW_CACHE_H

#include <httpd.h>

#define P2P_OVERVIEW_KEPT apr_time_from_sec(1) /* how old what is served may be */

typedef struct p2p_overview_doc_t {
    const char *text;
    apr_size_t len;
    const char *etag; /* with its quotes */
    apr_time_t asked; /* monotonic time of before it was read */
} p2p_overview_doc_t;

/* Sets *doc, in r->pool, and returns 1 where one is kept that was read less than P2P_OVERVIEW_KEPT ago; where its time comes to an end one caller
 * is told that there is none, and reads it anew for all. Else notes in *doc when it was asked for, for p2p_overview_cache_put. */
int p2p_overview_cache_get(request_rec *r, p2p_overview_doc_t *doc);

/* Keeps what was read after p2p_overview_cache_get did not find it. */
void p2p_overview_cache_put(request_rec *r, const p2p_overview_doc_t *doc);

/* child_init hook. */
void p2p_overview_cache_child(apr_pool_t *p, server_rec *s);

#endif
