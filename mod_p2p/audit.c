/* SPDX-License-Identifier: Apache-2.0 */
/* Noting calls in the audit. */
#include "audit.h"

#include <http_log.h>
#include <apr_strings.h>

#include "base/clock.h"
#include "caller.h"
#include "dbd.h"
#include "mod_p2p.h"
#include "problem.h"
#include "shared.h"
#include "store/audit_store.h"

APLOG_USE_MODULE(p2p);

#define UNNOTED_EVERY apr_time_from_sec(60) /* the log tells so often that refusals of a client are not noted */

typedef struct p2p_audit_t {
    const char *action;
    const char *asked, *object; /* what the path names; and what the change is about */
    int status;      /* of a change, as the handler is going to answer it */
    apr_int64_t id;  /* taken for the next row; 0: none */
    int is_noted;
    p2p_audit_tell_fn tell;
    void *tell_baton;
} audit_t;

/* ---- How many refusals are noted ---- */

/* A bucket of base/rate.h with a clock that goes slower. */
static int take(p2p_rate_row_t *rows, apr_size_t count, apr_uint64_t caller, int at_once, apr_interval_time_t each)
{
    p2p_clock_t clock = p2p_clock_system();
    int per_second = at_once / 2;

    return !p2p_rate_take(rows, count, caller, per_second, clock.monotonic(clock.baton) / (each / (APR_USEC_PER_SEC / per_second)));
}

/* Is one more refusal of this client noted? *say is set where the log is to tell that it is not. */
static int may_note(request_rec *r, const char *client, int *say)
{
    p2p_shared_t *shared = p2p_config(r->server)->shared;
    apr_uint64_t caller;

    *say = 1;
    if (!shared) return 0;
    caller = p2p_shared_hash(shared, client);
    if (take(shared->refusals, P2P_SHARED_REFUSALS, caller, P2P_AUDIT_REFUSALS, P2P_AUDIT_REFUSAL_EVERY)) return 1;
    *say = take(shared->unnoted, P2P_SHARED_UNNOTED, caller, 2, UNNOTED_EVERY);
    return 0;
}

/* ---- What a call is about ---- */

/* The segment before the last number of a pattern, or the last one of a pattern without numbers, in the singular: "oidc_servers" and
 * "batch_jobs" are lists. *number tells which number it is, from 1, or 0. */
static const char *kind_of(apr_pool_t *p, const char *pattern, int *number)
{
    const char *end = pattern + strlen(pattern), *begin, *at = pattern;

    *number = 0;
    while ((at = strstr(at, "/" P2P_ROUTE_ID)) != NULL) {
        end = at++;
        ++*number;
    }
    for (begin = end; begin > pattern && begin[-1] != '/'; ) begin--;
    if (end > begin && end[-1] == 's') end--;
    return apr_pstrmemdup(p, begin, (apr_size_t)(end - begin));
}

static const char *object_of(apr_pool_t *p, const char *kind, apr_int64_t id)
{
    return id ? apr_psprintf(p, "%s/%" APR_INT64_T_FMT, kind, id) : kind;
}

void p2p_audit_begin(request_rec *r, const p2p_route_t *route, const p2p_match_t *match)
{
    audit_t *audit;
    const char *kind;
    int number;

    if (!route->action) return;
    kind = kind_of(r->pool, route->pattern, &number);
    audit = apr_pcalloc(r->pool, sizeof *audit);
    audit->action = route->action;
    audit->object = audit->asked = object_of(r->pool, kind, number ? match->ids[number - 1] : 0);
    audit->status = HTTP_OK;
    p2p_state(r)->audit = audit;
}

void p2p_audit_object(request_rec *r, const char *kind, apr_int64_t id)
{
    if (p2p_state(r)->audit) p2p_state(r)->audit->object = object_of(r->pool, kind, id);
}

void p2p_audit_status(request_rec *r, int status)
{
    if (p2p_state(r)->audit) p2p_state(r)->audit->status = status;
}

void p2p_audit_tell(request_rec *r, p2p_audit_tell_fn tell, void *baton)
{
    audit_t *audit = p2p_state(r)->audit;

    if (!audit) return;
    audit->tell = tell;
    audit->tell_baton = baton;
}

/* ---- The row ---- */

static p2p_error_t *add_row(p2p_db_t *db, request_rec *r, const char *code)
{
    const p2p_caller_t *caller = p2p_caller(r);
    audit_t *audit = p2p_state(r)->audit;
    p2p_audit_row_t row = {
        .id = audit->id, .client = caller->client, .role = p2p_role_name(caller->role), .address = r->useragent_ip,
        .action = audit->action, .object = audit->object, .status = audit->status, .code = code,
    };

    audit->id = 0;
    return p2p_audit_add(db, r->pool, &row);
}

static p2p_error_t *note_change(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    request_rec *r = baton;
    audit_t *audit = p2p_state(r)->audit;

    (void)p;
    if (audit->tell) audit->tell(r, audit->tell_baton);
    P2P_TRY(add_row(db, r, ""));
    audit->is_noted = 1;
    return NULL;
}

p2p_error_t *p2p_audit_watch(p2p_db_t *db, request_rec *r)
{
    audit_t *audit = p2p_state(r)->audit;

    if (!audit) return NULL;
    if (!audit->id) P2P_TRY(p2p_audit_next_id(db, r->pool, &audit->id));
    p2p_db_witness(db, note_change, r);
    return NULL;
}

static p2p_error_t *note_end(p2p_db_t *db, request_rec *r, void *baton)
{
    return add_row(db, r, baton);
}

/* A database that has just not answered is not asked again while the caller waits. */
static p2p_error_t *note(request_rec *r, const char *code)
{
    if (strcmp(code, "database-away")) return p2p_dbd_with(r, note_end, (void *)code);
    return p2p_error_make(r->pool, P2P_E_UNAVAILABLE, code, "The database is away.");
}

void p2p_audit_end(request_rec *r, int status)
{
    audit_t *audit = p2p_state(r)->audit;
    p2p_error_t *error;
    int say;

    if (!audit || (audit->is_noted && status < 400)) return;
    audit->is_noted = 1;
    audit->status = status;
    if (status >= 400) audit->object = audit->asked; /* what was about to be made is not there */
    if (status >= 400 && !may_note(r, p2p_caller(r)->client, &say)) {
        if (say) ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, "%s is refused so often that not all of it is in the audit",
                               p2p_caller(r)->client);
        return;
    }
    error = note(r, p2p_problem_code(r, status));
    if (!error) return;
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "Not in the audit: %s of %s ended with %d: %s (%s)", audit->action, audit->object, status,
                  error->sentence, error->code);
}

int p2p_audit_log(request_rec *r)
{
    const p2p_route_t *route;
    p2p_match_t match;
    const char *allow;

    if (!r->user || r->status < 400 || r->status == HTTP_UNAUTHORIZED || !p2p_dir(r)->enabled || p2p_state(r)->audit) return DECLINED;
    route = p2p_route_find(r, &match, &allow);
    if (!route || !route->action) return DECLINED;
    p2p_audit_begin(r, route, &match);
    p2p_audit_end(r, r->status);
    return DECLINED;
}
