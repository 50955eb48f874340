/* SPDX-License-Identifier: Apache-2.0 */
/* Chores: rows of the jobs' table that have no grant and no member. */
#include "store/chore_store.h"

#include <string.h>
#include <apr_strings.h>
#include "base/seal.h"
#include "store/job_private.h"

#define TRIES 3

typedef struct enqueue_t {
    const p2p_chore_order_t *order;
    const char *uuid, *place; /* place: there is one at a time */
    apr_int64_t id;
    p2p_chore_t **chore;
    int again;
} enqueue_t;

/* A row in the order of sql.c's CHORE_COLUMNS, in p. */
static p2p_chore_t *from_row(apr_pool_t *p, const p2p_rows_t *rows)
{
    p2p_chore_t *chore = apr_pcalloc(p, sizeof *chore);
    p2p_job_t *job = &chore->job;
    const char **cell = rows->cell[0];

    job->id = p2p_rows_int(rows, 0, 0);
    job->version = p2p_rows_int(rows, 0, 1);
    job->uuid = job->target = job->task_id = job->task_fault = job->error_detail = "";
    job->kind = cell[2];
    job->oidc_server_id = p2p_rows_int(rows, 0, 3);
    job->client = cell[4];
    chore->subject = cell[5];
    chore->result = cell[6];
    job->status = p2p_job_status_parse(cell[7]);
    job->create_time = p2p_rows_int(rows, 0, 8);
    job->start_time = p2p_rows_int(rows, 0, 9);
    job->end_time = p2p_rows_int(rows, 0, 10);
    job->last_updated = p2p_rows_int(rows, 0, 11);
    job->attempt = p2p_rows_int(rows, 0, 12);
    job->error_code = cell[13];
    job->error_sentence = cell[14];
    job->epoch = p2p_rows_int(rows, 0, 15);
    return chore;
}

static p2p_error_t *enqueue(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    enqueue_t *e = baton;
    const p2p_chore_order_t *o = e->order;
    p2p_rows_t rows;
    int changed;

    for (int i = 0; i < TRIES; i++) {
        P2P_TRY(p2p_db_exec(db, p, P2P_SQL_CHORE_INSERT, &changed, e->id, e->uuid, o->kind, o->target, o->server_id, o->client, e->place,
                            o->subject));
        P2P_TRY(p2p_db_select(db, p, P2P_SQL_CHORE_ACTIVE, &rows, o->target, o->server_id, e->place));
        e->again = !changed;
        if (rows.count) *e->chore = from_row(p, &rows);
        if (rows.count) return NULL;
    }
    return p2p_error_make(p, P2P_E_UNAVAILABLE, "database-away", "The job could not be stored; try again.");
}

p2p_error_t *p2p_chore_enqueue(p2p_db_t *db, apr_pool_t *p, const p2p_chore_order_t *order, p2p_chore_t **chore, int *again)
{
    /* No keyed hash has a blank: it is no member's. */
    enqueue_t e = {.order = order, .chore = chore, .place = apr_pstrcat(p, order->kind, " ", order->subject, NULL)};

    P2P_TRY(p2p_uuid4(p, &e.uuid));
    P2P_TRY(p2p_db_next_id(db, p, "job", &e.id));
    P2P_TRY(p2p_db_transaction(db, p, enqueue, &e));
    *again = e.again;
    return NULL;
}

p2p_error_t *p2p_chore_get(p2p_db_t *db, apr_pool_t *p, const char *kind, apr_int64_t server_id, apr_int64_t id, p2p_chore_t **chore)
{
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_CHORE_GET, &rows, id, server_id, kind));
    if (!rows.count) return p2p_error_make(p, P2P_E_NOT_FOUND, "no-such-test", "This definition has no test of this number.");
    *chore = from_row(p, &rows);
    return NULL;
}

p2p_error_t *p2p_chore_claim(p2p_db_t *db, apr_pool_t *p, const char *target, const char *owner, p2p_chore_t **chore)
{
    p2p_rows_t rows;

    *chore = NULL;
    /* A look takes no lock. */
    P2P_TRY(p2p_db_select(db, p, P2P_SQL_CHORE_WAITING, &rows, target));
    if (!rows.count) return NULL;
    P2P_TRY(p2p_db_select(db, p, P2P_SQL_CHORE_CLAIM, &rows, owner, target));
    if (rows.count) *chore = from_row(p, &rows);
    return NULL;
}

p2p_error_t *p2p_chore_finish(p2p_db_t *db, apr_pool_t *p, const p2p_chore_t *chore, const char *owner, p2p_job_status_t status,
                              const char *result, const p2p_error_t *why)
{
    int changed;

    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_CHORE_FINISH, &changed, p2p_job_status_name(status), result, why ? why->code : "",
                        why ? why->sentence : "", chore->job.id, owner, chore->job.epoch));
    return changed ? NULL : p2p_job_lost(p);
}

p2p_error_t *p2p_chore_forget(p2p_db_t *db, apr_pool_t *p, const p2p_chore_t *chore, const char *owner)
{
    int changed;

    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_CHORE_FORGET, &changed, chore->job.id, owner, chore->job.epoch));
    return changed ? NULL : p2p_job_lost(p);
}
