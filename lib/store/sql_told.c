/* SPDX-License-Identifier: Apache-2.0 */
/* The table of statements, second part: Tasks, events, mail. */
#include "store/sql_private.h"

#define AT(statement) [(statement) - P2P_SQL_TOLD]

const p2p_sql_statement_t p2p_sql_told[P2P_SQL_COUNT - P2P_SQL_TOLD] = {
    AT(P2P_SQL_EVENT_INSERT) = {"p2p_event_insert",
        "INSERT INTO p2p_task_event (target, subject, status, time) VALUES (%s, %s, %s, {now}) "
        "ON CONFLICT (target, subject, status) DO NOTHING", "sss", 0},

    /* What is delivered again while it waits is one hint; a reader forgets only the version that it has seen. */
    AT(P2P_SQL_HINT_ADD) = {"p2p_hint_add",
        "INSERT INTO p2p_task_hint (target, task_id, version, noted) VALUES (%s, %s, 1, {now}) "
        "ON CONFLICT (target, task_id) DO UPDATE SET version = p2p_task_hint.version + 1", "ss", 0},

    AT(P2P_SQL_SUBSCRIPTION_GET) = {"p2p_subscription_get",
        "SELECT id, status, fault, secret, secret_before, rotated, checked FROM p2p_subscription "
        "WHERE target = %s AND endpoint = %s", "ss", 7},
};
