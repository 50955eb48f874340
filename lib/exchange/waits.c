/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at the stages of a job for what they wait for. */
#include "exchange/stages.h"

#define GOES_ON (p2p_wait_t){"", 0, 0}

static const char *code_of(int is_source, p2p_trouble_why_t why)
{
    if (why == P2P_TROUBLE_TOKEN) return P2P_WAIT_TOKEN_ENDPOINT;
    if (why == P2P_TROUBLE_ASKS) return is_source ? P2P_WAIT_SOURCE_ASKS : P2P_WAIT_TARGET_ASKS;
    return is_source ? P2P_WAIT_SOURCE_FAILS : P2P_WAIT_TARGET_FAILS;
}

static p2p_wait_t of_token(const p2p_exchange_t *x)
{
    apr_time_t until = 0;

    switch (p2p_token_waits(x->token, &until)) {
    case P2P_TOKEN_ASKED_FOR: return (p2p_wait_t){P2P_WAIT_TOKEN_REFRESH, 0, 0};
    case P2P_TOKEN_COMES_AGAIN: return (p2p_wait_t){P2P_WAIT_TOKEN_ENDPOINT, until, 0};
    case P2P_TOKEN_ELSEWHERE: return (p2p_wait_t){P2P_WAIT_TOKEN_ELSEWHERE, 0, 0};
    case P2P_TOKEN_NOT_WANTED: break;
    }
    return GOES_ON;
}

static p2p_wait_t of_questions(const p2p_exchange_t *x)
{
    const p2p_trouble_t *source = &x->source_trouble, *target = &x->target_trouble;

    if (source->asks_at) return (p2p_wait_t){code_of(1, source->why), source->asks_at, 1};
    if (target->asks_at) return (p2p_wait_t){code_of(0, target->why), target->asks_at, 1};
    return GOES_ON;
}

/* Does it wait until then, rather than go on (0) or have nothing to be done (APR_INT64_MAX)? */
static int is_waiting(apr_time_t until)
{
    return until && until != APR_INT64_MAX;
}

/* What waits for a peer: for the first of it that goes on. What else is left waits for memory, or behind it. */
static p2p_wait_t of_peers(const p2p_exchange_t *x)
{
    p2p_trouble_why_t source_why = P2P_TROUBLE_FAILS, target_why = P2P_TROUBLE_FAILS;
    apr_time_t source = p2p_pull_waits_until(x->pull, &source_why), target = p2p_push_waits_until(x->push, &target_why);
    int may_rest = source && target && !p2p_sequence_has_work(x->sequence) && p2p_letters_is_idle(x->letters);

    if (is_waiting(source) && (source <= target || !target)) return (p2p_wait_t){code_of(1, source_why), source, may_rest};
    if (is_waiting(target)) return (p2p_wait_t){code_of(0, target_why), target, may_rest};
    return GOES_ON;
}

static p2p_wait_t of_room(const p2p_exchange_t *x)
{
    if (p2p_push_waits_its_turn(x->push)) return (p2p_wait_t){P2P_WAIT_CONNECTION, 0, 0};
    if (!p2p_push_is_sending(x->push) && p2p_pull_is_held_up(x->pull)) return (p2p_wait_t){P2P_WAIT_MEMORY, 0, 0};
    return GOES_ON;
}

static p2p_wait_t while_running(const p2p_exchange_t *x)
{
    p2p_wait_t wait = GOES_ON;

    if (p2p_pull_is_receiving(x->pull) || (p2p_push_is_sending(x->push) && !p2p_push_waits_its_turn(x->push))) return wait;
    wait = of_token(x);
    if (!*wait.code) wait = of_peers(x);
    if (!*wait.code) wait = of_room(x);
    return wait;
}

p2p_wait_t p2p_waits(const p2p_exchange_t *x)
{
    p2p_wait_t wait = GOES_ON;

    if (x->error || x->stopping) return wait;
    if (x->phase == RUNNING) return while_running(x);
    if (x->phase != PREPARING) return wait;
    if (x->token) wait = of_token(x);
    return *wait.code ? wait : of_questions(x);
}
