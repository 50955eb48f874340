/* SPDX-License-Identifier: Apache-2.0 */
/* CORS: pages of the origins that P2PCorsOrigins names may call the API and read what it answers, errors as well; never with credentials that the
 * browser adds by itself. */
#ifndef P2P_MOD_CORS_H
#define P2P_MOD_CORS_H

#include <httpd.h>

/* Adds to an answer what its origin needs, and Vary. */
void p2p_cors_headers(request_rec *r);

/* Is it a browser's question whether a page may send a request? Such a question never carries credentials. */
int p2p_cors_is_preflight(const request_rec *r);

/* Answers it for a path that takes the methods allow. Returns what the handler is to return. */
int p2p_cors_preflight(request_rec *r, const char *allow);

/* check_access_ex hook, after mod_authz_core's: where all that is missing is a user, a preflight needs none. */
void p2p_cors_register(void);

#endif
