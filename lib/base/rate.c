/* SPDX-License-Identifier: Apache-2.0 */
/* Token buckets, each told by a single number: when it is full again. */
#include "base/rate.h"

_Static_assert(__atomic_always_lock_free(sizeof(apr_uint64_t), 0), "processes share these numbers: no lock of one of them may guard them");

static apr_uint64_t load(const apr_uint64_t *number)
{
    return __atomic_load_n(number, __ATOMIC_ACQUIRE);
}

static int swap(apr_uint64_t *number, apr_uint64_t from, apr_uint64_t to)
{
    return __atomic_compare_exchange_n(number, &from, to, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static p2p_rate_slot_t *find_caller(p2p_rate_row_t *row, apr_uint64_t caller)
{
    for (int i = 0; i < P2P_RATE_WAYS; i++) {
        if (load(&row->slots[i].caller) == caller) return &row->slots[i];
    }
    return NULL;
}

/* The slot that has been full for the longest, or is full soonest. */
static p2p_rate_slot_t *find_idlest(p2p_rate_row_t *row)
{
    p2p_rate_slot_t *idlest = &row->slots[0];

    for (int i = 1; i < P2P_RATE_WAYS; i++) {
        if (load(&row->slots[i].full) < load(&idlest->full)) idlest = &row->slots[i];
    }
    return idlest;
}

/* A full bucket is nobody's: whoever comes back to it later finds a full one anywhere. */
static p2p_rate_slot_t *slot_of(p2p_rate_row_t *row, apr_uint64_t caller, apr_uint64_t now)
{
    p2p_rate_slot_t *slot = find_caller(row, caller);
    apr_uint64_t before;

    while (!slot) {
        slot = find_idlest(row);
        before = load(&slot->caller);
        if (load(&slot->full) > now) return slot;
        if (!swap(&slot->caller, before, caller)) slot = NULL; /* somebody else was faster */
        if (!slot) slot = find_caller(row, caller);
    }
    return slot;
}

apr_interval_time_t p2p_rate_take(p2p_rate_row_t *rows, apr_size_t count, apr_uint64_t caller, int per_second, apr_time_t now)
{
    const apr_uint64_t each = APR_USEC_PER_SEC / (apr_uint64_t)per_second, burst = 2 * each * (apr_uint64_t)per_second;
    p2p_rate_slot_t *slot;
    apr_uint64_t full, next;

    if (!caller) caller = 1;
    slot = slot_of(&rows[caller % count], caller, (apr_uint64_t)now);
    do {
        full = load(&slot->full);
        next = (full > (apr_uint64_t)now ? full : (apr_uint64_t)now) + each;
        if (next > (apr_uint64_t)now + burst) return (apr_interval_time_t)(next - burst) - now;
    } while (!swap(&slot->full, full, next));
    return 0;
}
