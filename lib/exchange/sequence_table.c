/* SPDX-License-Identifier: Apache-2.0 */
/* Hash tables with chains; keys are digests, so they are their own hash. */
#include <stdlib.h>

#include "exchange/sequencing.h"

static p2p_keyed_t **place_of(const p2p_keyed_table_t *table, apr_uint64_t key)
{
    p2p_keyed_t **place = &table->buckets[(key >> 7) & (table->bucket_count - 1)];

    while (*place && (*place)->key != key) place = &(*place)->chain;
    return place;
}

void *p2p_keyed_find(const p2p_keyed_table_t *table, apr_uint64_t key)
{
    return table->bucket_count ? *place_of(table, key) : NULL;
}

static void grow(p2p_keyed_table_t *table)
{
    p2p_keyed_t **old = table->buckets;
    apr_size_t count = table->bucket_count, i;

    table->bucket_count = count ? count * 2 : 256;
    table->buckets = calloc(table->bucket_count, sizeof *table->buckets);
    if (!table->buckets) abort();
    for (i = 0; i < count; i++) {
        p2p_keyed_t *entry = old[i], *chain;

        for (; entry; entry = chain) {
            p2p_keyed_t **place = &table->buckets[(entry->key >> 7) & (table->bucket_count - 1)];

            chain = entry->chain;
            entry->chain = *place;
            *place = entry;
        }
    }
    free(old);
}

void p2p_keyed_add(p2p_keyed_table_t *table, void *entry)
{
    p2p_keyed_t *keyed = entry, **place;

    if (table->count >= 2 * table->bucket_count) grow(table);
    place = place_of(table, keyed->key);
    keyed->chain = NULL;
    *place = keyed;
    table->count++;
}

void p2p_keyed_remove(p2p_keyed_table_t *table, apr_uint64_t key)
{
    p2p_keyed_t **place = place_of(table, key);

    if (!*place) return;
    *place = (*place)->chain;
    table->count--;
}
