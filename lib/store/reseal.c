/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing anew, table by table. */
#include "store/reseal.h"

#include <string.h>
#include <apr_strings.h>
#include "base/clock.h"
#include "store/hash_keys.h"
#include "store/sealed_table.h"

#define PASSES 10                             /* over all tables, for rows that somebody else held */
#define PASS_PAUSE (apr_time_from_sec(1) / 5)
#define TRIES 60                              /* of what the database refuses for the moment */
#define TRY_PAUSE apr_time_from_sec(1)
#define ID_LEN 8
#define PREFIX_LEN (3 + ID_LEN + 1) /* "v1.12345678." */

typedef struct reseal_t {
    p2p_db_t *db;
    apr_pool_t *pool, *scratch; /* scratch: of a batch */
    const p2p_keyring_t *keyring;
    const p2p_reseal_watch_t *watch;
    const char *prefix;         /* of what the first key sealed */
    apr_int64_t *resealed;
    int pass, missed;           /* missed: rows of this pass that somebody else held or changed */
} reseal_t;

/* A batch of rows of a table. */
typedef struct batch_t {
    const reseal_t *reseal;
    const p2p_sealed_table_t *table;
    p2p_rows_t rows;
    const char ***fresh; /* fresh[row]: the sealed columns' new values, or NULL where the row stays */
    int *values;         /* how many of them are new */
    int written, missed;
} batch_t;

/* ---- A row ---- */

static void cannot_open(const batch_t *batch, const char *const *row, int column, const p2p_error_t *error)
{
    const reseal_t *reseal = batch->reseal;
    const char *where = apr_pstrcat(reseal->scratch, batch->table->name, " ", row[0], NULL);

    if (reseal->pass) return; /* told already */
    for (int i = 1; i < p2p_sealed_key_count(batch->table); i++) where = apr_pstrcat(reseal->scratch, where, "/", row[i], NULL);
    reseal->watch->unopenable(reseal->watch->baton, apr_pstrcat(reseal->scratch, where, ", ", batch->table->columns[column].name, NULL), error);
}

/* The new value of a column, or the one that it has. */
static p2p_error_t *seal_anew(const batch_t *batch, const char *const *row, int column, const char **value)
{
    const reseal_t *reseal = batch->reseal;
    p2p_seal_place_t place = p2p_sealed_place(reseal->scratch, batch->table, column, row);
    const char *plain;
    apr_size_t len;
    p2p_error_t *error;

    *value = row[p2p_sealed_key_count(batch->table) + column];
    if (!**value || !strncmp(*value, reseal->prefix, PREFIX_LEN)) return NULL;
    error = p2p_unseal(reseal->scratch, reseal->keyring, &place, *value, &plain, &len);
    if (!error) return p2p_seal(reseal->scratch, reseal->keyring, &place, plain, len, value);
    cannot_open(batch, row, column, error);
    return NULL;
}

static p2p_error_t *seal_row(const batch_t *batch, int i)
{
    int columns = p2p_sealed_column_count(batch->table), keys = p2p_sealed_key_count(batch->table);
    const char **row = batch->rows.cell[i], **fresh = apr_palloc(batch->reseal->scratch, sizeof *fresh * (apr_size_t)columns);

    batch->fresh[i] = NULL;
    batch->values[i] = 0;
    for (int column = 0; column < columns; column++) {
        P2P_TRY(seal_anew(batch, row, column, &fresh[column]));
        if (fresh[column] != row[keys + column]) batch->values[i]++;
    }
    if (batch->values[i]) batch->fresh[i] = fresh;
    return NULL;
}

/* ---- A batch ---- */

static p2p_error_t *write_row(p2p_db_t *db, apr_pool_t *p, batch_t *batch, const p2p_sql_statement_t *statement, int i)
{
    int columns = p2p_sealed_column_count(batch->table), keys = p2p_sealed_key_count(batch->table), n = 0, changed;
    const char **row = batch->rows.cell[i], *args[2 * P2P_SEALED_COLUMNS + P2P_SEALED_KEYS];

    for (int column = 0; column < columns; column++) args[n++] = batch->fresh[i][column];
    for (int key = 0; key < keys + columns; key++) args[n++] = row[key]; /* the old values stand behind the key */
    P2P_TRY(p2p_db_exec_made(db, p, statement, args, &changed));
    if (changed) batch->written += batch->values[i];
    else batch->missed++;
    return NULL;
}

static p2p_error_t *write_rows(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    batch_t *batch = baton;
    p2p_sql_statement_t statement = p2p_sealed_write(p, batch->table);

    batch->written = batch->missed = 0;
    for (int i = 0; i < batch->rows.count; i++) {
        if (batch->fresh[i]) P2P_TRY(write_row(db, p, batch, &statement, i));
    }
    return NULL;
}

static p2p_error_t *read_rows(p2p_db_t *db, apr_pool_t *p, batch_t *batch, const char *const *after)
{
    p2p_sql_statement_t statement = p2p_sealed_read(p, batch->table);
    const char *args[P2P_SEALED_KEYS + P2P_SEALED_COLUMNS + 1];
    int n = 0;

    for (int i = 0; i < p2p_sealed_key_count(batch->table); i++) args[n++] = after[i];
    for (int i = 0; i < p2p_sealed_column_count(batch->table); i++) args[n++] = batch->reseal->prefix;
    args[n] = apr_itoa(p, batch->table->batch);
    return p2p_db_select_made(db, p, &statement, args, &batch->rows);
}

