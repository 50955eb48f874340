/* SPDX-License-Identifier: Apache-2.0 */
/* The insides of retrieval, shared by pull.c and page.c: one page and its attempts. */
#ifndef P2P_EXCHANGE_PAGE_H
#define P2P_EXCHANGE_PAGE_H

#include <openssl/evp.h>

#include "exchange/pull.h"

typedef struct p2p_page_t p2p_page_t;
struct p2p_page_t {
    p2p_pull_t *pull;
    p2p_page_t *next, *prev;
    apr_pool_t *pool, *attempt_pool;
    const char *kind, *url;
    const char *next_url;   /* once its link was seen */
    int request, number, follow, is_new;
    p2p_landing_t *landing; /* made with the first attempt */
    int failures, refreshed, paused;
    const char *malformed;  /* sentence about the last body that was no JSON, and how many times in a row it was that */
    int malformed_times;
    const char *token;      /* of this attempt */
    const char *refused;    /* the token that the source answered 401 to, until there is another */
    p2p_http_auth_t auth;
    p2p_http_transfer_t *transfer;
    p2p_http_timer_t *timer;
    apr_time_t due;          /* of timer, monotonic */
    p2p_bundle_reader_t *reader;
    p2p_share_t share;      /* of what the runner's pages may hold */
    EVP_MD_CTX *sha256;
    apr_int64_t bytes;
    int status;
    apr_table_t *head_fields;
    p2p_buf_t refusal;       /* the beginning of the body of an answer that is no 200 */
    const p2p_error_t *error; /* what stopped the transfer from within */
};

struct p2p_pull_t {
    p2p_pull_settings_t set;
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

/* For page.c: */
void p2p_pull_follow(p2p_page_t *page, const char *link);
void p2p_pull_fail(p2p_pull_t *pull, const p2p_error_t *error);

#endif
