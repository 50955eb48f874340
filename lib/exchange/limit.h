/* SPDX-License-Identifier: Apache-2.0 */
/* How large Bundles may be, learnt from a target that refused one and took all of it in smaller ones. */
#ifndef P2P_EXCHANGE_LIMIT_H
#define P2P_EXCHANGE_LIMIT_H

#include "exchange/outgoing.h"

typedef struct p2p_limit_t {
    int entries;             /* in a Bundle, */
    apr_uint64_t bytes;      /* and of its resources */
    apr_uint64_t most_bytes; /* that went in at once so far */
} p2p_limit_t;

/* second was parted from outgoing, since the target answered status to both together (0: none in time). */
void p2p_limit_parted(p2p_outgoing_t *outgoing, p2p_outgoing_t *second, int status);

/* again takes over some of outgoing's resources. */
void p2p_limit_shared(const p2p_outgoing_t *outgoing, p2p_outgoing_t *again);

/* All of it went in; one of its resources was refused. */
void p2p_limit_went_in(p2p_limit_t *limit, const p2p_outgoing_t *outgoing);
void p2p_limit_refused(const p2p_outgoing_t *outgoing);

/* It is at its end. Where it is the last of those that one Bundle was parted into, and nothing of that was refused, its size was at fault:
 * from now on none is larger than the largest of the parts. */
void p2p_limit_ended(p2p_limit_t *limit, p2p_outgoing_t *outgoing);

#endif
