/* SPDX-License-Identifier: Apache-2.0 */
/* Statements, transactions and recovery on one connection. What is odd here answers an oddity of apr_dbd:
 * - a statement that fails may only be gone (PQreset forgot it, SQLite's legacy sqlite3_prepare met a changed schema), so
 *   it is prepared anew under its label and tried once more; a live label on PostgreSQL answers "already exists", and
 *   then the failure was genuine;
 * - apr_dbd_transaction_start crashes on a dead connection and its pool cleanup commits, so BEGIN, COMMIT and ROLLBACK
 *   are statements of ours;
 * - selects are always complete (random access): otherwise errors look like the end of the rows. */
#include "store/db.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <apr_hash.h>
#include <apr_strings.h>
#include "base/clock.h"
#include "store/db_private.h"

#define BUSY_ATTEMPTS 3 /* of 1.5 seconds each: the driver's patience, which a disk that is slow for once outlasts */

enum { SQLITE_BUSY_CODE = 5, SQLITE_LOCKED_CODE = 6 };

/* One call: what to run and where the result goes. */
typedef struct call_t {
    const p2p_sql_statement_t *statement;
    const char *const *args;
    p2p_rows_t *rows; /* NULL: a statement without result */
    int changed;
    int rv; /* the driver's code of the last attempt */
} call_t;

int p2p_db_is_pgsql(const p2p_db_t *db)
{
    return db->pgsql;
}

apr_int64_t p2p_rows_int(const p2p_rows_t *rows, int row, int column)
{
    return apr_strtoi64(rows->cell[row][column], NULL, 10);
}

p2p_error_t *p2p_db_away(apr_pool_t *p)
{
    return p2p_error_make(p, P2P_E_UNAVAILABLE, "database-away",
                          "The database does not answer; try again in a moment.");
}

/* The driver's words, the first line only: PostgreSQL puts values into the lines below. */
static const char *driver_message(p2p_db_t *db, apr_pool_t *p, int rv)
{
    const char *message = apr_dbd_error(db->driver, db->handle, rv);

    return message ? apr_pstrndup(p, message, strcspn(message, "\r\n")) : "";
}

/* Does the driver speak of something that passes: a lock, a full disk, a server that is going down, a session that was lost? libpq's
 * words for the last depend on the moment. */
static int passing(const char *message)
{
    static const char *const words[] = {"locked", "disk I/O error", "is full", "unable to open", "readonly", "read-only",
                                        "no space left", "deadlock", "timeout", "connection", "could not receive data",
                                        "could not send data", "broken pipe", "EOF detected", "shutting down", "starting up",
                                        "recovery mode", "could not serialize"};

    for (apr_size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcasestr(message, words[i])) return 1;
    }
    return 0;
}

/* message: driver_message of what failed first; a look at the session has words of its own. */
static p2p_error_t *failed_saying(p2p_db_t *db, apr_pool_t *p, const char *label, int rv, const char *message)
{
    p2p_error_t *error;

    p2p_log(db->log, P2P_LOG_WARN, "database: %s: %s", label, message);
    if (db->away || rv == SQLITE_BUSY_CODE || passing(message)) {
        db->suspect = 1;
        error = p2p_db_away(p); /* without the message: it tells where the database is */
    } else {
        error = p2p_error_make(p, P2P_E_INTERNAL, "database-error",
                               "The database refused the statement %s; the log says why.", label);
        p2p_error_detail(p, error, message);
    }
    if (db->in_transaction && !db->transaction_error) db->transaction_error = error;
    return error;
}

static p2p_error_t *failed(p2p_db_t *db, apr_pool_t *p, const char *label, int rv)
{
    return failed_saying(db, p, label, rv, driver_message(db, p, rv));
}

static apr_time_t monotonic(void)
{
    p2p_clock_t clock = p2p_clock_system();

    return clock.monotonic(clock.baton);
}

/* Looks after the connection where the last call left it in doubt; PostgreSQL's driver connects anew. On a network that loses
 * everything that takes seconds, in which the caller does nothing else: it is not done again for as long. */
