/* SPDX-License-Identifier: Apache-2.0 */
/* A whole answer, or none, within a time. */
#ifndef P2P_NET_HTTP_WITHIN_H
#define P2P_NET_HTTP_WITHIN_H

#include "net/http.h"

/* p2p_http_fetch for peers that are only tried: where the answer has not come whole after limit microseconds the request is cancelled, and done
 * is told P2P_E_UNAVAILABLE "timed-out". Where p is destroyed before, it is cancelled and nobody is told; done may destroy p. */
p2p_error_t *p2p_http_within(p2p_http_t *http, apr_pool_t *p, const p2p_http_request_t *request, apr_interval_time_t limit,
                             p2p_http_whole_fn done, void *baton);

#endif
