/* SPDX-License-Identifier: Apache-2.0 */
/* Retention: what ended jobs leave behind goes in time, a transaction for each. */
#include "store/job_store.h"

#include <apr_strings.h>
#include "store/job_private.h"

typedef struct tidy_t {
    apr_int64_t job_id, grant_id;
    apr_interval_time_t after; /* its end */
} tidy_t;

/* It cannot be restarted any more. */
static p2p_error_t *settle(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    const tidy_t *t = baton;
    int changed;

    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_GRANT_LOCK, NULL, t->grant_id));
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_JOB_SETTLE, &changed, t->job_id, (apr_int64_t)t->after));
    if (!changed) return NULL; /* it was restarted, or another runner was faster */
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_PART_FORGET_HELD, NULL, t->job_id));
    return p2p_db_exec(db, p, P2P_SQL_GRANT_ERASE, NULL, t->grant_id);
}

/* Requests, parts and rejected resources go with the row. Bindings stay: derived ids rest on them. */
static p2p_error_t *delete_job(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    const tidy_t *t = baton;
    int changed;

    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_GRANT_LOCK, NULL, t->grant_id));
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_JOB_DELETE, &changed, t->job_id, (apr_int64_t)t->after));
    if (!changed) return NULL;
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_IDEMPOTENCY_DELETE, NULL, t->job_id));
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_ALIAS_DELETE, NULL, t->grant_id));
    return p2p_db_exec(db, p, P2P_SQL_GRANT_DELETE, NULL, t->grant_id);
}

static p2p_error_t *see_to(p2p_db_t *db, apr_pool_t *p, const p2p_rows_t *rows, apr_interval_time_t after, p2p_db_work_fn work)
{
    for (int i = 0; i < rows->count; i++) {
        tidy_t t = {p2p_rows_int(rows, i, 0), p2p_rows_int(rows, i, 1), after};

        P2P_TRY(p2p_db_transaction(db, p, work, &t));
    }
    return NULL;
}

p2p_error_t *p2p_job_tidy(p2p_db_t *db, apr_pool_t *p, const char *target, apr_interval_time_t restart_within,
                          apr_interval_time_t keep, int limit, int *count)
{
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_TIDY_SETTLE, &rows, target, (apr_int64_t)restart_within, (apr_int64_t)limit));
    *count = rows.count;
    P2P_TRY(see_to(db, p, &rows, restart_within, settle));
    P2P_TRY(p2p_db_select(db, p, P2P_SQL_TIDY_OLD, &rows, target, (apr_int64_t)keep, (apr_int64_t)limit));
    *count += rows.count;
    return see_to(db, p, &rows, keep, delete_job);
}

p2p_error_t *p2p_job_tidy_turn(p2p_db_t *db, apr_pool_t *p, const char *target, int *mine)
{
    return p2p_db_exec(db, p, P2P_SQL_TIDY_SLOT, mine, apr_pstrcat(p, "tidy ", target, NULL));
}
