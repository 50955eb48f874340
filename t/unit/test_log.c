/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines and error records: levels, cutting, cleaning, copies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <apr_general.h>

#include "base/log.h"

static apr_pool_t *pool;
static char last[8192];
static int lines;

static void remember(void *baton, p2p_log_level_t level, const char *line)
{
    assert_ptr_equal(baton, last);
    snprintf(last, sizeof last, "%d %s", level, line);
    lines++;
}

static void levels(void **state)
{
    p2p_log_t log = {P2P_LOG_INFO, remember, last};

    (void)state;
    lines = 0;
    p2p_log(&log, P2P_LOG_INFO, "job %d of %s", 7, "x");
    assert_string_equal(last, "3 job 7 of x");
    p2p_log(&log, P2P_LOG_DEBUG, "no");
    p2p_log(NULL, P2P_LOG_ERROR, "no");
    p2p_log_error(&log, P2P_LOG_ERROR, "no", NULL);
    assert_int_equal(lines, 1);
}

static void long_lines_are_cut(void **state)
{
    p2p_log_t log = {P2P_LOG_TRACE, remember, last};

    (void)state;
    p2p_log(&log, P2P_LOG_WARN, "%05000d", 1);
    assert_int_equal(strlen(last), 4096 + 2);
}

static void words(void **state)
{
    (void)state;
    assert_int_equal(p2p_log_level_parse("error"), P2P_LOG_ERROR);
    assert_int_equal(p2p_log_level_parse("Warn"), P2P_LOG_WARN);
    assert_int_equal(p2p_log_level_parse("notice"), P2P_LOG_NOTICE);
    assert_int_equal(p2p_log_level_parse("info"), P2P_LOG_INFO);
    assert_int_equal(p2p_log_level_parse("debug"), P2P_LOG_DEBUG);
    assert_int_equal(p2p_log_level_parse("trace1"), P2P_LOG_TRACE);
    assert_int_equal(p2p_log_level_parse("trace8"), P2P_LOG_TRACE);
    assert_int_equal(p2p_log_level_parse("trace9"), P2P_LOG_NOTICE);
    assert_int_equal(p2p_log_level_parse("crit"), P2P_LOG_NOTICE);
    assert_int_equal(p2p_log_level_parse(NULL), P2P_LOG_NOTICE);
}

static void errors(void **state)
{
    p2p_log_t log = {P2P_LOG_INFO, remember, last};
    p2p_error_t *e = p2p_error_make(pool, P2P_E_REFUSED, "source-refused", "The source said %d.", 403), *copy;
    char detail[5000];

    (void)state;
    assert_null(e->detail);
    memset(detail, 'x', sizeof detail - 1);
    detail[sizeof detail - 1] = '\0';
    assert_ptr_equal(p2p_error_detail(pool, e, detail), e);
    assert_int_equal(strlen(e->detail), 4096);
    assert_null(p2p_error_detail(pool, NULL, "x"));
    assert_null(p2p_error_copy(pool, NULL));
    copy = p2p_error_copy(pool, e);
    assert_int_equal(copy->kind, P2P_E_REFUSED);
    assert_string_equal(copy->sentence, "The source said 403.");
    assert_ptr_not_equal(copy->sentence, e->sentence);
    assert_ptr_not_equal(copy->detail, e->detail);
    assert_null(p2p_error_detail(pool, copy, NULL)->detail);
    p2p_log_error(&log, P2P_LOG_ERROR, "job 7", e);
    assert_string_equal(last, "0 job 7: The source said 403. (source-refused)");
}

/* What the standard error writer writes for one line. */
static void to_stderr(const char *line, char *out, size_t size)
{
    p2p_log_t log = p2p_log_stderr(P2P_LOG_NOTICE);
    int fd[2], kept = dup(STDERR_FILENO);
    ssize_t n;

    assert_int_equal(pipe(fd), 0);
    assert_true(dup2(fd[1], STDERR_FILENO) >= 0);
    p2p_log(&log, P2P_LOG_NOTICE, "%s", line);
    p2p_log(&log, P2P_LOG_INFO, "%s", "not this");
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    close(kept);
    close(fd[1]);
    n = read(fd[0], out, size - 1);
    assert_true(n > 0);
    out[n] = '\0';
    close(fd[0]);
}

static void standard_error(void **state)
{
    char out[30000], head[64], day[4], month[4], line[5000];
    int year, d, h, m, s, us, at = 0;

    (void)state;
    to_stderr("a\nb\x1B[31m\x7F \xC3\xA9", out, sizeof out);
    assert_int_equal(sscanf(out, "[%3s %3s %d %d:%d:%d.%6d %d] %n", day, month,
                            &d, &h, &m, &s, &us, &year, &at),
                     8);
    snprintf(head, sizeof head, "[p2p:notice] [pid %ld] ", (long)getpid());
    assert_memory_equal(out + at, head, strlen(head));
    assert_string_equal(out + at + strlen(head), "a\\x0ab\\x1b[31m\\x7f \xC3\xA9\n");
    memset(line, '\x01', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    to_stderr(line, out, sizeof out);
    assert_int_equal(strlen(strstr(out, "] \\x01") + 2), 4096 * 4 + 1);
}

static int set_up(void **state)
{
    (void)state;
    apr_initialize();
    return apr_pool_create(&pool, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    apr_terminate();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels), cmocka_unit_test(long_lines_are_cut), cmocka_unit_test(words),
        cmocka_unit_test(errors), cmocka_unit_test(standard_error)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
