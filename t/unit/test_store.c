/* SPDX-License-Identifier: Apache-2.0 */
/* The database room: connection, recovery, transactions, schema, definitions. */
#include "store_fixture.h"
#include <apr_thread_proc.h>


/* --- the connection --- */

static void tell(const char *variable)
{
    const char *command = getenv(variable);

    if (!command) fail_msg("%s is not set", variable);
    assert_int_equal(system(command), 0);
}

static apr_int64_t next_id(p2p_db_t *connection)
{
    apr_int64_t id = 0;

    expect_ok(p2p_db_next_id(connection, pool, "test", &id));
    return id;
}

static void opening(void **state)
{
    p2p_db_t *other = NULL;
    p2p_error_t *error;

    (void)state;
    expect_error(p2p_db_open(pool, "oracle", "x", NULL, &other), P2P_E_INVALID, "bad-database");
    error = p2p_db_open(pool, "pgsql", "host=/nonexistent dbname=x password=topsecret", NULL, &other);
    expect_error(error, P2P_E_UNAVAILABLE, "database-away");
    assert_null(strstr(error->sentence, "topsecret"));
    if (error->detail) assert_null(strstr(error->detail, "topsecret"));
    error = p2p_db_open(pool, "pgsql", "pass word topsecret", NULL, &other);
    expect_error(error, P2P_E_INVALID, "bad-database");
    assert_null(strstr(error->sentence, "topsecret"));
    expect_error(p2p_db_open(pool, "sqlite3", "/nonexistent/x.db", NULL, &other), P2P_E_UNAVAILABLE,
                 "database-away");
    expect_error(p2p_db_open(pool, "sqlite3", "/etc/passwd", NULL, &other), P2P_E_UNAVAILABLE,
                 "database-away");
    assert_int_equal(p2p_db_is_pgsql(db), is_pgsql());
}

static void ids_and_time(void **state)
{
    apr_time_t now, before = apr_time_now();

    (void)state;
    assert_int_equal(next_id(db), 1);
    assert_int_equal(next_id(db), 2);
    expect_ok(p2p_db_now(db, pool, &now));
    assert_in_range(now, before - apr_time_from_sec(2), before + apr_time_from_sec(2));
}

/* Text of every kind comes back; what is not UTF-8 is made so. */
static void texts(void **state)
{
    static const char odd[] = "it's \"100%\" %s %lld \\ \n\t \xc3\xa9 \xf0\x9f\x98\x80 {now} $1 ?1 --";
    p2p_oidc_server_t *server = stored_server(odd), *got, *again;

    (void)state;
    expect_ok(p2p_oidc_server_get(db, pool, NULL, server->pid, &got));
    assert_string_equal(got->name, odd);
    server = stored_server("a\xff" "b\xc3" "c\xed\xa0\x80");
    expect_ok(p2p_oidc_server_get(db, pool, NULL, server->pid, &again));
    assert_string_equal(again->name, "a?b?c???");
}

static p2p_error_t *count_and_fail(p2p_db_t *connection, apr_pool_t *p, void *baton)
{
    apr_int64_t id;

    P2P_TRY(p2p_db_next_id(connection, p, "test", &id));
    return baton ? p2p_error_make(p, P2P_E_CONFLICT, "for-the-test", "Not so.") : NULL;
}

static void rolls_back(void **state)
{
    (void)state;
    expect_error(p2p_db_transaction(db, pool, count_and_fail, ""), P2P_E_CONFLICT, "for-the-test");
    assert_int_equal(next_id(db), 1);
    expect_ok(p2p_db_transaction(db, pool, count_and_fail, NULL));
    assert_int_equal(next_id(db), 3);
}

/* A work function that looks away from a failed statement. */
static p2p_error_t *swallow(p2p_db_t *connection, apr_pool_t *p, void *baton)
{
    apr_int64_t id;
    p2p_rows_t rows;

    (void)baton;
    P2P_TRY(p2p_db_next_id(connection, p, "test", &id));
    if (!p2p_db_select(connection, p, P2P_SQL_STATUS_RUNNERS, &rows)) fail_msg("the table is still there");
    return NULL;
}

static void swallowed_failure_rolls_back(void **state)
{
    (void)state;
    run_sql("ALTER TABLE p2p_runner RENAME TO p2p_runner_away");
    expect_error(p2p_db_transaction(db, pool, swallow, NULL), P2P_E_INTERNAL, "database-error");
    assert_int_equal(next_id(db), 1);
    run_sql("ALTER TABLE p2p_runner_away RENAME TO p2p_runner");
}

