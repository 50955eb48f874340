/* SPDX-License-Identifier: Apache-2.0 */
/* Filling Bundles, and whether there is room for more of them. */
#include "exchange/pushing.h"

#define QUEUED_MAX 1                          /* closed Bundles of a job that wait for a connection, here or in net's line */

unsigned p2p_push_open_number(const p2p_push_t *push)
{
    return push->open_number;
}

int p2p_push_fits(const p2p_push_t *push, int count, apr_uint64_t bytes)
{
    if (!push->open->count) return 1;
    return push->open->count + count <= push->limit.entries && push->open->bytes + bytes <= push->limit.bytes;
}

void p2p_push_add(p2p_push_t *push, p2p_resource_t *resource)
{
    p2p_outgoing_add(push->open, resource);
}

void p2p_push_close_full(p2p_push_t *push)
{
    if (push->open->count >= push->limit.entries || push->open->bytes >= push->limit.bytes) p2p_push_close(push);
}

void p2p_push_close(p2p_push_t *push)
{
    if (!push->open->count) return;
    p2p_pushing_begin(push, push->open);
    push->open = p2p_outgoing_make(push->set.mapper);
    push->open_number++;
    p2p_pushing_send(push);
}

int p2p_push_has_room(const p2p_push_t *push)
{
    return push->queued + push->in_line < QUEUED_MAX && !push->broken;
}

void p2p_push_flush(p2p_push_t *push)
{
    if (push->alive_count == 0) p2p_push_close(push);
}

int p2p_push_is_sending(const p2p_push_t *push)
{
    return push->in_flight > 0;
}

apr_time_t p2p_push_waits_until(const p2p_push_t *push, p2p_trouble_why_t *why)
{
    apr_time_t first = APR_INT64_MAX;
    int i;

    if (push->in_flight || push->queued) return 0;
    for (i = 0; i < push->alive_count; i++) {
        if (!push->alive[i]->timer || push->alive[i]->due >= first) continue;
        first = push->alive[i]->due;
        *why = push->alive[i]->why;
    }
    return first;
}

int p2p_push_waits_its_turn(const p2p_push_t *push)
{
    return push->in_flight && push->in_flight == push->in_line;
}

int p2p_push_is_idle(const p2p_push_t *push)
{
    return push->alive_count == 0 && push->open->count == 0;
}

apr_uint64_t p2p_push_bytes(const p2p_push_t *push)
{
    apr_uint64_t bytes = push->open->held;
    int i;

    for (i = 0; i < push->alive_count; i++) bytes += push->alive[i]->held;
    return bytes;
}
