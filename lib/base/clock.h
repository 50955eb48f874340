/* SPDX-License-Identifier: Apache-2.0 */
/* Times: the clock (which tests can drive), and the ISO 8601 forms used on the wire. */
#ifndef P2P_BASE_CLOCK_H
#define P2P_BASE_CLOCK_H

#include <apr_pools.h>
#include <apr_time.h>

typedef struct p2p_clock_t {
    apr_time_t (*now)(void *baton);       /* wall clock, microseconds since the epoch, UTC */
    apr_time_t (*monotonic)(void *baton); /* microseconds, never goes back; for leases, time-outs, back-off */
    void *baton;
} p2p_clock_t;

/* The operating system's clocks (CLOCK_REALTIME, CLOCK_MONOTONIC). */
p2p_clock_t p2p_clock_system(void);

#define P2P_ISO_TIME_LEN 24 /* 2026-11-22T09:31:54.024Z */

/* Writes t as 2026-11-22T09:31:54.024Z (24 characters and a NUL) into out; microseconds are cut, not rounded.
 */
void p2p_time_format(char out[P2P_ISO_TIME_LEN + 1], apr_time_t t);

/* The same as a string in p. */
const char *p2p_time_iso(apr_pool_t *p, apr_time_t t);

/* Parses a FHIR instant or dateTime (YYYY, YYYY-MM, YYYY-MM-DD, or a full one with seconds, any fraction, and
 * Z or an offset) of len bytes. Returns 1 and sets *t, or 0 where it is none. */
int p2p_time_parse(const char *text, apr_size_t len, apr_time_t *t);

#endif