static p2p_error_t *nest(p2p_db_t *connection, apr_pool_t *p, void *baton)
{
    return p2p_db_transaction(connection, p, count_and_fail, baton);
}

static void does_not_nest(void **state)
{
    (void)state;
    expect_error(p2p_db_transaction(db, pool, nest, NULL), P2P_E_INTERNAL, "database-error");
}

/* Each statement is prepared once in all: memory of the connection does not grow with calls. */
static void refused_statements_are_errors(void **state)
{
    p2p_rows_t rows;

    (void)state;
    next_id(db);
    run_sql("ALTER TABLE p2p_runner RENAME TO p2p_runner_away");
    expect_error(p2p_db_select(db, pool, P2P_SQL_STATUS_RUNNERS, &rows), P2P_E_INTERNAL, "database-error");
    expect_error(p2p_db_select(db, pool, P2P_SQL_STATUS_RUNNERS, &rows), P2P_E_INTERNAL, "database-error");
    run_sql("ALTER TABLE p2p_runner_away RENAME TO p2p_runner");
    expect_ok(p2p_db_select(db, pool, P2P_SQL_STATUS_RUNNERS, &rows));
    assert_int_equal(next_id(db), 2);
}

/* --- recovery --- */

static p2p_error_t *several(p2p_db_t *connection, apr_pool_t *p, void *baton)
{
    p2p_rows_t rows;

    P2P_TRY(count_and_fail(connection, p, NULL));
    P2P_TRY(p2p_db_select(connection, p, P2P_SQL_SERVER_LIST, &rows));
    P2P_TRY(p2p_db_select(connection, p, P2P_SQL_STATUS_RUNNERS, &rows));
    return baton ? p2p_db_exec(connection, p, P2P_SQL_RUNNER_DELETE, NULL, "nobody") : NULL;
}

/* What happens to the connection behind our back; everything goes on afterwards, in and out of transactions. */
static void goes_on_after(p2p_db_t *connection, void (*happening)(void))
{
    p2p_rows_t rows;

    expect_ok(p2p_db_transaction(connection, pool, several, NULL));
    happening();
    /* A statement that was never prepared comes last in a transaction of known ones. */
    expect_ok(p2p_db_transaction(connection, pool, several, ""));
    happening();
    expect_ok(p2p_db_select(connection, pool, P2P_SQL_SERVER_LIST, &rows));
    expect_ok(p2p_db_transaction(connection, pool, several, ""));
    happening();
    expect_ok(p2p_db_exec(connection, pool, P2P_SQL_RUNNER_DELETE, NULL, "nobody"));
    assert_int_equal(next_id(connection), 4);
}

static void alter_table(void)
{
    static int column;

    run_sql(apr_psprintf(pool, "ALTER TABLE p2p_oidc_server ADD COLUMN extra_%d BIGINT NOT NULL DEFAULT 0",
                         column++));
}

static void kill_sessions(void)
{
    if (!is_pgsql()) return;
    run_sql("SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'");
}

static void restart_server(void)
{
    if (is_pgsql()) tell("P2P_DBD_RESTART");
}

static void schema_changes(void **state)
{
    (void)state;
    goes_on_after(db, alter_table);
}

static void sessions_die(void **state)
{
    (void)state;
    goes_on_after(db, kill_sessions);
}

static void server_restarts(void **state)
{
    (void)state;
    goes_on_after(db, restart_server);
}

/* As httpd's mod_dbd hands out connections: with a hash of ours that lives with them, checked when handed
 * out. */
typedef struct lent_t {
    const apr_dbd_driver_t *driver;
    apr_dbd_t *handle;
    apr_hash_t *prepared;
} lent_t;

static lent_t lend(void)
{
    lent_t lent;

    assert_int_equal(apr_dbd_get_driver(root, driver(), &lent.driver), APR_SUCCESS);
    assert_int_equal(apr_dbd_open(lent.driver, pool, params(), &lent.handle), APR_SUCCESS);
    lent.prepared = apr_hash_make(pool);
    return lent;
}

static p2p_db_t *wrap(const lent_t *lent)
{
    return p2p_db_wrap(pool, lent->driver, lent->handle, lent->prepared, pool, &test_log);
}

