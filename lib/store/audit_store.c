/* SPDX-License-Identifier: Apache-2.0 */
/* The audit's rows. */
#include "store/audit_store.h"

p2p_error_t *p2p_audit_next_id(p2p_db_t *db, apr_pool_t *p, apr_int64_t *id)
{
    return p2p_db_next_id(db, p, "audit", id);
}

p2p_error_t *p2p_audit_add(p2p_db_t *db, apr_pool_t *p, const p2p_audit_row_t *row)
{
    apr_int64_t id = row->id;

    if (!id) P2P_TRY(p2p_audit_next_id(db, p, &id));
    return p2p_db_exec(db, p, P2P_SQL_AUDIT_INSERT, NULL, id, row->client, row->role, row->address, row->action, row->object,
                       (apr_int64_t)row->status, row->code);
}

/* In the order of sql.c's AUDIT_COLUMNS. */
static void from_row(const p2p_rows_t *rows, int i, p2p_audit_row_t *row)
{
    const char **cell = rows->cell[i];

    row->id = p2p_rows_int(rows, i, 0);
    row->time = p2p_rows_int(rows, i, 1);
    row->client = cell[2];
    row->role = cell[3];
    row->address = cell[4];
    row->action = cell[5];
    row->object = cell[6];
    row->status = (int)p2p_rows_int(rows, i, 7);
    row->code = cell[8];
}

p2p_error_t *p2p_audit_list(p2p_db_t *db, apr_pool_t *p, const char *object, const char *client, apr_int64_t before, int limit,
                            apr_array_header_t **list)
{
    apr_int64_t most = limit;
    p2p_rows_t rows;

    if (object && client) P2P_TRY(p2p_db_select(db, p, P2P_SQL_AUDIT_LIST_BOTH, &rows, object, client, before, most));
    else if (object) P2P_TRY(p2p_db_select(db, p, P2P_SQL_AUDIT_LIST_OBJECT, &rows, object, before, most));
    else if (client) P2P_TRY(p2p_db_select(db, p, P2P_SQL_AUDIT_LIST_CLIENT, &rows, client, before, most));
    else P2P_TRY(p2p_db_select(db, p, P2P_SQL_AUDIT_LIST, &rows, before, most));
    *list = apr_array_make(p, rows.count + 1, sizeof(p2p_audit_row_t));
    for (int i = 0; i < rows.count; i++) from_row(&rows, i, apr_array_push(*list));
    return NULL;
}

p2p_error_t *p2p_audit_tidy(p2p_db_t *db, apr_pool_t *p, apr_interval_time_t keep, int limit, int *count)
{
    p2p_rows_t rows;

    *count = 0;
    P2P_TRY(p2p_db_select(db, p, P2P_SQL_AUDIT_OLD, &rows, (apr_int64_t)keep));
    if (!p2p_rows_int(&rows, 0, 0)) return NULL;
    return p2p_db_exec(db, p, P2P_SQL_AUDIT_TIDY, count, (apr_int64_t)keep, (apr_int64_t)limit);
}
