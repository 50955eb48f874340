/* SPDX-License-Identifier: Apache-2.0 */
/* The Subscription at the target: made, kept as it should be, and looked after. */
#ifndef P2P_RUNNER_SUBSCRIPTION_RUN_H
#define P2P_RUNNER_SUBSCRIPTION_RUN_H

#include "exchange/exchange.h"

/* A duty: enqueues its check where there is a P2PHookURL and the check is due. *asked tells whether it did. */
p2p_error_t *p2p_subscription_ask_due(const p2p_exchange_context_t *context, apr_pool_t *p, int *asked);

/* The same whether it is due or not, at the start of a runner. */
p2p_error_t *p2p_subscription_ask(const p2p_exchange_context_t *context, apr_pool_t *p, int *asked);

#endif
