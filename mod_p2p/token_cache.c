/* SPDX-License-Identifier: Apache-2.0 */
/* Two tables of slots, four for each place that a hash leads to: good tokens, and bad ones, of which a flood may come. */
#include "token_cache.h"

#include <string.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>

#define WAYS 4
#define GOOD_SETS 1024
#define BAD_SETS 256
#define PATIENT 72 /* room for a FHIR id */

typedef struct slot_t {
    unsigned char hash[P2P_TOKEN_HASH];
    apr_time_t until; /* 0: free */
    apr_uint64_t generation;
    const char *refusal;
    int trust;
    p2p_role_t role;
    char client[P2P_TOKEN_CLIENT + 1]; /* or the sentence */
    char patient[PATIENT];             /* "": any */
} slot_t;

typedef struct table_t {
    slot_t *slots;
    unsigned sets;
} table_t;

struct p2p_token_cache_t {
    apr_thread_mutex_t *lock;
    table_t good, bad;
};

static table_t make_table(apr_pool_t *p, unsigned sets)
{
    return (table_t){ apr_pcalloc(p, sizeof(slot_t) * WAYS * sets), sets };
}

p2p_token_cache_t *p2p_token_cache_make(apr_pool_t *p)
{
    p2p_token_cache_t *cache = apr_pcalloc(p, sizeof *cache);

    if (apr_thread_mutex_create(&cache->lock, APR_THREAD_MUTEX_DEFAULT, p)) return NULL;
    cache->good = make_table(p, GOOD_SETS);
    cache->bad = make_table(p, BAD_SETS);
    return cache;
}

/* The slots where a hash may be. */
static slot_t *ways_of(const table_t *table, const unsigned char *hash)
{
    return table->slots + (((unsigned)hash[0] << 8 | hash[1]) % table->sets) * WAYS;
}

static slot_t *find(const table_t *table, const unsigned char *hash)
{
    slot_t *slot = ways_of(table, hash);

    for (int i = 0; i < WAYS; i++, slot++) {
        if (slot->until && !memcmp(slot->hash, hash, P2P_TOKEN_HASH)) return slot;
    }
    return NULL;
}

static void tell(apr_pool_t *p, const slot_t *slot, p2p_verdict_t *verdict)
{
    const char *text = apr_pstrdup(p, slot->client);

    *verdict = (p2p_verdict_t){ .trust = slot->trust, .generation = slot->generation, .until = slot->until, .refusal = slot->refusal,
                                .role = slot->role };
    if (slot->refusal) {
        verdict->sentence = text;
        return;
    }
    verdict->client = text;
    verdict->patient = *slot->patient ? apr_pstrdup(p, slot->patient) : NULL;
}

int p2p_token_cache_get(p2p_token_cache_t *cache, apr_pool_t *p, const unsigned char *hash, p2p_verdict_t *verdict)
{
    slot_t *slot;
    int found;

    apr_thread_mutex_lock(cache->lock);
    slot = find(&cache->good, hash);
    if (!slot) slot = find(&cache->bad, hash);
    found = slot && slot->until > apr_time_now();
    if (found) tell(p, slot, verdict);
    apr_thread_mutex_unlock(cache->lock);
    return found;
}

/* The slot that the hash has already, or the one that ends first: free ones do. */
static slot_t *room(const table_t *table, const unsigned char *hash)
{
    slot_t *slot = find(table, hash), *ways = ways_of(table, hash);

    if (slot) return slot;
    slot = ways;
    for (int i = 1; i < WAYS; i++) {
        if (ways[i].until < slot->until) slot = &ways[i];
    }
    return slot;
}

static void fill(slot_t *slot, const unsigned char *hash, const p2p_verdict_t *verdict)
{
    memcpy(slot->hash, hash, P2P_TOKEN_HASH);
    slot->until = verdict->until;
    slot->generation = verdict->generation;
    slot->refusal = verdict->refusal;
    slot->trust = verdict->trust;
    slot->role = verdict->role;
    apr_cpystrn(slot->client, verdict->refusal ? verdict->sentence : verdict->client, sizeof slot->client);
    apr_cpystrn(slot->patient, verdict->patient ? verdict->patient : "", sizeof slot->patient);
}

void p2p_token_cache_put(p2p_token_cache_t *cache, const unsigned char *hash, const p2p_verdict_t *verdict)
{
    slot_t *other;

    apr_thread_mutex_lock(cache->lock);
    other = find(verdict->refusal ? &cache->good : &cache->bad, hash);
    if (other) other->until = 0;
    fill(room(verdict->refusal ? &cache->bad : &cache->good, hash), hash, verdict);
    apr_thread_mutex_unlock(cache->lock);
}
