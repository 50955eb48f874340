/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP client and event loop as the rest of the library sees it. net/http_curl.h makes the real one;
 * tests make others. */
#ifndef P2P_NET_HTTP_H
#define P2P_NET_HTTP_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>
#include "base/error.h"

typedef struct p2p_http_t p2p_http_t;               /* the loop, with its connections */
typedef struct p2p_http_transfer_t p2p_http_transfer_t; /* one request under way */
typedef struct p2p_http_timer_t p2p_http_timer_t;

/* What a body callback says. */
typedef enum {
    P2P_HTTP_GO,    /* taken: send more */
    P2P_HTTP_PAUSE, /* taken, but no more until resume */
    P2P_HTTP_STOP   /* end the transfer: done is called with what error the request holds, or "stopped" */
} p2p_http_flow_t;

/* The answer's head. The table lives until done has returned; names are looked up without regard to case. */
typedef struct p2p_http_head_t {
    int status;          /* 200, 404 … */
    apr_table_t *fields;
} p2p_http_head_t;

/* A request body that is produced as it is sent. read copies at most room bytes from offset on into out and
 * returns how many (0 only at the end); it may be asked for an earlier offset again when a connection had to
 * be made anew. */
typedef struct p2p_http_body_t {
    apr_size_t (*read)(void *baton, apr_uint64_t offset, char *out, apr_size_t room);
    void *baton;
    apr_uint64_t length;
} p2p_http_body_t;

/* A body that lies in memory: text.body is what a request sends. */
typedef struct p2p_http_text_t {
    p2p_http_body_t body;
    const char *bytes;
} p2p_http_text_t;

/* Makes text the body of len bytes, which live as long as the request; so does text. */
void p2p_http_text(p2p_http_text_t *text, const char *bytes, apr_size_t len);

/* Credentials of a peer. All may be NULL. Never logged; sent to the request's own origin only. */
typedef struct p2p_http_auth_t {
    const char *bearer;                /* Authorization: Bearer … */
    const char *basic;                 /* "user:password", sent as Authorization: Basic … */
    const char *cert_pem, *key_pem;    /* a client certificate and its key, as text */
} p2p_http_auth_t;

typedef struct p2p_http_request_t {
    const char *method; /* "GET", "PUT", "POST" */
    const char *url;
    const apr_array_header_t *fields;  /* of const char *, "Name: value" without CR and LF; or NULL */
    const p2p_http_body_t *body;       /* or NULL */
    const p2p_http_auth_t *auth;       /* or NULL; read at start only, for bearer and basic */
    apr_uint64_t max_bytes;            /* of the answer's decoded body; more ends it with "too-large"; 0 = no limit here */
    apr_interval_time_t stall_timeout; /* no byte in either direction for so long ends it with "stalled"; pauses do not count */
    apr_uint64_t least_bytes;          /* fewer in a stall_timeout, while a body is under way and not paused, are a stall, too */
    int gzip;                          /* offer gzip and decode it */
    int connections;                   /* at most so many requests of one origin at once, further ones wait their turn */
    apr_uint64_t turn;                 /* whose request it is (a job's id; 0: nobody's): those who wait at an origin take turns */
    int beside;                        /* no other request waits for it: it counts among those that say so, not among the others */
    apr_int64_t *tally;                /* where it is counted if it comes to trouble (net/http_tally.h); or NULL */
    int once;                          /* never sent a second time on its own: a connection of its own, not a kept one */
    void *baton;
    void (*begun)(void *baton);        /* or NULL: it waits no longer for others of its origin; told from the loop,
                                          * and again where it has to be sent anew */
    void (*head)(void *baton, const p2p_http_head_t *head);                      /* or NULL */
    p2p_http_flow_t (*data)(void *baton, const char *bytes, apr_size_t len);     /* decoded body; or NULL: thrown away */
    /* Always called exactly once, from the loop, never from within p2p_http_start. error is NULL when an
     * answer came whole, whatever its status; status is 0 where none came. Errors: P2P_E_UNAVAILABLE
     * "unreachable", "cut-short", "stalled", "timed-out", "tls-refused"; P2P_E_INVALID "too-large";
     * "stopped". Not called after cancel. */
    void (*done)(void *baton, int status, const p2p_error_t *error);
} p2p_http_request_t;

struct p2p_http_t {
    /* Starts a request; the request's strings are copied, its body and baton must live until done or cancel.
     * Errors: P2P_E_INVALID "bad-url" or "bad-field" (CR, LF or NUL in a field). Over TLS HTTP/2 where the
     * peer speaks it, one request on a connection at a time; else HTTP/1.1.
     * Redirects are not followed. The error lives until the next poll. */
    p2p_error_t *(*start)(p2p_http_t *http, const p2p_http_request_t *request, p2p_http_transfer_t **transfer);
    void (*resume)(p2p_http_transfer_t *transfer);
    /* Ends it without done; its memory is gone. From a callback of the same transfer use P2P_HTTP_STOP
     * instead. */
    void (*cancel)(p2p_http_transfer_t *transfer);
    /* Calls fn(baton) once from the loop after delay microseconds, unless cancelled. */
    p2p_http_timer_t *(*after)(p2p_http_t *http, apr_interval_time_t delay, void (*fn)(void *baton), void *baton);
    void (*cancel_timer)(p2p_http_timer_t *timer); /* of one that has not fired */
    /* Runs callbacks until something happened or timeout passed; wake_fd (-1: none) becoming readable ends
     * the wait and sets *woken. */
    p2p_error_t *(*poll)(p2p_http_t *http, int wake_fd, apr_interval_time_t timeout, int *woken);
    apr_int64_t *tally; /* of all that is started through it; NULL: each request says so itself */
};

static inline p2p_error_t *p2p_http_start(p2p_http_t *http, const p2p_http_request_t *request,
                                          p2p_http_transfer_t **transfer)
{
    return http->start(http, request, transfer);
}

/* Collects a whole answer: a request whose body is gathered in memory, for small things. done gets the body
 * (never NULL, NUL-terminated, valid during the call) with status and error as above. head's fields are told
 * too (NULL where none came). The request's head, data, done and baton are taken over, begun gets fetch's baton; max_bytes must be set.
 */
typedef void (*p2p_http_whole_fn)(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len,
                                  const p2p_error_t *error);
p2p_error_t *p2p_http_fetch(p2p_http_t *http, apr_pool_t *p, const p2p_http_request_t *request, p2p_http_whole_fn done,
                            void *baton, p2p_http_transfer_t **transfer);

/* Is an HTTP status one that may pass: 408, 425, 429, or 5xx but 501 and 505? */
int p2p_http_may_pass(int status);

/* Retry-After of an answer in microseconds from now (seconds or an HTTP date), or where that is missing what RateLimit says of a quota that is
 * used up, clamped to [0, max]; -1 where there is none. */
apr_interval_time_t p2p_http_retry_after(const apr_table_t *fields, apr_time_t now, apr_interval_time_t max);

#endif
