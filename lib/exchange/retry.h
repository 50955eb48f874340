/* SPDX-License-Identifier: Apache-2.0 */
/* When to try again: exponential back-off with jitter, or when the peer says, for as long as trouble may last. */
#ifndef P2P_EXCHANGE_RETRY_H
#define P2P_EXCHANGE_RETRY_H

#include <apr_tables.h>

#include "base/clock.h"

#define P2P_LEAST_BYTES 1024 /* in a stall time-out: a peer that sends or takes less has stalled as well */

#define P2P_ATTEMPTS 5 /* where time is not what counts: of a thing that fails in the same way each time, the first included */

/* What comes again later does so for this reason. */
typedef enum {
    P2P_TROUBLE_FAILS, /* the peer is away, or fails */
    P2P_TROUBLE_ASKS,  /* the peer told when to come again */
    P2P_TROUBLE_TOKEN  /* there is no token for it */
} p2p_trouble_why_t;

/* Trouble that may pass, with one peer of one job. All that the job asks of that peer shares it: as long as anything goes well, nothing
 * is given up. */
typedef struct p2p_trouble_t {
    const p2p_clock_t *clock;
    apr_interval_time_t lasts;         /* how long it may (P2PRetryFor); 0: P2P_ATTEMPTS attempts at a thing instead */
    unsigned (*random)(void *baton);   /* 0 … 65535, for the jitter; NULL: the system's */
    void *random_baton;
    int is_on;                         /* there is trouble, */
    apr_time_t since;                  /* monotonic, since then */
    int is_recalled;                   /* an earlier runner noted it: only what lands ends it */
    p2p_trouble_why_t why;             /* of what p2p_trouble_next told last */
    apr_time_t asks_at;                /* monotonic: a small request (exchange/ask) waits until then; 0: none waits */
} p2p_trouble_t;

/* p2p_http_may_pass, of net/http.h. */
int p2p_retry_status(int status);

/* Something failed for the attempts-th time (from 1), in a way that may pass. Returns 0 where the trouble has lasted too long; else 1 and
 * how long to wait: half a second doubled with each attempt, at most five minutes, a quarter of jitter either way; or what Retry-After
 * says (fields may be NULL), at least half a second; never beyond the time that trouble may last. */
int p2p_trouble_next(p2p_trouble_t *trouble, int attempts, const apr_table_t *fields, apr_interval_time_t *delay);

/* Something went well: the trouble is over, unless it was recalled. */
void p2p_trouble_over(p2p_trouble_t *trouble);

/* Something landed: so is what was recalled. */
void p2p_trouble_landed(p2p_trouble_t *trouble);

/* How long there has been trouble, in microseconds; 0 while all is well. */
apr_interval_time_t p2p_trouble_lasting(const p2p_trouble_t *trouble);

/* There has been trouble for so long already (0: none), as an earlier runner noted. */
void p2p_trouble_recall(p2p_trouble_t *trouble, apr_interval_time_t lasting);

#endif
