/* SPDX-License-Identifier: Apache-2.0 */
/* The table of statements holds together: labels, argument types, columns. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>

#include "store/sql.h"

static apr_pool_t *pool;

static void labels(void **state)
{
    (void)state;
    for (int i = 0; i < P2P_SQL_COUNT; i++) {
        const p2p_sql_statement_t *s = p2p_sql((p2p_sql_t)i);

        assert_non_null(s->label);
        for (const char *c = s->label; *c; c++) assert_true(islower(*c) || isdigit(*c) || *c == '_');
        for (int j = 0; j < i; j++) assert_string_not_equal(s->label, p2p_sql((p2p_sql_t)j)->label);
    }
}

/* The placeholders of a text, as types. */
static const char *placeholders(const char *text)
{
    static char types[64];
    size_t n = 0;

    for (; *text; text++) {
        if (*text != '%') continue;
        assert_true(!strncmp(text, "%s", 2) || !strncmp(text, "%lld", 4));
        types[n++] = text[1] == 's' ? 's' : 'i';
        assert_in_range(n, 0, sizeof types - 1);
    }
    types[n] = '\0';
    return types;
}

static void types_fit(void **state)
{
    (void)state;
    for (int i = 0; i < P2P_SQL_COUNT; i++) {
        const p2p_sql_statement_t *s = p2p_sql((p2p_sql_t)i);

        if (strcmp(s->types, placeholders(s->text))) fail_msg("%s: %s", s->label, placeholders(s->text));
    }
}

static void fragments(void **state)
{
    (void)state;
    for (int i = 0; i < P2P_SQL_COUNT; i++) {
        for (int pgsql = 0; pgsql < 2; pgsql++) {
            const char *text = p2p_sql_text(pool, (p2p_sql_t)i, pgsql);

            assert_null(strchr(text, '{'));
            assert_string_equal(placeholders(text), p2p_sql((p2p_sql_t)i)->types);
            for (const char *n = text; (n = strstr(n,
                                                   "%lld")); n++) assert_memory_equal(n - 5, "CAST(%lld AS BIGINT)", 20);
        }
    }
    assert_string_equal(p2p_sql_text(pool, P2P_SQL_BEGIN, 0), "BEGIN IMMEDIATE");
    assert_string_equal(p2p_sql_text(pool, P2P_SQL_BEGIN, 1), "BEGIN");
    assert_non_null(strstr(p2p_sql_text(pool, P2P_SQL_JOB_CLAIM, 1), "SKIP LOCKED"));
    assert_null(strstr(p2p_sql_text(pool, P2P_SQL_JOB_CLAIM, 0), "SKIP LOCKED"));
}

/* Statements that list columns say what comes back; nothing selects "*". */
static void columns(void **state)
{
    (void)state;
    for (int i = 0; i < P2P_SQL_COUNT; i++) {
        const p2p_sql_statement_t *s = p2p_sql((p2p_sql_t)i);
        int gives = !strncmp(s->text, "SELECT", 6) || !strncmp(s->text, "WITH",
                                                               4) || strstr(s->text, " RETURNING ");

        assert_null(strstr(s->text, "SELECT *"));
        if ((s->columns > 0) != !!gives) fail_msg("%s: columns", s->label);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels),
        cmocka_unit_test(types_fit),
        cmocka_unit_test(fragments),
        cmocka_unit_test(columns),
    };
    int failures;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    failures = cmocka_run_group_tests_name("sql", tests, NULL, NULL);
    apr_terminate();
    return failures;
}
