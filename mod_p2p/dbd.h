/* SPDX-License-Identifier: Apache-2.0 */
/* mod_dbd's connections: taken late, given back early. */
#ifndef P2P_MOD_DBD_H
#define P2P_MOD_DBD_H

#include <httpd.h>

#include "store/db.h"

/* What is done with a connection. Everything that it leaves to baton lives in r->pool. */
typedef p2p_error_t *(*p2p_dbd_work_fn)(p2p_db_t *db, request_rec *r, void *baton);

/* Takes a connection, does the work and gives it back; where the call has an action, each transaction leaves a row in the audit (audit.h).
 * Errors: P2P_E_UNAVAILABLE "database-away" where there is none (mod_dbd tries again at the next call), or the work's. */
p2p_error_t *p2p_dbd_with(request_rec *r, p2p_dbd_work_fn work, void *baton);

#endif
