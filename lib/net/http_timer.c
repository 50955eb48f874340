/* SPDX-License-Identifier: Apache-2.0 */
/* The timers of an event loop: a binary heap, with the structures reused. */
#include "net/http_timer.h"
#include <string.h>

struct p2p_timers_t {
    apr_pool_t *pool;
    p2p_http_timer_t **heap;
    int count, room;
    apr_uint64_t made;
    p2p_http_timer_t *unused;
};

p2p_timers_t *p2p_timers_make(apr_pool_t *p)
{
    p2p_timers_t *timers = apr_pcalloc(p, sizeof *timers);

    timers->pool = p;
    return timers;
}

static int is_before(const p2p_http_timer_t *a, const p2p_http_timer_t *b)
{
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void put(p2p_timers_t *timers, int place, p2p_http_timer_t *timer)
{
    timers->heap[place] = timer;
    timer->place = place;
}

static void rise(p2p_timers_t *timers, int place, p2p_http_timer_t *timer)
{
    while (place > 0 && is_before(timer, timers->heap[(place - 1) / 2])) {
        put(timers, place, timers->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    put(timers, place, timer);
}

static void sink(p2p_timers_t *timers, int place, p2p_http_timer_t *timer)
{
    for (;;) {
        int child = 2 * place + 1;
        if (child >= timers->count) break;
        if (child + 1 < timers->count && is_before(timers->heap[child + 1], timers->heap[child])) child++;
        if (!is_before(timers->heap[child], timer)) break;
        put(timers, place, timers->heap[child]);
        place = child;
    }
    put(timers, place, timer);
}

/* Doubling in a pool wastes as much again as the largest heap, once. */
static void grow(p2p_timers_t *timers)
{
    int room = timers->room ? timers->room * 2 : 64;
    p2p_http_timer_t **heap = apr_palloc(timers->pool, (apr_size_t)room * sizeof *heap);

    if (timers->count) memcpy(heap, timers->heap, (apr_size_t)timers->count * sizeof *heap);
    timers->heap = heap;
    timers->room = room;
}

static p2p_http_timer_t *take_unused(p2p_timers_t *timers)
{
    p2p_http_timer_t *timer = timers->unused;

    if (!timer) return apr_palloc(timers->pool, sizeof *timer);
    timers->unused = timer->next;
    return timer;
}

p2p_http_timer_t *p2p_timers_add(p2p_timers_t *timers, apr_time_t due, void (*fn)(void *baton), void *baton)
{
    p2p_http_timer_t *timer = take_unused(timers);

    if (timers->count == timers->room) grow(timers);
    timer->timers = timers;
    timer->due = due;
    timer->order = timers->made++;
    timer->fn = fn;
    timer->baton = baton;
    rise(timers, timers->count++, timer);
    return timer;
}

void p2p_timers_cancel(p2p_http_timer_t *timer)
{
    p2p_timers_t *timers;
    p2p_http_timer_t *last;

    if (!timer) return;
    timers = timer->timers;
    last = timers->heap[--timers->count];
    if (last != timer) {
        rise(timers, timer->place, last);
        sink(timers, last->place, last);
    }
    timer->next = timers->unused;
    timers->unused = timer;
}

apr_time_t p2p_timers_next(const p2p_timers_t *timers)
{
    return timers->count ? timers->heap[0]->due : -1;
}

int p2p_timers_run(p2p_timers_t *timers, apr_time_t now)
{
    apr_uint64_t made = timers->made;
    int fired = 0;

    while (timers->count && timers->heap[0]->due <= now && timers->heap[0]->order < made) {
        p2p_http_timer_t *timer = timers->heap[0];
        void (*fn)(void *baton) = timer->fn;
        void *baton = timer->baton;
        p2p_timers_cancel(timer);
        fn(baton);
        fired++;
    }
    return fired;
}
