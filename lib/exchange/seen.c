/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table with open addressing; its keys are digests, so they are their own hash. */
#include "exchange/seen.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 256

static p2p_seen_slot_t *probe(const p2p_seen_t *seen, apr_uint64_t key)
{
    apr_size_t mask = seen->capacity - 1, at = (apr_size_t)key & mask;

    while (seen->slots[at].key && seen->slots[at].key != key) at = (at + 1) & mask;
    return &seen->slots[at];
}

p2p_seen_slot_t *p2p_seen_find(const p2p_seen_t *seen, apr_uint64_t key)
{
    p2p_seen_slot_t *slot;

    if (!seen->capacity) return NULL;
    slot = probe(seen, key);
    return slot->key ? slot : NULL;
}

/* Slots [0, first free one): a run that goes round the table's end has its rest there. */
static apr_size_t first_run(const p2p_seen_t *seen)
{
    apr_size_t count = 0;

    while (count < seen->capacity && seen->slots[count].key) count++;
    return count;
}

static void place(p2p_seen_t *seen, const p2p_seen_slot_t *slot)
{
    *probe(seen, slot->key) = *slot;
}

/* Doubles the table where it lies, since two tables at a time would be the peak of an exchange's memory. From the first
 * free slot on, each entry moves to its place in the larger table: those before it in its run have moved already, so no
 * gap opens behind it. */
static void grow(p2p_seen_t *seen)
{
    apr_size_t old = seen->capacity, run = first_run(seen), i;
    p2p_seen_slot_t *aside = malloc((run + 1) * sizeof *aside), slot;

    seen->capacity = old ? old * 2 : FIRST_CAPACITY;
    seen->slots = realloc(seen->slots, seen->capacity * sizeof *seen->slots);
    if (!seen->slots || !aside) abort();
    memset(seen->slots + old, 0, (seen->capacity - old) * sizeof *seen->slots);
    if (run) memcpy(aside, seen->slots, run * sizeof *aside);
    if (run) memset(seen->slots, 0, run * sizeof *aside);
    for (i = run; i < old; i++) {
        slot = seen->slots[i];
        if (!slot.key) continue;
        memset(&seen->slots[i], 0, sizeof slot);
        place(seen, &slot);
    }
    for (i = 0; i < run; i++) place(seen, &aside[i]);
    free(aside);
}

p2p_seen_slot_t *p2p_seen_add(p2p_seen_t *seen, apr_uint64_t key)
{
    p2p_seen_slot_t *slot;

    if (seen->count >= seen->capacity / 8 * 7) grow(seen);
    slot = probe(seen, key);
    if (!slot->key) {
        slot->key = key;
        seen->count++;
    }
    return slot;
}

p2p_seen_state_t p2p_seen_state(const p2p_seen_t *seen, apr_uint64_t key)
{
    const p2p_seen_slot_t *slot = p2p_seen_find(seen, key);

    return slot ? (p2p_seen_state_t)slot->state : P2P_SEEN_NEVER;
}

void p2p_seen_set(p2p_seen_t *seen, apr_uint64_t key, p2p_seen_state_t state)
{
    p2p_seen_slot_t *slot = p2p_seen_find(seen, key);

    if (slot) slot->state = state & 7;
}

void p2p_seen_free(p2p_seen_t *seen)
{
    free(seen->slots);
    seen->slots = NULL;
    seen->count = seen->capacity = 0;
}
