/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 (RFC 3629), character by character. */
#ifndef P2P_BASE_UTF8_H
#define P2P_BASE_UTF8_H

#include <apr.h>

/* Bytes of the character at s, of which left (at least 1) can be read: 1 to 4, or 0 where there is none. */
apr_size_t p2p_utf8_sequence(const char *s, apr_size_t left);

#endif
