/* SPDX-License-Identifier: Apache-2.0 */
/* The life of what lies here: in a list, in memory or in the spool, waiting for something. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "exchange/sequencing.h"

/* ---- A resource ---- */

static apr_size_t keys_at(unsigned link_count)
{
    return (offsetof(p2p_stay_t, kinds) + link_count + 7) & ~(apr_size_t)7;
}

static apr_size_t own_size(const p2p_stay_t *stay)
{
    return keys_at(stay->link_count) + stay->link_count * sizeof(apr_uint64_t);
}

/* What it takes in memory. */
static apr_size_t weight(const p2p_stay_t *stay)
{
    return own_size(stay) + (stay->spooled ? 0 : stay->size);
}

apr_uint64_t *p2p_stay_keys(p2p_stay_t *stay)
{
    return (apr_uint64_t *)(void *)((char *)stay + keys_at(stay->link_count));
}

void p2p_stay_look(p2p_stay_t *stay)
{
    const p2p_resource_t *resource = stay->is.resource;
    apr_uint64_t *keys = p2p_stay_keys(stay);
    unsigned i;

    for (i = 0; i < stay->link_count; i++) {
        const p2p_link_t *link = &resource->links[i];

        stay->kinds[i] = link->settled ? P2P_STAY_SETTLED : link->is_urn ? P2P_STAY_URN
                         : link->is_external ? P2P_STAY_EXTERNAL : P2P_STAY_KEY;
        keys[i] = link->is_external ? P2P_EXTERNAL_KEY : link->key;
    }
}

p2p_stay_t *p2p_stay_make(p2p_sequence_t *sequence, p2p_resource_t *resource)
{
    apr_size_t size = keys_at(resource->link_count) + resource->link_count * sizeof(apr_uint64_t);
    p2p_stay_t *stay = calloc(1, size);
    unsigned i;

    if (!stay) abort();
    for (i = 0; i < resource->link_count; i++) {
        p2p_link_t *link = &resource->links[i];

        if (link->hopeless && !link->settled)
            p2p_map_unresolved(sequence->set.mapper, resource, link, sequence->set.keep_unresolved);
    }
    stay->key = resource->key;
    stay->is.resource = resource;
    stay->size = (unsigned)resource->size;
    stay->link_count = resource->link_count;
    stay->mark = P2P_NO_MARK;
    p2p_stay_look(stay);
    stay->older = sequence->newest;
    if (sequence->newest) sequence->newest->newer = stay;
    else sequence->oldest = stay;
    sequence->newest = stay;
    if (!sequence->in_memory) sequence->in_memory = stay;
    p2p_keyed_add(&sequence->stays, stay);
    sequence->bytes += weight(stay);
    return stay;
}

/* Does what is in this list hold up retrieval? */
static int is_backlog(const p2p_sequence_t *sequence, const p2p_stay_list_t *list)
{
    return list == &sequence->arrivals || list == &sequence->released;
}

void p2p_stay_enlist(p2p_sequence_t *sequence, p2p_stay_t *stay, p2p_stay_list_t *list)
{
    stay->list = list;
    stay->next = NULL;
    stay->prev = list->tail;
    if (list->tail) list->tail->next = stay;
    else list->head = stay;
    list->tail = stay;
    if (is_backlog(sequence, list)) sequence->backlog += weight(stay);
}

void p2p_stay_unlist(p2p_sequence_t *sequence, p2p_stay_t *stay)
{
    p2p_stay_list_t *list = stay->list;

    if (!list) return;
    if (stay->prev) stay->prev->next = stay->next;
    else list->head = stay->next;
    if (stay->next) stay->next->prev = stay->prev;
    else list->tail = stay->prev;
    if (is_backlog(sequence, list)) sequence->backlog -= weight(stay);
    stay->list = NULL;
}

static void leave_line(p2p_sequence_t *sequence, p2p_stay_t *stay)
{
    if (stay->older) stay->older->newer = stay->newer;
    else sequence->oldest = stay->newer;
    if (stay->newer) stay->newer->older = stay->older;
    else sequence->newest = stay->older;
    if (sequence->in_memory == stay) sequence->in_memory = stay->newer;
}

