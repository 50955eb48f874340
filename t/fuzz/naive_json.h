/* SPDX-License-Identifier: Apache-2.0 */
/* A second opinion on what is JSON: slow, recursive, written after RFC 8259 and RFC 3629 alone. */
#ifndef P2P_NAIVE_JSON_H
#define P2P_NAIVE_JSON_H

#include <stddef.h>
#include <stdint.h>

typedef enum { NAIVE_GOOD, NAIVE_BAD, NAIVE_CUT } naive_t;

/* Is data one JSON text, nested at most max_depth? BAD sets *at to the first byte that cannot stand where it
 * does; CUT means that more bytes could make it one. */
naive_t naive_json(const uint8_t *data, size_t size, int max_depth, size_t *at);

#endif
