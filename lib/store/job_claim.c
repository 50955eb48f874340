/* SPDX-License-Identifier: Apache-2.0 */
/* Who works on what: claiming jobs, taking over those whose runner died, and loading what a claimed job works
 * with. */
#include "store/job_store.h"

#include <string.h>
#include "store/grant_store.h"
#include "store/job_private.h"
#include "store/sealed.h"

/* A job that somebody wanted stopped, whose runner is gone. */
typedef struct orphan_t {
    p2p_job_t job;
    const char *owner;
} orphan_t;

static p2p_error_t *stop_orphan(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    const orphan_t *orphan = baton;
    int changed;

    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_GRANT_LOCK, NULL, orphan->job.grant_id));
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_JOB_STOP_ORPHAN, &changed, orphan->job.id, orphan->owner,
                        orphan->job.epoch));
    if (!changed) return NULL; /* another runner has seen to it */
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_JOB_RECOUNT, NULL, orphan->job.id));
    return p2p_db_exec(db, p, P2P_SQL_GRANT_ERASE, NULL, orphan->job.grant_id);
}

/* Exchanges that have begun and that nobody works on, in the order in which they are taken: those to be stopped, those whose runner died,
 * those that were given back and are due. */
typedef enum { STOPPING, DIED, DUE, KINDS } kind_t;
static const p2p_sql_t takes[KINDS] = {P2P_SQL_JOB_TAKE_STOPPING, P2P_SQL_JOB_TAKE_OVER, P2P_SQL_JOB_WAKE};

/* waiting tells of each kind whether there are any. */
static p2p_error_t *see_to_orphans(p2p_db_t *db, apr_pool_t *p, const char *target, int *waiting)
{
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_JOB_ORPHANS, &rows, target, target, target));
    for (int i = 0; i < rows.count; i++) {
        orphan_t orphan = {.owner = rows.cell[i][2]};

        orphan.job.id = p2p_rows_int(&rows, i, 0);
        orphan.job.grant_id = p2p_rows_int(&rows, i, 1);
        orphan.job.epoch = p2p_rows_int(&rows, i, 3);
        /* An exchange is taken over to say in its Task at the target that it is stopped. */
        if (p2p_job_status_parse(rows.cell[i][4]) == P2P_JOB_STARTED) waiting[*orphan.owner ? DIED : DUE] = 1;
        else if (!strcmp(rows.cell[i][5], P2P_KIND_EXCHANGE)) waiting[STOPPING] = 1;
        else P2P_TRY(p2p_db_transaction(db, p, stop_orphan, &orphan));
    }
    return NULL;
}

p2p_error_t *p2p_job_claim(p2p_db_t *db, apr_pool_t *p, const char *target, const char *owner, p2p_job_t **job)
{
    p2p_rows_t rows = {0}, payers;
    int waiting[KINDS] = {0};

    *job = NULL;
    P2P_TRY(see_to_orphans(db, p, target, waiting));
    /* Where there is nothing to do nothing is written: a look at the queue takes no lock. */
    for (int kind = 0; !rows.count && kind < KINDS; kind++) {
        if (waiting[kind]) P2P_TRY(p2p_db_select(db, p, takes[kind], &rows, owner, target));
    }
    if (!rows.count) {
        P2P_TRY(p2p_db_select(db, p, P2P_SQL_JOB_PAYERS, &payers, target, target, target, target));
        /* The next payer's turn comes where others have just taken all that was queued for this one. */
        for (int i = 0; !rows.count && i < payers.count; i++) {
            P2P_TRY(p2p_db_select(db, p, P2P_SQL_JOB_CLAIM, &rows, owner, target,
                                  p2p_rows_int(&payers, i, 0)));
        }
    }
    if (rows.count) *job = p2p_job_from_row(p, &rows, 0);
    return NULL;
}

static p2p_error_t *load_order(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring,
                               const p2p_job_t *job,
                               p2p_job_order_t *order)
{
    p2p_grant_t *grant;
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_JOB_ORDER, &rows, job->id));
    if (!rows.count) return p2p_job_lost(p);
    P2P_TRY(p2p_unseal_column(p, keyring, P2P_JOB_TABLE, "source_patient", job->id, rows.cell[0][1],
                              &order->source_patient));
    P2P_TRY(p2p_unseal_column(p, keyring, P2P_JOB_TABLE, "target_patient", job->id, rows.cell[0][2],
                              &order->target_patient));
    order->organization = rows.cell[0][3];
    P2P_TRY(p2p_grant_get(db, p, keyring, p2p_rows_int(&rows, 0, 0), &grant));
    order->access_token = grant->access_token;
    order->refresh_token = grant->refresh_token;
    order->urls = apr_array_make(p, 1, sizeof(const char *));
    return NULL;
}

static p2p_error_t *load_requests(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring,
                                  const p2p_job_t *job,
                                  apr_array_header_t *requests)
{
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_REQUEST_LIST, &rows, job->id));
    for (int i = 0; i < rows.count; i++) {
        p2p_request_t *request = apr_array_push(requests);

        request->number = (int)p2p_rows_int(&rows, i, 0);
        request->kind = rows.cell[i][1];
        request->parts = apr_array_make(p, 4, sizeof(p2p_part_t));
        P2P_TRY(p2p_unseal_column(p, keyring, "p2p_request", p2p_column_below(p, "url", request->number, -1),
                                  job->id,
                                  rows.cell[i][2], &request->url));
    }
    return NULL;
}

/* Both are sorted by the request's number. */
static p2p_error_t *load_parts(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring,
                               const p2p_job_t *job,
                               apr_array_header_t *requests)
{
    p2p_rows_t rows;
    int r = 0;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_PART_LIST, &rows, job->id));
    for (int i = 0; i < rows.count; i++) {
        p2p_part_t part;

        P2P_TRY(p2p_part_from_row(p, keyring, job->id, &rows, i, &part));
        part.held = rows.cell[i][15];
        while (r < requests->nelts && APR_ARRAY_IDX(requests, r, p2p_request_t).number < part.request) r++;
        if (r == requests->nelts || APR_ARRAY_IDX(requests, r,
                                                  p2p_request_t).number != part.request) continue;
        APR_ARRAY_PUSH(APR_ARRAY_IDX(requests, r, p2p_request_t).parts, p2p_part_t) = part;
    }
    return NULL;
}

p2p_error_t *p2p_job_load(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const p2p_job_t *job,
                          p2p_job_order_t *order, apr_array_header_t **requests)
{
    *requests = apr_array_make(p, 4, sizeof(p2p_request_t));
    P2P_TRY(load_order(db, p, keyring, job, order));
    P2P_TRY(load_requests(db, p, keyring, job, *requests));
    return load_parts(db, p, keyring, job, *requests);
}
