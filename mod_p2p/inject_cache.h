/* SPDX-License-Identifier: Apache-2.0 */
/* The next links of pages that were injected, as SHA-256 in one of httpd's small object caches, for all children and, by memcache or redis, for
 * several hosts. A page that is not found there is one that nobody asked Provenance for: a cache that forgets costs Provenance, nothing else. */
#ifndef P2P_MOD_INJECT_CACHE_H
#define P2P_MOD_INJECT_CACHE_H

#include <httpd.h>

typedef struct p2p_inject_cache_t p2p_inject_cache_t;

/* pre_config, post_config and child_init hooks: the mutex that some caches take is known, made and found again. The cache outlives graceful
 * restarts as long as P2PProvenanceCache stays as it is. */
int p2p_inject_cache_mutex(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp);
int p2p_inject_cache_open(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);
void p2p_inject_cache_child(apr_pool_t *p, server_rec *s);

/* Keeps the next link of an answer to r, as it stands in the answer: absolute, or relative to r's URL. Returns 0 where it cannot be kept. */
int p2p_inject_cache_keep(request_rec *r, const char *link);

/* Was the URL that r asks for, or the one that the proxy asks the server behind for, the next link of such a page? Links are compared by path and
 * query, percent-decoded: who the server thinks he is does not count. */
int p2p_inject_cache_has(request_rec *r);

#endif
