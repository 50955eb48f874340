/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop on libcurl's multi interface: requests wait by origin, run, end; timers fire; nothing calls
 * back early. */
#include "net/http_curl.h"
#include <apr_lib.h>
#include <apr_strings.h>
#include <poll.h>
#include <string.h>
#include "base/uri.h"
#include "net/http_curl_loop.h"
#include "net/http_tally.h"

#define CONNECTIONS_KEPT 64L
#define STALL_LOOKS 4 /* in one stall_timeout */

static apr_time_t now(p2p_curl_loop_t *loop)
{
    return loop->clock->monotonic(loop->clock->baton);
}

static void unlink_it(p2p_http_transfer_t *t)
{
    if (!t->list) return;
    *(t->prev ? &t->prev->next : &t->list->first) = t->next;
    *(t->next ? &t->next->prev : &t->list->last) = t->prev;
    t->list = NULL;
}

static void append(p2p_curl_list_t *list, p2p_http_transfer_t *t)
{
    unlink_it(t);
    t->list = list;
    t->next = NULL;
    t->prev = list->last;
    *(list->last ? &list->last->next : &list->first) = t;
    list->last = t;
}

/* A transfer's life: made, waiting, running, ended, released. */

static int has_control(const char *text)
{
    for (; text && *text; text++)
        if (apr_iscntrl(*text) && *text != '\t') return 1;
    return 0;
}

static p2p_error_t *check_fields(apr_pool_t *p, const apr_array_header_t *fields)
{
    for (int i = 0; fields && i < fields->nelts; i++) {
        const char *line = APR_ARRAY_IDX(fields, i, const char *), *colon = strchr(line, ':');
        if (!colon || colon == line || colon[1] != ' ' || !colon[2] || has_control(line))
            return p2p_error_make(p, P2P_E_INVALID, "bad-field",
                                  "A header field has no name or value, or a control character in it.");
    }
    return NULL;
}

static p2p_error_t *check_auth(apr_pool_t *p, const p2p_http_auth_t *auth)
{
    if (!auth || (!has_control(auth->bearer) && !has_control(auth->basic))) return NULL;
    return p2p_error_make(p, P2P_E_INVALID, "bad-field",
                          "A token or password has a control character in it; it cannot be sent.");
}

static const char *copy(apr_pool_t *p, const char *text)
{
    return text ? apr_pstrdup(p, text) : NULL;
}

static void copy_request(p2p_http_transfer_t *t, const p2p_http_request_t *request)
{
    apr_array_header_t *fields;

    t->request = *request;
    t->request.method = copy(t->pool, request->method);
    if (request->fields) {
        fields = apr_array_copy(t->pool, request->fields);
        for (int i = 0; i < fields->nelts; i++)
            APR_ARRAY_IDX(fields, i, const char *) = copy(t->pool, APR_ARRAY_IDX(fields, i, const char *));
        t->request.fields = fields;
    }
    if (request->body) {
        t->body = *request->body;
        t->request.body = &t->body;
    }
    if (request->auth) {
        t->auth.bearer = copy(t->pool, request->auth->bearer);
        t->auth.basic = copy(t->pool, request->auth->basic);
        t->auth.cert_pem = copy(t->pool, request->auth->cert_pem);
        t->auth.key_pem = copy(t->pool, request->auth->key_pem);
    }
    t->request.auth = NULL;
    if (t->request.connections < 1) t->request.connections = 1;
}

static p2p_error_t *check_url(apr_pool_t *p, const char *url, p2p_uri_t *uri)
{
    P2P_TRY(p2p_uri_parse(p, url, uri));
    if (uri->has_userinfo)
        return p2p_error_make(p, P2P_E_INVALID, "bad-url", "A URL carries user information, which is not accepted.");
    return NULL;
}

