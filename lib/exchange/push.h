/* SPDX-License-Identifier: Apache-2.0 */
/* Writing to the target: fills transaction Bundles, sends several at a time, reads what became of each resource, finds the one at
 * fault when a Bundle is refused. */
#ifndef P2P_EXCHANGE_PUSH_H
#define P2P_EXCHANGE_PUSH_H

#include "base/clock.h"
#include "exchange/ids.h"
#include "exchange/map.h"
#include "exchange/retry.h"
#include "exchange/seen.h"
#include "net/http.h"

typedef struct p2p_push_t p2p_push_t;

typedef struct p2p_push_settings_t {
    p2p_http_t *http;
    const p2p_clock_t *clock;
    const char *target;            /* base URL */
    int connections;               /* Bundles under way at once */
    int bundle_size;               /* resources in a Bundle */
    apr_uint64_t bundle_bytes;
    int keep_unresolved;           /* P2PUnresolvedReferences keep */
    const p2p_mapper_t *mapper;    /* for names of types, and references to what was refused */
    p2p_seen_t *seen;
    p2p_trouble_t *trouble;        /* with the target */
    /* A resource is written at a version ("": the target told none), or refused (outcome: the server's own words). It is the callee's now. */
    void (*written)(void *baton, p2p_resource_t *resource, const char *version);
    void (*refused)(void *baton, p2p_resource_t *resource, int status, const char *outcome);
    /* The target does not take anything any more: the job cannot go on. */
    void (*failed)(void *baton, const p2p_error_t *error);
    /* A Bundle has left net's line: there may be room for more. */
    void (*room)(void *baton);
    void *baton;
    apr_uint64_t turn;             /* of its requests: the job's */
    p2p_ids_t *ids;                /* the target assigns ids; NULL: we do */
    int batch;                     /* P2PBundleType batch */
} p2p_push_settings_t;

/* Makes one in p; with p transfers are cancelled and what it holds is freed. */
p2p_push_t *p2p_push_make(apr_pool_t *p, const p2p_push_settings_t *settings);

/* Number of the Bundle that is being filled. */
unsigned p2p_push_open_number(const p2p_push_t *push);

/* Is there room in it for count resources of so many bytes together? An empty one takes anything. */
int p2p_push_fits(const p2p_push_t *push, int count, apr_uint64_t bytes);

/* Puts a resource into it, whether or not it fits. */
void p2p_push_add(p2p_push_t *push, p2p_resource_t *resource);

/* Closes it where it is full. */
void p2p_push_close_full(p2p_push_t *push);

/* Closes it; it is sent when a connection is free. An empty one stays open. */
void p2p_push_close(p2p_push_t *push);

/* May more be added, or do enough Bundles wait for a connection? */
int p2p_push_has_room(const p2p_push_t *push);

/* Nothing more comes for now: sends the open Bundle where a connection would idle otherwise. */
void p2p_push_flush(p2p_push_t *push);

/* The job is coming to an end: what is not under way is dropped, what is comes to its end and is not tried again. What is added from
 * now on is still sent, once. */
void p2p_push_drain(p2p_push_t *push);

/* Is a Bundle under way at this moment? */
int p2p_push_is_sending(const p2p_push_t *push);

/* Where nothing is under way but Bundles wait to be tried again: when the next one is (monotonic), and what for. 0 where something is going
 * on, APR_INT64_MAX where nothing waits; *why is as it was then. */
apr_time_t p2p_push_waits_until(const p2p_push_t *push, p2p_trouble_why_t *why);

/* Do all Bundles under way wait for other jobs' to come off their connections? */
int p2p_push_waits_its_turn(const p2p_push_t *push);

/* Is nothing under way, waiting or being filled? */
int p2p_push_is_idle(const p2p_push_t *push);

/* Bytes of all resources held. */
apr_uint64_t p2p_push_bytes(const p2p_push_t *push);

#endif
