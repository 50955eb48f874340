/* SPDX-License-Identifier: Apache-2.0 */
/* One document, which all threads of a child share. */
#include "overview_cache.h"

#include <http_log.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include "base/clock.h"
#include "mod_p2p.h"

APLOG_USE_MODULE(p2p);

#define ETAG_MAX 64
#define RENEW_AFTER (P2P_OVERVIEW_KEPT / 2) /* so old, one request reads it anew, and the others need not wait */
#define RENEW_AGAIN (P2P_OVERVIEW_KEPT / 4) /* another one, where nothing came of the first */

typedef struct p2p_overview_cache_t {
    apr_thread_mutex_t *mutex;
    apr_time_t asked, renewed; /* monotonic; when its renewal was begun last */
    char etag[ETAG_MAX];       /* "": there is none */
    char *text;                /* malloc'd: it changes for as long as the child lives */
    apr_size_t len, room;
} p2p_overview_cache_t;

void p2p_overview_cache_child(apr_pool_t *p, server_rec *s)
{
    p2p_overview_cache_t *cache = apr_pcalloc(p, sizeof *cache);
    apr_status_t rv = apr_thread_mutex_create(&cache->mutex, APR_THREAD_MUTEX_DEFAULT, p);

    if (!rv) p2p_config(s)->overview_cache = cache;
    else ap_log_error(APLOG_MARK, APLOG_WARNING, rv, s, "no mutex: the overview is read from the database each time");
}

static int is_to_renew(p2p_overview_cache_t *cache, apr_time_t now)
{
    if (now - cache->asked < RENEW_AFTER || now - cache->renewed < RENEW_AGAIN) return 0;
    cache->renewed = now;
    return 1;
}

static int copy_out(apr_pool_t *p, p2p_overview_cache_t *cache, p2p_overview_doc_t *doc)
{
    if (!*cache->etag || doc->asked - cache->asked >= P2P_OVERVIEW_KEPT || is_to_renew(cache, doc->asked)) return 0;
    doc->text = apr_pstrmemdup(p, cache->text, cache->len);
    doc->len = cache->len;
    doc->etag = apr_pstrdup(p, cache->etag);
    return 1;
}

int p2p_overview_cache_get(request_rec *r, p2p_overview_doc_t *doc)
{
    p2p_overview_cache_t *cache = p2p_config(r->server)->overview_cache;
    p2p_clock_t clock = p2p_clock_system();
    int found;

    doc->asked = clock.monotonic(clock.baton);
    if (!cache) return 0;
    apr_thread_mutex_lock(cache->mutex);
    found = copy_out(r->pool, cache, doc);
    apr_thread_mutex_unlock(cache->mutex);
    return found;
}

/* What was asked for earlier than what is kept is older than that. */
static void copy_in(p2p_overview_cache_t *cache, const p2p_overview_doc_t *doc)
{
    char *text = cache->text;

    if (*cache->etag && doc->asked < cache->asked) return;
    if (cache->room < doc->len) text = realloc(cache->text, doc->len);
    if (!text) return;
    if (cache->room < doc->len) cache->room = doc->len;
    cache->text = memcpy(text, doc->text, doc->len);
    cache->len = doc->len;
    cache->asked = doc->asked;
    apr_cpystrn(cache->etag, doc->etag, sizeof cache->etag);
}

void p2p_overview_cache_put(request_rec *r, const p2p_overview_doc_t *doc)
{
    p2p_overview_cache_t *cache = p2p_config(r->server)->overview_cache;

    if (!cache || !doc->len || strlen(doc->etag) >= ETAG_MAX) return;
    apr_thread_mutex_lock(cache->mutex);
    copy_in(cache, doc);
    apr_thread_mutex_unlock(cache->mutex);
}
