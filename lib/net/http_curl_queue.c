/* SPDX-License-Identifier: Apache-2.0 */
/* Who goes next at an origin: requests beyond its connections wait there, and their owners take turns. */
#include <stdlib.h>
#include <string.h>
#include "net/http_curl_loop.h"

p2p_curl_origin_t *p2p_curl_origin(p2p_curl_loop_t *loop, const char *name)
{
    p2p_curl_origin_t *origin = loop->origins;

    while (origin && strcmp(origin->name, name)) origin = origin->next;
    if (origin) return origin;
    origin = calloc(1, sizeof *origin);
    if (!origin || !(origin->name = strdup(name))) abort();
    origin->next = loop->origins;
    loop->origins = origin;
    return origin;
}

void p2p_curl_origin_tidy(p2p_curl_loop_t *loop, p2p_curl_origin_t *origin)
{
    p2p_curl_origin_t **at = &loop->origins;

    if (origin->turns) return;
    while (*at != origin) at = &(*at)->next;
    *at = origin->next;
    free(origin->name);
    free(origin);
}

/* Owners: one is known at an origin as long as a request of its waits or runs there. */

static p2p_curl_turn_t *turn_of(p2p_curl_origin_t *origin, apr_uint64_t owner)
{
    p2p_curl_turn_t *turn = origin->turns;

    while (turn && turn->owner != owner) turn = turn->next;
    if (turn) return turn;
    turn = calloc(1, sizeof *turn);
    if (!turn) abort();
    turn->owner = owner;
    turn->started = ++origin->started; /* behind those who are here: who comes back at once has just had his turn */
    turn->next = origin->turns;
    origin->turns = turn;
    return turn;
}

void p2p_curl_turn_join(p2p_http_transfer_t *t)
{
    t->turn = turn_of(t->origin, t->request.turn);
    t->turn->requests++;
}

void p2p_curl_turn_leave(p2p_http_transfer_t *t)
{
    p2p_curl_turn_t **at = &t->origin->turns, *turn = t->turn;

    if (!turn) return;
    if (t->is_running) turn->running--, t->origin->running--;
    t->is_running = 0;
    t->turn = NULL;
    if (--turn->requests) return;
    while (*at != turn) at = &(*at)->next;
    *at = turn->next;
    free(turn);
}

void p2p_curl_turn_start(p2p_http_transfer_t *t)
{
    t->is_running = 1;
    t->origin->running++;
    t->turn->running++;
    t->turn->started = ++t->origin->started;
}

/* Fewer connections at work come first, then the longer wait: one with long answers gets no more connections than the others. */
static int goes_before(const p2p_curl_turn_t *a, const p2p_curl_turn_t *b)
{
    return a->running != b->running ? a->running < b->running : a->started < b->started;
}

p2p_http_transfer_t *p2p_curl_turn_next(const p2p_curl_origin_t *origin)
{
    p2p_http_transfer_t *t, *best = NULL;

    if (origin->running >= origin->most) return NULL;
    for (t = origin->waiting.first; t; t = t->next) {
        if (origin->running < t->request.connections && (!best || goes_before(t->turn, best->turn))) best = t;
    }
    return best;
}
