/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table with open addressing; its keys are digests, so they are their own hash. */
#include "exchange/seen.h"

#include <stdlib.h>

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

static void grow(p2p_seen_t *seen)
{
    p2p_seen_t larger = {NULL, seen->count, seen->capacity ? seen->capacity * 2 : FIRST_CAPACITY};
    apr_size_t i;

    larger.slots = calloc(larger.capacity, sizeof *larger.slots);
    if (!larger.slots) abort();
    for (i = 0; i < seen->capacity; i++) {
        if (seen->slots[i].key) *probe(&larger, seen->slots[i].key) = seen->slots[i];
    }
    free(seen->slots);
    *seen = larger;
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
