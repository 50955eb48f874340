/* SPDX-License-Identifier: Apache-2.0 */
/* Mail that is due. */
#ifndef P2P_RUNNER_MAIL_RUN_H
#define P2P_RUNNER_MAIL_RUN_H

#include "exchange/exchange.h"

/* A duty: enqueues P2P_KIND_MAIL where mail is due that nobody sees to, the queue does not rest, and there is a mail server. */
p2p_error_t *p2p_mail_ask_due(const p2p_exchange_context_t *context, apr_pool_t *p, int *asked);

#endif
