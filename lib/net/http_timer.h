/* SPDX-License-Identifier: Apache-2.0 */
/* The timers of an event loop: a heap by due time. */
#ifndef P2P_NET_HTTP_TIMER_H
#define P2P_NET_HTTP_TIMER_H

#include <apr_pools.h>
#include <apr_time.h>
#include "net/http.h"

typedef struct p2p_timers_t p2p_timers_t;

struct p2p_http_timer_t {
    p2p_timers_t *timers;
    apr_time_t due;       /* on the clock that the caller passes in; monotonic */
    apr_uint64_t order;   /* timers that are due at once fire in the order they were made */
    int place;            /* in the heap */
    void (*fn)(void *baton);
    void *baton;
    p2p_http_timer_t *next; /* while it is free */
};

/* None yet; in p. */
p2p_timers_t *p2p_timers_make(apr_pool_t *p);

/* Adds one that fires at due; it is gone once it has fired or was cancelled. */
p2p_http_timer_t *p2p_timers_add(p2p_timers_t *timers, apr_time_t due, void (*fn)(void *baton), void *baton);

/* Takes one away that has not fired. NULL is allowed. */
void p2p_timers_cancel(p2p_http_timer_t *timer);

/* When the next one is due, or -1 where there is none. */
apr_time_t p2p_timers_next(const p2p_timers_t *timers);

/* Fires what is due at now, bar what is added meanwhile; returns how many. */
int p2p_timers_run(p2p_timers_t *timers, apr_time_t now);

#endif
