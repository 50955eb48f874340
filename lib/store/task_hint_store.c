/* SPDX-License-Identifier: Apache-2.0 */
/* The table p2p_task_hint. */
#include "store/task_hint_store.h"

#include "store/chore_store.h"

p2p_error_t *p2p_task_hint_add(p2p_db_t *db, apr_pool_t *p, const char *target, const apr_array_header_t *ids)
{
    p2p_chore_order_t order = {.kind = P2P_KIND_TASKS, .target = target, .subject = "", .client = ""};
    p2p_chore_t *chore;
    int again;

    for (int i = 0; i < ids->nelts; i++)
        P2P_TRY(p2p_db_exec(db, p, P2P_SQL_HINT_ADD, NULL, target, APR_ARRAY_IDX(ids, i, const char *)));
    return p2p_chore_enqueue(db, p, &order, &chore, &again);
}
