/* SPDX-License-Identifier: Apache-2.0 */
/* What an administrator says to p2p-runner: migrate, definitions import, status. Each prints to standard
 * output. Given by root, those that open the database become httpd's User before they do. */
#ifndef P2P_RUNNER_COMMANDS_H
#define P2P_RUNNER_COMMANDS_H

#include <stdio.h>
#include "model/spec.h"

/* Prints an error, with its detail, for the administrator: "p2p-runner: SENTENCE (CODE)". */
void p2p_command_complain(const p2p_error_t *error);

/* They return an exit code (sysexits); what went wrong has been said on standard error by then. */
int p2p_command_keygen(apr_pool_t *p, FILE *out);
int p2p_command_migrate(apr_pool_t *p, const p2p_spec_t *spec, const p2p_log_t *log, FILE *out);
int p2p_command_status(apr_pool_t *p, const p2p_spec_t *spec, const p2p_log_t *log, FILE *out);

/* Creates and updates definitions from a JSON array with the guide's member names and clientSecret, keyText,
 * keyFile, notes; all or none. Each broken rule is a line "POINTER: sentence". "-" is standard input. */
int p2p_command_import(apr_pool_t *p, const p2p_spec_t *spec, const p2p_log_t *log, const char *path, FILE *out);

#endif
