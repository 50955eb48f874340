/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table with open addressing; its keys are digests, so they are their own hash: slots are in the order of their keys, or nearly. */
#include "exchange/seen.h"

#include <stdlib.h>
#include <sys/mman.h>

#define FIRST_CAPACITY 256
#define DOUBLED 16384    /* tables below this double, larger ones grow by a quarter */
#define GIVEN_BACK 65536 /* slots at a time: whole pages */

static p2p_seen_slot_t *probe(const p2p_seen_t *seen, apr_uint64_t key)
{
    apr_size_t at = (apr_size_t)((unsigned __int128)key * seen->capacity >> 64);

    while (seen->slots[at].key && seen->slots[at].key != key) {
        if (++at == seen->capacity) at = 0;
    }
    return &seen->slots[at];
}

p2p_seen_slot_t *p2p_seen_find(const p2p_seen_t *seen, apr_uint64_t key)
{
    p2p_seen_slot_t *slot;

    if (!seen->capacity) return NULL;
    slot = probe(seen, key);
    return slot->key ? slot : NULL;
}

/* ---- Growing ---- */

static p2p_seen_slot_t *map_slots(apr_size_t capacity)
{
    void *slots = mmap(NULL, capacity * sizeof(p2p_seen_slot_t), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (slots == MAP_FAILED) abort();
    return slots;
}

/* What has moved is given back at once: since slots lie in the order of their keys, the new table fills up as the old one goes, and there
 * never are two in memory. */
static void give_back(p2p_seen_slot_t *slots, apr_size_t moved)
{
    if (moved % GIVEN_BACK == 0) madvise(slots + moved - GIVEN_BACK, GIVEN_BACK * sizeof *slots, MADV_DONTNEED);
}

static void grow(p2p_seen_t *seen)
{
    p2p_seen_t old = *seen;
    apr_size_t i;

    if (!old.capacity) seen->capacity = FIRST_CAPACITY;
    else seen->capacity += old.capacity < DOUBLED ? old.capacity : old.capacity / 4;
    seen->slots = map_slots(seen->capacity);
    for (i = 0; i < old.capacity; i++) {
        if (old.slots[i].key) *probe(seen, old.slots[i].key) = old.slots[i];
        give_back(old.slots, i + 1);
    }
    if (old.capacity) munmap(old.slots, old.capacity * sizeof *old.slots);
}

p2p_seen_slot_t *p2p_seen_add(p2p_seen_t *seen, apr_uint64_t key)
{
    p2p_seen_slot_t *slot;

    if (seen->count >= seen->capacity - seen->capacity / 8) grow(seen);
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

apr_size_t p2p_seen_count(const p2p_seen_t *seen, p2p_seen_state_t state)
{
    apr_size_t count = 0, i;

    for (i = 0; i < seen->capacity; i++) count += seen->slots[i].key && seen->slots[i].state == state;
    return count;
}

void p2p_seen_free(p2p_seen_t *seen)
{
    if (seen->capacity) munmap(seen->slots, seen->capacity * sizeof *seen->slots);
    seen->slots = NULL;
    seen->count = seen->capacity = 0;
}
