/* SPDX-License-Identifier: Apache-2.0 */
/* A table of slots, one for each remainder of a URL's hash; all threads of a child share it. */
#include "poll_cache.h"

#include <http_log.h>
#include <apr_hash.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include "base/clock.h"
#include "caller.h"
#include "mod_p2p.h"
#include "reply.h"
#include "shared.h"

APLOG_USE_MODULE(p2p);

#define SLOTS 128
#define URL_MAX 400 /* a longer one is answered each time */
#define ETAG_MAX 64

typedef struct slot_t {
    apr_uint64_t generation;
    apr_time_t asked; /* monotonic */
    char url[URL_MAX], etag[ETAG_MAX];
} slot_t;

typedef struct p2p_poll_cache_t {
    apr_thread_mutex_t *mutex;
    slot_t slots[SLOTS];
} p2p_poll_cache_t;

void p2p_poll_child(apr_pool_t *p, server_rec *s)
{
    p2p_poll_cache_t *cache = apr_pcalloc(p, sizeof *cache);
    apr_status_t rv = apr_thread_mutex_create(&cache->mutex, APR_THREAD_MUTEX_DEFAULT, p);

    if (!rv) p2p_config(s)->poll_cache = cache;
    else ap_log_error(APLOG_MARK, APLOG_WARNING, rv, s, "no mutex: what is asked for again is read from the database each time");
}

static slot_t *slot_of(p2p_poll_cache_t *cache, const char *url)
{
    apr_ssize_t len = APR_HASH_KEY_STRING;

    return &cache->slots[apr_hashfunc_default(url, &len) % SLOTS];
}

/* Who is limited to one member does not see what others do. */
static int is_kept(request_rec *r, const p2p_route_t *route)
{
    return r->method_number == M_GET && route->role == P2P_ROLE_ADMINISTRATOR && !p2p_caller(r)->patient && p2p_config(r->server)->poll_cache
           && strlen(r->unparsed_uri) < URL_MAX && !apr_table_get(r->headers_in, "If-Match");
}

static int is_same(request_rec *r, const p2p_poll_t *poll, const char *etag)
{
    p2p_poll_cache_t *cache = p2p_config(r->server)->poll_cache;
    slot_t *slot = slot_of(cache, r->unparsed_uri);
    int same;

    apr_thread_mutex_lock(cache->mutex);
    same = slot->generation == poll->generation && poll->asked - slot->asked < P2P_POLL_KEPT && !strcmp(slot->url, r->unparsed_uri)
           && !strcmp(slot->etag, etag);
    apr_thread_mutex_unlock(cache->mutex);
    return same;
}

int p2p_poll_same(request_rec *r, const p2p_route_t *route, p2p_poll_t *poll)
{
    const char *etag = apr_table_get(r->headers_in, "If-None-Match");
    p2p_clock_t clock = p2p_clock_system();

    poll->generation = is_kept(r, route) ? p2p_shared_generation(r->server) : 0;
    if (!poll->generation) return OK;
    poll->asked = clock.monotonic(clock.baton);
    if (!etag || !is_same(r, poll, etag)) return OK;
    poll->generation = 0;
    p2p_reply_headers(r);
    apr_table_setn(r->headers_out, "ETag", etag);
    return HTTP_NOT_MODIFIED;
}

void p2p_poll_answered(request_rec *r, const p2p_poll_t *poll, int answer)
{
    const char *etag = apr_table_get(r->headers_out, "ETag");
    p2p_poll_cache_t *cache = p2p_config(r->server)->poll_cache;
    slot_t *slot;

    if (!poll->generation || !etag || strlen(etag) >= ETAG_MAX) return;
    if (answer != HTTP_NOT_MODIFIED && (answer != OK || r->status != HTTP_OK)) return;
    slot = slot_of(cache, r->unparsed_uri);
    apr_thread_mutex_lock(cache->mutex);
    slot->generation = poll->generation;
    slot->asked = poll->asked;
    apr_cpystrn(slot->url, r->unparsed_uri, sizeof slot->url);
    apr_cpystrn(slot->etag, etag, sizeof slot->etag);
    apr_thread_mutex_unlock(cache->mutex);
}
