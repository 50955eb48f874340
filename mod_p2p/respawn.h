/* SPDX-License-Identifier: Apache-2.0 */
/* When a runner that died is started again. */
#ifndef P2P_MOD_RESPAWN_H
#define P2P_MOD_RESPAWN_H

#include <apr_time.h>

/* Zero at first. */
typedef struct p2p_respawn_t {
    int quick_deaths; /* in a row: within a minute of the start */
} p2p_respawn_t;

/* A runner died after living for uptime; returns how long to wait: nothing after the first quick death or a
 * life of over a minute, then 2 s, doubling up to 5 min, of which random (any number) takes away up to a
 * half. A life of ten minutes makes good for earlier deaths. */
apr_interval_time_t p2p_respawn_delay(p2p_respawn_t *respawn, apr_interval_time_t uptime, unsigned random);

#endif
