/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 over bytes as they come. */
#ifndef P2P_BASE_SHA256_H
#define P2P_BASE_SHA256_H

#include <apr_pools.h>

typedef struct evp_md_ctx_st p2p_sha256_t;

/* Begins one, on the heap. Out of memory aborts. */
p2p_sha256_t *p2p_sha256_begin(void);

void p2p_sha256_add(p2p_sha256_t *sha256, const void *bytes, apr_size_t len);

/* What it comes to as hex (64 characters, lower case), in p; frees it. */
const char *p2p_sha256_end(apr_pool_t *p, p2p_sha256_t *sha256);

/* Frees one that is not wanted any more. NULL is fine. */
void p2p_sha256_drop(p2p_sha256_t *sha256);

#endif
