/* SPDX-License-Identifier: Apache-2.0 */
/* What all pages of a runner may hold of entries that have not come whole: a share each, and one at a time as much as a resource takes. */
#ifndef P2P_EXCHANGE_READING_H
#define P2P_EXCHANGE_READING_H

#include <apr_pools.h>
#include "base/clock.h"

typedef struct p2p_reading_t p2p_reading_t;

/* One page's part in it; zeroed, then filled in by its owner. */
typedef struct p2p_share_t p2p_share_t;
struct p2p_share_t {
    void (*go_on)(void *baton); /* it may be that it need not wait any more: to be looked at soon, from the loop, behind p2p_reading_moving */
    void *baton;
    /* reading's own */
    apr_size_t held;
    int waits;                  /* to be read by its owner */
    apr_time_t looked;          /* monotonic; 0: the time until now does not count */
    apr_interval_time_t took;   /* so far, as the one that goes first */
    p2p_share_t *next;
};

typedef enum {
    P2P_READING_GO,
    P2P_READING_WAIT, /* as long as share->waits */
    P2P_READING_SLOW  /* it goes first, others wait, and its peer takes too long: to be given up for now */
} p2p_reading_word_t;

/* Makes one in p for a runner with so much memory for its jobs. */
p2p_reading_t *p2p_reading_make(apr_pool_t *p, const p2p_clock_t *clock, apr_int64_t memory);

/* The page holds so many bytes now: may it take more? */
p2p_reading_word_t p2p_reading_hold(p2p_reading_t *reading, p2p_share_t *share, apr_size_t bytes);

/* Its owner pauses for another reason: that time is not its peer's. */
void p2p_reading_paused(p2p_share_t *share);

/* It holds nothing any more, and does not wait. */
void p2p_reading_leave(p2p_reading_t *reading, p2p_share_t *share);

/* A job has so many bytes that go to the target without anything that is yet to be read; *told is what it told last. To be called whenever a
 * job looks at what can go on: who waits is let go on from here. */
void p2p_reading_moving(p2p_reading_t *reading, apr_int64_t *told, apr_int64_t moving);

/* What all jobs' stages may hold besides what pages hold: less while somebody waits for what moves to become less. */
apr_int64_t p2p_reading_left(const p2p_reading_t *reading);

#endif
