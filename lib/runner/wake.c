/* SPDX-License-Identifier: Apache-2.0 */
/* Signals and the wake pipe as one descriptor to wait for. */
#include "runner/wake.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

void p2p_signals_reset(void)
{
    static const int ignored[] = {SIGPIPE, SIGXFSZ, SIGUSR1, SIGUSR2};
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;

    /* Those that cannot be set, SIGKILL and SIGSTOP among them, are as they should be. */
    for (int i = 1; i < NSIG; i++) sigaction(i, &action, NULL);
    action.sa_handler = SIG_IGN;
    for (apr_size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) sigaction(ignored[i], &action, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static apr_status_t close_all(void *baton)
{
    p2p_wake_t *wake = baton;

    if (wake->signal_fd >= 0) close(wake->signal_fd);
    if (wake->fd >= 0) close(wake->fd);
    return APR_SUCCESS;
}

static int watch(int set, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};

    return epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
}

p2p_error_t *p2p_wake_open(apr_pool_t *p, int pipe_fd, p2p_wake_t *wake)
{
    sigset_t ends;

    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGHUP);
    wake->pipe_fd = pipe_fd;
    wake->signal_fd = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
    wake->fd = epoll_create1(EPOLL_CLOEXEC);
    apr_pool_cleanup_register(p, wake, close_all, apr_pool_cleanup_null);
    if (wake->signal_fd < 0 || wake->fd < 0 || watch(wake->fd, wake->signal_fd) ||
        (pipe_fd >= 0 && watch(wake->fd, pipe_fd)) || sigprocmask(SIG_BLOCK, &ends, NULL))
        return p2p_error_make(p, P2P_E_INTERNAL, "no-descriptors", "The runner cannot wait for signals and work: %s.",
                              strerror(errno));
    return NULL;
}

/* One read is enough: what is left makes the descriptor readable again. */
static int read_pipe(p2p_wake_t *wake)
{
    char bytes[4096];
    ssize_t n = read(wake->pipe_fd, bytes, sizeof bytes);

    if (n > 0) return P2P_WAKE_LOOK;
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    epoll_ctl(wake->fd, EPOLL_CTL_DEL, wake->pipe_fd, NULL);
    wake->pipe_fd = -1;
    return P2P_WAKE_STOP;
}

static int is_ready(const p2p_wake_t *wake)
{
    struct epoll_event event;

    return epoll_wait(wake->fd, &event, 1, 0) > 0;
}

int p2p_wake_read(p2p_wake_t *wake)
{
    struct signalfd_siginfo told;
    int what = 0;

    if (!is_ready(wake)) return 0;
    while (read(wake->signal_fd, &told, sizeof told) == sizeof told) what |= P2P_WAKE_STOP;
    /* Only the pipe may be what is left, and then reading it does not wait. */
    if (wake->pipe_fd >= 0 && is_ready(wake)) what |= read_pipe(wake);
    return what;
}
