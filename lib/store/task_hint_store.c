/* SPDX-License-Identifier: Apache-2.0 */
/* The table p2p_task_hint. */
#include "store/task_hint_store.h"

#include "store/chore_store.h"

static p2p_error_t *note(p2p_db_t *db, apr_pool_t *p, const char *target, const char *id)
{
    return p2p_db_exec(db, p, P2P_SQL_HINT_ADD, NULL, target, id);
}

/* Whoever sends many ids gets one search. Callers at the same moment may go beyond the bound, by what they bring. */
static p2p_error_t *note_all(p2p_db_t *db, apr_pool_t *p, const char *target, const apr_array_header_t *ids)
{
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_HINT_COUNT, &rows, target));
    if (p2p_rows_int(&rows, 0, 0) + ids->nelts > P2P_TASK_HINTS) return note(db, p, target, "");
    for (int i = 0; i < ids->nelts; i++) P2P_TRY(note(db, p, target, APR_ARRAY_IDX(ids, i, const char *)));
    return NULL;
}

p2p_error_t *p2p_task_hint_ask(p2p_db_t *db, apr_pool_t *p, const char *target, int *asked)
{
    p2p_chore_order_t order = {.kind = P2P_KIND_TASKS, .target = target, .subject = "", .client = ""};
    p2p_chore_t *chore;
    int again;

    P2P_TRY(p2p_chore_enqueue(db, p, &order, &chore, &again));
    if (asked) *asked = !again;
    return NULL;
}

p2p_error_t *p2p_task_hint_add(p2p_db_t *db, apr_pool_t *p, const char *target, const apr_array_header_t *ids)
{
    P2P_TRY(note_all(db, p, target, ids));
    return p2p_task_hint_ask(db, p, target, NULL);
}

p2p_error_t *p2p_task_hint_search(p2p_db_t *db, apr_pool_t *p, const char *target)
{
    P2P_TRY(note(db, p, target, ""));
    return p2p_task_hint_ask(db, p, target, NULL);
}

p2p_error_t *p2p_task_hint_list(p2p_db_t *db, apr_pool_t *p, const char *target, int limit, apr_array_header_t **hints)
{
    p2p_rows_t rows;

    *hints = apr_array_make(p, 16, sizeof(p2p_task_hint_t));
    P2P_TRY(p2p_db_select(db, p, P2P_SQL_HINT_LIST, &rows, target, (apr_int64_t)limit));
    for (int i = 0; i < rows.count; i++) {
        p2p_task_hint_t *hint = apr_array_push(*hints);

        hint->task_id = rows.cell[i][0];
        hint->version = p2p_rows_int(&rows, i, 1);
        hint->age = p2p_rows_int(&rows, i, 2);
    }
    return NULL;
}

p2p_error_t *p2p_task_hint_done(p2p_db_t *db, apr_pool_t *p, const char *target, const p2p_task_hint_t *hint)
{
    return p2p_db_exec(db, p, P2P_SQL_HINT_DONE, NULL, target, hint->task_id, hint->version);
}
