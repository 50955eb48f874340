/* SPDX-License-Identifier: Apache-2.0 */
/* Tarjan's search for strongly connected components over what lies here, stopped at the first thing that is still missing. */
#include <stdlib.h>

#include "exchange/sequencing.h"

/* What a look at a link, or a whole search, comes to. */
typedef enum {
    CLEAR,   /* nothing in the way */
    DEEPER,  /* it depends on another one that lies here */
    BLOCKED, /* something is missing or under way */
    BROKEN,  /* it cannot be brought back from the spool */
    FULL,    /* the Bundle had to be closed: look again */
    FOREIGN  /* another patient's */
} verdict_t;

/* Where a search stands. */
typedef struct search_t {
    p2p_sequence_t *sequence;
    unsigned path;        /* mark of the one that is looked at */
    apr_uint64_t blocker; /* what is in the way */
    p2p_stay_t *deeper;
} search_t;

/* ---- A look at a link ---- */

/* The Bundle being filled, by as many bits of its number as seen keeps. */
static unsigned open_number(const p2p_sequence_t *sequence)
{
    return P2P_SEEN_BUNDLE(p2p_push_open_number(sequence->set.push));
}

int p2p_sequence_is_clear(const p2p_sequence_t *sequence, apr_uint64_t key)
{
    const p2p_seen_slot_t *slot = p2p_seen_find(sequence->set.seen, key);

    if (!slot) return 0;
    if (slot->state == P2P_SEEN_SENT) return !sequence->set.batch && slot->bundle == open_number(sequence);
    return P2P_SEEN_IS_THERE(slot->state);
}

/* What is in the spool stays there: one with thousands of such links would go to and fro for each. */
static verdict_t unresolved(p2p_sequence_t *sequence, p2p_stay_t *stay, unsigned i)
{
    p2p_resource_t *resource = stay->is.resource;

    stay->kinds[i] = stay->spooled ? P2P_STAY_LOST : P2P_STAY_SETTLED;
    if (!stay->spooled) p2p_map_unresolved(sequence->set.mapper, resource, &resource->links[i], sequence->set.keep_unresolved);
    return CLEAR;
}

static verdict_t look_at_urn(search_t *search, p2p_stay_t *stay, unsigned i)
{
    p2p_sequence_t *sequence = search->sequence;
    const p2p_await_t *await;
    p2p_resource_t *resource;
    int foreign;

    search->blocker = p2p_stay_keys(stay)[i];
    await = p2p_keyed_find(&sequence->awaits, search->blocker);
    if (!await || !await->named) return sequence->closed || sequence->bases_final ? unresolved(sequence, stay, i) : BLOCKED;
    resource = p2p_stay_fetch(sequence, stay);
    if (!resource) return BROKEN;
    foreign = p2p_map_resolve_urn(sequence->set.mapper, resource, &resource->links[i], await->named);
    p2p_stay_look(stay);
    return foreign ? FOREIGN : CLEAR;
}

static verdict_t look_at_external(search_t *search, p2p_stay_t *stay, unsigned i)
{
    p2p_sequence_t *sequence = search->sequence;
    p2p_resource_t *resource = p2p_stay_fetch(sequence, stay);

    if (!resource) return BROKEN;
    if (p2p_map_look_again(sequence->set.mapper, resource, &resource->links[i])) {
        p2p_stay_look(stay);
        return CLEAR;
    }
    search->blocker = P2P_EXTERNAL_KEY;
    return sequence->closed || sequence->bases_final ? unresolved(sequence, stay, i) : BLOCKED;
}

/* Does what a resource waits for still keep it from going? Then there is no need to look into it: this bounds the search. */
static const p2p_await_t *still_missing(const p2p_sequence_t *sequence, const p2p_stay_t *stay)
{
    const p2p_await_t *await = p2p_await_of(sequence, stay);
    p2p_seen_state_t state;

    if (!await || await->named) return NULL;
    state = p2p_seen_state(sequence->set.seen, await->key);
    if (state == P2P_SEEN_NEVER) return sequence->closed ? NULL : await;
    return state == P2P_SEEN_SENT && !p2p_sequence_is_clear(sequence, await->key) ? await : NULL;
}

static verdict_t look_deeper(search_t *search)
{
    const p2p_await_t *missing;

    search->deeper = p2p_keyed_find(&search->sequence->stays, search->blocker);
    missing = still_missing(search->sequence, search->deeper);
    if (!missing) return DEEPER;
    search->blocker = missing->key;
    return BLOCKED;
}

