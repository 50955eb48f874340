/* SPDX-License-Identifier: Apache-2.0 */
/* The row of p2p_subscription, shared by the threads of a child. A flood of wrong secrets costs the database a row every quarter of a second. */
#include "hook_secret.h"

#include <http_log.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include "base/clock.h"
#include "dbd.h"
#include "mod_p2p.h"
#include "store/subscription_store.h"

APLOG_USE_MODULE(p2p);

#define SECRET_MAX 128

typedef struct p2p_hook_secret_t {
    apr_thread_mutex_t *mutex;
    apr_time_t asked; /* monotonic; 0: never */
    int is_away;      /* the database did not answer then */
    char secret[SECRET_MAX], before[SECRET_MAX];
} kept_t;

void p2p_hook_secret_child(apr_pool_t *p, server_rec *s)
{
    kept_t *kept = apr_pcalloc(p, sizeof *kept);
    apr_status_t rv = apr_thread_mutex_create(&kept->mutex, APR_THREAD_MUTEX_DEFAULT, p);

    if (!rv) p2p_config(s)->hook_secret = kept;
    else ap_log_error(APLOG_MARK, APLOG_WARNING, rv, s, "no mutex: the secret of /hooks/task is read from the database each time");
}

static apr_time_t monotonic(void)
{
    p2p_clock_t clock = p2p_clock_system();

    return clock.monotonic(clock.baton);
}

/* What was read less than age ago, into out; 0 where nothing was. */
static int copy_out(request_rec *r, apr_interval_time_t age, kept_t *out)
{
    kept_t *kept = p2p_config(r->server)->hook_secret;
    int is_fresh;

    if (!kept) return 0;
    apr_thread_mutex_lock(kept->mutex);
    is_fresh = kept->asked && monotonic() - kept->asked < age;
    if (is_fresh) *out = *kept;
    apr_thread_mutex_unlock(kept->mutex);
    return is_fresh;
}

static void copy_in(request_rec *r, const kept_t *in)
{
    kept_t *kept = p2p_config(r->server)->hook_secret;

    if (!kept) return;
    apr_thread_mutex_lock(kept->mutex);
    kept->asked = in->asked;
    kept->is_away = in->is_away;
    memcpy(kept->secret, in->secret, SECRET_MAX);
    memcpy(kept->before, in->before, SECRET_MAX);
    apr_thread_mutex_unlock(kept->mutex);
}

static p2p_error_t *read_row(p2p_db_t *db, request_rec *r, void *baton)
{
    const p2p_spec_t *spec = &p2p_config(r->server)->spec;
    p2p_subscription_t *row;
    kept_t *read = baton;

    P2P_TRY(p2p_subscription_get(db, r->pool, spec->keyring, spec->target, spec->hook_url, &row));
    if (!row) return NULL;
    apr_cpystrn(read->secret, row->secret, SECRET_MAX);
    apr_cpystrn(read->before, row->secret_before, SECRET_MAX);
    return NULL;
}

static p2p_error_t *read_again(request_rec *r, kept_t *read)
{
    p2p_error_t *error;

    memset(read, 0, sizeof *read);
    read->asked = monotonic();
    error = p2p_dbd_with(r, read_row, read);
    read->is_away = error != NULL;
    copy_in(r, read);
    return error;
}

static int matches(const kept_t *kept, const char *text)
{
    p2p_subscription_t row = { .secret = kept->secret, .secret_before = kept->before };

    return p2p_subscription_secret_is(&row, text);
}

/* One that is not what was read a moment ago may be newer than that: a Subscription delivers as soon as it is made. */
p2p_error_t *p2p_hook_secret_check(request_rec *r, const char *text, int *is_good)
{
    kept_t kept;

    *is_good = copy_out(r, P2P_HOOK_SECRET_KEPT, &kept) && matches(&kept, text);
    if (*is_good) return NULL;
    if (!copy_out(r, P2P_HOOK_SECRET_AGAIN, &kept)) P2P_TRY(read_again(r, &kept));
    if (kept.is_away) return p2p_error_make(r->pool, P2P_E_UNAVAILABLE, "database-away", "The database does not answer: try again later.");
    *is_good = matches(&kept, text);
    return NULL;
}
