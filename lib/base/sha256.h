/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 over bytes as they come. */
#ifndef P2P_BASE_SHA256_H
#define P2P_BASE_SHA256_H

#include <apr.h>

#define P2P_SHA256_HEX 64 /* characters */

typedef struct evp_md_ctx_st p2p_sha256_t;

/* Begins one, on the heap. Out of memory aborts. */
p2p_sha256_t *p2p_sha256_begin(void);

void p2p_sha256_add(p2p_sha256_t *sha256, const void *bytes, apr_size_t len);

/* Writes it as hex (lower case) and a NUL, and frees it. */
void p2p_sha256_end(p2p_sha256_t *sha256, char hex[P2P_SHA256_HEX + 1]);

/* Frees one that is not wanted any more. NULL is fine. */
void p2p_sha256_drop(p2p_sha256_t *sha256);

#endif
