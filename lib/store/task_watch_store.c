/* SPDX-License-Identifier: Apache-2.0 */
/* The table p2p_task_watch. */
#include "store/task_watch_store.h"

p2p_error_t *p2p_task_watch_get(p2p_db_t *db, apr_pool_t *p, const char *target, p2p_task_watch_t *watch)
{
    p2p_rows_t rows;

    *watch = (p2p_task_watch_t){.fault = ""};
    P2P_TRY(p2p_db_select(db, p, P2P_SQL_WATCH_GET, &rows, target));
    if (!rows.count) return NULL;
    watch->began = p2p_rows_int(&rows, 0, 0);
    watch->until = p2p_rows_int(&rows, 0, 1);
    watch->searched = p2p_rows_int(&rows, 0, 2);
    watch->due = p2p_rows_int(&rows, 0, 3);
    watch->attempts = p2p_rows_int(&rows, 0, 4);
    watch->fault = rows.cell[0][5];
    watch->now = p2p_rows_int(&rows, 0, 6);
    return NULL;
}

p2p_error_t *p2p_task_watch_begin(p2p_db_t *db, apr_pool_t *p, const char *target, apr_time_t began)
{
    return p2p_db_exec(db, p, P2P_SQL_WATCH_BEGIN, NULL, target, (apr_int64_t)began);
}

p2p_error_t *p2p_task_watch_searched(p2p_db_t *db, apr_pool_t *p, const char *target, apr_time_t until, apr_interval_time_t next)
{
    return p2p_db_exec(db, p, P2P_SQL_WATCH_SEARCHED, NULL, target, (apr_int64_t)until, (apr_int64_t)next);
}

p2p_error_t *p2p_task_watch_failed(p2p_db_t *db, apr_pool_t *p, const char *target, const char *fault, apr_interval_time_t next)
{
    return p2p_db_exec(db, p, P2P_SQL_WATCH_FAILED, NULL, target, fault, (apr_int64_t)next);
}

p2p_error_t *p2p_task_watch_well(p2p_db_t *db, apr_pool_t *p, const char *target, apr_interval_time_t next)
{
    return p2p_db_exec(db, p, P2P_SQL_WATCH_WELL, NULL, (apr_int64_t)next, target);
}
