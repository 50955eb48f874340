/* SPDX-License-Identifier: Apache-2.0 */
/* A breaker's states: closed (rest is 0), open until a time, on trial. */
#include "net/breaker.h"

int p2p_breaker_ask(p2p_breaker_t *breaker, apr_time_t now)
{
    if (!breaker->rest) return 1;
    if (breaker->on_trial || now < breaker->until) return 0;
    breaker->on_trial = 1;
    return 1;
}

static int rest(p2p_breaker_t *breaker, apr_time_t now, apr_interval_time_t how_long)
{
    breaker->rest = how_long < P2P_BREAKER_LONGEST ? how_long : P2P_BREAKER_LONGEST;
    breaker->until = now + breaker->rest;
    breaker->on_trial = 0;
    return 1;
}

int p2p_breaker_told(p2p_breaker_t *breaker, apr_time_t now, int failed)
{
    static const p2p_breaker_t closed = {0, 0, 0, 0};

    if (!failed) {
        *breaker = closed;
        return 0;
    }
    if (breaker->on_trial && now >= breaker->until) return rest(breaker, now, breaker->rest * 2);
    if (breaker->rest) return 0; /* asked before it opened */
    return ++breaker->failures < P2P_BREAKER_FAILURES ? 0 : rest(breaker, now, P2P_BREAKER_REST);
}
