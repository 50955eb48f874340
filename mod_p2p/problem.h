/* SPDX-License-Identifier: Apache-2.0 */
/* Every HTTP error where SetHandler p2p stands is application/problem+json (RFC 9457), httpd's own errors
 * included. */
#ifndef P2P_MOD_PROBLEM_H
#define P2P_MOD_PROBLEM_H

#include <httpd.h>

#include "base/error.h"
#include "model/field_error.h"

/* Notes what is wrong and returns status, for a handler to return: the body is written when httpd sends the
 * error. code is a literal; detail is a sentence for everyone, or NULL for the one that goes with the status;
 * both live as long as r. */
int p2p_problem(request_rec *r, int status, const char *code, const char *detail);

/* 422 with an entry for each p2p_field_error_t. */
int p2p_problem_fields(request_rec *r, const apr_array_header_t *errors);

/* The problem that an error of the library is, by its kind. Ours (500) and the database's (503, with
 * Retry-After) are logged. */
int p2p_problem_error(request_rec *r, const p2p_error_t *error);

/* The code of the problem that goes with status, as it was noted or as that status is called here; "" for one below 400. */
const char *p2p_problem_code(request_rec *r, int status);

/* insert_error_filter hook, and the registration of the filter that it inserts. */
void p2p_problem_insert(request_rec *r);
void p2p_problem_register(void);

#endif
