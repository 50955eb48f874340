/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of work, and the exchange as one of them. */
#include "runner/work.h"

#include <string.h>

static void *begin(p2p_exchange_context_t *context, const p2p_chore_t *job, void (*ended)(void *baton), void *baton)
{
    return p2p_exchange_begin(context, &job->job, ended, baton);
}

static void tick(void *work)
{
    p2p_exchange_tick(work);
}

static int busy(const void *work)
{
    return p2p_exchange_busy(work);
}

static void destroy(void *work)
{
    p2p_exchange_destroy(work);
}

const p2p_work_kind_t p2p_work_exchange = {P2P_KIND_EXCHANGE, begin, tick, busy, destroy};

static const p2p_work_kind_t *const kinds[] = {&p2p_work_exchange, &p2p_work_test, &p2p_work_refresh, &p2p_work_subscription,
                                              &p2p_work_tasks, &p2p_work_mail};

const p2p_work_kind_t *p2p_work_kind(const char *name)
{
    for (apr_size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i]->name, name)) return kinds[i];
    return NULL;
}
