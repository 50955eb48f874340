/* SPDX-License-Identifier: Apache-2.0 */
/* When to try again: exponential back-off with jitter, or when the peer says. */
#ifndef P2P_EXCHANGE_RETRY_H
#define P2P_EXCHANGE_RETRY_H

#include <apr_tables.h>
#include <apr_time.h>

#define P2P_LEAST_BYTES 1024 /* in a stall time-out: a peer that sends or takes less has stalled as well */
#define P2P_ATTEMPTS 5 /* of one request, the first included */

/* Is an HTTP status one that may pass: 408, 425, 429, 500, 502, 503, 504? */
int p2p_retry_status(int status);

/* How long to wait before the next attempt, after `attempts` failed ones: half a second doubled each time, with a quarter of
 * jitter either way; or what Retry-After says, at most a minute. fields may be NULL. */
apr_interval_time_t p2p_retry_delay(int attempts, const apr_table_t *fields, apr_time_t now);

#endif
