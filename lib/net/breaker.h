/* SPDX-License-Identifier: Apache-2.0 */
/* A breaker: who failed several times in a row is left alone for a while, then tried once. */
#ifndef P2P_NET_BREAKER_H
#define P2P_NET_BREAKER_H

#include <apr_time.h>

#define P2P_BREAKER_FAILURES 3 /* in a row open it */
#define P2P_BREAKER_REST apr_time_from_sec(10)
#define P2P_BREAKER_LONGEST apr_time_from_sec(60)

/* All zeros: nothing is known against anybody. The caller sees to it that one thread at a time comes here. */
typedef struct p2p_breaker_t {
    int failures;             /* in a row */
    apr_interval_time_t rest; /* 0: closed */
    apr_time_t until;         /* nobody is asked before */
    int on_trial;             /* one is being asked */
} p2p_breaker_t;

/* May somebody be asked now (monotonic)? Where it says 1, p2p_breaker_told has to follow. */
int p2p_breaker_ask(p2p_breaker_t *breaker, apr_time_t now);

/* How that went. Returns 1 where it has opened the breaker, or kept it open after a trial. */
int p2p_breaker_told(p2p_breaker_t *breaker, apr_time_t now, int failed);

#endif