static void wrapped(void **state)
{
    lent_t lent = lend();
    void (*const happenings[])(void) = {alter_table, kill_sessions, restart_server};

    (void)state;
    for (size_t i = 0; i < sizeof happenings / sizeof *happenings; i++) {
        p2p_rows_t rows;

        expect_ok(p2p_db_transaction(wrap(&lent), pool, several, NULL));
        happenings[i]();
        /* Like mod_dbd, which resets a connection without our knowing; the first query after a kill is needed
         * for that. */
        apr_dbd_query(lent.driver, lent.handle, &(int){0}, "SELECT 1");
        assert_int_equal(apr_dbd_check_conn(lent.driver, pool, lent.handle), 0);
        expect_ok(p2p_db_transaction(wrap(&lent), pool, several, ""));
        happenings[i]();
        expect_ok(p2p_db_select(wrap(&lent), pool, P2P_SQL_STATUS_RUNNERS, &rows));
        expect_ok(p2p_db_transaction(wrap(&lent), pool, several, NULL));
    }
    apr_dbd_close(lent.driver, lent.handle);
}

/* libpq's and the server's words for what passes by itself, whatever the session made of it. */
static void words_that_pass(void **state)
{
    static const char *const words[] = {"could not receive data from server: Connection reset by peer",
                                        "could not send data to server: Broken pipe",
                                        "SSL SYSCALL error: EOF detected",
                                        "the database system is in recovery mode",
                                        "server closed the connection unexpectedly"};
    apr_int64_t id;

    (void)state;
    if (!is_pgsql()) return;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        expect_error(p2p_db_run(db, pool, apr_psprintf(pool, "DO $$BEGIN RAISE EXCEPTION '%s'; END$$", words[i])),
                     P2P_E_UNAVAILABLE, "database-away");
    expect_error(p2p_db_run(db, pool, "DO $$BEGIN RAISE EXCEPTION 'nonsense'; END$$"), P2P_E_INTERNAL, "database-error");
    next_id(db); /* prepared: then a look whether the session still knows it does not hide what was said */
    expect_ok(p2p_db_run(db, pool, "SET default_transaction_read_only = on"));
    expect_error(p2p_db_next_id(db, pool, "test", &id), P2P_E_UNAVAILABLE, "database-away");
    expect_ok(p2p_db_run(db, pool, "SET default_transaction_read_only = off"));
    next_id(db);
}

/* What a host that vanished has locked is free again before its lease is over, on each session. */
static void vanished_hosts(void **state)
{
    static const char demand[] = "DO $$BEGIN IF current_setting('idle_in_transaction_session_timeout') <> '10s' OR "
                                 "current_setting('tcp_keepalives_idle') IS NULL THEN RAISE EXCEPTION 'not set'; END IF; END$$";
    lent_t lent;

    (void)state;
    if (!is_pgsql()) return;
    next_id(db);
    expect_ok(p2p_db_run(db, pool, demand));
    kill_sessions();
    next_id(db);
    expect_ok(p2p_db_run(db, pool, demand));
    lent = lend();
    next_id(wrap(&lent));
    expect_ok(p2p_db_run(wrap(&lent), pool, demand));
    apr_dbd_close(lent.driver, lent.handle);
}

static p2p_error_t *killed_inside(p2p_db_t *connection, apr_pool_t *p, void *baton)
{
    (void)baton;
    P2P_TRY(count_and_fail(connection, p, NULL));
    kill_sessions();
    return count_and_fail(connection, p, NULL);
}

static void session_dies_inside_transaction(void **state)
{
    (void)state;
    if (is_pgsql()) {
        expect_error(p2p_db_transaction(db, pool, killed_inside, NULL), P2P_E_UNAVAILABLE, "database-away");
        assert_int_equal(next_id(db), 1);
    }
    expect_ok(p2p_db_transaction(db, pool, several, NULL));
}

static void server_is_away(void **state)
{
    p2p_rows_t rows;

    (void)state;
    if (!is_pgsql()) return;
    next_id(db);
    tell("P2P_DBD_STOP");
    for (int i = 0; i < 3; i++) {
        expect_error(p2p_db_select(db, pool, P2P_SQL_SERVER_LIST, &rows), P2P_E_UNAVAILABLE, "database-away");
        expect_error(p2p_db_transaction(db, pool, several, NULL), P2P_E_UNAVAILABLE, "database-away");
    }
    tell("P2P_DBD_START");
    expect_ok(p2p_db_transaction(db, pool, several, NULL));
    assert_int_equal(next_id(db), 3);
}