static int connected(p2p_db_t *db, apr_pool_t *p)
{
    apr_time_t begin = monotonic(), end;

    db->away = apr_dbd_check_conn(db->driver, p, db->handle) != APR_SUCCESS;
    if (!db->away) return 1;
    end = monotonic();
    db->quiet_until = end + (end - begin);
    p2p_db_forget_statements(db);
    return 0;
}

void p2p_db_forget_statements(p2p_db_t *db)
{
    apr_hash_clear(db->prepared);
    db->generation++;
}

/* The server must not wait for hours for a host that is gone, or for a process that stands still, with a job's row locked: both
 * are given up before a lease is over. A plan that is kept and was made for a queue of ten jobs reads a queue of a million from end to end,
 * until the next ANALYZE: each execution gets a plan of its own. */
static const char pgsql_session[] = "SET idle_in_transaction_session_timeout = 10000; SET tcp_keepalives_idle = 10; "
                                    "SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3; SET tcp_user_timeout = 10000; "
                                    "SET plan_cache_mode = force_custom_plan";

/* A new session, or a connection that mod_dbd opened, has not got its settings yet. */
static void set_up(p2p_db_t *db, apr_pool_t *p)
{
    apr_dbd_results_t *result = NULL;
    int changed;

    if (db->pgsql) {
        apr_dbd_query(db->driver, db->handle, &changed, pgsql_session);
        return;
    }
    apr_dbd_select(db->driver, p, db->handle, &result, P2P_SQLITE_BUSY, 1);
    result = NULL;
    apr_dbd_select(db->driver, p, db->handle, &result, "PRAGMA foreign_keys = ON", 1);
}

/* Prepares the statement whether it is known or not. */
static int prepare(p2p_db_t *db, apr_pool_t *p, const p2p_sql_statement_t *statement, apr_dbd_prepared_t **prepared)
{
    int rv;

    if (apr_hash_count(db->prepared) == 0) set_up(db, p);
    *prepared = NULL;
    rv = apr_dbd_prepare(db->driver, db->connection_pool, db->handle, p2p_sql_for(p, statement->text, db->pgsql), statement->label,
                         prepared);
    if (rv == 0) apr_hash_set(db->prepared, statement->label, APR_HASH_KEY_STRING, *prepared);
    return rv;
}

static int statement_of(p2p_db_t *db, apr_pool_t *p, const p2p_sql_statement_t *statement, apr_dbd_prepared_t **prepared)
{
    *prepared = apr_hash_get(db->prepared, statement->label, APR_HASH_KEY_STRING);
    return *prepared ? 0 : prepare(db, p, statement, prepared);
}

static void take_rows(p2p_db_t *db, apr_pool_t *p, apr_dbd_results_t *result, int columns, p2p_rows_t *rows)
{
    apr_dbd_row_t *row = NULL;

    rows->count = apr_dbd_num_tuples(db->driver, result);
    rows->columns = columns;
    rows->cell = apr_palloc(p, sizeof *rows->cell * (rows->count + 1));
    for (int i = 0; i < rows->count; i++) {
        apr_dbd_get_row(db->driver, p, result, &row, -1);
        rows->cell[i] = apr_palloc(p, sizeof **rows->cell * columns);
        for (int j = 0; j < columns; j++) {
            const char *text = apr_dbd_get_entry(db->driver, row, j);

            rows->cell[i][j] = text ? text : "";
        }
    }
}

static int attempt(p2p_db_t *db, apr_pool_t *p, call_t *call)
{
    apr_dbd_prepared_t *prepared;
    apr_dbd_results_t *result = NULL;

    call->rv = statement_of(db, p, call->statement, &prepared);
    if (call->rv) return 0;
    if (!call->rows) {
        call->rv = apr_dbd_pquery(db->driver, p, db->handle, &call->changed, prepared, 0, (const char **)call->args);
        return call->rv == 0;
    }
    call->rv = apr_dbd_pselect(db->driver, p, db->handle, &result, prepared, 1, 0, (const char **)call->args);
    if (call->rv) return 0;
    take_rows(db, p, result, call->statement->columns, call->rows);
    return 1;
}

