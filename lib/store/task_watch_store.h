/* SPDX-License-Identifier: Apache-2.0 */
/* How far the Tasks of a target are known, and when they are searched for next. */
#ifndef P2P_STORE_TASK_WATCH_STORE_H
#define P2P_STORE_TASK_WATCH_STORE_H

#include <apr_time.h>
#include "store/db.h"

typedef struct p2p_task_watch_t {
    apr_time_t began;     /* the target's time when it was first searched: of what was there before nobody is told; 0: not yet */
    apr_time_t until;     /* the target's time up to which all is known; 0 until the first search has come to its end */
    apr_time_t searched;  /* ours, of the last search that came to its end; 0: never */
    apr_time_t due;       /* ours, of the next one */
    apr_int64_t attempts; /* that failed in a row */
    const char *fault;    /* why the last one did; "" where it did not */
    apr_time_t now;       /* ours, when this was read */
} p2p_task_watch_t;

/* All zero for a target that nobody has looked at. */
p2p_error_t *p2p_task_watch_get(p2p_db_t *db, apr_pool_t *p, const char *target, p2p_task_watch_t *watch);

/* Notes the target's time at the first search, unless one is noted. In the open transaction, if there is one. */
p2p_error_t *p2p_task_watch_begin(p2p_db_t *db, apr_pool_t *p, const char *target, apr_time_t began);

/* A search has come to its end: all is known until then (it never goes back), and the next one is due after so long. As above. */
p2p_error_t *p2p_task_watch_searched(p2p_db_t *db, apr_pool_t *p, const char *target, apr_time_t until, apr_interval_time_t next);

/* It has failed, or a Task could not be read: why, and when it is tried again. */
p2p_error_t *p2p_task_watch_failed(p2p_db_t *db, apr_pool_t *p, const char *target, const char *fault, apr_interval_time_t next);

/* Nothing is wrong any more, though no search was due. */
p2p_error_t *p2p_task_watch_well(p2p_db_t *db, apr_pool_t *p, const char *target, apr_interval_time_t next);

#endif
