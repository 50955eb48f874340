/* SPDX-License-Identifier: Apache-2.0 */
/* Rates: how many calls a second each of many callers makes, in a table of fixed size that processes share without locks. */
#ifndef P2P_BASE_RATE_H
#define P2P_BASE_RATE_H

#include <apr.h>
#include <apr_time.h>

#define P2P_RATE_WAYS 8 /* callers that a row of the table tells apart */

/* One caller; zero at first. Both are only ever touched atomically. */
typedef struct p2p_rate_slot_t {
    apr_uint64_t caller; /* his hash; 0: nobody yet */
    apr_uint64_t full;   /* when his bucket is full again, in microseconds of the monotonic clock */
} p2p_rate_slot_t;

typedef struct p2p_rate_row_t {
    p2p_rate_slot_t slots[P2P_RATE_WAYS];
} p2p_rate_row_t;

/* Takes one call out of the bucket of a caller (a keyed hash of his name, so that nobody chooses whom he meets), which holds 2 * per_second
 * of them and gets per_second (1 to 1,000,000) each second, at the monotonic time now. Returns 0, or how long it takes until there is one
 * again, in which case none is taken. Where more than P2P_RATE_WAYS callers of one row are at work at a time, those beyond share one's bucket:
 * they get less than their due, never more. (Two first calls of one caller in the same instant may be counted as one.) */
apr_interval_time_t p2p_rate_take(p2p_rate_row_t *rows, apr_size_t count, apr_uint64_t caller, int per_second, apr_time_t now);

#endif