static int is_busy(const p2p_db_t *db, const call_t *call)
{
    return !db->pgsql && (call->rv == SQLITE_BUSY_CODE || call->rv == SQLITE_LOCKED_CODE);
}

/* Can the call be tried again? Inside a transaction of PostgreSQL nothing can: it is aborted. */
static int recovered(p2p_db_t *db, apr_pool_t *p, const call_t *call)
{
    apr_dbd_prepared_t *prepared;

    if (db->in_transaction && db->pgsql) return 0;
    if (is_busy(db, call)) return 0;
    if (!connected(db, p)) return 0;
    if (!db->pgsql) {
        apr_hash_set(db->prepared, call->statement->label, APR_HASH_KEY_STRING, NULL);
        return prepare(db, p, call->statement, &prepared) == 0;
    }
    if (prepare(db, p, call->statement, &prepared)) return 0;
    /* The label was free, so this is a new session: the other statements are gone as well. */
    p2p_db_forget_statements(db);
    set_up(db, p);
    apr_hash_set(db->prepared, call->statement->label, APR_HASH_KEY_STRING, prepared);
    return 1;
}

static p2p_error_t *run(p2p_db_t *db, apr_pool_t *p, call_t *call)
{
    const char *label = call->statement->label, *message;

    if (db->suspect && !db->in_transaction) {
        if (monotonic() < db->quiet_until) return p2p_db_away(p);
        if (!connected(db, p)) return failed(db, p, label, 0);
        db->suspect = 0;
    }
    if (attempt(db, p, call)) return NULL;
    for (int i = 1; i < BUSY_ATTEMPTS && is_busy(db, call); i++)
        if (attempt(db, p, call)) return NULL;
    message = driver_message(db, p, call->rv);
    if (!recovered(db, p, call)) return failed_saying(db, p, label, call->rv, message);
    return attempt(db, p, call) ? NULL : failed(db, p, label, call->rv);
}

static const char **collect(apr_pool_t *p, const char *types, va_list values)
{
    apr_size_t count = strlen(types);
    const char **args = apr_palloc(p, sizeof *args * (count + 1));

    for (apr_size_t i = 0; i < count; i++) {
        if (types[i] == 'i') {
            args[i] = apr_psprintf(p, "%" APR_INT64_T_FMT, va_arg(values, apr_int64_t));
        } else {
            args[i] = p2p_db_text(p, va_arg(values, const char *));
        }
    }
    args[count] = NULL;
    return args;
}

p2p_error_t *p2p_db_select(p2p_db_t *db, apr_pool_t *p, p2p_sql_t statement, p2p_rows_t *rows, ...)
{
    call_t call = {.statement = p2p_sql(statement), .rows = rows};
    va_list values;

    va_start(values, rows);
    call.args = collect(p, call.statement->types, values);
    va_end(values);
    return run(db, p, &call);
}

p2p_error_t *p2p_db_exec(p2p_db_t *db, apr_pool_t *p, p2p_sql_t statement, int *changed, ...)
{
    call_t call = {.statement = p2p_sql(statement)};
    va_list values;

    va_start(values, changed);
    call.args = collect(p, call.statement->types, values);
    va_end(values);
    P2P_TRY(run(db, p, &call));
    if (changed) *changed = call.changed;
    return NULL;
}

p2p_error_t *p2p_db_select_made(p2p_db_t *db, apr_pool_t *p, const p2p_sql_statement_t *made, const char *const *args, p2p_rows_t *rows)
{
    call_t call = {.statement = made, .args = args, .rows = rows};

    return run(db, p, &call);
}

p2p_error_t *p2p_db_exec_made(p2p_db_t *db, apr_pool_t *p, const p2p_sql_statement_t *made, const char *const *args, int *changed)
{
    call_t call = {.statement = made, .args = args};

    P2P_TRY(run(db, p, &call));
    *changed = call.changed;
    return NULL;
}

/* BEGIN, COMMIT, ROLLBACK and what a migration runs. */
static int query(p2p_db_t *db, const char *sql)
{
    int changed = 0;

    return apr_dbd_query(db->driver, db->handle, &changed, sql);
}