static p2p_error_t *loop_start(p2p_http_t *http, const p2p_http_request_t *request, p2p_http_transfer_t **transfer)
{
    p2p_curl_loop_t *loop = (p2p_curl_loop_t *)http;
    apr_pool_t *pool;
    p2p_http_transfer_t *t;
    p2p_uri_t uri;
    p2p_error_t *error;

    apr_pool_create(&pool, loop->pool);
    error = check_url(pool, request->url, &uri);
    if (!error) error = check_fields(pool, request->fields);
    if (!error) error = check_auth(pool, request->auth);
    if (error) {
        error = p2p_error_copy(loop->errors, error);
        apr_pool_destroy(pool);
        return error;
    }
    t = apr_pcalloc(pool, sizeof *t);
    t->loop = loop;
    t->pool = pool;
    t->head.fields = apr_table_make(pool, 16);
    copy_request(t, request);
    t->request.url = p2p_uri_text(pool, &uri);
    uri.path = "/";
    uri.query = NULL;
    t->peer = p2p_uri_text(pool, &uri);
    t->peer = apr_pstrmemdup(pool, t->peer, strlen(t->peer) - 1);
    t->origin = p2p_curl_origin(loop, request->beside ? apr_pstrcat(pool, t->peer, " beside", NULL) : t->peer);
    p2p_curl_turn_join(t);
    if (t->request.connections > t->origin->most) t->origin->most = t->request.connections;
    append(&t->origin->waiting, t);
    if (transfer) *transfer = t;
    return NULL;
}

/* Takes what libcurl has of it away; the easy handle is kept for the next one, with nothing left in it. That is so where an answer came: of a transfer
 * that found no host libcurl keeps a buffer, and whoever gets the handle next fails (CURLE_BAD_FUNCTION_ARGUMENT of CURLOPT_BUFFERSIZE). */
static void leave_curl(p2p_http_transfer_t *t)
{
    p2p_curl_loop_t *loop = t->loop;

    p2p_timers_cancel(t->stall_timer);
    t->stall_timer = NULL;
    if (t->easy) {
        curl_multi_remove_handle(loop->multi, t->easy);
        curl_easy_reset(t->easy);
        if (t->head_bytes > 0 && loop->idle_count < (int)(sizeof loop->idle / sizeof *loop->idle))
            loop->idle[loop->idle_count++] = t->easy;
        else
            curl_easy_cleanup(t->easy);
    }
    t->easy = NULL;
    curl_slist_free_all(t->fields);
    t->fields = NULL;
    p2p_gunzip_free(t->gunzip);
    t->gunzip = NULL;
}

/* From running, or from being set running, to ended; told later, by deliver. */
static void end(p2p_http_transfer_t *t)
{
    leave_curl(t);
    append(&t->loop->ended, t);
}

static void release(p2p_http_transfer_t *t)
{
    p2p_curl_origin_t *origin = t->origin;

    leave_curl(t);
    unlink_it(t);
    p2p_curl_turn_leave(t);
    p2p_curl_origin_tidy(t->loop, origin);
    apr_pool_destroy(t->pool);
}

static void loop_cancel(p2p_http_transfer_t *t)
{
    if (!t->loop->in_curl || !t->easy) {
        release(t);
        return;
    }
    t->gone = 1;
    t->loop->any_gone = 1;
}

static void loop_resume(p2p_http_transfer_t *t)
{
    if (!t->paused) return;
    t->resume = 1;
    t->loop->any_resume = 1;
}

/* Stalls: bytes are counted by libcurl, we only look now and then. */

static int is_body_under_way(const p2p_http_transfer_t *t)
{
    return t->head_bytes > 0 || (t->request.body && t->sent < t->body.length);
}

/* Bytes that dribble in keep a connection as well as none do. A peer that thinks, with nothing of its answer there and nothing
 * of our body left, is not measured; nor is the time in which we have paused. */
static int is_too_slow(p2p_http_transfer_t *t, curl_off_t bytes, apr_interval_time_t passed)
{
    if (!is_body_under_way(t)) t->measured_for = 0;
    else if (!t->was_paused) t->measured_for += passed;
    t->was_paused = t->paused;
    if (t->measured_for == 0) t->measured_bytes = bytes;
    if (t->measured_for < t->request.stall_timeout) return 0;
    if (bytes - t->measured_bytes < (curl_off_t)t->request.least_bytes) return 1;
    t->measured_for = 0;
    t->measured_bytes = bytes;
    return 0;
}

static void stalled(p2p_http_transfer_t *t, const char *what)
{
    t->error = p2p_error_make(t->pool, P2P_E_UNAVAILABLE, "stalled", "%s %s for %" APR_TIME_T_FMT " seconds.", t->peer, what,
                              apr_time_sec(t->request.stall_timeout));
    end(t);
}

