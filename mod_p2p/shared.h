/* SPDX-License-Identifier: Apache-2.0 */
/* What httpd's children share besides the database: memory that the parent makes before it starts them, and that outlives its restarts. All of it
 * may be missing (no memory to be had): what rests on it then does without. */
#ifndef P2P_MOD_SHARED_H
#define P2P_MOD_SHARED_H

#include <httpd.h>

#include "base/rate.h"
#include "inject_count.h"

#define P2P_SHARED_ROWS 512
#define P2P_SHARED_REFUSALS 64
#define P2P_SHARED_UNNOTED 16

typedef struct p2p_shared_t {
    apr_uint64_t generation;     /* of the definitions, from 1; touched atomically */
    unsigned char hash_key[16];  /* random, for hashes that callers are not to foresee */
    p2p_rate_row_t rates[P2P_SHARED_ROWS]; /* P2PRateLimit */
    p2p_rate_row_t refusals[P2P_SHARED_REFUSALS]; /* audit.c: those that are noted, */
    apr_uint64_t hook_refused, hook_told; /* handle_hook.c: refusals since the log told of some, and when that was; touched atomically */
    p2p_rate_row_t unnoted[P2P_SHARED_UNNOTED];   /* and what the log tells of others */
    apr_uint64_t injected[P2P_INJECT_REASONS];    /* inject_count.c; touched atomically */
} p2p_shared_t;

/* post_config hook: makes it, or finds it again after a restart. */
int p2p_shared_open(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);

/* To be called after each committed change of a definition, before the answer: no child then serves what it kept of any. */
void p2p_shared_bump(const server_rec *s);

/* The generation, to be read before the database is: what was read then is current as long as the generation is the same. 0: no memory is
 * shared, and nothing can be kept. */
apr_uint64_t p2p_shared_generation(const server_rec *s);

/* A keyed hash of a text, the same in all children, which callers cannot foresee. */
apr_uint64_t p2p_shared_hash(const p2p_shared_t *shared, const char *text);

#endif
