/* SPDX-License-Identifier: Apache-2.0 */
/* Hints: Tasks at the target that somebody says have changed. */
#ifndef P2P_STORE_TASK_HINT_STORE_H
#define P2P_STORE_TASK_HINT_STORE_H

#include <apr_tables.h>
#include "store/db.h"

#define P2P_TASK_HINTS 1000 /* of a target that wait; beyond that a search has to do */

/* Notes that a Task is to be read ("": that Tasks are to be searched for), and enqueues P2P_KIND_TASKS; then the runners are to be woken. A hint
 * that waits already is not doubled; ids beyond P2P_TASK_HINTS become one "". ids: const char *, FHIR ids. Not within a transaction. */
p2p_error_t *p2p_task_hint_add(p2p_db_t *db, apr_pool_t *p, const char *target, const apr_array_header_t *ids);

/* The same of a search alone. */
p2p_error_t *p2p_task_hint_search(p2p_db_t *db, apr_pool_t *p, const char *target);

/* Enqueues P2P_KIND_TASKS; *asked (may be NULL) tells whether it was not waiting already. Not within a transaction. */
p2p_error_t *p2p_task_hint_ask(p2p_db_t *db, apr_pool_t *p, const char *target, int *asked);

/* One that waits, with the version that p2p_task_hint_done is told. */
typedef struct p2p_task_hint_t {
    const char *task_id;
    apr_int64_t version;
    apr_interval_time_t age; /* since it was noted first */
} p2p_task_hint_t;

/* The oldest, at most limit: array of p2p_task_hint_t. */
p2p_error_t *p2p_task_hint_list(p2p_db_t *db, apr_pool_t *p, const char *target, int limit, apr_array_header_t **hints);

/* Forgets it, unless it was noted again since. */
p2p_error_t *p2p_task_hint_done(p2p_db_t *db, apr_pool_t *p, const char *target, const p2p_task_hint_t *hint);

#endif