/* Another program holds SQLite's write lock for longer than anybody waits. */
static void locked_by_another(void **state)
{
    p2p_db_t *other;

    (void)state;
    if (is_pgsql()) return;
    other = open_db(pool);
    expect_ok(p2p_db_run(other, pool, "BEGIN IMMEDIATE"));
    expect_error(p2p_db_transaction(db, pool, several, NULL), P2P_E_UNAVAILABLE, "database-away");
    expect_ok(p2p_db_run(other, pool, "ROLLBACK"));
    expect_ok(p2p_db_transaction(db, pool, several, NULL));
    assert_int_equal(next_id(db), 2);
}

static void *roll_back_soon(apr_thread_t *thread, void *connection)
{
    apr_pool_t *own;

    (void)thread;
    apr_sleep(apr_time_from_msec(2500));
    apr_pool_create(&own, NULL);
    if (p2p_db_run(connection, own, "ROLLBACK")) return connection;
    apr_pool_destroy(own);
    return NULL;
}

/* He holds it for longer than the driver waits, but not for long. */
static void locked_for_a_moment(void **state)
{
    apr_thread_t *thread;
    apr_status_t ended;
    p2p_db_t *other;

    (void)state;
    if (is_pgsql()) return;
    other = open_db(pool);
    expect_ok(p2p_db_run(other, pool, "BEGIN IMMEDIATE"));
    assert_int_equal(apr_thread_create(&thread, NULL, roll_back_soon, other, pool), APR_SUCCESS);
    assert_int_equal(next_id(db), 1);
    assert_int_equal(apr_thread_join(&ended, thread), APR_SUCCESS);
}

/* --- the schema --- */

static void migrates(void **state)
{
    int from = -1, to = -1;

    (void)state;
    expect_error(p2p_schema_check(db, pool), P2P_E_CONFLICT, "schema-missing");
    expect_ok(p2p_migrate(db, pool, &from, &to));
    assert_int_equal(from, 0);
    assert_int_equal(to, P2P_SCHEMA);
    expect_ok(p2p_schema_check(db, pool));
    expect_ok(p2p_migrate(db, pool, &from, &to));
    assert_int_equal(from, P2P_SCHEMA);
    assert_int_equal(to, P2P_SCHEMA);
    run_sql(apr_psprintf(pool, "UPDATE p2p_schema SET version = %d", P2P_SCHEMA + 1));
    expect_ok(p2p_schema_check(db, pool));
    expect_ok(p2p_migrate(db, pool, &from, &to));
    assert_int_equal(to, P2P_SCHEMA + 1);
    run_sql(apr_psprintf(pool, "UPDATE p2p_schema SET version = %d", P2P_SCHEMA + 2));
    expect_error(p2p_schema_check(db, pool), P2P_E_CONFLICT, "schema-unknown");
}

static void half_a_migration_leaves_nothing(void **state)
{
    int from, to;

    (void)state;
    run_sql("CREATE TABLE p2p_part (id BIGINT)");
    expect_error(p2p_migrate(db, pool, &from, &to), P2P_E_INTERNAL, "database-error");
    expect_error(p2p_schema_check(db, pool), P2P_E_CONFLICT, "schema-missing");
    run_sql("DROP TABLE p2p_part");
    expect_ok(p2p_migrate(db, pool, &from, &to));
}

static void runner_in_the_way(void **state)
{
    int from, to;

    (void)state;
    if (is_pgsql()) return;
    run_sql("UPDATE p2p_schema SET version = 0");
    run_sql("INSERT INTO p2p_runner (owner, lease_until) VALUES ('a', 9000000000000000)");
    expect_error(p2p_migrate(db, pool, &from, &to), P2P_E_CONFLICT, "runner-alive");
}

/* --- definitions --- */

