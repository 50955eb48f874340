/* SPDX-License-Identifier: Apache-2.0 */
/* The list of what is sealed. Three statements for each table differ in nothing but names: they are made from the list, here and nowhere else, so
 * that a table that is added has them all. t/source/sealed.t holds the list against migrate.c. */
#include "store/sealed_table.h"

#include <string.h>
#include <apr_strings.h>

#define LABELS(name) {"p2p_sealed_read_" name, "p2p_sealed_write_" name, "p2p_sealed_tally_" name}
#define ROWS 200
#define LARGE_ROWS 16 /* of up to 256 KiB */

static const p2p_sealed_table_t tables[] = {
    {"p2p_oidc_server", {"pid"}, "i", {{"client_secret", 0}, {"key_text", 0}, {"key_file", 0}}, ROWS, LABELS("oidc_server")},
    {"p2p_grant", {"id"}, "i", {{"access_token", 0}, {"refresh_token", 0}}, ROWS, LABELS("grant")},
    {"p2p_binding", {"id"}, "i", {{"target_patient", 0}}, ROWS, LABELS("binding")},
    {"p2p_job", {"id"}, "i", {{"source_patient", 0}, {"target_patient", 0}, {"error_detail", 0}}, ROWS, LABELS("job")},
    {"p2p_request", {"job_id", "number"}, "ii", {{"url", 1}}, ROWS, LABELS("request")},
    {"p2p_part", {"job_id", "request", "number"}, "iii", {{"url", 2}, {"next_url", 2}}, ROWS, LABELS("part")},
    {"p2p_rejected", {"job_id", "request", "part", "number", "chunk"}, "iiiii", {{"source_id", 3}, {"detail", 3}, {"body", 4}}, LARGE_ROWS,
     LABELS("rejected")},
    {"p2p_id_map", {"target", "source_id"}, "ss", {{"target_id", 1}}, ROWS, LABELS("id_map")},
    {"p2p_subscription", {"target", "endpoint"}, "ss", {{"secret", 1}, {"secret_before", 1}}, ROWS, LABELS("subscription")},
    {"p2p_outbox", {"id"}, "i", {{"address", 0}, {"patient", 0}, {"details", 0}}, ROWS, LABELS("outbox")},
    {"p2p_hash_key", {"number"}, "i", {{"value", 0}}, ROWS, LABELS("hash_key")},
};

const p2p_sealed_table_t *p2p_sealed_table(int i)
{
    return i < (int)(sizeof tables / sizeof *tables) ? &tables[i] : NULL;
}

int p2p_sealed_key_count(const p2p_sealed_table_t *table)
{
    return (int)strlen(table->types);
}

int p2p_sealed_column_count(const p2p_sealed_table_t *table)
{
    int n = 0;

    while (table->columns[n].name) n++;
    return n;
}

p2p_seal_place_t p2p_sealed_place(apr_pool_t *p, const p2p_sealed_table_t *table, int column, const char *const *key)
{
    p2p_seal_place_t place = {table->name, table->columns[column].name, table->types[0] == 'i' ? apr_strtoi64(key[0], NULL, 10) : 0};

    for (int i = 1; i <= table->columns[column].below; i++) place.column = apr_pstrcat(p, place.column, "/", key[i], NULL);
    return place;
}

/* ---- Pieces of statements: each is the rest of a list, after what stands before it ---- */

static const char *join(apr_pool_t *p, const char *list, const char *separator, const char *more)
{
    return apr_pstrcat(p, list, *list ? separator : "", more, NULL);
}

static const char *key_list(apr_pool_t *p, const p2p_sealed_table_t *table)
{
    const char *list = "";

    for (int i = 0; table->keys[i]; i++) list = join(p, list, ", ", table->keys[i]);
    return list;
}

static const char *parameter(const p2p_sealed_table_t *table, int key)
{
    return table->types[key] == 'i' ? "%lld" : "%s";
}

static const char *parameters(apr_pool_t *p, const p2p_sealed_table_t *table)
{
    const char *list = "";

    for (int i = 0; table->keys[i]; i++) list = join(p, list, ", ", parameter(table, i));
    return list;
}

/* What is the case for each column, or for any; column stands wherever words have "@". */
static const char *columns(apr_pool_t *p, const p2p_sealed_table_t *table, const char *separator, const char *words)
{
    const char *list = "";

    for (int i = 0; table->columns[i].name; i++) {
        const char *rest = words, *at, *text = "";

        while ((at = strchr(rest, '@'))) {
            text = apr_pstrcat(p, text, apr_pstrmemdup(p, rest, (apr_size_t)(at - rest)), table->columns[i].name, NULL);
            rest = at + 1;
        }
        list = join(p, list, separator, apr_pstrcat(p, text, rest, NULL));
    }
    return list;
}

static const char *texts(apr_pool_t *p, const p2p_sealed_table_t *table)
{
    return apr_pstrmemdup(p, "sss", (apr_size_t)p2p_sealed_column_count(table));
}

/* ---- The statements ---- */

p2p_sql_statement_t p2p_sealed_read(apr_pool_t *p, const p2p_sealed_table_t *table)
{
    const char *keys = key_list(p, table);

    return (p2p_sql_statement_t){
        table->labels[0],
        apr_pstrcat(p, "SELECT ", keys, ", ", columns(p, table, ", ", "@"), " FROM ", table->name, " WHERE (", keys, ") > (",
                    parameters(p, table), ") AND (", columns(p, table, " OR ", "(@ <> '' AND substr(@, 1, 12) <> %s)"), ") ORDER BY ", keys,
                    " LIMIT %lld", NULL),
        apr_pstrcat(p, table->types, texts(p, table), "i", NULL), p2p_sealed_key_count(table) + p2p_sealed_column_count(table)};
}

/* A row that somebody else holds is left to a later turn: who waits for nobody is in no deadlock, whatever order others take rows in. */
p2p_sql_statement_t p2p_sealed_write(apr_pool_t *p, const p2p_sealed_table_t *table)
{
    const char *keys = key_list(p, table), *old = texts(p, table);

    return (p2p_sql_statement_t){
        table->labels[1],
        apr_pstrcat(p, "UPDATE ", table->name, " SET ", columns(p, table, ", ", "@ = %s"), " WHERE (", keys, ") = (SELECT ", keys, " FROM ",
                    table->name, " WHERE (", keys, ") = (", parameters(p, table), ") {skip_locked}) AND ",
                    columns(p, table, " AND ", "@ = %s"), NULL),
        apr_pstrcat(p, old, table->types, old, NULL), 0};
}

p2p_sql_statement_t p2p_sealed_tally(apr_pool_t *p, const p2p_sealed_table_t *table)
{
    const char *all = "";

    for (int i = 0; table->columns[i].name; i++) {
        const char *column = table->columns[i].name;

        all = join(p, all, " UNION ALL ", apr_psprintf(p, "SELECT %d, substr(%s, 4, 8) AS key_id, COUNT(*) FROM %s WHERE %s <> '' "
                                                       "GROUP BY substr(%s, 4, 8)", i, column, table->name, column, column));
    }
    return (p2p_sql_statement_t){table->labels[2], all, "", 3};
}
