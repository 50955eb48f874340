/* SPDX-License-Identifier: Apache-2.0 */
/* Retrieval: fetches the pages of each request, several at a time, the next one as soon as its link is known, and tells entry by entry. */
#ifndef P2P_EXCHANGE_PULL_H
#define P2P_EXCHANGE_PULL_H

#include "base/clock.h"
#include "exchange/land.h"
#include "exchange/place.h"
#include "exchange/reading.h"
#include "exchange/retry.h"
#include "fhir/bundle.h"
#include "net/http.h"
#include "oidc/refresh.h"

typedef struct p2p_pull_t p2p_pull_t;

typedef struct p2p_pull_settings_t {
    p2p_http_t *http;
    const p2p_clock_t *clock;
    const p2p_log_t *log;
    p2p_token_t *token;
    p2p_trouble_t *trouble;  /* with the source */
    p2p_places_t places;     /* nothing outside the origin of the source's FHIR endpoint gets the token; elsewhere is not fetched */
    int connections;         /* pages under way at once */
    p2p_land_t *land;
    p2p_error_t *(*entry)(void *baton, p2p_landing_t *landing, const p2p_bundle_entry_t *entry);
    int (*is_full)(void *baton); /* should retrieval pause? */
    void (*progress)(void *baton); /* something came, or a page is complete: time to look what can go on, soon */
    void (*failed)(void *baton, const p2p_error_t *error);
    void *baton;
    apr_uint64_t turn;       /* of its requests: the job's */
    p2p_reading_t *reading;  /* the runner's */
    int (*gone)(void *baton, int request); /* a page that was to be fetched again cannot be had: is something else done about it? */
} p2p_pull_settings_t;

/* Makes one in p; with p all transfers are cancelled. */
p2p_pull_t *p2p_pull_make(apr_pool_t *p, const p2p_pull_settings_t *settings);

/* Tells a request of the job, by number, before any of its pages is added. url is that of its first page and lives as long as pull; landed
 * is the number of its pages that an earlier runner landed. */
void p2p_pull_know(p2p_pull_t *pull, const char *kind, int number, const char *url, int landed);

/* Adds a page to be fetched, and (follow) all pages behind it. kind: "pages" or "read" (a single resource; one that the source does not
 * give is no failure). */
void p2p_pull_add(p2p_pull_t *pull, const char *kind, int request, int number, const char *url, int follow);

/* Adds a single resource to be fetched, as a request of its own that is new. */
void p2p_pull_read(p2p_pull_t *pull, const char *url);

/* Adds a page that was fetched before, and (follow) all pages behind it, as a request that is new, of a kind that p2p_request_is_again. */
void p2p_pull_add_again(p2p_pull_t *pull, const char *kind, int request, int number, const char *url, int follow);

/* Would a page that is added be started at once? */
int p2p_pull_has_room(const p2p_pull_t *pull);

/* The URL of the first page of a request with pages; NULL where it is none. */
const char *p2p_pull_first(const p2p_pull_t *pull, int request);

/* Starts what can be started, and lets go on what was paused. Call it whenever room was made. */
void p2p_pull_run(p2p_pull_t *pull);

/* Ends retrieval: nothing is under way or will be. Not from a transfer's callback. */
void p2p_pull_stop(p2p_pull_t *pull);

/* Where nothing is under way but pages wait to be tried again: when the next one is (monotonic), and what for. 0 where something is going
 * on, APR_INT64_MAX where nothing waits; *why is as it was then. */
apr_time_t p2p_pull_waits_until(const p2p_pull_t *pull, p2p_trouble_why_t *why);

/* Is something asked of the source, or on its way from it, that is not paused? */
int p2p_pull_is_receiving(const p2p_pull_t *pull);

/* Is nothing, and a page waits for memory that others of the runner have? */
int p2p_pull_is_held_up(const p2p_pull_t *pull);

/* Is nothing under way or to be fetched? */
int p2p_pull_is_idle(const p2p_pull_t *pull);

#endif