static void look_for_stall(void *baton)
{
    p2p_http_transfer_t *t = baton;
    p2p_curl_loop_t *loop = t->loop;
    curl_off_t up = 0, down = 0, bytes;
    apr_time_t t_now = now(loop);
    int too_slow;

    t->stall_timer = NULL;
    curl_easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &up);
    curl_easy_getinfo(t->easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
    bytes = up + down + (curl_off_t)t->head_bytes;
    if (t->paused || bytes != t->moved_bytes) t->moved = t_now;
    t->moved_bytes = bytes;
    too_slow = is_too_slow(t, bytes, t_now - t->looked);
    t->looked = t_now;
    if (t_now - t->moved >= t->request.stall_timeout) {
        stalled(t, "sent and took nothing");
    } else if (too_slow) {
        stalled(t, "sent and took next to nothing");
    } else {
        t->stall_timer = p2p_timers_add(loop->timers, t_now + t->request.stall_timeout / STALL_LOOKS, look_for_stall, t);
    }
}

/* What poll does, in order. */

static void transfer_ended(p2p_curl_owner_t *owner, CURLcode result)
{
    p2p_http_transfer_t *t = (p2p_http_transfer_t *)owner;

    t->result = result;
    if (t->gunzip && t->result == CURLE_OK && !p2p_gunzip_is_whole(t->gunzip)) t->result = CURLE_BAD_CONTENT_ENCODING;
    end(t);
}

static void launch(p2p_http_transfer_t *t)
{
    p2p_curl_loop_t *loop = t->loop;

    append(&loop->running, t);
    t->owner.ended = transfer_ended;
    p2p_curl_turn_start(t);
    t->result = p2p_curl_setup(t);
    if (t->result == CURLE_OK && curl_multi_add_handle(loop->multi, t->easy) != CURLM_OK)
        t->result = CURLE_OUT_OF_MEMORY;
    if (t->result != CURLE_OK) {
        end(t);
        return;
    }
    t->moved = t->looked = now(loop);
    if (t->request.stall_timeout > 0)
        t->stall_timer = p2p_timers_add(loop->timers, t->moved + t->request.stall_timeout / STALL_LOOKS,
                                        look_for_stall, t);
    if (t->request.begun) t->request.begun(t->request.baton);
}

static void launch_waiting(p2p_curl_loop_t *loop)
{
    p2p_http_transfer_t *t;

    for (p2p_curl_origin_t *origin = loop->origins; origin; origin = origin->next) {
        while ((t = p2p_curl_turn_next(origin))) launch(t);
        if (!origin->waiting.first) origin->most = 0;
    }
}

/* What libcurl held back is handed out from here, so that p2p_http_resume never calls back. */
static void resume_paused(p2p_curl_loop_t *loop)
{
    p2p_http_transfer_t *t, *next;

    if (!loop->any_resume) return;
    loop->any_resume = 0;
    for (t = loop->running.first; t; t = next) {
        next = t->next;
        if (!t->resume || t->gone) continue;
        t->resume = t->paused = 0;
        t->moved = now(loop);
        loop->in_curl = 1;
        t->result = curl_easy_pause(t->easy, CURLPAUSE_CONT);
        loop->in_curl = 0;
        if (t->result != CURLE_OK && !t->gone) end(t);
    }
}

static p2p_error_t *curl_failed(p2p_curl_loop_t *loop, CURLMcode code)
{
    return p2p_error_make(loop->errors, P2P_E_INTERNAL, "curl-failed", "The HTTP library failed: %s.",
                          curl_multi_strerror(code));
}

static p2p_error_t *perform(p2p_curl_loop_t *loop)
{
    CURLMcode code;
    int running;

    loop->in_curl = 1;
    code = curl_multi_perform(loop->multi, &running);
    loop->in_curl = 0;
    return code == CURLM_OK ? NULL : curl_failed(loop, code);
}

static void reap_gone(p2p_curl_loop_t *loop)
{
    p2p_http_transfer_t *t, *next;

    if (!loop->any_gone) return;
    loop->any_gone = 0;
    for (t = loop->running.first; t; t = next) {
        next = t->next;
        if (t->gone) release(t);
    }
}

static void collect_ended(p2p_curl_loop_t *loop)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(loop->multi, &left))) {
        char *private = NULL;
        p2p_curl_owner_t *owner;
        if (message->msg != CURLMSG_DONE) continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        owner = (p2p_curl_owner_t *)(void *)private;
        owner->ended(owner, message->data.result);
    }
}

static void tell(p2p_http_transfer_t *t, int status, const p2p_error_t *error)
{
    p2p_http_tally_end(t->request.tally, status, error);
    t->request.done(t->request.baton, status, error);
}

