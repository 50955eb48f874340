/* SPDX-License-Identifier: Apache-2.0 */
/* A fresh database for each test of the stores: SQLite by itself, or what P2P_DBD_DRIVER and P2P_DBD_PARAMS
 * name (its contents are dropped). */
#ifndef T_UNIT_STORE_FIXTURE_H
#define T_UNIT_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "store/job_store.h"
#include "store/migrate.h"
#include "store/oidc_server_store.h"

#define TARGET "https://target.example/fhir"
#define UNUSED __attribute__((unused))

static apr_pool_t *root, *pool;     /* of the program, of the test */
static apr_pool_t *connection_pool; /* of db: below the test's */
static p2p_db_t *db;                /* the connection under test */
static p2p_keyring_t *ring;

static const char *driver(void)
{
    const char *name = getenv("P2P_DBD_DRIVER");

    return name ? name : "sqlite3";
}

static int is_pgsql(void)
{
    return !strcmp(driver(), "pgsql");
}

static const char *params(void)
{
    static const char *text;

    if (!text) text = getenv("P2P_DBD_PARAMS");
    if (!text) text = apr_psprintf(root, "%s/p2p-test-%d.db", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp",
                                   getpid());
    return text;
}

static UNUSED void expect_ok(const p2p_error_t *error)
{
    if (error) fail_msg("%s: %s (%s)", error->code, error->sentence, error->detail ? error->detail : "");
}

static UNUSED void expect_error(const p2p_error_t *error, p2p_error_kind_t kind, const char *code)
{
    if (!error) fail_msg("no error where %s was expected", code);
    assert_string_equal(error->code, code);
    assert_int_equal(error->kind, kind);
}

/* SQLite has one writer at a time and no queue: in a crowd on a slow disk somebody may wait for longer than a call does.
 * Then it says so, and is asked again. */
#define PATIENTLY(error, expression)                                                                       \
    do {                                                                                                   \
        for (int try_ = 0; try_ < 10; try_++) {                                                            \
            error = (expression);                                                                          \
            if (is_pgsql() || !error || error->kind != P2P_E_UNAVAILABLE) break;                           \
        }                                                                                                  \
    } while (0)

static void quiet(void *baton, p2p_log_level_t level, const char *line)
{
    (void)baton;
    (void)level;
    if (getenv("P2P_TEST_VERBOSE")) fprintf(stderr, "# %s\n", line);
}

static const p2p_log_t test_log = {P2P_LOG_WARN, quiet, NULL};

static p2p_db_t *open_db(apr_pool_t *p)
{
    p2p_db_t *opened = NULL;

    expect_ok(p2p_db_open(p, driver(), params(), &test_log, &opened));
    return opened;
}

/* One statement on a connection of its own: another program's. */
static UNUSED void run_sql(const char *sql)
{
    apr_pool_t *p;

    apr_pool_create(&p, root);
    expect_ok(p2p_db_run(open_db(p), p, sql));
    apr_pool_destroy(p);
}

/* First cell of the first row, by apr_dbd itself. */
static UNUSED const char *ask_sql(const char *sql)
{
    const apr_dbd_driver_t *d;
    apr_dbd_results_t *result = NULL;
    apr_dbd_row_t *row = NULL;
    apr_dbd_t *handle;
    const char *text;

    assert_int_equal(apr_dbd_get_driver(root, driver(), &d), APR_SUCCESS);
    assert_int_equal(apr_dbd_open(d, pool, params(), &handle), APR_SUCCESS);
    assert_int_equal(apr_dbd_select(d, pool, handle, &result, sql, 1), 0);
    text = apr_dbd_get_row(d, pool, result, &row, -1) ? NULL : apr_dbd_get_entry(d, row, 0);
    text = apr_pstrdup(pool, text ? text : "");
    apr_dbd_close(d, handle);
    return text;
}

static UNUSED long ask_int(const char *sql)
{
    return atol(ask_sql(sql));
}

static void drop_all(void)
{
    if (is_pgsql()) {
        run_sql("SET client_min_messages = warning; DROP SCHEMA public CASCADE; CREATE SCHEMA public");
        return;
    }
    unlink(params());
    unlink(apr_pstrcat(root, params(), "-wal", NULL));
    unlink(apr_pstrcat(root, params(), "-shm", NULL));
}

static UNUSED void add_key(p2p_keyring_t *to)
{
    const char *key;

    expect_ok(p2p_key_generate(pool, &key));
    expect_ok(p2p_keyring_add(to, key));
}

/* An empty database without schema. */
static UNUSED int set_up_empty(void **state)
{
    (void)state;
    drop_all();
    apr_pool_create(&pool, root);
    ring = p2p_keyring_make(pool);
    add_key(ring);
    apr_pool_create(&connection_pool, pool);
    db = open_db(connection_pool);
    return 0;
}

static UNUSED int set_up(void **state)
{
    int from, to;

    set_up_empty(state);
    expect_ok(p2p_migrate(db, pool, &from, &to));
    return 0;
}

static UNUSED int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    if (!is_pgsql()) drop_all();
    return 0;
}

/* A definition as an import gives it. */
static UNUSED p2p_oidc_server_t some_server(const char *name, const char *issuer)
{
    p2p_oidc_server_t s = {.name = name, .issuer = issuer, .id_namespace = issuer, .client_id = "client",
        .client_secret = "se-cret", .key_text = "{\"kty\":\"RSA\"}", .key_file = "", .auth_well_known = "",
        .scopes = "openid", .fhir_endpoint = apr_pstrcat(pool, issuer, "/fhir", NULL), .token_endpoint = "",
        .custom_token_params = "", .response_type = "code", .organization_id = "ABCD", .notes = "a note"};

    return s;
}

/* Stored, with its pid. */
static UNUSED p2p_oidc_server_t *stored_server(const char *name)
{
    apr_array_header_t *servers = apr_array_make(pool, 1, sizeof(p2p_oidc_server_t));
    int created, updated;

    APR_ARRAY_PUSH(servers, p2p_oidc_server_t) = some_server(name,
                                                             apr_pstrcat(pool, "https://", name, ".example", NULL));
    expect_ok(p2p_oidc_server_import(db, pool, ring, servers, &created, &updated));
    return &APR_ARRAY_IDX(servers, 0, p2p_oidc_server_t);
}

static int run_group(const char *name, const struct CMUnitTest *tests, size_t count)
{
    int failures;

    apr_initialize();
    apr_pool_create(&root, NULL);
    apr_dbd_init(root);
    failures = _cmocka_run_group_tests(name, tests, count, NULL, NULL);
    apr_pool_destroy(root);
    apr_terminate();
    return failures;
}

#endif
