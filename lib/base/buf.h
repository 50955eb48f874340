/* SPDX-License-Identifier: Apache-2.0 */
/* A growing byte buffer on the heap with a limit told at the start; contents are always followed by a NUL. */
#ifndef P2P_BASE_BUF_H
#define P2P_BASE_BUF_H

#include <apr.h>

typedef struct p2p_buf_t {
    char *data; /* NULL while empty and never written to */
    apr_size_t len, cap;
    apr_size_t max; /* len never exceeds it */
    int overflow;   /* something did not fit: the contents are incomplete and must not be used */
} p2p_buf_t;

/* An empty buffer of at most max bytes. */
void p2p_buf_init(p2p_buf_t *buf, apr_size_t max);

/* Frees the memory; the buffer is empty again, with the same limit. */
void p2p_buf_free(p2p_buf_t *buf);

/* Forgets the contents, keeps the memory. */
void p2p_buf_clear(p2p_buf_t *buf);

/* Gives back most of the memory beyond the contents, where that is much. */
void p2p_buf_trim(p2p_buf_t *buf);

/* Hands the block of the contents over, to be freed by the caller; the buffer is empty again, with the same limit. NULL where it has none. */
char *p2p_buf_take(p2p_buf_t *buf);

/* Makes room for more bytes behind len. Returns 1, or 0 and sets overflow where that would exceed max.
 * Out of memory ends the process (abort), as in APR. */
int p2p_buf_reserve(p2p_buf_t *buf, apr_size_t more);

/* Appends; where it does not fit, sets overflow and appends nothing. */
void p2p_buf_add(p2p_buf_t *buf, const void *bytes, apr_size_t len);
void p2p_buf_puts(p2p_buf_t *buf, const char *text);
void p2p_buf_cat(p2p_buf_t *buf, ...) __attribute__((sentinel)); /* texts, NULL behind the last: each of them as a whole */
void p2p_buf_printf(p2p_buf_t *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Appends text as a JSON string, quotes included, escaping what RFC 8259 demands. */
void p2p_buf_json(p2p_buf_t *buf, const char *text, apr_size_t len);

/* Removes the first len bytes (memmove of the rest). */
void p2p_buf_consume(p2p_buf_t *buf, apr_size_t len);

#endif
