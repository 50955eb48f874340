/* SPDX-License-Identifier: Apache-2.0 */
/* The table p2p_id_map. */
#include "store/id_map_store.h"

#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>
#include "store/job_private.h"
#include "store/sealed.h"

#define TABLE "p2p_id_map"

/* A row has no number: what opens in it is bound to its source id. */
static const char *column_of(apr_pool_t *p, const char *source)
{
    return apr_pstrcat(p, "target_id/", source, NULL);
}

static p2p_error_t *open_row(apr_pool_t *p, const p2p_keyring_t *keyring, const char *source, const char *sealed,
                             p2p_id_pair_t *const *pairs, int count)
{
    const char *text;

    P2P_TRY(p2p_unseal_column(p, keyring, TABLE, column_of(p, source), 0, sealed, &text));
    for (int i = 0; i < count; i++) {
        if (strcmp(pairs[i]->source, source) == 0) pairs[i]->target = text;
    }
    return NULL;
}

p2p_error_t *p2p_id_map_find(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const char *target,
                             p2p_id_pair_t *const *pairs, int count)
{
    const char *s[P2P_ID_MAP_CHUNK];
    p2p_rows_t rows;

    for (int i = 0; i < P2P_ID_MAP_CHUNK; i++) s[i] = i < count ? pairs[i]->source : "";
    P2P_TRY(p2p_db_select(db, p, P2P_SQL_ID_MAP_FIND, &rows, target, s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8], s[9],
                          s[10], s[11], s[12], s[13], s[14], s[15]));
    for (int i = 0; i < rows.count; i++) P2P_TRY(open_row(p, keyring, rows.cell[i][0], rows.cell[i][1], pairs, count));
    return NULL;
}

typedef struct note_t {
    const p2p_keyring_t *keyring;
    const p2p_job_t *job;
    const char *owner, *forget;
    p2p_id_pair_t **pairs;
    int count;
} note_t;

static p2p_error_t *note_all(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    const note_t *note = baton;

    P2P_TRY(p2p_job_fence(db, p, note->job, note->owner));
    for (int i = 0; i < note->count; i++) {
        const p2p_id_pair_t *pair = note->pairs[i];
        const char *sealed;

        P2P_TRY(p2p_seal_column(p, note->keyring, TABLE, column_of(p, pair->source), 0, pair->target, &sealed));
        P2P_TRY(p2p_db_exec(db, p, P2P_SQL_ID_MAP_NOTE, NULL, note->job->target, pair->source, pair->type, sealed));
    }
    return NULL;
}

static p2p_error_t *forget(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    const note_t *note = baton;

    P2P_TRY(p2p_job_fence(db, p, note->job, note->owner));
    return p2p_db_exec(db, p, P2P_SQL_ID_MAP_FORGET, NULL, note->job->target, note->forget);
}

static int by_source(const void *a, const void *b)
{
    return strcmp((*(p2p_id_pair_t *const *)a)->source, (*(p2p_id_pair_t *const *)b)->source);
}

p2p_error_t *p2p_id_map_note(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const p2p_job_t *job, const char *owner,
                             p2p_id_pair_t **pairs, int count)
{
    note_t note = {keyring, job, owner, NULL, pairs, count};

    /* Members share resources: two jobs that note the same ones in different order would wait for each other for ever. */
    qsort(pairs, (size_t)count, sizeof *pairs, by_source);
    return p2p_db_transaction(db, p, note_all, &note);
}

p2p_error_t *p2p_id_map_forget(p2p_db_t *db, apr_pool_t *p, const p2p_job_t *job, const char *owner, const char *source)
{
    note_t note = {NULL, job, owner, source, NULL, 0};

    return p2p_db_transaction(db, p, forget, &note);
}
