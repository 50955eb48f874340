/* SPDX-License-Identifier: Apache-2.0 */
/* What db.c and db_open.c share; nobody else includes it. */
#ifndef P2P_STORE_DB_PRIVATE_H
#define P2P_STORE_DB_PRIVATE_H

#include <apr_hash.h>
#include "store/db.h"

/* SQLite waits so many milliseconds for a lock with apr_dbd's mutex held, without which whoever has the lock cannot go on in this process;
 * apr_dbd tries 16 times and sleeps in between, without its mutex. */
#define P2P_SQLITE_BUSY "PRAGMA busy_timeout = 5"

struct p2p_db_t {
    const apr_dbd_driver_t *driver;
    apr_dbd_t *handle;
    apr_hash_t *prepared;        /* label to apr_dbd_prepared_t *, as long as the connection */
    apr_pool_t *connection_pool; /* what is prepared lives in it */
    const p2p_log_t *log;
    int pgsql;
    int suspect;    /* look at the connection before the next call */
    int away;       /* it was not there when we looked */
    apr_time_t quiet_until; /* monotonic: it is not looked at again before */
    int in_transaction;
    unsigned generation; /* counts the sessions behind the connection */
    p2p_error_t *transaction_error; /* of the first statement that failed in the open transaction */
    p2p_db_work_fn witness; /* or NULL */
    void *witness_baton;
};

/* P2P_E_UNAVAILABLE "database-away". */
p2p_error_t *p2p_db_away(apr_pool_t *p);

/* The session that knew them is gone. */
void p2p_db_forget_statements(p2p_db_t *db);

/* text as the database takes it: NULL is "", a byte that is not UTF-8 becomes "?". */
const char *p2p_db_text(apr_pool_t *p, const char *text);

#endif