static verdict_t look_at_key(search_t *search, p2p_stay_t *stay, unsigned i)
{
    p2p_sequence_t *sequence = search->sequence;

    search->blocker = p2p_stay_keys(stay)[i];
    if (p2p_sequence_is_clear(sequence, search->blocker)) return CLEAR;
    switch (p2p_seen_state(sequence->set.seen, search->blocker)) {
    case P2P_SEEN_SENT: return BLOCKED;
    case P2P_SEEN_HELD: return look_deeper(search);
    case P2P_SEEN_NEVER: if (!sequence->closed) return BLOCKED; break;
    default: break;
    }
    return unresolved(sequence, stay, i);
}

static verdict_t look_at(search_t *search, p2p_stay_t *stay, unsigned i)
{
    verdict_t verdict = CLEAR;

    if (stay->kinds[i] == P2P_STAY_URN) verdict = look_at_urn(search, stay, i);
    else if (stay->kinds[i] == P2P_STAY_EXTERNAL) verdict = look_at_external(search, stay, i);
    if (verdict != CLEAR || stay->kinds[i] >= P2P_STAY_SETTLED) return verdict;
    return look_at_key(search, stay, i);
}

/* ---- The search ---- */

static p2p_mark_t *mark_of(const p2p_sequence_t *sequence, const p2p_stay_t *stay)
{
    return stay->mark < sequence->mark_count && sequence->marks[stay->mark].stay == stay ? &sequence->marks[stay->mark] : NULL;
}

static void enter(search_t *search, p2p_stay_t *stay)
{
    p2p_sequence_t *sequence = search->sequence;
    p2p_mark_t *mark;

    if (sequence->mark_count == sequence->mark_room) {
        sequence->mark_room = sequence->mark_room ? sequence->mark_room * 2 : 64;
        sequence->marks = realloc(sequence->marks, sequence->mark_room * sizeof *sequence->marks);
        if (!sequence->marks) abort();
    }
    stay->mark = sequence->mark_count++;
    mark = &sequence->marks[stay->mark];
    *mark = (p2p_mark_t){stay, stay->mark, 0, search->path, sequence->stack, 1, 0};
    sequence->stack = search->path = stay->mark;
}

void p2p_sequence_bundle(p2p_sequence_t *sequence, p2p_stay_t *stay)
{
    apr_uint64_t key = stay->key;
    p2p_seen_slot_t *slot = p2p_seen_find(sequence->set.seen, key);
    p2p_await_t *await = p2p_keyed_find(&sequence->awaits, key);

    slot->state = P2P_SEEN_IS_THERE(slot->state) ? P2P_SEEN_AGAIN : P2P_SEEN_SENT;
    slot->bundle = open_number(sequence);
    p2p_push_add(sequence->set.push, p2p_stay_leave(sequence, stay));
    p2p_await_release(sequence, await);
    p2p_await_tidy(sequence, await);
}

/* The component from the top of the stack down to root is complete: what is asked of it as a whole. */
static apr_uint64_t component_bytes(const p2p_sequence_t *sequence, unsigned root, int *count)
{
    unsigned member = sequence->stack;
    apr_uint64_t bytes = sequence->marks[member].stay->size;

    for (*count = 1; member != root; ++*count) {
        member = sequence->marks[member].below;
        bytes += sequence->marks[member].stay->size;
    }
    return bytes;
}

/* Bytes of the component as it will be sent, all of it in memory; 0 where it cannot be. */
static apr_uint64_t fetch_component(p2p_sequence_t *sequence, unsigned root)
{
    apr_uint64_t bytes = 0;
    unsigned member;

    for (member = sequence->stack;; member = sequence->marks[member].below) {
        const p2p_resource_t *resource = p2p_stay_fetch(sequence, sequence->marks[member].stay);

        if (!resource) return 0;
        bytes += p2p_resource_length(resource);
        if (member == root) return bytes;
    }
}

/* A circle goes in one transaction. Where there is none (batch), or where it is too large to be in memory as a whole, it is opened. */
static verdict_t bundle_component(p2p_sequence_t *sequence, unsigned root)
{
    int count, first = 1;
    apr_uint64_t bytes = component_bytes(sequence, root, &count);
    unsigned member;

    if (count > 1 && (sequence->set.batch || (sequence->set.waiting_bytes && bytes > sequence->set.waiting_bytes)))
        return p2p_sequence_open_circle(sequence, root) ? FULL : BROKEN;
    bytes = fetch_component(sequence, root);
    if (!bytes) return BROKEN;
    if (!p2p_push_fits(sequence->set.push, count, bytes)) {
        p2p_push_close(sequence->set.push);
        return FULL;
    }
    do {
        p2p_stay_t *stay;

        member = sequence->stack;
        stay = sequence->marks[member].stay;
        sequence->stack = sequence->marks[member].below;
        sequence->marks[member].on_stack = 0;
        stay->is.resource->joined = (unsigned char)!first;
        first = 0;
        p2p_sequence_bundle(sequence, stay);
    } while (member != root);
    return CLEAR;
}