/* It is the first to be written open, should that be necessary. */
static void go_to_the_front(p2p_sequence_t *sequence, p2p_stay_t *stay)
{
    leave_line(sequence, stay);
    stay->older = NULL;
    stay->newer = sequence->oldest;
    if (sequence->oldest) sequence->oldest->older = stay;
    else sequence->newest = stay;
    sequence->oldest = stay;
}

/* What was found out while its bytes were in the spool. */
static void settle_lost(const p2p_sequence_t *sequence, p2p_stay_t *stay)
{
    unsigned i;

    for (i = 0; i < stay->link_count; i++) {
        if (stay->kinds[i] != P2P_STAY_LOST) continue;
        p2p_map_unresolved(sequence->set.mapper, stay->is.resource, &stay->is.resource->links[i], sequence->set.keep_unresolved);
        stay->kinds[i] = P2P_STAY_SETTLED;
    }
}

p2p_resource_t *p2p_stay_fetch(p2p_sequence_t *sequence, p2p_stay_t *stay)
{
    p2p_resource_t *resource;
    p2p_error_t *error;

    if (!stay->spooled) return stay->is.resource;
    error = p2p_resource_get(sequence->set.spool, sequence->scratch, stay->is.at, stay->size, &resource);
    if (error) {
        sequence->broken = 1;
        sequence->set.failed(sequence->set.baton, error);
        return NULL;
    }
    stay->spooled = 0;
    stay->is.resource = resource;
    settle_lost(sequence, stay);
    sequence->bytes += stay->size;
    if (stay->list && is_backlog(sequence, stay->list)) sequence->backlog += stay->size;
    return resource;
}

int p2p_stay_spool(p2p_sequence_t *sequence, p2p_stay_t *stay)
{
    apr_size_t before = weight(stay), size;
    apr_size_t may = p2p_sequence_allowance(sequence);
    p2p_error_t *error = NULL;
    apr_int64_t at;

    if (stay->spooled || p2p_sequence_waiting(sequence) <= may) return 0;
    apr_pool_clear(sequence->scratch);
    if (sequence->set.spool && p2p_resource_put(stay->is.resource, sequence->set.spool, sequence->scratch, &at, &size, &error)) {
        stay->spooled = 1;
        stay->is.at = at;
        stay->size = (unsigned)size;
        sequence->bytes -= before - weight(stay);
    } else if (before > may / 8) go_to_the_front(sequence, stay);
    if (error && error->kind == P2P_E_INTERNAL)
        p2p_log_error(sequence->set.log, P2P_LOG_ERROR, "What waits stays in memory", error);
    return stay->spooled;
}

p2p_resource_t *p2p_stay_leave(p2p_sequence_t *sequence, p2p_stay_t *stay)
{
    p2p_resource_t *resource = stay->is.resource;

    p2p_stay_unlist(sequence, stay);
    leave_line(sequence, stay);
    p2p_keyed_remove(&sequence->stays, stay->key);
    sequence->bytes -= weight(stay);
    free(stay);
    return resource;
}

/* ---- What is awaited ---- */

p2p_await_t *p2p_await_need(p2p_sequence_t *sequence, apr_uint64_t key)
{
    p2p_await_t *await = p2p_keyed_find(&sequence->awaits, key);

    if (await) return await;
    await = calloc(1, sizeof *await);
    if (!await) abort();
    await->key = key;
    p2p_keyed_add(&sequence->awaits, await);
    return await;
}

void p2p_await_tidy(p2p_sequence_t *sequence, p2p_await_t *await)
{
    if (!await || await->waiting.head || await->named || await->asked) return;
    p2p_keyed_remove(&sequence->awaits, await->key);
    free(await);
}

void p2p_await_release(p2p_sequence_t *sequence, p2p_await_t *await)
{
    p2p_stay_t *stay, *next;

    for (stay = await ? await->waiting.head : NULL; stay; stay = next) {
        next = stay->next;
        p2p_stay_unlist(sequence, stay);
        p2p_stay_enlist(sequence, stay, &sequence->released);
    }
}

p2p_await_t *p2p_await_of(const p2p_sequence_t *sequence, const p2p_stay_t *stay)
{
    if (!stay->list || is_backlog(sequence, stay->list)) return NULL;
    return (p2p_await_t *)(void *)((char *)stay->list - offsetof(p2p_await_t, waiting));
}
