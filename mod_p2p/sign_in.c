/* SPDX-License-Identifier: Apache-2.0 */
/* The row of the issuer that people sign in at, shared by the threads of a child. */
#include "sign_in.h"

#include <http_log.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include "base/clock.h"
#include "base/uri.h"
#include "dbd.h"
#include "mod_p2p.h"
#include "store/jwks_store.h"
#include "supervise.h"

APLOG_USE_MODULE(p2p);

#define URL_MAX 2048 /* bytes; a longer one is as good as none */

typedef struct p2p_sign_in_kept_t {
    apr_thread_mutex_t *lock;    /* over what follows */
    apr_thread_mutex_t *looking; /* one thread at a time reads the row */
    apr_time_t looked;           /* monotonic; 0: never */
    int is_good;                 /* and came by what is to be had */
    char authorization[URL_MAX], token[URL_MAX]; /* "": nothing is known */
    int names_issuer;
} kept_t;

static p2p_error_t *fault(apr_pool_t *p, const char *what)
{
    return p2p_error_make(p, P2P_E_INVALID, "bad-sign-in", "%s", what);
}

p2p_error_t *p2p_sign_in_check(apr_pool_t *p, const char *client, const char *scopes)
{
    for (const char *at = client; *at; at++) {
        if (*at < ' ' || *at > '~') return fault(p, "must name the client by printable ASCII characters");
    }
    if (!*client) return fault(p, "needs the id of the client that the API page and the console are at the provider");
    for (const char *at = scopes; *at; at++) {
        if (*at < ' ' || *at > '~' || *at == '"' || *at == '\\') return fault(p, "has a character that cannot be in a scope");
    }
    if (strspn(scopes, " ") == strlen(scopes)) return fault(p, "needs the scopes to ask for, such as openid and those that open the API");
    return NULL;
}

void p2p_sign_in_child(apr_pool_t *p, server_rec *s)
{
    kept_t *kept = apr_pcalloc(p, sizeof *kept);
    apr_status_t rv;

    if (!p2p_config(s)->spec.sign_in_issuer) return;
    rv = apr_thread_mutex_create(&kept->lock, APR_THREAD_MUTEX_DEFAULT, p);
    if (!rv) rv = apr_thread_mutex_create(&kept->looking, APR_THREAD_MUTEX_DEFAULT, p);
    if (!rv) p2p_config(s)->sign_in = kept;
    else ap_log_error(APLOG_MARK, APLOG_WARNING, rv, s, "no mutex: nobody can sign in at the API page and the console (P2PSignIn)");
}

static apr_time_t monotonic(void)
{
    p2p_clock_t clock = p2p_clock_system();

    return clock.monotonic(clock.baton);
}

/* Nothing but what can stand in a header: a host is letters, digits and little else. */
static const char *origin_of(apr_pool_t *p, const char *url)
{
    p2p_uri_t uri;
    const char *origin;

    if (p2p_uri_parse(p, url, &uri)) return NULL;
    origin = p2p_uri_origin(p, &uri);
    return origin[strspn(origin, "abcdefghijklmnopqrstuvwxyz0123456789:/.-_[]")] ? NULL : origin;
}

static int is_usable(request_rec *r, const p2p_jwks_t *row)
{
    const char *urls[] = { row->authorization_endpoint, row->token_endpoint };
    int allow_http = p2p_config(r->server)->spec.allow_http;

    for (int i = 0; i < 2; i++) {
        if (strlen(urls[i]) >= URL_MAX || p2p_uri_check_endpoint(r->pool, urls[i], allow_http)) return 0;
    }
    return origin_of(r->pool, row->token_endpoint) != NULL;
}

/* *row is NULL where it has nothing; then a runner is asked for it, at most once a minute. */
static p2p_error_t *read_row(p2p_db_t *db, request_rec *r, void *baton)
{
    const p2p_spec_t *spec = &p2p_config(r->server)->spec;
    p2p_jwks_t **row = baton;
    int asked = 0;

    P2P_TRY(p2p_jwks_get(db, r->pool, spec->sign_in_issuer, row));
    if (*row && is_usable(r, *row)) return NULL;
    *row = NULL;
    P2P_TRY(p2p_jwks_ask(db, r->pool, spec->target, spec->sign_in_issuer, &asked));
    if (asked) p2p_wake(r->server);
    return NULL;
}

static void look(request_rec *r, kept_t *kept)
{
    p2p_jwks_t *row = NULL;
    p2p_error_t *error = p2p_dbd_with(r, read_row, &row);

    if (error) ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "P2PSignIn: %s (%s)", error->sentence, error->code);
    apr_thread_mutex_lock(kept->lock);
    kept->looked = monotonic();
    kept->is_good = row != NULL;
    if (row) {
        apr_cpystrn(kept->authorization, row->authorization_endpoint, URL_MAX);
        apr_cpystrn(kept->token, row->token_endpoint, URL_MAX);
        kept->names_issuer = row->names_issuer;
    } else if (!error) {
        kept->authorization[0] = kept->token[0] = '\0';
    }
    apr_thread_mutex_unlock(kept->lock);
}

static int is_due(kept_t *kept, int *has_looked)
{
    apr_time_t now = monotonic();
    int due;

    apr_thread_mutex_lock(kept->lock);
    *has_looked = kept->looked != 0;
    due = !kept->looked || now - kept->looked >= (kept->is_good ? P2P_SIGN_IN_KEPT : P2P_SIGN_IN_AGAIN);
    apr_thread_mutex_unlock(kept->lock);
    return due;
}

/* Others go on with what is known while one thread looks; the first time they wait for it. */
static void look_if_due(request_rec *r, kept_t *kept)
{
    int has_looked;

    if (!is_due(kept, &has_looked)) return;
    if (has_looked ? apr_thread_mutex_trylock(kept->looking) : apr_thread_mutex_lock(kept->looking)) return;
    if (is_due(kept, &has_looked)) look(r, kept);
    apr_thread_mutex_unlock(kept->looking);
}

const p2p_sign_in_t *p2p_sign_in(request_rec *r)
{
    kept_t *kept = p2p_config(r->server)->sign_in;
    p2p_sign_in_t *found;

    if (!kept) return NULL;
    look_if_due(r, kept);
    found = apr_pcalloc(r->pool, sizeof *found);
    apr_thread_mutex_lock(kept->lock);
    found->authorization_endpoint = apr_pstrdup(r->pool, kept->authorization);
    found->token_endpoint = apr_pstrdup(r->pool, kept->token);
    found->names_issuer = kept->names_issuer;
    apr_thread_mutex_unlock(kept->lock);
    found->origin = *found->token_endpoint ? origin_of(r->pool, found->token_endpoint) : NULL;
    return found->origin ? found : NULL;
}
