/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the libcurl client share; nobody else includes it. */
#ifndef P2P_NET_HTTP_CURL_LOOP_H
#define P2P_NET_HTTP_CURL_LOOP_H

#include <curl/curl.h>
#include "net/http_curl.h"
#include "net/http_gunzip.h"
#include "net/http_timer.h"

#define P2P_CURL_CONNECT_SECONDS 10
#define P2P_CURL_HEAD_BYTES (64 * 1024) /* of an answer's head, all its lines */

typedef struct p2p_curl_loop_t p2p_curl_loop_t;
typedef struct p2p_curl_origin_t p2p_curl_origin_t;
typedef struct p2p_curl_turn_t p2p_curl_turn_t;
typedef struct p2p_curl_owner_t p2p_curl_owner_t;
typedef struct p2p_curl_watch_t p2p_curl_watch_t;

/* Whose an easy handle is: the CURLOPT_PRIVATE of each in the loop. */
struct p2p_curl_owner_t {
    void (*ended)(p2p_curl_owner_t *owner, CURLcode result); /* libcurl is through with it; called from poll, not from within libcurl */
};

/* A socket that the loop waits for, of a connection that libcurl leaves to us. */
struct p2p_curl_watch_t {
    p2p_curl_watch_t *next, **link; /* link: NULL while it is not watched */
    curl_socket_t fd;
    short events;                   /* CURL_WAIT_POLLIN, CURL_WAIT_POLLOUT */
    int is_ready;
    void (*ready)(void *baton);
    void *baton;
};

/* A transfer is in one of these at any time: its origin's waiting, the loop's running or ended. */
typedef struct p2p_curl_list_t {
    p2p_http_transfer_t *first, *last;
} p2p_curl_list_t;

struct p2p_http_transfer_t {
    p2p_curl_owner_t owner; /* first */
    p2p_curl_list_t *list;
    p2p_http_transfer_t *next, *prev;
    p2p_curl_loop_t *loop;
    apr_pool_t *pool;
    p2p_http_request_t request; /* a copy, strings in pool */
    p2p_http_body_t body;
    p2p_http_auth_t auth;
    const char *peer; /* scheme://host[:port], for sentences */
    p2p_curl_origin_t *origin;
    p2p_curl_turn_t *turn;      /* until it has ended */
    CURL *easy;                 /* while running */
    struct curl_slist *fields;
    char curl_said[CURL_ERROR_SIZE];
    p2p_http_head_t head;
    apr_size_t head_bytes;
    int head_done;
    p2p_gunzip_t *gunzip;       /* where the body comes compressed */
    apr_uint64_t received, sent; /* decoded bytes of the body handed out; offset of the body asked for next */
    int is_running, paused, resume, gone;
    p2p_http_timer_t *stall_timer;
    apr_time_t moved;            /* when bytes were last seen to move */
    curl_off_t moved_bytes;
    apr_time_t looked;           /* when they were last looked at */
    int was_paused;              /* at that time, or since */
    apr_interval_time_t measured_for; /* time in which measured_bytes should have grown by least_bytes */
    curl_off_t measured_bytes;
    CURLcode result;
    p2p_error_t *error;          /* what we ended it for ourselves; it wins over result */
};

/* The requests of one scheme, host and port; on the heap, gone when the last one is. */
struct p2p_curl_origin_t {
    p2p_curl_origin_t *next;
    char *name;
    int running;
    int most; /* connections that a waiting one allows, or did */
    p2p_curl_list_t waiting;
    p2p_curl_turn_t *turns;
    apr_uint64_t started; /* requests and owners so far */
};

/* One owner's requests at an origin. */
struct p2p_curl_turn_t {
    p2p_curl_turn_t *next;
    apr_uint64_t owner;    /* p2p_http_request_t.turn */
    int requests, running; /* all of them, and those that run */
    apr_uint64_t started;  /* the origin's number of when one of them was, or when the first one came */
};

struct p2p_curl_loop_t {
    p2p_http_t http; /* first: a p2p_http_t is one of these */
    apr_pool_t *pool;
    apr_pool_t *errors; /* of starts and polls that failed; cleared by the next poll */
    const p2p_clock_t *clock;
    p2p_http_curl_settings_t settings;
    CURLM *multi;
    p2p_timers_t *timers;
    p2p_curl_watch_t *watches;
    p2p_curl_origin_t *origins;
    p2p_curl_list_t running, ended;
    int in_curl;              /* libcurl is calling us: nothing may be removed from it now */
    int any_gone, any_resume; /* running has some with these flags */
    CURL *idle[32];
    int idle_count;
};

/* The origin of that name, made where it is new; and gone where nothing of it waits or runs. */
p2p_curl_origin_t *p2p_curl_origin(p2p_curl_loop_t *loop, const char *name);
void p2p_curl_origin_tidy(p2p_curl_loop_t *loop, p2p_curl_origin_t *origin);

/* A transfer comes to its origin, runs, and is over (from running or waiting; a second time is no harm). */
void p2p_curl_turn_join(p2p_http_transfer_t *t);
void p2p_curl_turn_start(p2p_http_transfer_t *t);
void p2p_curl_turn_leave(p2p_http_transfer_t *t);

/* The one that may run now, of the owner whose turn it is, or NULL. One that allows more connections does not stand behind those that
 * allow fewer: a token must come through while pages wait for it. */
p2p_http_transfer_t *p2p_curl_turn_next(const p2p_curl_origin_t *origin);

/* Gives the transfer an easy handle with everything set that its request asks for. */
CURLcode p2p_curl_setup(p2p_http_transfer_t *t);

/* Waits for the socket as well, from the next poll on, or for other events than before; no more. */
void p2p_curl_watch(p2p_curl_loop_t *loop, p2p_curl_watch_t *watch, short events);
void p2p_curl_unwatch(p2p_curl_watch_t *watch);

/* What libcurl is to wait for beside its own, in p: the wake descriptor where there is one, then each watch; and, from the first watch's on, what it
 * found. */
struct curl_waitfd *p2p_curl_wait_list(p2p_curl_loop_t *loop, apr_pool_t *p, int wake_fd, unsigned *count);
void p2p_curl_tell_watches(p2p_curl_loop_t *loop, const struct curl_waitfd *ready);

/* The error that a transfer ended with, in its pool; NULL where an answer came whole. */
const p2p_error_t *p2p_curl_outcome(p2p_http_transfer_t *t);

#endif