static void import_and_read(void **state)
{
    apr_array_header_t *servers = apr_array_make(pool, 2, sizeof(p2p_oidc_server_t)), *list;
    p2p_oidc_server_t *got;
    int created, updated;

    (void)state;
    APR_ARRAY_PUSH(servers, p2p_oidc_server_t) = some_server("A", "https://a.example");
    APR_ARRAY_PUSH(servers, p2p_oidc_server_t) = some_server("B", "https://b.example");
    expect_ok(p2p_oidc_server_import(db, pool, ring, servers, &created, &updated));
    assert_int_equal(created, 2);
    assert_int_equal(updated, 0);
    expect_ok(p2p_oidc_server_get(db, pool, ring, 2, &got));
    assert_string_equal(got->name, "B");
    assert_string_equal(got->client_secret, "se-cret");
    assert_string_equal(got->key_text, "{\"kty\":\"RSA\"}");
    assert_string_equal(got->id_namespace, "https://b.example");
    assert_int_equal(got->version, 1);
    expect_ok(p2p_oidc_server_get(db, pool, NULL, 2, &got));
    assert_string_equal(got->client_secret, "");
    expect_error(p2p_oidc_server_get(db, pool, ring, 3, &got), P2P_E_NOT_FOUND, "no-such-server");
    expect_ok(p2p_oidc_server_list(db, pool, &list));
    assert_int_equal(list->nelts, 2);
    assert_string_equal(APR_ARRAY_IDX(list, 0, p2p_oidc_server_t).name, "A");
    assert_null(strstr(ask_sql("SELECT client_secret FROM p2p_oidc_server WHERE pid = 1"), "se-cret"));
    assert_string_equal(ask_sql("SELECT key_file FROM p2p_oidc_server WHERE pid = 1"), "");
}

static void import_again(void **state)
{
    apr_array_header_t *servers = apr_array_make(pool, 2, sizeof(p2p_oidc_server_t)), *list;
    p2p_oidc_server_t *got;
    int created, updated;

    (void)state;
    APR_ARRAY_PUSH(servers, p2p_oidc_server_t) = some_server("A", "https://a.example");
    expect_ok(p2p_oidc_server_import(db, pool, ring, servers, &created, &updated));
    expect_ok(p2p_oidc_server_import(db, pool, ring, servers, &created, &updated));
    assert_int_equal(created + updated, 0);
    APR_ARRAY_IDX(servers, 0, p2p_oidc_server_t).client_secret = "other";
    APR_ARRAY_IDX(servers, 0, p2p_oidc_server_t).id_namespace = "https://elsewhere.example";
    run_sql("UPDATE p2p_oidc_server SET id_namespace = 'https://first.example'");
    expect_ok(p2p_oidc_server_import(db, pool, ring, servers, &created, &updated));
    assert_int_equal(created, 0);
    assert_int_equal(updated, 1);
    expect_ok(p2p_oidc_server_get(db, pool, ring, 1, &got));
    assert_string_equal(got->client_secret, "other");
    assert_string_equal(got->id_namespace, "https://first.example");
    assert_int_equal(got->version, 2);
    run_sql("UPDATE p2p_oidc_server SET archived = 1");
    expect_ok(p2p_oidc_server_list(db, pool, &list));
    assert_int_equal(list->nelts, 0);
    expect_ok(p2p_oidc_server_import(db, pool, ring, servers, &created, &updated));
    assert_int_equal(updated, 1);
    expect_ok(p2p_oidc_server_get(db, pool, ring, 1, &got));
    assert_int_equal(got->archived, 0);
}

static void sealed_for_its_place(void **state)
{
    p2p_oidc_server_t *got;

    (void)state;
    stored_server("a");
    stored_server("b");
    run_sql("UPDATE p2p_oidc_server SET client_secret = (SELECT client_secret FROM p2p_oidc_server WHERE pid = 1)");
    expect_ok(p2p_oidc_server_get(db, pool, ring, 1, &got));
    expect_error(p2p_oidc_server_get(db, pool, ring, 2, &got), P2P_E_INTERNAL, "cannot-open");
}

#define WITH_SCHEMA(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define EMPTY(test) cmocka_unit_test_setup_teardown(test, set_up_empty, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SCHEMA(opening), WITH_SCHEMA(ids_and_time), WITH_SCHEMA(texts), WITH_SCHEMA(rolls_back),
        WITH_SCHEMA(swallowed_failure_rolls_back), WITH_SCHEMA(does_not_nest),
        WITH_SCHEMA(refused_statements_are_errors), WITH_SCHEMA(schema_changes), WITH_SCHEMA(sessions_die),
        WITH_SCHEMA(server_restarts), WITH_SCHEMA(wrapped), WITH_SCHEMA(vanished_hosts), WITH_SCHEMA(words_that_pass),
        WITH_SCHEMA(session_dies_inside_transaction),
        WITH_SCHEMA(server_is_away), WITH_SCHEMA(locked_by_another), WITH_SCHEMA(locked_for_a_moment), EMPTY(migrates),
        EMPTY(half_a_migration_leaves_nothing), WITH_SCHEMA(runner_in_the_way), WITH_SCHEMA(import_and_read),
        WITH_SCHEMA(import_again), WITH_SCHEMA(sealed_for_its_place),
    };

    return run_group("store", tests, sizeof tests / sizeof *tests);
}
