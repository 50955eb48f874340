/* SPDX-License-Identifier: Apache-2.0 */
/* The spool: what waits and does not fit into memory lies in an unlinked file, encrypted with a key that exists in memory only. */
#ifndef P2P_EXCHANGE_SPOOL_H
#define P2P_EXCHANGE_SPOOL_H

#include <apr_pools.h>
#include "base/error.h"

typedef struct p2p_spool_t p2p_spool_t;

/* Makes one in p, of at most max bytes, for all exchanges of a runner. The file is made in dir when it is first needed and has no name
 * there; with p it is gone. */
p2p_spool_t *p2p_spool_make(apr_pool_t *p, const char *dir, apr_int64_t max);

/* Is there room for so many bytes? */
int p2p_spool_has_room(p2p_spool_t *spool, apr_size_t len);

/* Puts len bytes away; *at says where. Errors, all meaning "keep it in memory": P2P_E_CONFLICT "spool-full", P2P_E_INTERNAL
 * "spool-unusable" (made in p; told once, then only "spool-full"). */
p2p_error_t *p2p_spool_put(p2p_spool_t *spool, apr_pool_t *p, const void *bytes, apr_size_t len, apr_int64_t *at);

/* Brings them back. Errors: P2P_E_INTERNAL "spool-unreadable". */
p2p_error_t *p2p_spool_get(p2p_spool_t *spool, apr_pool_t *p, apr_int64_t at, void *bytes, apr_size_t len);

/* A record is not needed any more: its place is free for others. */
void p2p_spool_drop(p2p_spool_t *spool, apr_int64_t at, apr_size_t len);

#endif
