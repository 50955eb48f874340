/* SPDX-License-Identifier: Apache-2.0 */
/* The runner: claims jobs under a lease and works on them until it is told to stop. */
#ifndef P2P_RUNNER_RUNNER_H
#define P2P_RUNNER_RUNNER_H

#include "model/spec.h"

typedef struct p2p_runner_order_t {
    const p2p_spec_t *spec;
    const p2p_log_t *log;
    int wake_pipe; /* httpd's wake pipe, or -1 */
    int once;      /* ends when the queue is empty; registers as a runner of its own */
} p2p_runner_order_t;

/* Works until SIGTERM, SIGINT or SIGHUP, the end of the wake pipe, or (once) an empty queue. libcurl must be
 * initialised. Returns the exit code (sysexits): 0; 69 where once finds no database; 70; 78 for a database or
 * schema that it cannot work with. */
int p2p_runner_run(apr_pool_t *p, const p2p_runner_order_t *order);

/* The exit code that an error stands for: 69 unavailable, 70 internal, 75 try again later, 78 configuration.
 */
int p2p_exit_code(const p2p_error_t *error);

#endif
