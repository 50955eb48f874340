/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks of the target are looked at: those that were hinted at, and what a search finds. */
#ifndef P2P_RUNNER_TASK_LOOK_H
#define P2P_RUNNER_TASK_LOOK_H

#include "exchange/exchange.h"

/* A duty: enqueues a look where a search is due or hints wait, and not before trouble may have passed. Nothing is looked at where nobody could be
 * told: without P2PHookURL and P2PMailServer. *asked tells whether it did. */
p2p_error_t *p2p_task_look_ask_due(const p2p_exchange_context_t *context, apr_pool_t *p, int *asked);

/* At the start of a runner: a search, whether it is due or not. */
p2p_error_t *p2p_task_look_ask(const p2p_exchange_context_t *context, apr_pool_t *p, int *asked);

#endif
