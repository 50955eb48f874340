/* SPDX-License-Identifier: Apache-2.0 */
/* The peers of a runner's exchanges, and how often each gave trouble. */
#ifndef P2P_EXCHANGE_PEERS_H
#define P2P_EXCHANGE_PEERS_H

#include "exchange/exchange.h"

typedef struct p2p_peers_t p2p_peers_t;

/* Those of a runner that asks through loop; in p, with which the loops below go. */
p2p_peers_t *p2p_peers_make(apr_pool_t *p, p2p_http_t *loop);

/* The loop through which a source payer is asked, and that for the target. The former lives as long as the runner: a refresh may outlive its job.
 * Where context has no peers it is the loop itself. */
p2p_http_t *p2p_peers_payer(const p2p_exchange_context_t *context, apr_int64_t server_id);
p2p_http_t *p2p_peers_target(p2p_peers_t *peers);

/* Adds what was counted since the last time to the sums of this hour (store/stat_store.h), and begins anew. What could not be noted is noted the
 * next time. */
p2p_error_t *p2p_peers_note(const p2p_exchange_context_t *context, apr_pool_t *p);

#endif
