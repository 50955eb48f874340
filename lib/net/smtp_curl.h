/* SPDX-License-Identifier: Apache-2.0 */
/* The real way to send mail: libcurl makes the connection (TLS, AUTH) in the loop of net/http_curl.h, and the few commands of a mail are said here, since
 * libcurl 7.88 would hold the whole loop up until the server has answered the end of a message. */
#ifndef P2P_NET_SMTP_CURL_H
#define P2P_NET_SMTP_CURL_H

#include "net/http.h"
#include "net/smtp.h"

/* A mail is given up for now after so long; of that, connecting and signing in may take so much. */
#define P2P_SMTP_SECONDS 60
#define P2P_SMTP_CONNECT_SECONDS 30

typedef struct p2p_smtp_curl_settings_t {
    const char *server;     /* smtp[s]://HOST[:PORT] */
    int starttls;           /* smtp:// must turn to TLS */
    const char *credential; /* "user:password", or NULL; sent over TLS only, and to loopback */
    const char *ca_file;    /* trusted certificates; NULL: the system's */
    int seconds;            /* for a mail; 0: P2P_SMTP_SECONDS */
} p2p_smtp_curl_settings_t;

/* Makes one in p, which must not outlive http's pool; http is one of p2p_http_curl_make. At most four connections at a time, each kept for half a minute
 * after its last mail. Errors: P2P_E_INVALID "bad-url" for a server that is none, or that would get the password in the clear. */
p2p_error_t *p2p_smtp_curl_make(apr_pool_t *p, p2p_http_t *http, const p2p_smtp_curl_settings_t *settings, p2p_smtp_t **smtp);

#endif
