/* SPDX-License-Identifier: Apache-2.0 */
/* Which resources an exchange has met, and what became of them: 16 bytes each and 18 to 23 with the room between them, the only thing
 * that grows with the record. */
#ifndef P2P_EXCHANGE_SEEN_H
#define P2P_EXCHANGE_SEEN_H

#include <apr.h>

typedef enum {
    P2P_SEEN_NEVER,   /* not met */
    P2P_SEEN_HELD,    /* received, on its way to a Bundle */
    P2P_SEEN_SENT,    /* in a Bundle */
    P2P_SEEN_WRITTEN, /* at the target */
    P2P_SEEN_GONE,    /* skipped or refused: it will not be at the target */
    P2P_SEEN_OPEN,    /* at the target, with references logical whose resources were not there yet: to be written again */
    P2P_SEEN_AGAIN    /* the same, and on its way again */
} p2p_seen_state_t;

/* Is a resource of this state at the target, so that others may refer to it? */
#define P2P_SEEN_IS_THERE(state) ((state) == P2P_SEEN_WRITTEN || (state) == P2P_SEEN_OPEN || (state) == P2P_SEEN_AGAIN)

/* So much of a time, and of a Bundle's number, is kept. */
#define P2P_SEEN_UPDATED(ms) ((ms) & 0xfffffffffff)
#define P2P_SEEN_BUNDLE(number) ((number) & 0x1ffff)

/* key, then meta.lastUpdated in milliseconds (44 bits) and state. */
typedef struct p2p_seen_slot_t {
    apr_uint64_t key;
    apr_uint64_t updated : 44, state : 3;
    apr_uint64_t bundle : 17; /* number of the Bundle that it was last put into, its lowest 17 bits */
} p2p_seen_slot_t;

typedef struct p2p_seen_t {
    p2p_seen_slot_t *slots;
    apr_size_t count, capacity;
} p2p_seen_t;

/* The slot of key, or NULL where it was never met. Valid until the next p2p_seen_add. */
p2p_seen_slot_t *p2p_seen_find(const p2p_seen_t *seen, apr_uint64_t key);

/* The same, made where it is missing (state NEVER). key is not 0. */
p2p_seen_slot_t *p2p_seen_add(p2p_seen_t *seen, apr_uint64_t key);

/* State of key. */
p2p_seen_state_t p2p_seen_state(const p2p_seen_t *seen, apr_uint64_t key);

/* Sets the state of a key that was added. */
void p2p_seen_set(p2p_seen_t *seen, apr_uint64_t key, p2p_seen_state_t state);

/* How many are in a state. */
apr_size_t p2p_seen_count(const p2p_seen_t *seen, p2p_seen_state_t state);

/* Frees the memory; empty again. A zeroed structure is an empty one. */
void p2p_seen_free(p2p_seen_t *seen);

#endif
