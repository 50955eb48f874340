/* SPDX-License-Identifier: Apache-2.0 */
/* Looking up, noting and forgetting assigned ids. */
#include "exchange/ids.h"

#include <string.h>

#include <apr_strings.h>

#define SLOTS 4096 /* a power of two */
#define ID_MAX 64  /* FHIR's */

typedef struct slot_t {
    apr_uint64_t key; /* of the derived id; 0: empty */
    char id[ID_MAX + 1];
} slot_t;

struct p2p_ids_t {
    p2p_ids_settings_t set;
    slot_t slots[SLOTS];
};

p2p_ids_t *p2p_ids_make(apr_pool_t *p, const p2p_ids_settings_t *settings)
{
    p2p_ids_t *ids = apr_pcalloc(p, sizeof *ids);

    ids->set = *settings;
    return ids;
}

static slot_t *slot_of(p2p_ids_t *ids, apr_uint64_t key)
{
    return &ids->slots[(key ^ key >> 32) & (SLOTS - 1)];
}

/* What the cache says; NULL: nothing. */
static const char *recall(p2p_ids_t *ids, const char *source)
{
    apr_uint64_t key = p2p_id_text_key(source);
    slot_t *slot = slot_of(ids, key);

    return slot->key == key ? slot->id : NULL;
}

static void remember(p2p_ids_t *ids, const p2p_id_pair_t *pair)
{
    apr_uint64_t key = p2p_id_text_key(pair->source);
    slot_t *slot = slot_of(ids, key);

    if (strlen(pair->target) > ID_MAX) return;
    slot->key = key;
    apr_cpystrn(slot->id, pair->target, sizeof slot->id);
}

static p2p_error_t *find_chunk(p2p_ids_t *ids, apr_pool_t *p, p2p_id_pair_t **pairs, int count)
{
    int i;

    P2P_TRY(p2p_id_map_find(ids->set.db, p, ids->set.keyring, ids->set.job->target, pairs, count));
    for (i = 0; i < count; i++) {
        if (pairs[i]->target) remember(ids, pairs[i]);
    }
    return NULL;
}

p2p_error_t *p2p_ids_find(p2p_ids_t *ids, apr_pool_t *p, p2p_id_pair_t **pairs, int count)
{
    p2p_id_pair_t *chunk[P2P_ID_MAP_CHUNK];
    int i, held = 0;

    for (i = 0; i < count; i++) {
        const char *known = recall(ids, pairs[i]->source);

        if (known) pairs[i]->target = apr_pstrdup(p, known);
        else chunk[held++] = pairs[i];
        if (held < P2P_ID_MAP_CHUNK) continue;
        P2P_TRY(find_chunk(ids, p, chunk, held));
        held = 0;
    }
    return held ? find_chunk(ids, p, chunk, held) : NULL;
}

p2p_error_t *p2p_ids_note(p2p_ids_t *ids, apr_pool_t *p, p2p_id_pair_t **pairs, int count)
{
    int i, fresh = 0;

    for (i = 0; i < count; i++) {
        const char *known = recall(ids, pairs[i]->source);

        if (!known || strcmp(known, pairs[i]->target) != 0) pairs[fresh++] = pairs[i];
    }
    if (!fresh) return NULL;
    P2P_TRY(p2p_id_map_note(ids->set.db, p, ids->set.keyring, ids->set.job, ids->set.owner, pairs, fresh));
    for (i = 0; i < fresh; i++) remember(ids, pairs[i]);
    return NULL;
}

p2p_error_t *p2p_ids_forget(p2p_ids_t *ids, apr_pool_t *p, const char *source)
{
    apr_uint64_t key = p2p_id_text_key(source);
    slot_t *slot = slot_of(ids, key);

    if (slot->key == key) slot->key = 0;
    return p2p_id_map_forget(ids->set.db, p, ids->set.job, ids->set.owner, source);
}
