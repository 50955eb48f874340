/* SPDX-License-Identifier: Apache-2.0 */
/* What a claim holds, whatever its kind: the few things that a runner does with it. */
#ifndef P2P_RUNNER_WORK_H
#define P2P_RUNNER_WORK_H

#include "exchange/exchange.h"
#include "model/chore.h"

typedef struct p2p_work_kind_t {
    const char *name; /* as in the queue */

    /* Begins a claimed job, which lives as long as the work. ended(baton) is called once from the loop when it is over, however it ended: its
     * row is written (unless the lease was lost), nothing of it is under way; then destroy is called. Never fails: what goes wrong ends it. */
    void *(*begin)(p2p_exchange_context_t *context, const p2p_chore_t *job, void (*ended)(void *baton), void *baton);

    /* Called about once a second: notes progress, looks whether somebody wants it stopped. */
    void (*tick)(void *work);

    /* Is something in flight that SIGTERM should wait for? */
    int (*busy)(const void *work);

    /* Frees it; what is still under way is abandoned, nothing is written to the database. */
    void (*destroy)(void *work);
} p2p_work_kind_t;

extern const p2p_work_kind_t p2p_work_exchange, p2p_work_test, p2p_work_refresh, p2p_work_subscription, p2p_work_tasks,
    p2p_work_mail;

/* The kind of this name; NULL: it is not known here. */
const p2p_work_kind_t *p2p_work_kind(const char *name);

#endif
