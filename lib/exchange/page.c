/* SPDX-License-Identifier: Apache-2.0 */
/* One page: token, transfer, entries. */
#include "exchange/page.h"

#include <string.h>

#include <apr_strings.h>

#include "exchange/map_scan.h"

#define STALL_TIMEOUT apr_time_from_sec(60)
#define REFUSAL_MAX 16384

/* There is room for more of what it reads. */
static void on_share(void *baton)
{
    const p2p_page_t *page = baton;

    if (!page->pull->broken) page->pull->set.progress(page->pull->set.baton);
}

p2p_page_t *p2p_page_make(p2p_pull_t *pull, const char *kind, int request, int number, const char *url)
{
    apr_pool_t *pool;
    p2p_page_t *page;

    apr_pool_create(&pool, pull->pool);
    page = apr_pcalloc(pool, sizeof *page);
    page->pull = pull;
    page->pool = pool;
    page->kind = apr_pstrdup(pool, kind);
    page->url = apr_pstrdup(pool, url);
    page->request = request;
    page->number = number;
    page->bases = -1;
    p2p_buf_init(&page->refusal, REFUSAL_MAX);
    page->share.go_on = on_share;
    page->share.baton = page;
    return page;
}

void p2p_page_end_attempt(p2p_page_t *page)
{
    page->transfer = NULL;
    p2p_reading_leave(page->pull->set.reading, &page->share);
    if (page->reader) p2p_bundle_reader_close(page->reader);
    page->reader = NULL;
    p2p_sha256_drop(page->sha256);
    page->sha256 = NULL;
    p2p_buf_clear(&page->refusal);
    if (page->attempt_pool) apr_pool_destroy(page->attempt_pool);
    page->attempt_pool = NULL;
    page->head_fields = NULL;
    page->error = NULL;
    page->paused = 0;
}

void p2p_page_free(p2p_page_t *page)
{
    p2p_pull_t *pull = page->pull;

    if (page->prev) page->prev->next = page->next;
    else if (pull->under_way == page) pull->under_way = page->next;
    if (page->next && page->next->prev == page) page->next->prev = page->prev;
    if (page->transfer) pull->set.http->cancel(page->transfer);
    if (page->timer) pull->set.http->cancel_timer(page->timer);
    p2p_page_end_attempt(page);
    p2p_buf_free(&page->refusal);
    apr_pool_destroy(page->pool);
}

/* ---- What comes ---- */

static p2p_error_t *on_entry(void *baton, const p2p_bundle_entry_t *entry)
{
    p2p_page_t *page = baton;

    return page->pull->set.entry(page->pull->set.baton, page->landing, entry);
}

static void on_head(void *baton, const p2p_http_head_t *head)
{
    p2p_page_t *page = baton;

    page->status = head->status;
    if (head->status != 401) page->unauthorized = 0;
    page->head_fields = apr_table_clone(page->attempt_pool, head->fields);
}

/* The next page is fetched while this one still comes. */
static void follow(p2p_page_t *page, int whole)
{
    const p2p_bundle_t *bundle = p2p_bundle_reader_bundle(page->reader);

    if (bundle->next && !page->next_url) p2p_pull_follow(page, bundle->next, whole);
}

/* It is paused where what it holds grows beyond its share, and where the job is full. */
static p2p_http_flow_t look_for_room(p2p_page_t *page)
{
    p2p_pull_t *pull = page->pull;
    p2p_reading_word_t word = p2p_reading_hold(pull->set.reading, &page->share, p2p_bundle_reader_held(page->reader));

    if (word == P2P_READING_SLOW) {
        page->error = p2p_error_make(page->attempt_pool, P2P_E_UNAVAILABLE, "stalled",
                                     "a large resource came so slowly that others had to wait for it");
        return P2P_HTTP_STOP;
    }
    page->paused = word == P2P_READING_WAIT || pull->set.is_full(pull->set.baton);
    if (!page->paused) return P2P_HTTP_GO;
    p2p_reading_paused(&page->share);
    return P2P_HTTP_PAUSE;
}

static p2p_http_flow_t on_data(void *baton, const char *bytes, apr_size_t len)
{
    p2p_page_t *page = baton;
    p2p_error_t *error;

    if (page->status != 200) {
        p2p_buf_add(&page->refusal, bytes, len < REFUSAL_MAX - page->refusal.len ? len : REFUSAL_MAX - page->refusal.len);
        return page->refusal.len < REFUSAL_MAX ? P2P_HTTP_GO : P2P_HTTP_STOP; /* one without end is not read to its end */
    }
    page->bytes += (apr_int64_t)len;
    p2p_sha256_add(page->sha256, bytes, len);
    error = p2p_bundle_reader_feed(page->reader, bytes, len);
    if (error) {
        page->error = p2p_error_copy(page->attempt_pool, error);
        return P2P_HTTP_STOP;
    }
    follow(page, 0);
    page->pull->set.progress(page->pull->set.baton);
    return look_for_room(page);
}

