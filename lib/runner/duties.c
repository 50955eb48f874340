/* SPDX-License-Identifier: Apache-2.0 */
/* The table of duties. */
#include "runner/duties.h"

#include "exchange/peers.h"
#include "runner/mail_run.h"
#include "runner/subscription_run.h"
#include "runner/task_look.h"
#include "runner/trusts.h"

typedef p2p_error_t *(*ask_fn)(const p2p_exchange_context_t *context, apr_pool_t *p, int *asked);

typedef struct duty_t {
    const char *not_done; /* the sentence where it fails */
    apr_interval_time_t every;
    ask_fn first, ask; /* at the start of the runner, and from then on */
} duty_t;

/* Asks for no chore. */
static p2p_error_t *note_peers(const p2p_exchange_context_t *context, apr_pool_t *p, int *asked)
{
    *asked = 0;
    return p2p_peers_note(context, p);
}

static const duty_t table[] = {
    {"Keys of trusted issuers are not fetched now", apr_time_from_sec(60), p2p_trusts_ask_old, p2p_trusts_ask_old},
    {"The Subscription at the target is not looked at now", apr_time_from_sec(2), p2p_subscription_ask, p2p_subscription_ask_due},
    {"Tasks of the target are not looked at now", apr_time_from_sec(2), p2p_task_look_ask, p2p_task_look_ask_due},
    {"Errors of peers are counted later", apr_time_from_sec(5), note_peers, note_peers},
    {"Mail is not sent now", apr_time_from_sec(5), p2p_mail_ask_due, p2p_mail_ask_due},
};

#define DUTIES (sizeof table / sizeof *table)

struct p2p_duties_t {
    p2p_exchange_context_t *context;
    apr_time_t next[DUTIES];
    int has_begun[DUTIES];
};

p2p_duties_t *p2p_duties_make(apr_pool_t *p, p2p_exchange_context_t *context)
{
    p2p_duties_t *duties = apr_pcalloc(p, sizeof *duties);

    duties->context = context;
    return duties;
}

int p2p_duties_do(p2p_duties_t *duties, apr_pool_t *p)
{
    const p2p_exchange_context_t *context = duties->context;
    int all = 0;

    for (apr_size_t i = 0; i < DUTIES; i++) {
        apr_time_t now = context->clock->monotonic(context->clock->baton);
        p2p_error_t *error;
        int asked = 0;

        if (now < duties->next[i]) continue;
        error = (duties->has_begun[i] ? table[i].ask : table[i].first)(context, p, &asked);
        if (!error) duties->has_begun[i] = 1;
        if (error) p2p_log_error(context->log, P2P_LOG_WARN, table[i].not_done, error);
        duties->next[i] = now + table[i].every;
        all += asked;
    }
    return all;
}
