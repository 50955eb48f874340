/* SPDX-License-Identifier: Apache-2.0 */
/* Who may hold how much of what has not come whole.
 *
 * An entry is handed on when all of it is there, and may be as long as a resource may be. Were each page let go on until its entry is whole,
 * then all jobs' pages together would hold many times P2PMemory. So they may grow as long as all of them hold no more than a quarter of it;
 * beyond that one page goes first, and the others that would grow are paused. And none goes first while what has been read and moves to the
 * target takes most of the memory: else each job would have a large resource there.
 *
 * Nobody waits for ever. What moves gets to the target, or is refused, without anything that is yet to be read; while somebody waits for that,
 * jobs that have something to move are full earlier (p2p_reading_left), so that other jobs' small resources do not keep it up. Otherwise who
 * waits does so for the one that goes first, never for another that waits; and the first one is held up by its source, which stalls or
 * sends (and is given up where that takes too long), and by a full job, which drains: a job with nothing to move is never full. When it comes
 * to its end, by whatever way, the page that has waited longest goes first. */
#include "exchange/reading.h"

#define SHARE 4                             /* of P2PMemory: for all pages together */
#define FREE (64 << 10)                     /* so much each of them may always hold */
#define FIRST_TIME apr_time_from_sec(300)   /* of the peer's, while others wait; 64 MiB at 220 KiB a second */

struct p2p_reading_t {
    const p2p_clock_t *clock;
    apr_int64_t held, most;
    apr_int64_t moving, most_moving;
    apr_int64_t memory;
    p2p_share_t *first;                 /* goes first */
    p2p_share_t *waiting, **waiting_end;
};

p2p_reading_t *p2p_reading_make(apr_pool_t *p, const p2p_clock_t *clock, apr_int64_t memory)
{
    p2p_reading_t *reading = apr_pcalloc(p, sizeof *reading);

    reading->clock = clock;
    reading->memory = memory;
    reading->most = memory / SHARE;
    reading->most_moving = memory - memory / SHARE;
    reading->waiting_end = &reading->waiting;
    return reading;
}

static apr_time_t now(const p2p_reading_t *reading)
{
    return reading->clock->monotonic(reading->clock->baton);
}

static void goes_first(p2p_reading_t *reading, p2p_share_t *share)
{
    reading->first = share;
    share->took = 0;
    share->looked = 0;
}

static void take_out(p2p_reading_t *reading, p2p_share_t *share)
{
    p2p_share_t **at = &reading->waiting;

    if (!share->waits) return;
    while (*at != share) at = &(*at)->next;
    *at = share->next;
    if (!*at) reading->waiting_end = at;
    share->waits = 0;
}

static void put_in(p2p_reading_t *reading, p2p_share_t *share)
{
    if (share->waits) return;
    share->waits = 1;
    share->next = NULL;
    *reading->waiting_end = share;
    reading->waiting_end = &share->next;
}

static int may_go_first(const p2p_reading_t *reading)
{
    return !reading->first && reading->moving <= reading->most_moving;
}

/* Lets go on who need not wait any more. */
static void settle(p2p_reading_t *reading)
{
    while (reading->waiting && (reading->held <= reading->most || may_go_first(reading))) {
        p2p_share_t *share = reading->waiting;

        take_out(reading, share);
        if (reading->held > reading->most) goes_first(reading, share);
        share->go_on(share->baton);
    }
}

/* What has just been handed on is not among what moves yet: that is told from the loop, soon after somebody is told to go on. */
static void settle_soon(const p2p_reading_t *reading)
{
    if (reading->waiting) reading->waiting->go_on(reading->waiting->baton);
}

static void account(p2p_reading_t *reading, p2p_share_t *share, apr_size_t bytes)
{
    reading->held += (apr_int64_t)bytes - (apr_int64_t)share->held;
    share->held = bytes;
}

static p2p_reading_word_t go_first(p2p_reading_t *reading, p2p_share_t *share)
{
    apr_time_t at = now(reading);

    if (share->looked) share->took += at - share->looked;
    share->looked = at;
    return reading->waiting && share->took > FIRST_TIME ? P2P_READING_SLOW : P2P_READING_GO;
}

p2p_reading_word_t p2p_reading_hold(p2p_reading_t *reading, p2p_share_t *share, apr_size_t bytes)
{
    account(reading, share, bytes);
    if (bytes <= FREE && reading->first == share) {
        reading->first = NULL;
        settle_soon(reading);
    }
    if (reading->first == share) return go_first(reading, share);
    if (bytes <= FREE || reading->held <= reading->most) return P2P_READING_GO;
    if (!reading->waiting && may_go_first(reading)) {
        goes_first(reading, share);
        return P2P_READING_GO;
    }
    put_in(reading, share);
    return P2P_READING_WAIT;
}

void p2p_reading_paused(p2p_share_t *share)
{
    share->looked = 0;
}

void p2p_reading_leave(p2p_reading_t *reading, p2p_share_t *share)
{
    take_out(reading, share);
    account(reading, share, 0);
    if (reading->first == share) reading->first = NULL;
    settle_soon(reading);
}

void p2p_reading_moving(p2p_reading_t *reading, apr_int64_t *told, apr_int64_t moving)
{
    reading->moving += moving - *told;
    *told = moving;
    settle(reading);
}

apr_int64_t p2p_reading_left(const p2p_reading_t *reading)
{
    int is_held_up = reading->waiting && !reading->first;

    return (is_held_up ? reading->memory / 2 : reading->memory) - reading->held;
}
