/* SPDX-License-Identifier: Apache-2.0 */
/* What ends a runner's waiting from outside: signals, and the pipe on which httpd says that there is work. */
#ifndef P2P_RUNNER_WAKE_H
#define P2P_RUNNER_WAKE_H

#include <apr_pools.h>
#include "base/error.h"

typedef struct p2p_wake_t {
    int fd; /* readable when p2p_wake_read has something to tell */
    int signal_fd, pipe_fd;
} p2p_wake_t;

enum { P2P_WAKE_LOOK = 1, P2P_WAKE_STOP = 2 };

/* Sets every signal's disposition, whatever was inherited: the usual one, but that writing to a closed pipe
 * or over a limit is an error of the call, and that SIGUSR1 and SIGUSR2 are ignored. */
void p2p_signals_reset(void);

/* From here on SIGTERM, SIGINT and SIGHUP no longer end the process but are told by p2p_wake_read. pipe_fd is
 * the wake pipe's read end, or -1. The descriptors are closed with p. Errors: P2P_E_INTERNAL. */
p2p_error_t *p2p_wake_open(apr_pool_t *p, int pipe_fd, p2p_wake_t *wake);

/* What has come: P2P_WAKE_LOOK for bytes in the pipe; P2P_WAKE_STOP for a signal, or the end of the pipe
 * (nobody is left who could write to it, which is told once). Never waits. */
int p2p_wake_read(p2p_wake_t *wake);

#endif