/* All links of the one that is looked at are clear: back to the one that refers to it, whose link is looked at again, since in a batch
 * what was bundled is no more than under way. */
static verdict_t go_back(search_t *search)
{
    p2p_mark_t *marks = search->sequence->marks;
    unsigned member = search->path, up = marks[member].up;

    search->path = up;
    if (up != P2P_NO_MARK && marks[member].low < marks[up].low) marks[up].low = marks[member].low;
    if (marks[member].low != member) return CLEAR;
    if (up != P2P_NO_MARK && search->sequence->set.batch) marks[up].link_at--;
    return bundle_component(search->sequence, member);
}

static verdict_t step(search_t *search)
{
    p2p_sequence_t *sequence = search->sequence;
    p2p_mark_t *mark = &sequence->marks[search->path], *other;
    p2p_stay_t *stay = mark->stay;
    verdict_t verdict;

    if (!mark->link_at && p2p_seen_state(sequence->set.seen, stay->key) == P2P_SEEN_SENT) { /* its copy, which opens a circle */
        search->blocker = stay->key;
        return BLOCKED;
    }
    if (mark->link_at == stay->link_count) return go_back(search);
    verdict = look_at(search, stay, mark->link_at++);
    if (verdict != DEEPER) return verdict;
    other = mark_of(sequence, search->deeper);
    if (!other) enter(search, search->deeper);
    else if (other->on_stack && search->deeper->mark < mark->low) mark->low = search->deeper->mark;
    return CLEAR;
}

/* Bundles stay and all it depends on, or tells what is in the way: search->blocker, and where the path ended. */
static verdict_t search_from(search_t *search, p2p_stay_t *stay)
{
    verdict_t verdict = CLEAR;

    search->sequence->mark_count = 0;
    search->sequence->stack = search->path = P2P_NO_MARK;
    enter(search, stay);
    while (search->path != P2P_NO_MARK && verdict == CLEAR) verdict = step(search);
    return verdict;
}

void p2p_sequence_skip(p2p_sequence_t *sequence, p2p_stay_t *stay)
{
    apr_uint64_t key = stay->key;
    p2p_await_t *await = p2p_keyed_find(&sequence->awaits, key);

    p2p_seen_set(sequence->set.seen, key, P2P_SEEN_GONE);
    sequence->set.skipped(sequence->set.baton, p2p_stay_leave(sequence, stay));
    p2p_await_release(sequence, await);
    p2p_await_tidy(sequence, await);
}

static int awaits_urn(const search_t *search)
{
    const p2p_mark_t *mark = &search->sequence->marks[search->path];

    return mark->link_at && mark->stay->kinds[mark->link_at - 1] == P2P_STAY_URN;
}

/* All on the path depend on what is in the way: none of them is looked at again before that has moved. */
static void lay_aside(search_t *search)
{
    p2p_sequence_t *sequence = search->sequence;
    p2p_await_t *await = p2p_await_need(sequence, search->blocker);
    unsigned at;

    if (awaits_urn(search)) await->is_urn = 1;
    for (at = search->path; at != P2P_NO_MARK; at = sequence->marks[at].up) {
        p2p_stay_t *stay = sequence->marks[at].stay;
        p2p_await_t *before = p2p_await_of(sequence, stay);

        p2p_stay_unlist(sequence, stay);
        p2p_stay_spool(sequence, stay);
        p2p_stay_enlist(sequence, stay, &await->waiting);
        if (before != await) p2p_await_tidy(sequence, before);
    }
}

void p2p_sequence_settle(p2p_sequence_t *sequence, p2p_stay_t *stay)
{
    search_t search = {sequence, P2P_NO_MARK, 0, NULL};
    verdict_t verdict;
    apr_uint64_t key = stay->key;

    do {
        stay = p2p_keyed_find(&sequence->stays, key); /* a part of it may have gone, with the Bundle that was closed */
        verdict = stay ? search_from(&search, stay) : CLEAR;
    } while (verdict == FULL);
    /* Not before: what refers to a resource goes into the same Bundle, or waits until that one is written. */
    p2p_push_close_full(sequence->set.push);
    if (verdict == BLOCKED) lay_aside(&search);
    else if (verdict == FOREIGN) p2p_sequence_skip(sequence, sequence->marks[search.path].stay);
}
