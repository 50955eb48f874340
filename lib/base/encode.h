/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as text. */
#ifndef P2P_BASE_ENCODE_H
#define P2P_BASE_ENCODE_H

#include <apr_pools.h>

/* Lower-case hex digits of len bytes, in p. */
char *p2p_hex(apr_pool_t *p, const unsigned char *bytes, apr_size_t len);

/* The value of a hex digit; -1: it is none. */
int p2p_hex_value(char c);

/* Base64url without padding (RFC 4648 section 5) of at most 1.5 GiB, in p. */
char *p2p_base64url_encode(apr_pool_t *p, const unsigned char *bytes, apr_size_t len);

/* Back again, in p. Returns 1, or 0 where text is no base64url, has padding or spaces, or is not the one text of its bytes. */
int p2p_base64url_decode(apr_pool_t *p, const char *text, unsigned char **bytes, apr_size_t *len);

#endif