p2p_error_t *p2p_db_run(p2p_db_t *db, apr_pool_t *p, const char *sql)
{
    int rv = query(db, sql);

    return rv ? failed(db, p, "of the migration", rv) : NULL;
}

#define SQLITE_BEGINS 2 /* a BEGIN that came to nothing can be sent again; apr_dbd waits for 1.6 s in each */

static p2p_error_t *begin(p2p_db_t *db, apr_pool_t *p)
{
    p2p_rows_t rows;
    int rv, tries = db->pgsql ? 1 : SQLITE_BEGINS;

    if (db->in_transaction) return p2p_error_make(p, P2P_E_INTERNAL, "database-error",
                                                  "A transaction was nested.");
    /* PostgreSQL forgives nothing inside a transaction: whether the session is still the one that knows our
     * statements is found out before. SQLite's statements can be prepared anew at any time. */
    if (db->pgsql) P2P_TRY(p2p_db_select(db, p, P2P_SQL_NOW, &rows));
    do rv = query(db, p2p_sql_text(p, P2P_SQL_BEGIN, db->pgsql));
    while (rv && --tries);
    if (rv) {
        db->suspect = 1;
        return failed(db, p, p2p_sql(P2P_SQL_BEGIN)->label, rv);
    }
    db->in_transaction = 1;
    db->transaction_error = NULL;
    return NULL;
}

/* Rolls back. A statement that failed because the session was lost is told from one that was refused by
 * looking whether the session is a new one now. */
static p2p_error_t *roll_back(p2p_db_t *db, apr_pool_t *p, p2p_error_t *error)
{
    unsigned generation = db->generation;
    int refused = db->transaction_error != NULL;
    p2p_rows_t rows;

    query(db, p2p_sql(P2P_SQL_ROLLBACK)->text);
    db->in_transaction = 0;
    db->transaction_error = NULL;
    if (!refused || !db->pgsql) return error;
    db->suspect = 1;
    if (p2p_db_select(db, p, P2P_SQL_NOW, &rows) || generation != db->generation) return p2p_db_away(p);
    return error;
}

void p2p_db_witness(p2p_db_t *db, p2p_db_work_fn witness, void *baton)
{
    db->witness = witness;
    db->witness_baton = baton;
}

static p2p_error_t *commit(p2p_db_t *db, apr_pool_t *p)
{
    int rv;

    /* COMMIT of an aborted transaction rolls back and calls that success. */
    if (db->transaction_error) return db->transaction_error;
    rv = query(db, p2p_sql(P2P_SQL_COMMIT)->text);
    return rv ? failed(db, p, p2p_sql(P2P_SQL_COMMIT)->label, rv) : NULL;
}

p2p_error_t *p2p_db_upkeep(p2p_db_t *db, apr_pool_t *p, p2p_db_work_fn fn, void *baton)
{
    p2p_error_t *error;

    P2P_TRY(begin(db, p));
    error = fn(db, p, baton);
    if (!error) error = commit(db, p);
    if (error) return roll_back(db, p, error);
    db->in_transaction = 0;
    return NULL;
}

/* What is done and then seen. */
typedef struct seen_t {
    p2p_db_work_fn fn;
    void *baton;
} seen_t;

static p2p_error_t *do_and_see(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    const seen_t *seen = baton;

    P2P_TRY(seen->fn(db, p, seen->baton));
    return db->witness ? db->witness(db, p, db->witness_baton) : NULL;
}

p2p_error_t *p2p_db_transaction(p2p_db_t *db, apr_pool_t *p, p2p_db_work_fn fn, void *baton)
{
    seen_t seen = {fn, baton};

    return p2p_db_upkeep(db, p, do_and_see, &seen);
}

p2p_error_t *p2p_db_next_id(p2p_db_t *db, apr_pool_t *p, const char *counter, apr_int64_t *id)
{
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_COUNTER_ADD, &rows, counter, (apr_int64_t)1));
    *id = p2p_rows_int(&rows, 0, 0);
    return NULL;
}

p2p_error_t *p2p_db_now(p2p_db_t *db, apr_pool_t *p, apr_time_t *now)
{
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_NOW, &rows));
    *now = p2p_rows_int(&rows, 0, 0);
    return NULL;
}
