/* SPDX-License-Identifier: Apache-2.0 */
/* Who did what: each call of a route that has an action leaves a row in the audit (store/audit_store.h). That of a change goes in with the
 * change, in its transaction; a call that changed nothing, and one that was refused, is noted afterwards. */
#ifndef P2P_MOD_AUDIT_H
#define P2P_MOD_AUDIT_H

#include <httpd.h>

#include "route.h"
#include "store/db.h"

/* A call of a route with an action begins (route.c). What it is about is the last thing in the path that has a number. */
void p2p_audit_begin(request_rec *r, const p2p_route_t *route, const p2p_match_t *match);

/* From now on each transaction of db that ends well leaves a row, where r has an action (dbd.c). */
p2p_error_t *p2p_audit_watch(p2p_db_t *db, request_rec *r);

/* What the call is about, where the path does not say: ("oidc_server", 3). And its outcome, where it will not be 200. To be said before the
 * change is committed; does nothing where r has no action. */
void p2p_audit_object(request_rec *r, const char *kind, apr_int64_t id);
void p2p_audit_status(request_rec *r, int status);

/* tell is called within each transaction when it has gone well, before the row is written: it says both of what only the store knew. */
typedef void (*p2p_audit_tell_fn)(request_rec *r, void *baton);
void p2p_audit_tell(request_rec *r, p2p_audit_tell_fn tell, void *baton);

/* The call is over: notes it, unless a change of its own did. Refusals are noted as far as that goes: not while the database is away, and of
 * one client P2P_AUDIT_REFUSALS at once from this process, then one more every P2P_AUDIT_REFUSAL_EVERY; the log tells what is left out. */
void p2p_audit_end(request_rec *r, int status);

/* log_transaction hook: what was refused to somebody known before its route was called. */
int p2p_audit_log(request_rec *r);

#define P2P_AUDIT_REFUSALS 60
#define P2P_AUDIT_REFUSAL_EVERY apr_time_from_sec(10)

#endif
