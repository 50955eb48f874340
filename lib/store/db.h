/* SPDX-License-Identifier: Apache-2.0 */
/* One database connection, SQLite or PostgreSQL, through apr_dbd and around its oddities (see db.c). */
#ifndef P2P_STORE_DB_H
#define P2P_STORE_DB_H

#include <apr_dbd.h>
#include <apr_hash.h>
#include "base/error.h"
#include "base/log.h"
#include "store/sql.h"

/* A connection. One thread at a time. Statements are prepared when first used and, after a failure (a backend
 * that was restarted, a schema that changed), once more. */
typedef struct p2p_db_t p2p_db_t;

/* Opens a connection of its own in p (the runner, the commands); closed with p. PostgreSQL's params get
 * connect_timeout, tcp_user_timeout and keepalives where they are not set; SQLite gets WAL, busy_timeout and
 * foreign_keys. Errors: P2P_E_UNAVAILABLE "database-away", "database-refuses" (the credentials), P2P_E_INVALID
 * "bad-database" (driver, params that it cannot read). The params never show in an error. */
p2p_error_t *p2p_db_open(apr_pool_t *p, const char *driver, const char *params, const p2p_log_t *log,
                         p2p_db_t **db);

/* Wraps a connection that somebody else opened (httpd's mod_dbd); prepared statements are kept in prepared
 * (label to apr_dbd_prepared_t *), which lives with the connection, in connection_pool. The wrapper lives in
 * p. */
p2p_db_t *p2p_db_wrap(apr_pool_t *p, const apr_dbd_driver_t *driver, apr_dbd_t *handle, apr_hash_t *prepared,
                      apr_pool_t *connection_pool, const p2p_log_t *log);

/* A result: rows of text columns, complete in memory. */
typedef struct p2p_rows_t {
    int count, columns;
    const char ***cell; /* cell[row][column], never NULL ("" for SQL NULL), in the pool of the call */
} p2p_rows_t;

/* Runs a statement of the table in sql.h; the arguments follow its types: 's' const char * (NULL is stored as
 * ""), 'i' apr_int64_t. Errors: P2P_E_UNAVAILABLE "database-away" after one attempt to prepare anew (the
 * connection is tried anew at the next call), P2P_E_INTERNAL "database-error" for what trying again does not
 * cure. */
p2p_error_t *p2p_db_select(p2p_db_t *db, apr_pool_t *p, p2p_sql_t statement, p2p_rows_t *rows, ...);

/* The same for a statement without result; *changed (may be NULL) is the number of rows it changed. */
p2p_error_t *p2p_db_exec(p2p_db_t *db, apr_pool_t *p, p2p_sql_t statement, int *changed, ...);

/* The same for the statements of store/sealed_table.h, which are made from its list. args: a text for each letter of its types, UTF-8, numbers
 * in digits. The label lives as long as the connection. */
p2p_error_t *p2p_db_select_made(p2p_db_t *db, apr_pool_t *p, const p2p_sql_statement_t *made, const char *const *args, p2p_rows_t *rows);
p2p_error_t *p2p_db_exec_made(p2p_db_t *db, apr_pool_t *p, const p2p_sql_statement_t *made, const char *const *args, int *changed);

/* A transaction. Whatever p2p_db_transaction's fn returns decides: NULL commits, an error rolls back and is
 * returned. A connection lost inside is P2P_E_UNAVAILABLE, and nothing is changed (a lost COMMIT may have
 * happened: callers write so that the same transaction again changes nothing or fails on its fence). Not
 * nested. */
typedef p2p_error_t *(*p2p_db_work_fn)(p2p_db_t *db, apr_pool_t *p, void *baton);
p2p_error_t *p2p_db_transaction(p2p_db_t *db, apr_pool_t *p, p2p_db_work_fn fn, void *baton);

/* From now on witness is called at the end of each transaction whose fn went well, within it: what it writes is committed with the change or
 * not at all, and its error rolls back. NULL: nobody is. */
void p2p_db_witness(p2p_db_t *db, p2p_db_work_fn witness, void *baton);

/* A transaction that is no change of anybody's, but our own upkeep: there is no witness. */
p2p_error_t *p2p_db_upkeep(p2p_db_t *db, apr_pool_t *p, p2p_db_work_fn fn, void *baton);

/* The next number of a counter ("oidc_server", "job", "grant" …), from 1, never given twice. */
p2p_error_t *p2p_db_next_id(p2p_db_t *db, apr_pool_t *p, const char *counter, apr_int64_t *id);

/* The database's time, microseconds since the epoch. */
p2p_error_t *p2p_db_now(p2p_db_t *db, apr_pool_t *p, apr_time_t *now);

/* Runs one statement given as text, for migrations only. */
p2p_error_t *p2p_db_run(p2p_db_t *db, apr_pool_t *p, const char *sql);

/* 1 for PostgreSQL, 0 for SQLite. */
int p2p_db_is_pgsql(const p2p_db_t *db);

/* Column of a row as a number. */
apr_int64_t p2p_rows_int(const p2p_rows_t *rows, int row, int column);

#endif
