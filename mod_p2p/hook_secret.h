/* SPDX-License-Identifier: Apache-2.0 */
/* The secret that the target's Subscription brings to /hooks/task, kept in a child of httpd for a moment. */
#ifndef P2P_MOD_HOOK_SECRET_H
#define P2P_MOD_HOOK_SECRET_H

#include <httpd.h>

#include "base/error.h"

#define P2P_HOOK_SECRET_KEPT apr_time_from_sec(2)      /* so long one that is good needs no database */
#define P2P_HOOK_SECRET_AGAIN apr_time_from_msec(250)  /* and so long one that is not, or a database that is away */

/* Sets *is_good where text is the secret, or the one before it. Reads one row, or none. Errors: those of the database. */
p2p_error_t *p2p_hook_secret_check(request_rec *r, const char *text, int *is_good);

/* child_init hook. */
void p2p_hook_secret_child(apr_pool_t *p, server_rec *s);

#endif
