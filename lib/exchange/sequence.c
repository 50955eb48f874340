/* SPDX-License-Identifier: Apache-2.0 */
/* What comes, what is settled, and what that sets going. */
#include "exchange/sequencing.h"

#include <stdlib.h>

/* ---- Beginning and end ---- */

static void free_stay(p2p_stay_t *stay)
{
    if (!stay->spooled) p2p_resource_free(stay->is.resource);
    free(stay);
}

static apr_status_t free_sequence(void *data)
{
    p2p_sequence_t *sequence = data;
    apr_size_t i;

    while (sequence->oldest) {
        p2p_stay_t *stay = sequence->oldest;

        sequence->oldest = stay->newer;
        if (stay->spooled) p2p_spool_drop(sequence->set.spool, stay->is.at, stay->size);
        free_stay(stay);
    }
    for (i = 0; i < sequence->awaits.bucket_count; i++) {
        p2p_keyed_t *entry = sequence->awaits.buckets[i], *chain;

        for (; entry; entry = chain) {
            chain = entry->chain;
            free(((p2p_await_t *)(void *)entry)->named);
            free(entry);
        }
    }
    free(sequence->awaits.buckets);
    free(sequence->stays.buckets);
    free(sequence->marks);
    return APR_SUCCESS;
}

p2p_sequence_t *p2p_sequence_make(apr_pool_t *p, const p2p_sequence_settings_t *settings)
{
    p2p_sequence_t *sequence = apr_pcalloc(p, sizeof *sequence);

    sequence->set = *settings;
    apr_pool_create(&sequence->scratch, p);
    apr_pool_cleanup_register(p, sequence, free_sequence, apr_pool_cleanup_null);
    return sequence;
}

/* ---- Going on ---- */

/* Bytes that push may hold before it gets more: those of a single large resource may be beyond. */
static int has_room(const p2p_sequence_t *sequence)
{
    const p2p_push_t *push = sequence->set.push;

    if (sequence->broken || !p2p_push_has_room(push)) return 0;
    return !sequence->set.push_bytes || p2p_push_bytes(push) < sequence->set.push_bytes;
}

void p2p_sequence_run(p2p_sequence_t *sequence)
{
    while (has_room(sequence)) {
        if (p2p_sequence_has_work(sequence))
            p2p_sequence_settle(sequence, sequence->released.head ? sequence->released.head : sequence->arrivals.head);
        else if (!p2p_sequence_relieve(sequence)) return;
    }
    p2p_push_flush(sequence->set.push); /* where the Bundle that is being filled takes all the room, though it is not full */
}

/* ---- Events ---- */

void p2p_sequence_take(p2p_sequence_t *sequence, p2p_resource_t *resource)
{
    p2p_stay_enlist(sequence, p2p_stay_make(sequence, resource), &sequence->arrivals);
}

p2p_resource_t *p2p_sequence_replace(p2p_sequence_t *sequence, p2p_resource_t *resource)
{
    p2p_stay_t *stay = p2p_keyed_find(&sequence->stays, resource->key);
    p2p_await_t *await = p2p_await_of(sequence, stay);
    p2p_resource_t *old;

    if (!p2p_stay_fetch(sequence, stay)) {
        p2p_resource_free(resource);
        return NULL;
    }
    old = p2p_stay_leave(sequence, stay);
    p2p_await_tidy(sequence, await);
    p2p_sequence_take(sequence, resource);
    return old;
}

int p2p_sequence_holds(const p2p_sequence_t *sequence, apr_uint64_t key)
{
    return p2p_keyed_find(&sequence->stays, key) != NULL;
}

void p2p_sequence_settled(p2p_sequence_t *sequence, apr_uint64_t key)
{
    p2p_await_t *await = p2p_keyed_find(&sequence->awaits, key);

    p2p_await_release(sequence, await);
    p2p_await_tidy(sequence, await);
}

void p2p_sequence_name(p2p_sequence_t *sequence, apr_uint64_t urn, const p2p_named_t *named)
{
    p2p_await_t *await = p2p_await_need(sequence, urn);

    if (!await->named) await->named = malloc(sizeof *await->named);
    if (!await->named) abort();
    *await->named = *named;
    p2p_await_release(sequence, await);
}

void p2p_sequence_bases_changed(p2p_sequence_t *sequence)
{
    p2p_sequence_settled(sequence, P2P_EXTERNAL_KEY);
}

