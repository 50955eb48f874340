/* SPDX-License-Identifier: Apache-2.0 */
/* Where a program gets its specification: from httpd's parent on fd 3, from a file, or by asking httpd. */
#ifndef P2P_RUNNER_SPEC_SOURCE_H
#define P2P_RUNNER_SPEC_SOURCE_H

#include "model/spec.h"

#define P2P_SPEC_FD 3 /* what a supervised runner finds there: the specification … */
#define P2P_WAKE_FD 4 /* … and the read end of its wake pipe */

/* Reads a whole file of at most max bytes into p, NUL-terminated; "-" is standard input. Errors:
 * P2P_E_NOT_FOUND "no-file", P2P_E_INVALID "too-large". */
p2p_error_t *p2p_read_file(apr_pool_t *p, const char *path, apr_size_t max, const char **text, apr_size_t *len);

/* The specification on P2P_SPEC_FD, which is closed. All three: errors P2P_E_INVALID "bad-spec", "no-spec".
 */
p2p_error_t *p2p_spec_from_httpd(apr_pool_t *p, p2p_spec_t **spec);

p2p_error_t *p2p_spec_from_file(apr_pool_t *p, const char *path, p2p_spec_t **spec);

/* Runs COMMAND -t -D P2P_DUMP_SPEC, command being httpd's program with options, parted by spaces (no shell);
 * NULL: apache2ctl, or apache2 where that is missing. What httpd says about its configuration is in the
 * error's detail. */
p2p_error_t *p2p_spec_by_asking(apr_pool_t *p, const char *command, p2p_spec_t **spec);

#endif
