/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines go where the program that uses the library says. Never a secret, never member data. */
#ifndef P2P_BASE_LOG_H
#define P2P_BASE_LOG_H

#include <apr_pools.h>
#include "base/error.h"

typedef enum { P2P_LOG_ERROR, P2P_LOG_WARN, P2P_LOG_NOTICE, P2P_LOG_INFO, P2P_LOG_DEBUG, P2P_LOG_TRACE } p2p_log_level_t;

typedef struct p2p_log_t {
    p2p_log_level_t level; /* lines above it are not even formatted */
    void (*write)(void *baton, p2p_log_level_t level, const char *line);
    void *baton;
} p2p_log_t;

/* A log that writes httpd's ErrorLog line form to standard error: "[Sun Nov 22 21:35:48.123456 2026]
 * [p2p:notice] [pid 12] LINE". Control characters in LINE are shown as \xHH. */
p2p_log_t p2p_log_stderr(p2p_log_level_t level);

/* Writes one line of at most 4,096 bytes, formatted with the vsnprintf family. log may be NULL: nothing is
 * written. */
void p2p_log(const p2p_log_t *log, p2p_log_level_t level, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Writes "WHAT: SENTENCE (CODE)" of an error; its detail is never logged. */
void p2p_log_error(const p2p_log_t *log, p2p_log_level_t level, const char *what, const p2p_error_t *error);

/* "error", "warn", "notice", "info", "debug", "trace1".."trace8" (httpd's LogLevel words) to a level; NOTICE
 * for others. */
p2p_log_level_t p2p_log_level_parse(const char *word);

#endif
