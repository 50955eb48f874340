/* SPDX-License-Identifier: Apache-2.0 */
/* The insides of retrieval, shared by pull.c, pull_request.c, page.c and page_end.c: one page and its attempts. */
#ifndef P2P_EXCHANGE_PAGE_H
#define P2P_EXCHANGE_PAGE_H

#include "base/sha256.h"
#include "exchange/place.h"
#include "exchange/pull.h"

#define P2P_REDIRECTS_MAX 5

typedef struct p2p_page_t p2p_page_t;
struct p2p_page_t {
    p2p_pull_t *pull;
    p2p_page_t *next, *prev;
    apr_pool_t *pool, *attempt_pool;
    const char *kind, *url;
    p2p_place_t at;         /* where this attempt is, behind redirects; of those it came through: */
    const char *hops[P2P_REDIRECTS_MAX];
    int hop_count;
    const char *next_url;   /* once its link was seen */
    int bases;              /* so many were known when its link led elsewhere */
    int request, number, follow, is_new;
    p2p_landing_t *landing; /* made with the first attempt */
    int failures, paused;
    int unauthorized;       /* answers of 401 in a row */
    apr_time_t token_at;    /* monotonic: when the token of this attempt was got */
    const char *malformed;  /* sentence about the last body that was no JSON, and how many times in a row it was that */
    int malformed_times;
    const char *token;      /* of this attempt */
    const char *refused;    /* the token that the source answered 401 to, until there is another */
    p2p_http_auth_t auth;
    p2p_http_transfer_t *transfer;
    p2p_http_timer_t *timer;
    apr_time_t due;          /* of timer, monotonic, */
    p2p_trouble_why_t why;   /* and what it waits for */
    p2p_bundle_reader_t *reader;
    p2p_share_t share;      /* of what the runner's pages may hold */
    p2p_sha256_t *sha256;   /* of the body; NULL: none is under way */
    apr_int64_t bytes;
    int status;
    apr_table_t *head_fields;
    p2p_buf_t refusal;       /* the beginning of the body of an answer that is no 200 */
    const p2p_error_t *error; /* what stopped the transfer from within */
};

/* One request with pages. */
typedef struct p2p_pull_request_t {
    int number;
    const char *first;   /* URL of its first page */
    int successor;       /* it was begun anew as this one, or is fetched again as this one; -1 */
    int whole;           /* all of its pages are fetched by this runner */
    int open;            /* pages to be fetched or under way */
    int fruitful;        /* a page brought something new */
    int barren;          /* so many in a row did not */
    int anew;            /* so many times in a row it was begun anew before anything new came, and */
    int anew_in_all;
    apr_int64_t matches, total; /* told by the pages that are complete; total -1: not told */
} p2p_pull_request_t;

struct p2p_pull_t {
    p2p_pull_settings_t set;
    p2p_places_t places;
    apr_array_header_t *requests; /* of p2p_pull_request_t * */
    int next_number;              /* of a new request */
    int fruitful;                 /* pages that brought something new, those that an earlier runner landed included */
    apr_pool_t *pool;
    apr_array_header_t *fields;
    p2p_page_t *queue, *under_way;
    int under_way_count, broken;
    p2p_seen_t visited;
    p2p_id_deriver_t *deriver; /* of the keys of visited */
};

p2p_page_t *p2p_page_make(p2p_pull_t *pull, const char *kind, int request, int number, const char *url);
void p2p_page_free(p2p_page_t *page);

/* From the queue to those under way. */
void p2p_page_start(p2p_page_t *page);
void p2p_page_resume(p2p_page_t *page);

/* It has a landing from now on; else it gets one with its first attempt. */
void p2p_page_begin_landing(p2p_page_t *page);

/* An attempt where page->at says; or from the page's own URL. */
void p2p_page_attempt(p2p_page_t *page);
void p2p_page_begin(p2p_page_t *page);
void p2p_page_end_attempt(p2p_page_t *page);

/* What is done when an attempt has come to its end, in page_end.c. status is 0 where error is. */
void p2p_page_answered(p2p_page_t *page, int status, const p2p_error_t *error);

/* There is no token to be had. */
void p2p_page_without_token(p2p_page_t *page, const p2p_error_t *error);

/* Its next link, as soon as it is known. whole: the page has been read to its end. */
void p2p_pull_follow(p2p_page_t *page, const char *link, int whole);
void p2p_pull_fail(p2p_pull_t *pull, const p2p_error_t *error);
p2p_page_t *p2p_pull_enqueue(p2p_pull_t *pull, const char *kind, int request, int number, const char *url);

/* In pull_request.c. NULL: a request without further pages. */
p2p_pull_request_t *p2p_pull_request(const p2p_pull_t *pull, int number);

/* Accounts of a page that has been read to its end, before it is told to have landed. Errors: P2P_E_INVALID "nothing-new", where the
 * source's pages do not end; the page counts all the same. */
p2p_error_t *p2p_pull_page_done(p2p_page_t *page);

/* The page's link is not good any more: sees to it that its request is begun anew, and tells as which. Errors, in the page's pool:
 * P2P_E_REFUSED "pages-expire" where that was done too often. */
p2p_error_t *p2p_pull_start_over(p2p_page_t *page, int *number);

#endif
