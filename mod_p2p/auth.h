/* SPDX-License-Identifier: Apache-2.0 */
/* AuthType Bearer (RFC 6750), and Require p2p-role for callers however httpd came to know them. */
#ifndef P2P_MOD_AUTH_H
#define P2P_MOD_AUTH_H

#include <httpd.h>

#include "caller.h"

#define P2P_AUTH_SCHEME "Bearer"

/* check_authn, note_auth_failure, insert_error_filter and child_init hooks, and the providers of Require. */
void p2p_auth_register(apr_pool_t *p);

/* The caller is known, but needs at least this role: 403, for a handler to return. Somebody with a token is told which scope it lacks. */
int p2p_auth_lacks(request_rec *r, p2p_role_t role);

#endif
