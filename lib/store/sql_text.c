/* SPDX-License-Identifier: Apache-2.0 */
/* A statement's text for one driver. */
#include "store/sql.h"

#include <string.h>
#include <apr_strings.h>

/* The words in which the drivers differ. */
typedef struct fragment_t {
    const char *name, *sqlite, *pgsql;
} fragment_t;

static const fragment_t fragments[] = {
    {"{now}", "(CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS BIGINT) * 1000)",
     "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"},
    {"{begin}", "BEGIN IMMEDIATE", "BEGIN"},
    {"{skip_locked}", "", "FOR UPDATE SKIP LOCKED"},
    /* Who holds a row by the latter is not waited for by others that do, only by who wants to remove it. SQLite has one writer at a time. */
    {"{for_update}", "", "FOR UPDATE"},
    {"{for_key_share}", "", "FOR KEY SHARE"},
    {"{position}", "instr", "strpos"},
    /* SQLite chooses by the number of columns that are equal, and has to be told. */
    {"{queued}", "INDEXED BY p2p_job_queue", ""},
    {"{running}", "INDEXED BY p2p_job_running", ""},
    {"{chores}", "INDEXED BY p2p_job_chore", ""},
    {"{resting}", "INDEXED BY p2p_job_resting", ""},
    {"{failed}", "INDEXED BY p2p_job_failed", ""},
    {"{tested}", "INDEXED BY p2p_job_kind", ""},
    {"{tables}", "(SELECT name FROM sqlite_master WHERE type = 'table')",
     "(SELECT tablename AS name FROM pg_catalog.pg_tables WHERE schemaname = current_schema())"},
    {"%lld", "CAST(%lld AS BIGINT)", "CAST(%lld AS BIGINT)"},
};

static const fragment_t *fragment_at(const char *text)
{
    for (apr_size_t i = 0; i < sizeof fragments / sizeof *fragments; i++) {
        if (!strncmp(text, fragments[i].name, strlen(fragments[i].name))) return &fragments[i];
    }
    return NULL;
}

const char *p2p_sql_text(apr_pool_t *p, p2p_sql_t statement, int pgsql)
{
    return p2p_sql_for(p, p2p_sql(statement)->text, pgsql);
}

const char *p2p_sql_for(apr_pool_t *p, const char *rest, int pgsql)
{
    const char *result = "";

    while (*rest) {
        apr_size_t plain = strcspn(rest, "{%");
        const fragment_t *fragment = fragment_at(rest + plain);
        const char *word = fragment ? (pgsql ? fragment->pgsql : fragment->sqlite) : "";

        if (!fragment && rest[plain]) plain++;
        result = apr_pstrcat(p, result, apr_pstrmemdup(p, rest, plain), word, NULL);
        rest += plain + (fragment ? strlen(fragment->name) : 0);
    }
    return result;
}
