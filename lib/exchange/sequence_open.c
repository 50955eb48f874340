/* SPDX-License-Identifier: Apache-2.0 */
/* Writing with open references: what they lead to is not there yet, so they are logical for now, and written again later. */
#include "exchange/sequencing.h"

#define LOOKED_AT 64 /* of the oldest: what waits for an answer of the target goes soon by itself */

/* ---- What waits for too long ---- */

/* References of a resource to what is not there become logical, and it is open where they may not stay so. Returns 1 where it turns out
 * to be another patient's. */
static int open_links(p2p_sequence_t *sequence, p2p_resource_t *resource)
{
    unsigned i;

    for (i = 0; i < resource->link_count; i++) {
        p2p_link_t *link = &resource->links[i];
        const p2p_await_t *await = link->is_urn ? p2p_keyed_find(&sequence->awaits, link->key) : NULL;

        if (link->settled) continue;
        if (await && await->named && p2p_map_resolve_urn(sequence->set.mapper, resource, link, await->named)) return 1;
        if (link->is_external) p2p_map_look_again(sequence->set.mapper, resource, link);
        if (link->settled) continue;
        if (!link->is_urn && !link->is_external && (link->key == resource->key || p2p_sequence_is_clear(sequence, link->key))) continue;
        if (link->is_urn || link->is_external || p2p_seen_state(sequence->set.seen, link->key) != P2P_SEEN_GONE) resource->open = 1;
        p2p_map_unresolved(sequence->set.mapper, resource, link, sequence->set.keep_unresolved);
    }
    return 0;
}

static void make_room(p2p_sequence_t *sequence, const p2p_resource_t *resource)
{
    if (!p2p_push_fits(sequence->set.push, 1, p2p_resource_length(resource))) p2p_push_close(sequence->set.push);
}

static void write_open(p2p_sequence_t *sequence, p2p_stay_t *stay)
{
    p2p_resource_t *resource = p2p_stay_fetch(sequence, stay);
    p2p_await_t *await = p2p_await_of(sequence, stay);

    if (!resource) return;
    make_room(sequence, resource);
    if (open_links(sequence, resource)) p2p_sequence_skip(sequence, stay);
    else p2p_sequence_bundle(sequence, stay);
    p2p_await_tidy(sequence, await);
    p2p_push_close_full(sequence->set.push);
}

/* Does it wait for the answer to a Bundle? */
static int waits_for_answer(const p2p_sequence_t *sequence, const p2p_stay_t *stay)
{
    const p2p_await_t *await = p2p_await_of(sequence, stay);

    return await && p2p_seen_state(sequence->set.seen, await->key) == P2P_SEEN_SENT;
}

/* Moves to the spool the oldest that is still in memory. Returns 0 where there is none, or no room. */
static int spool_oldest(p2p_sequence_t *sequence)
{
    p2p_stay_t *stay = sequence->in_memory;

    if (!stay || (!stay->spooled && !p2p_stay_spool(sequence, stay))) return 0;
    sequence->in_memory = stay->newer;
    return 1;
}

int p2p_sequence_relieve(p2p_sequence_t *sequence)
{
    p2p_stay_t *stay;
    int looked = 0;

    if (!p2p_sequence_is_over(sequence)) return 0;
    if (spool_oldest(sequence)) return 1;
    stay = sequence->oldest;
    while (stay && looked++ < LOOKED_AT && waits_for_answer(sequence, stay)) stay = stay->newer;
    if (!stay || looked > LOOKED_AT) return 0;
    write_open(sequence, stay);
    return 1;
}

/* ---- Circles ---- */

/* Counts how often each member of a circle is referred to from within, and returns the one with most. */
static p2p_mark_t *most_referred(p2p_sequence_t *sequence, unsigned root)
{
    p2p_mark_t *marks = sequence->marks, *best = &marks[root];
    unsigned at = sequence->stack, i;

    for (;; at = marks[at].below) {
        p2p_stay_t *stay = marks[at].stay;

        for (i = 0; i < stay->link_count; i++) {
            p2p_stay_t *other = stay->kinds[i] == P2P_STAY_KEY ? p2p_keyed_find(&sequence->stays, p2p_stay_keys(stay)[i]) : NULL;

            if (!other || other == stay || other->mark >= sequence->mark_count || marks[other->mark].stay != other) continue;
            if (marks[other->mark].on_stack && other->mark >= root) marks[other->mark].referred++;
        }
        if (at == root) break;
    }
    for (at = sequence->stack; at != root; at = marks[at].below) {
        if (marks[at].referred > best->referred) best = &marks[at];
    }
    return best;
}

int p2p_sequence_open_circle(p2p_sequence_t *sequence, unsigned root)
{
    p2p_stay_t *stay = most_referred(sequence, root)->stay;
    p2p_resource_t *resource = p2p_stay_fetch(sequence, stay), *copy;
    p2p_seen_slot_t *slot;

    if (!resource) return 0;
    make_room(sequence, resource);
    copy = p2p_resource_copy(resource);
    open_links(sequence, copy);
    copy->first = 1;
    copy->joined = 0;
    slot = p2p_seen_find(sequence->set.seen, stay->key);
    slot->state = P2P_SEEN_SENT;
    slot->bundle = P2P_SEEN_BUNDLE(p2p_push_open_number(sequence->set.push));
    p2p_push_add(sequence->set.push, copy);
    p2p_push_close_full(sequence->set.push);
    return 1;
}
