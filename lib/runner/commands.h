/* SPDX-License-Identifier: Apache-2.0 */
/* What an administrator says to p2p-runner: migrate, definitions import, status, reseal, hook rotate. Each prints to standard
 * output. Given by root, those that open the database become httpd's User before they do. */
#ifndef P2P_RUNNER_COMMANDS_H
#define P2P_RUNNER_COMMANDS_H

#include <stdio.h>
#include "model/spec.h"
#include "store/db.h"

/* Prints an error, with its detail, for the administrator: "p2p-runner: SENTENCE (CODE)". */
void p2p_command_complain(const p2p_error_t *error);

/* For the commands that need a schema. Root's work ends here: it becomes httpd's User. */
p2p_error_t *p2p_command_open(apr_pool_t *p, const p2p_spec_t *spec, const p2p_log_t *log, p2p_db_t **db);

/* What was printed is only said to be done when it is out: code, or EX_IOERR. */
int p2p_command_done(FILE *out, int code);

/* They return an exit code (sysexits); what went wrong has been said on standard error by then. */
int p2p_command_keygen(apr_pool_t *p, FILE *out);
int p2p_command_migrate(apr_pool_t *p, const p2p_spec_t *spec, const p2p_log_t *log, FILE *out);
int p2p_command_status(apr_pool_t *p, const p2p_spec_t *spec, const p2p_log_t *log, FILE *out);

/* Seals anew, with the first key, what another one sealed, or (only_look) tells what there is; prints how it goes. EX_OK where nothing of another
 * key is left, EX_DATAERR where something is that cannot be opened, EX_TEMPFAIL where something is that can. */
int p2p_command_reseal(apr_pool_t *p, const p2p_spec_t *spec, const p2p_log_t *log, int only_look, FILE *out);

/* Gives the hook of P2PHookURL a new secret; the old one is good for a day. */
int p2p_command_hook_rotate(apr_pool_t *p, const p2p_spec_t *spec, const p2p_log_t *log, FILE *out);

/* Creates and updates definitions from a JSON array with the guide's member names and clientSecret, keyText,
 * keyFile, notes; all or none. Each broken rule is a line "POINTER: sentence". "-" is standard input. */
int p2p_command_import(apr_pool_t *p, const p2p_spec_t *spec, const p2p_log_t *log, const char *path, FILE *out);

/* Sends the template "test" to the address, with what the runner sends with; says in a sentence how that ended. EX_OK; EX_UNAVAILABLE where the server
 * cannot be reached or does not take the mail; EX_CONFIG for a fault of the configuration; EX_USAGE for an address that is none. */
int p2p_command_mail_test(apr_pool_t *p, const p2p_spec_t *spec, const char *address, FILE *out);

#endif