void p2p_page_resume(p2p_page_t *page)
{
    if (!page->paused || !page->transfer || page->share.waits) return;
    page->paused = 0;
    page->pull->set.http->resume(page->transfer);
}

static void on_done(void *baton, int status, const p2p_error_t *error)
{
    p2p_page_t *page = baton;

    page->transfer = NULL;
    if (page->pull->broken) return;
    if (page->error) error = page->error;
    else if (page->refusal.len == REFUSAL_MAX) error = NULL;
    else if (!error && status == 200) {
        error = p2p_bundle_reader_finish(page->reader);
        if (!error) follow(page, 1);
    }
    if (!page->pull->broken) p2p_page_answered(page, status, error);
}

/* ---- The beginning of an attempt ---- */

static void send_request(p2p_page_t *page, const p2p_http_auth_t *auth)
{
    p2p_pull_t *pull = page->pull;
    p2p_http_request_t request = {0};
    p2p_error_t *failed;

    request.method = "GET";
    request.url = page->at.url;
    request.fields = pull->fields;
    request.auth = auth;
    request.stall_timeout = STALL_TIMEOUT;
    request.gzip = 1;
    request.least_bytes = P2P_LEAST_BYTES;
    request.connections = pull->set.connections;
    request.turn = pull->set.turn;
    request.baton = page;
    request.head = on_head;
    request.data = on_data;
    request.done = on_done;
    failed = p2p_http_start(pull->set.http, &request, &page->transfer);
    if (failed) p2p_pull_fail(pull, failed);
}

static void on_token(void *baton, const char *access_token, const char *patient, const p2p_error_t *error)
{
    p2p_page_t *page = baton;
    const p2p_clock_t *clock = page->pull->set.clock;

    (void)patient;
    if (page->pull->broken) return;
    if (error) {
        p2p_page_without_token(page, error);
        return;
    }
    page->refused = NULL;
    page->token = apr_pstrdup(page->pool, access_token);
    page->token_at = clock->monotonic(clock->baton);
    page->auth.bearer = page->token;
    send_request(page, &page->auth);
}

void p2p_page_begin_landing(p2p_page_t *page)
{
    page->landing = p2p_land_begin(page->pull->set.land, page->request, page->number, page->url, page->is_new ? page->kind : NULL);
    if (p2p_request_is_again(page->kind)) p2p_land_set_again(page->landing);
}

void p2p_page_attempt(p2p_page_t *page)
{
    apr_pool_create(&page->attempt_pool, page->pool);
    page->status = 0;
    page->bytes = 0;
    page->reader = p2p_bundle_reader_make(page->attempt_pool, P2P_RESOURCE_MAX, on_entry, page);
    p2p_bundle_reader_tokens(page->reader, p2p_map_scanner_token, p2p_map_scanner_make(page->attempt_pool));
    page->sha256 = p2p_sha256_begin();
    if (!page->landing) p2p_page_begin_landing(page);
    else p2p_land_anew(page->landing);
    if (page->at.kind == P2P_PLACE_LISTED) send_request(page, NULL);
    else p2p_token_get(page->pull->set.token, page->refused, on_token, page);
}

/* A URL that an earlier runner noted may lead where nothing is followed any more. */
void p2p_page_begin(p2p_page_t *page)
{
    p2p_error_t *error = p2p_place_of(&page->pull->places, page->pool, page->url, page->url, &page->at);

    page->hop_count = 0;
    if (!error && page->at.kind == P2P_PLACE_ELSEWHERE)
        error = p2p_error_make(page->pool, P2P_E_REFUSED, "next-link-elsewhere", "%s",
                               p2p_place_refusal(&page->at, page->pool, "a link of the source's"));
    if (error) p2p_pull_fail(page->pull, error);
    else p2p_page_attempt(page);
}

void p2p_page_start(p2p_page_t *page)
{
    p2p_pull_t *pull = page->pull;

    page->prev = NULL;
    page->next = pull->under_way;
    if (page->next) page->next->prev = page;
    pull->under_way = page;
    pull->under_way_count++;
    p2p_page_begin(page);
}