/* Calls fn for each that is awaited. What it does may release those that wait, but must not forget the one it is called for. */
static void each_awaited(p2p_sequence_t *sequence, void (*fn)(p2p_sequence_t *sequence, p2p_await_t *await, void *baton), void *baton)
{
    apr_size_t i;

    for (i = 0; i < sequence->awaits.bucket_count; i++) {
        p2p_keyed_t *entry;

        for (entry = sequence->awaits.buckets[i]; entry; entry = entry->chain) fn(sequence, (p2p_await_t *)(void *)entry, baton);
    }
}

static void release(p2p_sequence_t *sequence, p2p_await_t *await, void *baton)
{
    (void)baton;
    p2p_await_release(sequence, await);
}

void p2p_sequence_close(p2p_sequence_t *sequence)
{
    sequence->closed = 1;
    each_awaited(sequence, release, NULL);
}

void p2p_sequence_reopen(p2p_sequence_t *sequence)
{
    sequence->closed = 0;
}

/* ---- What is wanted ---- */

typedef struct wanting_t {
    apr_pool_t *p;
    int left;
    void (*want)(void *baton, const char *url);
    void *baton;
    int over; /* as many as may be were asked for */
} wanting_t;

/* The URL of what is awaited, by the first of those that wait for it which names it. */
static const char *url_of(p2p_sequence_t *sequence, const p2p_await_t *await, apr_pool_t *p)
{
    const char *url;
    p2p_stay_t *stay;
    unsigned i;

    for (stay = await->waiting.head; stay; stay = stay->next) {
        for (i = 0; i < stay->link_count; i++) {
            const p2p_resource_t *resource;

            if (stay->kinds[i] != P2P_STAY_KEY || p2p_stay_keys(stay)[i] != await->key) continue;
            resource = p2p_stay_fetch(sequence, stay);
            url = resource ? p2p_map_link_url(sequence->set.mapper, resource, &resource->links[i], p) : NULL;
            if (resource) p2p_stay_spool(sequence, stay);
            return url;
        }
    }
    return NULL;
}

static void want(p2p_sequence_t *sequence, p2p_await_t *await, void *baton)
{
    wanting_t *wanting = baton;
    const char *url;

    if (await->is_urn && !await->named) p2p_await_release(sequence, await);
    if (!await->waiting.head || p2p_seen_state(sequence->set.seen, await->key) != P2P_SEEN_NEVER) return;
    if (await->asked) {
        /* What was asked for and did not come will not: what waited for it goes on to what else it refers to. */
        p2p_seen_add(sequence->set.seen, await->key)->state = P2P_SEEN_GONE;
        p2p_await_release(sequence, await);
        return;
    }
    if (wanting->left <= 0 && !await->is_urn) wanting->over++;
    url = wanting->left > 0 ? url_of(sequence, await, wanting->p) : NULL;
    if (!url) return;
    await->asked = 1;
    wanting->left--;
    wanting->want(wanting->baton, url);
}

int p2p_sequence_wanted(p2p_sequence_t *sequence, apr_pool_t *p, int most, void (*fn)(void *baton, const char *url), void *baton)
{
    wanting_t wanting = {p, most, fn, baton, 0};

    sequence->bases_final = 1;
    p2p_sequence_bases_changed(sequence);
    each_awaited(sequence, want, &wanting);
    return wanting.over;
}

/* ---- How much there is ---- */

apr_size_t p2p_sequence_waiting(const p2p_sequence_t *sequence)
{
    return sequence->bytes - sequence->backlog;
}

apr_size_t p2p_sequence_backlog(const p2p_sequence_t *sequence)
{
    return sequence->backlog;
}

apr_size_t p2p_sequence_allowance(const p2p_sequence_t *sequence)
{
    return sequence->set.allowance ? sequence->set.allowance(sequence->set.baton) : sequence->set.waiting_bytes;
}

int p2p_sequence_is_over(const p2p_sequence_t *sequence)
{
    return sequence->stays.count && p2p_sequence_waiting(sequence) > p2p_sequence_allowance(sequence);
}

int p2p_sequence_has_work(const p2p_sequence_t *sequence)
{
    return sequence->released.head || sequence->arrivals.head;
}

int p2p_sequence_is_empty(const p2p_sequence_t *sequence)
{
    return sequence->stays.count == 0;
}