/* Its connection is free before it is told, so that whoever starts the next one from done gets it. */
static void deliver(p2p_curl_loop_t *loop)
{
    while (loop->ended.first) {
        p2p_http_transfer_t *t = loop->ended.first;
        unlink_it(t);
        p2p_curl_turn_leave(t);
        p2p_curl_origin_tidy(loop, t->origin);
        tell(t, t->head_done ? t->head.status : 0, p2p_curl_outcome(t));
        apr_pool_destroy(t->pool);
    }
}

static int wait_ms(p2p_curl_loop_t *loop, apr_interval_time_t timeout)
{
    apr_time_t due = p2p_timers_next(loop->timers);

    if (loop->ended.first || timeout < 0) return 0;
    if (due >= 0) {
        apr_interval_time_t until = due - now(loop);
        if (until < timeout) timeout = until > 0 ? until : 0;
    }
    if (timeout > apr_time_from_sec(3600)) timeout = apr_time_from_sec(3600);
    return (int)((timeout + 999) / 1000);
}

/* libcurl does not pass on that the other end of a pipe was closed, so that is looked at here. */
static int is_readable(int fd)
{
    struct pollfd one = {fd, POLLIN, 0};

    return fd >= 0 && poll(&one, 1, 0) > 0;
}

static p2p_error_t *loop_poll(p2p_http_t *http, int wake_fd, apr_interval_time_t timeout, int *woken)
{
    p2p_curl_loop_t *loop = (p2p_curl_loop_t *)http;
    struct curl_waitfd *more;
    unsigned count;
    CURLMcode code;
    int ready = 0;

    if (woken) *woken = 0;
    apr_pool_clear(loop->errors);
    launch_waiting(loop);
    resume_paused(loop);
    reap_gone(loop);
    more = p2p_curl_wait_list(loop, loop->errors, wake_fd, &count);
    code = curl_multi_poll(loop->multi, more, count, wait_ms(loop, timeout), &ready);
    if (code != CURLM_OK) return curl_failed(loop, code);
    if (woken) *woken = wake_fd >= 0 && (more->revents || (ready > 0 && is_readable(wake_fd)));
    p2p_curl_tell_watches(loop, more + (wake_fd >= 0));
    P2P_TRY(perform(loop));
    reap_gone(loop);
    collect_ended(loop);
    p2p_timers_run(loop->timers, now(loop));
    deliver(loop);
    return NULL;
}

static p2p_http_timer_t *loop_after(p2p_http_t *http, apr_interval_time_t delay, void (*fn)(void *baton), void *baton)
{
    p2p_curl_loop_t *loop = (p2p_curl_loop_t *)http;

    return p2p_timers_add(loop->timers, now(loop) + delay, fn, baton);
}

/* Making and ending. */

static void release_all(p2p_curl_list_t *list)
{
    while (list->first) release(list->first);
}

/* Before the pool's children go, since the transfers' pools are among them. */
static apr_status_t loop_end(void *baton)
{
    p2p_curl_loop_t *loop = baton;

    release_all(&loop->running);
    release_all(&loop->ended);
    while (loop->origins) release(loop->origins->waiting.first);
    while (loop->idle_count) curl_easy_cleanup(loop->idle[--loop->idle_count]);
    curl_multi_cleanup(loop->multi);
    return APR_SUCCESS;
}

p2p_error_t *p2p_http_curl_make(apr_pool_t *p, const p2p_http_curl_settings_t *settings, const p2p_clock_t *clock,
                                p2p_http_t **http)
{
    p2p_curl_loop_t *loop = apr_pcalloc(p, sizeof *loop);

    loop->multi = curl_multi_init();
    if (!loop->multi || curl_multi_setopt(loop->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING) != CURLM_OK ||
        curl_multi_setopt(loop->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_KEPT) != CURLM_OK)
        return p2p_error_make(p, P2P_E_INTERNAL, "curl-failed", "The HTTP library cannot be started.");
    loop->http = (p2p_http_t){loop_start, loop_resume, loop_cancel, loop_after, p2p_timers_cancel, loop_poll, NULL};
    loop->pool = p;
    apr_pool_create(&loop->errors, p);
    loop->clock = clock;
    loop->settings = *settings;
    loop->timers = p2p_timers_make(p);
    apr_pool_pre_cleanup_register(p, loop, loop_end);
    *http = &loop->http;
    return NULL;
}
