/* SPDX-License-Identifier: Apache-2.0 */
/* Opening connections, and texts as a database takes them. */
#include "store/db_private.h"

#include <ctype.h>
#include <string.h>
#include <apr_strings.h>

/* libpq waits for minutes on a lost network unless it is told not to. A statement that is lost and an attempt to connect anew come to
 * less than the time after which a runner drops its jobs. */
static const char *const pgsql_defaults[][2] = {
    {"connect_timeout", "3"},     {"tcp_user_timeout", "3000"}, {"keepalives_idle", "5"},
    {"keepalives_interval", "2"}, {"keepalives_count", "3"},
};

static const char *const sqlite_settings[] = {
    P2P_SQLITE_BUSY,
    "PRAGMA journal_mode = WAL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA cache_size = -256", /* KiB: a queue is small, and the runner's memory is promised */
};

/* The params with each default that they do not name; libpq takes "key=value …" and URIs. */
static const char *with_defaults(apr_pool_t *p, const char *params)
{
    int uri = !strncmp(params, "postgres://", 11) || !strncmp(params, "postgresql://", 13);

    for (apr_size_t i = 0; i < sizeof pgsql_defaults / sizeof *pgsql_defaults; i++) {
        const char *name = pgsql_defaults[i][0], *before = uri ? (strchr(params, '?') ? "&" : "?") : " ";

        if (!strstr(params, name)) params = apr_pstrcat(p, params, before, name, "=", pgsql_defaults[i][1],
                                                        NULL);
    }
    return params;
}

static apr_status_t close_connection(void *baton)
{
    p2p_db_t *db = baton;

    return apr_dbd_close(db->driver, db->handle);
}

static p2p_db_t *make(apr_pool_t *p, const apr_dbd_driver_t *driver, const p2p_log_t *log)
{
    p2p_db_t *db = apr_pcalloc(p, sizeof *db);

    db->driver = driver;
    db->log = log;
    db->pgsql = !strcmp(apr_dbd_name(driver), "pgsql");
    return db;
}

p2p_db_t *p2p_db_wrap(apr_pool_t *p, const apr_dbd_driver_t *driver, apr_dbd_t *handle, apr_hash_t *prepared,
                      apr_pool_t *connection_pool, const p2p_log_t *log)
{
    p2p_db_t *db = make(p, driver, log);

    db->handle = handle;
    db->prepared = prepared;
    db->connection_pool = connection_pool;
    return db;
}

static p2p_error_t *find_driver(apr_pool_t *p, const char *name, const apr_dbd_driver_t **driver)
{
    if (strcmp(name, "sqlite3") && strcmp(name, "pgsql")) {
        return p2p_error_make(p, P2P_E_INVALID, "bad-database",
                              "The database driver has to be sqlite3 or pgsql (DBDriver).");
    }
    if (apr_dbd_init(p) == APR_SUCCESS && apr_dbd_get_driver(p, name, driver) == APR_SUCCESS) return NULL;
    return p2p_error_make(p, P2P_E_INVALID, "bad-database",
                          "The database driver %s is not installed: install the package libaprutil1-dbd-%s.", name,
                          name);
}

/* Has the server answered, and turned these credentials down? Names come before "failed: ". */
static int refuses(const char *message)
{
    static const char *const words[] = {"authentication failed", "does not exist", "password", "no pg_hba.conf entry",
                                        "not permitted to log in"};
    const char *reason = strstr(message, "failed: ");

    for (apr_size_t i = 0; reason && i < sizeof words / sizeof *words; i++) {
        if (strstr(reason, words[i])) return 1;
    }
    return 0;
}

/* libpq's words for params that it cannot read repeat a part of them, a password perhaps: they go nowhere.
 * Its words for a server that it cannot reach are for the log, as are SQLite's. */
static p2p_error_t *not_open(const p2p_db_t *db, apr_pool_t *p, const char *message)
{
    int reached = !message || !db->pgsql || strstr(message, "connection to server") || strstr(message, "could not");

    if (!reached) {
        return p2p_error_make(p, P2P_E_INVALID, "bad-database",
                              "The database driver cannot read its parameters (DBDParams).");
    }
    if (message) p2p_log(db->log, P2P_LOG_WARN, "database: %.*s", (int)strcspn(message, "\r\n"), message);
    if (message && db->pgsql && refuses(message)) {
        return p2p_error_make(p, P2P_E_UNAVAILABLE, "database-refuses",
                              "The database refuses these credentials; check DBDParams and the server's pg_hba.conf.");
    }
    return p2p_db_away(p);
}

/* SQLite opens anything; the first of these finds out whether it is a database. */
static p2p_error_t *set_sqlite(p2p_db_t *db, apr_pool_t *p)
{
    for (apr_size_t i = 0; i < sizeof sqlite_settings / sizeof *sqlite_settings; i++) {
        apr_dbd_results_t *result = NULL;
        int rv = apr_dbd_select(db->driver, p, db->handle, &result, sqlite_settings[i], 1);

        if (!rv) continue;
        p2p_log(db->log, P2P_LOG_WARN, "database: %s: %s", sqlite_settings[i],
                apr_dbd_error(db->driver, db->handle, rv));
        return p2p_db_away(p);
    }
    return NULL;
}

p2p_error_t *p2p_db_open(apr_pool_t *p, const char *driver_name, const char *params, const p2p_log_t *log,
                         p2p_db_t **out)
{
    const apr_dbd_driver_t *driver;
    const char *message = NULL;
    p2p_db_t *db;

    P2P_TRY(find_driver(p, driver_name, &driver));
    db = make(p, driver, log);
    if (db->pgsql) params = with_defaults(p, params);
    if (apr_dbd_open_ex(driver, p, params, &db->handle, &message) != APR_SUCCESS) {
        return not_open(db, p, message);
    }
    apr_pool_cleanup_register(p, db, close_connection, apr_pool_cleanup_null);
    db->prepared = apr_hash_make(p);
    db->connection_pool = p;
    if (!db->pgsql) P2P_TRY(set_sqlite(db, p));
    *out = db;
    return NULL;
}

/* Length of the UTF-8 sequence at s, 0 where it is none (RFC 3629). */
static int sequence(const unsigned char *s)
{
    if (s[0] < 0x80) return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf) return (s[1] & 0xc0) == 0x80 ? 2 : 0;
    if (s[0] == 0xe0 && s[1] < 0xa0) return 0;
    if (s[0] == 0xed && s[1] > 0x9f) return 0;
    if (s[0] >= 0xe0 && s[0] <= 0xef) return (s[1] & 0xc0) == 0x80 && (s[2] & 0xc0) == 0x80 ? 3 : 0;
    if (s[0] == 0xf0 && s[1] < 0x90) return 0;
    if (s[0] == 0xf4 && s[1] > 0x8f) return 0;
    if (s[0] < 0xf0 || s[0] > 0xf4) return 0;
    return (s[1] & 0xc0) == 0x80 && (s[2] & 0xc0) == 0x80 && (s[3] & 0xc0) == 0x80 ? 4 : 0;
}

const char *p2p_db_text(apr_pool_t *p, const char *text)
{
    char *copy = NULL;
    apr_size_t i = 0;

    if (!text) return "";
    while (text[i]) {
        int length = sequence((const unsigned char *)(copy ? copy : text) + i);

        if (!length && !copy) copy = apr_pstrdup(p, text);
        if (!length) copy[i] = '?';
        i += length ? length : 1;
    }
    return copy ? copy : text;
}
