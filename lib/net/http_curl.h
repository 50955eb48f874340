/* SPDX-License-Identifier: Apache-2.0 */
/* The real HTTP client: libcurl's multi interface. */
#ifndef P2P_NET_HTTP_CURL_H
#define P2P_NET_HTTP_CURL_H

#include "base/clock.h"
#include "net/http.h"

typedef struct p2p_http_curl_settings_t {
    const char *ca_file;      /* trusted certificates; NULL: the system's */
    const char *user_agent;
} p2p_http_curl_settings_t;

/* Makes a loop in p; it ends (transfers cancelled, connections closed) when p is destroyed. Errors:
 * P2P_E_INTERNAL. */
p2p_error_t *p2p_http_curl_make(apr_pool_t *p, const p2p_http_curl_settings_t *settings, const p2p_clock_t *clock,
                                p2p_http_t **http);

#endif
