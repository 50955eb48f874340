/* SPDX-License-Identifier: Apache-2.0 */
/* Why an exchange does not go on at this moment. */
#ifndef P2P_EXCHANGE_WAITS_H
#define P2P_EXCHANGE_WAITS_H

#include <apr_time.h>

struct p2p_exchange_t;

typedef struct p2p_wait_t {
    const char *code; /* P2P_WAIT_... of model/job.h; "" where it goes on, or comes to its end */
    apr_time_t until; /* monotonic: the first of what waits for a peer goes on then; 0: not known */
    int may_rest;     /* until then there is nothing to be done: the job may give its slot back */
} p2p_wait_t;

/* What x waits for, as a look at its stages tells; its code is "" while any of it goes on. */
p2p_wait_t p2p_waits(const struct p2p_exchange_t *x);

#endif
