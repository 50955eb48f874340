/* SPDX-License-Identifier: Apache-2.0 */
/* The bridge between mod_dbd and lib/store. */
#include "dbd.h"

#include <http_log.h>
#include <apr_dbd.h>
#include <mod_dbd.h>

#include "audit.h"
#include "caller.h"
#include "mod_p2p.h"
#include "shared.h"

APLOG_USE_MODULE(p2p);

static const int levels[] = {
    [P2P_LOG_ERROR] = APLOG_ERR,   [P2P_LOG_WARN] = APLOG_WARNING, [P2P_LOG_NOTICE] = APLOG_NOTICE,
    [P2P_LOG_INFO] = APLOG_INFO,   [P2P_LOG_DEBUG] = APLOG_DEBUG,  [P2P_LOG_TRACE] = APLOG_TRACE1,
};

static void write_line(void *baton, p2p_log_level_t level, const char *line)
{
    const request_rec *r = baton;

    ap_log_rerror(APLOG_MARK, levels[level], 0, r, "%s", line);
}

/* The library formats nothing that httpd would not write. */
static p2p_log_level_t level_of(request_rec *r)
{
    int level = P2P_LOG_ERROR;

    while (level < P2P_LOG_TRACE && APLOG_R_IS_LEVEL(r, levels[level + 1])) level++;
    return (p2p_log_level_t)level;
}

/* Who it is may not be known yet: then nothing of his is changed. */
static int is_change(request_rec *r)
{
    const p2p_caller_t *caller = p2p_state(r)->caller;

    return r->method_number != M_GET && caller && caller->role >= P2P_ROLE_ADMINISTRATOR;
}

p2p_error_t *p2p_dbd_with(request_rec *r, p2p_dbd_work_fn work, void *baton)
{
    APR_OPTIONAL_FN_TYPE(ap_dbd_open) *open = APR_RETRIEVE_OPTIONAL_FN(ap_dbd_open);
    APR_OPTIONAL_FN_TYPE(ap_dbd_close) *close = APR_RETRIEVE_OPTIONAL_FN(ap_dbd_close);
    p2p_log_t log = { level_of(r), write_line, r };
    ap_dbd_t *dbd = open && close ? open(r->pool, r->server) : NULL;
    p2p_error_t *error;
    p2p_db_t *db;

    if (!dbd) {
        return p2p_error_make(r->pool, P2P_E_UNAVAILABLE, "database-away",
                              "The database does not answer: try again later.");
    }
    db = p2p_db_wrap(r->pool, dbd->driver, dbd->handle, dbd->prepared, dbd->pool, &log);
    error = p2p_audit_watch(db, r);
    if (!error) error = work(db, r, baton);
    close(r->server, dbd);
    /* Before the answer: what an administrator has changed he is not told to be unchanged. */
    if (is_change(r)) p2p_shared_bump(r->server);
    return error;
}
