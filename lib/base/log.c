/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines: cut, cleaned and handed to the program's own writer. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>
#include <apr_time.h>

#include "base/buf.h"

#define LINE_MAX_BYTES 4096
#define STDERR_MAX (LINE_MAX_BYTES * 4 + 256) /* each byte may become \xHH, and the head */

static const char *const words[] = {"error", "warn", "notice", "info", "debug", "trace1"};

static void add_head(p2p_buf_t *out, p2p_log_level_t level)
{
    apr_time_exp_t t;

    apr_time_exp_lt(&t, apr_time_now());
    p2p_buf_printf(out, "[%s %s %02d %02d:%02d:%02d.%06d %04d] ", apr_day_snames[t.tm_wday],
                   apr_month_snames[t.tm_mon], t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, t.tm_usec,
                   t.tm_year + 1900);
    p2p_buf_printf(out, "[p2p:%s] [pid %ld] ", words[level], (long)getpid());
}

/* A line must stay one line, and must not drive the terminal that shows it. */
static void add_clean(p2p_buf_t *out, const char *line)
{
    const char *plain = line;

    for (; *line; line++) {
        unsigned char c = (unsigned char)*line;

        if (c >= 0x20 && c != 0x7F) continue;
        p2p_buf_add(out, plain, (apr_size_t)(line - plain));
        p2p_buf_printf(out, "\\x%02x", c);
        plain = line + 1;
    }
    p2p_buf_add(out, plain, (apr_size_t)(line - plain));
}

/* One write for one line, so that those of several processes do not mix. */
static void write_stderr(void *baton, p2p_log_level_t level, const char *line)
{
    p2p_buf_t out;
    ssize_t n;

    (void)baton;
    p2p_buf_init(&out, STDERR_MAX);
    add_head(&out, level);
    add_clean(&out, line);
    p2p_buf_puts(&out, "\n");
    n = write(STDERR_FILENO, out.data, out.len);
    (void)n; /* there is nowhere left to tell it */
    p2p_buf_free(&out);
}

p2p_log_t p2p_log_stderr(p2p_log_level_t level)
{
    p2p_log_t log = {level, write_stderr, NULL};

    return log;
}

void p2p_log(const p2p_log_t *log, p2p_log_level_t level, const char *format, ...)
{
    char line[LINE_MAX_BYTES + 1];
    va_list args;

    if (!log || level > log->level) return;
    va_start(args, format);
    if (vsnprintf(line, sizeof line, format, args) < 0) line[0] = '\0';
    va_end(args);
    log->write(log->baton, level, line);
}

void p2p_log_error(const p2p_log_t *log, p2p_log_level_t level, const char *what, const p2p_error_t *error)
{
    if (!error) return;
    p2p_log(log, level, "%s: %s (%s)", what, error->sentence, error->code);
}

p2p_log_level_t p2p_log_level_parse(const char *word)
{
    int level;

    if (!word) return P2P_LOG_NOTICE;
    for (level = P2P_LOG_ERROR; level < P2P_LOG_TRACE; level++) {
        if (!strcasecmp(word, words[level])) return (p2p_log_level_t)level;
    }
    if (!strncasecmp(word, "trace", 5) && word[5] >= '1' && word[5] <= '8' && !word[6]) return P2P_LOG_TRACE;
    return P2P_LOG_NOTICE;
}