/* SQLite has one writer at a time, who does not queue: the others get more than their share of it. */
static void make_room(const p2p_db_t *db, apr_time_t begin)
{
    p2p_clock_t clock = p2p_clock_system();

    if (!p2p_db_is_pgsql(db)) apr_sleep(2 * (clock.monotonic(clock.baton) - begin));
}

static p2p_error_t *one_batch(reseal_t *reseal, batch_t *batch, const char *const *after)
{
    p2p_clock_t clock = p2p_clock_system();
    apr_pool_t *p = reseal->scratch;
    int any = 0;
    apr_time_t begin;
    p2p_error_t *error;

    P2P_TRY(read_rows(reseal->db, p, batch, after));
    batch->fresh = apr_palloc(p, sizeof *batch->fresh * (apr_size_t)(batch->rows.count + 1));
    batch->values = apr_palloc(p, sizeof *batch->values * (apr_size_t)(batch->rows.count + 1));
    for (int i = 0; i < batch->rows.count; i++) {
        P2P_TRY(seal_row(batch, i));
        any |= batch->fresh[i] != NULL;
    }
    if (!any) return NULL;
    begin = clock.monotonic(clock.baton);
    error = p2p_db_transaction(reseal->db, p, write_rows, batch);
    make_room(reseal->db, begin);
    return error;
}

/* A database that is away or locked is asked again; the last error is copied out of the batch's pool. */
static p2p_error_t *try_batch(reseal_t *reseal, batch_t *batch, const char *const *after)
{
    p2p_error_t *error = NULL;

    for (int i = 0; i < TRIES; i++) {
        apr_pool_clear(reseal->scratch);
        batch->written = batch->missed = 0;
        error = one_batch(reseal, batch, after);
        if (!error || error->kind != P2P_E_UNAVAILABLE) break;
        apr_sleep(TRY_PAUSE);
    }
    return p2p_error_copy(reseal->pool, error);
}

/* ---- Tables ---- */

/* The last row's key, in a pool that outlives the batch; the pools take turns. */
static void keep_key(apr_pool_t *p, const batch_t *batch, const char **key)
{
    apr_pool_clear(p);
    for (int i = 0; i < p2p_sealed_key_count(batch->table); i++) key[i] = apr_pstrdup(p, batch->rows.cell[batch->rows.count - 1][i]);
}

static p2p_error_t *reseal_table(reseal_t *reseal, const p2p_sealed_table_t *table)
{
    const char *key[P2P_SEALED_KEYS] = {NULL};
    batch_t batch = {.reseal = reseal, .table = table};
    apr_int64_t resealed = 0;
    apr_pool_t *key_pool;

    apr_pool_create(&key_pool, reseal->pool);
    for (int i = 0; table->types[i]; i++) key[i] = table->types[i] == 'i' ? "-1" : "";
    do {
        P2P_TRY(try_batch(reseal, &batch, key));
        resealed += batch.written;
        *reseal->resealed += batch.written;
        reseal->missed += batch.missed;
        if (batch.written) reseal->watch->progress(reseal->watch->baton, table->name, resealed);
        if (batch.rows.count) keep_key(key_pool, &batch, key);
    } while (batch.rows.count == table->batch);
    apr_pool_destroy(key_pool);
    return NULL;
}

p2p_error_t *p2p_reseal(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const p2p_reseal_watch_t *watch,
                        apr_int64_t *resealed)
{
    reseal_t reseal = {.db = db, .pool = p, .keyring = keyring, .watch = watch, .resealed = resealed, .missed = 1};
    p2p_keyring_t *hashes;

    *resealed = 0;
    /* Where no program has made them yet, what earlier ones hashed with an old sealing key must not be lost with it. */
    P2P_TRY(p2p_hash_keys(db, p, keyring, &hashes));
    reseal.prefix = apr_pstrcat(p, "v1.", p2p_keyring_id(keyring, 0), ".", NULL);
    apr_pool_create(&reseal.scratch, p);
    for (; reseal.missed && reseal.pass < PASSES; reseal.pass++) {
        const p2p_sealed_table_t *table;

        if (reseal.pass) apr_sleep(PASS_PAUSE);
        reseal.missed = 0;
        for (int i = 0; (table = p2p_sealed_table(i)); i++) P2P_TRY(reseal_table(&reseal, table));
    }
    return NULL;
}

/* ---- What is there ---- */

static p2p_error_t *count_table(p2p_db_t *db, apr_pool_t *p, const p2p_sealed_table_t *table, apr_array_header_t *counts)
{
    p2p_sql_statement_t statement = p2p_sealed_tally(p, table);
    const char *const none[1] = {NULL};
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select_made(db, p, &statement, none, &rows));
    for (int i = 0; i < rows.count; i++) {
        p2p_sealed_count_t *count = apr_array_push(counts);
        const char *id = rows.cell[i][1];

        *count = (p2p_sealed_count_t){table->name, table->columns[p2p_rows_int(&rows, i, 0)].name,
                                      strlen(id) == ID_LEN && strspn(id, "0123456789abcdef") == ID_LEN ? id : "", p2p_rows_int(&rows, i, 2)};
    }
    return NULL;
}

p2p_error_t *p2p_sealed_counts(p2p_db_t *db, apr_pool_t *p, apr_array_header_t **counts)
{
    const p2p_sealed_table_t *table;

    *counts = apr_array_make(p, 32, sizeof(p2p_sealed_count_t));
    for (int i = 0; (table = p2p_sealed_table(i)); i++) P2P_TRY(count_table(db, p, table, *counts));
    return NULL;
}
