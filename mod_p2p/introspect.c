/* SPDX-License-Identifier: Apache-2.0 */
/* Who may ask an issuer, and when: as many threads of a child as there are handles, and nobody while its breaker is open. */
#include "introspect.h"

#include <http_log.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include "base/clock.h"
#include "base/sha256.h"
#include "base/uri.h"
#include "introspect_call.h"
#include "mod_p2p.h"
#include "net/breaker.h"

APLOG_USE_MODULE(p2p);

#define HANDLES 4    /* threads of a child that wait for issuers at a time */
#define ENDPOINTS 16 /* whose breakers are remembered */
#define LOG_REST apr_time_from_sec(60)

/* What is known of an endpoint. */
typedef struct peer_t {
    char hash[65]; /* of its URL; "": a free place */
    p2p_breaker_t breaker;
    apr_time_t used, complained; /* monotonic */
    char complaint[96];
} peer_t;

/* A child's; all of it under the lock. */
typedef struct p2p_introspector_t {
    apr_thread_mutex_t *lock;
    p2p_clock_t clock;
    CURL *idle[HANDLES];
    int idle_count;
    peer_t peers[ENDPOINTS];
} p2p_introspector_t;

/* libcurl is shared with httpd's other modules: it is never cleaned up from here, and the handles go with the process. */
void p2p_introspect_child(apr_pool_t *p, server_rec *s)
{
    p2p_config_t *config = p2p_config(s);
    p2p_introspector_t *all;

    if (!config->spec.trusts->nelts || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return;
    all = apr_pcalloc(p, sizeof *all);
    all->clock = p2p_clock_system();
    if (apr_thread_mutex_create(&all->lock, APR_THREAD_MUTEX_DEFAULT, p) != APR_SUCCESS) return;
    while (all->idle_count < HANDLES && (all->idle[all->idle_count] = curl_easy_init())) all->idle_count++;
    config->introspector = all;
}

static const char *hash_of(apr_pool_t *p, const char *text)
{
    p2p_sha256_t *sha256 = p2p_sha256_begin();

    p2p_sha256_add(sha256, text, strlen(text));
    return p2p_sha256_end(p, sha256);
}

/* The endpoint's place, or that of the one that was not used for the longest time. */
static peer_t *peer_of(p2p_introspector_t *all, const char *hash)
{
    peer_t *oldest = &all->peers[0];

    for (int i = 0; i < ENDPOINTS; i++) {
        peer_t *peer = &all->peers[i];

        if (!strcmp(peer->hash, hash)) return peer;
        if (peer->used < oldest->used) oldest = peer;
    }
    memset(oldest, 0, sizeof *oldest);
    apr_cpystrn(oldest->hash, hash, sizeof oldest->hash);
    return oldest;
}

/* A handle to ask with, or NULL: not now. */
static CURL *begin(p2p_introspector_t *all, const char *hash)
{
    apr_time_t now = all->clock.monotonic(all->clock.baton);
    CURL *easy = NULL;
    peer_t *peer;

    apr_thread_mutex_lock(all->lock);
    peer = peer_of(all, hash);
    peer->used = now;
    if (all->idle_count && p2p_breaker_ask(&peer->breaker, now)) easy = all->idle[--all->idle_count];
    apr_thread_mutex_unlock(all->lock);
    return easy;
}

/* Is the log to be told what is wrong? Of the same thing once a minute. */
static int complains(peer_t *peer, apr_time_t now, const char *wrong)
{
    char text[sizeof peer->complaint];

    apr_cpystrn(text, wrong, sizeof text);
    if (!strcmp(text, peer->complaint) && now - peer->complained < LOG_REST) return 0;
    memcpy(peer->complaint, text, sizeof text);
    peer->complained = now;
    return 1;
}

/* Gives the handle back. Returns whether the log is to be told; *opened: the endpoint is given a rest. */
static int end(p2p_introspector_t *all, const char *hash, CURL *easy, const p2p_introspect_call_t *call, int *opened)
{
    apr_time_t now = all->clock.monotonic(all->clock.baton);
    int tell;
    peer_t *peer;

    apr_thread_mutex_lock(all->lock);
    all->idle[all->idle_count++] = easy;
    peer = peer_of(all, hash);
    *opened = p2p_breaker_told(&peer->breaker, now, !call->answer && !call->refused);
    tell = call->wrong && (complains(peer, now, call->wrong) || *opened);
    apr_thread_mutex_unlock(all->lock);
    return tell;
}

p2p_error_t *p2p_introspect(request_rec *r, const p2p_introspection_t *how, const char *token, json_object **answer)
{
    const p2p_config_t *config = p2p_config(r->server);
    p2p_introspector_t *all = config->introspector;
    const char *hash = hash_of(r->pool, how->endpoint);
    CURL *easy = all ? begin(all, hash) : NULL;
    p2p_introspect_call_t call = {.pool = r->pool, .how = how, .token = token, .ca_file = config->spec.ca_file,
                                  .allow_http = config->spec.allow_http};
    int opened;

    *answer = NULL;
    if (easy) {
        p2p_introspect_ask(&call, easy);
        if (end(all, hash, easy, &call, &opened))
            ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "the introspection endpoint %s %s%s", p2p_uri_public(r->pool, how->endpoint, how->endpoint),
                          call.wrong, opened ? "; it is left alone for a while" : "");
        *answer = call.answer;
        if (*answer) return NULL;
    }
    return p2p_error_make(r->pool, P2P_E_UNAVAILABLE, "introspection-away",
                          "The token's issuer cannot be asked now what the token is worth. Try again later.");
}
