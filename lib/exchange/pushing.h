/* SPDX-License-Identifier: Apache-2.0 */
/* The insides of pushing, shared by push.c and push_open.c. */
#ifndef P2P_EXCHANGE_PUSHING_H
#define P2P_EXCHANGE_PUSHING_H

#include "exchange/limit.h"
#include "exchange/outgoing.h"
#include "exchange/push.h"

struct p2p_push_t {
    p2p_push_settings_t set;
    apr_pool_t *pool;
    p2p_outgoing_t *open;
    unsigned open_number;
    p2p_outgoing_t *queue, *queue_tail;
    p2p_outgoing_t **alive; /* all but the open one */
    int alive_count, alive_room;
    int queued, in_flight, broken, draining;
    int in_line; /* of those in flight: which wait for other jobs' to come off their connections */
    p2p_limit_t limit;
    int refused_some; /* so that links which were good when they were bundled may not be so any more */
    apr_array_header_t *fields;
};

/* A Bundle is closed, and waits for a connection; sends what can be sent. */
void p2p_pushing_begin(p2p_push_t *push, p2p_outgoing_t *outgoing);
void p2p_pushing_send(p2p_push_t *push);

#endif
