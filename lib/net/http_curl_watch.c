/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets that the loop waits for beside libcurl's transfers. */
#include <apr_strings.h>
#include "net/http_curl_loop.h"

void p2p_curl_watch(p2p_curl_loop_t *loop, p2p_curl_watch_t *watch, short events)
{
    if (!watch->link) {
        watch->next = loop->watches;
        watch->link = &loop->watches;
        if (watch->next) watch->next->link = &watch->next;
        loop->watches = watch;
    }
    watch->events = events;
}

void p2p_curl_unwatch(p2p_curl_watch_t *watch)
{
    if (!watch->link) return;
    *watch->link = watch->next;
    if (watch->next) watch->next->link = watch->link;
    watch->link = NULL;
    watch->is_ready = 0;
}

struct curl_waitfd *p2p_curl_wait_list(p2p_curl_loop_t *loop, apr_pool_t *p, int wake_fd, unsigned *count)
{
    struct curl_waitfd *list;
    unsigned n = 1;

    for (p2p_curl_watch_t *w = loop->watches; w; w = w->next) n++;
    list = apr_pcalloc(p, n * sizeof *list);
    list[0] = (struct curl_waitfd){wake_fd, CURL_WAIT_POLLIN, 0};
    *count = 0;
    if (wake_fd >= 0) ++*count;
    for (p2p_curl_watch_t *w = loop->watches; w; w = w->next) {
        list[*count] = (struct curl_waitfd){w->fd, w->events, 0};
        ++*count;
    }
    return list;
}

/* One that is told may end others, itself too. */
void p2p_curl_tell_watches(p2p_curl_loop_t *loop, const struct curl_waitfd *ready)
{
    p2p_curl_watch_t *w;

    for (w = loop->watches; w; w = w->next) w->is_ready = (ready++)->revents != 0;
    for (;;) {
        for (w = loop->watches; w && !w->is_ready; w = w->next)
            ;
        if (!w) return;
        w->is_ready = 0;
        w->ready(w->baton);
    }
}
