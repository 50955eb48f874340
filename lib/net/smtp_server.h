/* SPDX-License-Identifier: Apache-2.0 */
/* The mail server's URL, smtp://HOST[:PORT] or smtps://HOST[:PORT]. */
#ifndef P2P_NET_SMTP_SERVER_H
#define P2P_NET_SMTP_SERVER_H

#include <apr_pools.h>
#include "base/error.h"

typedef struct p2p_smtp_server_t {
    const char *url;  /* in one form, with its port */
    int tls;          /* smtps: from the first byte */
    int is_loopback;
} p2p_smtp_server_t;

/* Takes a URL apart, strings in p. The port is 25, that of smtps 465, where it is left out. Errors: P2P_E_INVALID "bad-url", a sentence such as
 * "must be smtp://HOST[:PORT] or smtps://HOST[:PORT]". */
p2p_error_t *p2p_smtp_server_parse(apr_pool_t *p, const char *text, p2p_smtp_server_t *server);

#endif
