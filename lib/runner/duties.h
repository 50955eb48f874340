/* SPDX-License-Identifier: Apache-2.0 */
/* What a runner sees to from time to time: each duty enqueues the chores that are due, whichever runner comes first. */
#ifndef P2P_RUNNER_DUTIES_H
#define P2P_RUNNER_DUTIES_H

#include "exchange/exchange.h"

typedef struct p2p_duties_t p2p_duties_t;

/* All of them, due at once; in p. */
p2p_duties_t *p2p_duties_make(apr_pool_t *p, p2p_exchange_context_t *context);

/* Does those whose time has come by the monotonic clock, and tells how many chores were enqueued. What goes wrong is logged and done when its time comes
 * again. p is for this call. */
int p2p_duties_do(p2p_duties_t *duties, apr_pool_t *p);

#endif
