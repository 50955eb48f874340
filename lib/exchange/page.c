/* SPDX-License-Identifier: Apache-2.0 */
/* One page: token, transfer, entries, and what is done about a failure. */
#include "exchange/page.h"

#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "base/uri.h"
#include "exchange/map_scan.h"
#include "fhir/answer.h"

#define RESOURCE_MAX (64 << 20)              /* bytes of one resource */
#define STALL_TIMEOUT apr_time_from_sec(60)
#define REFUSAL_MAX 16384

static void attempt(p2p_page_t *page);

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
    p2p_buf_init(&page->refusal, REFUSAL_MAX);
    page->share.go_on = on_share;
    page->share.baton = page;
    return page;
}

static void end_attempt(p2p_page_t *page)
{
    page->transfer = NULL;
    p2p_reading_leave(page->pull->set.reading, &page->share);
    if (page->reader) p2p_bundle_reader_close(page->reader);
    page->reader = NULL;
    EVP_MD_CTX_free(page->sha256);
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
    end_attempt(page);
    p2p_buf_free(&page->refusal);
    apr_pool_destroy(page->pool);
}

/* ---- Sentences ---- */

static const char *where(const p2p_page_t *page, apr_pool_t *p)
{
    return p2p_uri_public(p, page->url, page->pull->set.endpoint);
}

/* The page cannot be had. The sentence tells what happened and where, the detail all. */
static void fail(p2p_page_t *page, p2p_error_kind_t kind, const char *code, const char *what, const char *detail)
{
    apr_pool_t *p = page->attempt_pool;
    p2p_error_t *error = p2p_error_make(p, kind, code, "GET %s: %s", where(page, p), what);

    p2p_error_detail(p, error, apr_pstrcat(p, page->url, detail && *detail ? ": " : "", detail ? detail : "", NULL));
    p2p_pull_fail(page->pull, error);
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
    page->head_fields = apr_table_clone(page->attempt_pool, head->fields);
}

/* The next page is fetched while this one still comes. */
static void follow(p2p_page_t *page)
{
    const p2p_bundle_t *bundle = p2p_bundle_reader_bundle(page->reader);

    if (bundle->next && !page->next_url) p2p_pull_follow(page, bundle->next);
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
    EVP_DigestUpdate(page->sha256, bytes, len);
    error = p2p_bundle_reader_feed(page->reader, bytes, len);
    if (error) {
        page->error = p2p_error_copy(page->attempt_pool, error);
        return P2P_HTTP_STOP;
    }
    follow(page);
    page->pull->set.progress(page->pull->set.baton);
    return look_for_room(page);
}

void p2p_page_resume(p2p_page_t *page)
{
    if (!page->paused || !page->transfer || page->share.waits) return;
    page->paused = 0;
    page->pull->set.http->resume(page->transfer);
}

/* ---- The end of an attempt ---- */

static void on_timer(void *baton)
{
    p2p_page_t *page = baton;

    page->timer = NULL;
    attempt(page);
}

/* Trouble that may pass. Returns 0 where it has lasted too long. */
static int retry(p2p_page_t *page)
{
    p2p_pull_t *pull = page->pull;
    apr_interval_time_t delay;

    if (!p2p_trouble_next(pull->set.trouble, ++page->failures, page->head_fields, &delay)) return 0;
    end_attempt(page);
    page->due = pull->set.clock->monotonic(pull->set.clock->baton) + delay;
    page->timer = pull->set.http->after(pull->set.http, delay, on_timer, page);
    return 1;
}

static void complete(p2p_page_t *page)
{
    p2p_landing_t *landing = page->landing;
    unsigned char digest[P2P_DIGEST_BYTES];
    char hex[2 * P2P_DIGEST_BYTES + 1];
    int i;

    EVP_DigestFinal_ex(page->sha256, digest, NULL);
    for (i = 0; i < P2P_DIGEST_BYTES; i++) apr_snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    p2p_trouble_over(page->pull->set.trouble);
    p2p_land_complete(landing, page->next_url ? page->next_url : "", hex, page->bytes);
    page->pull->under_way_count--;
    page->pull->set.progress(page->pull->set.baton);
    p2p_page_free(page);
}

/* A resource that something refers to and that the source does not give: an empty part, and a row in the report. */
static void complete_without(p2p_page_t *page, const char *why)
{
    const char *id = strrchr(page->url, '/'), *type = id;

    while (type > page->url && type[-1] != '/') type--;
    p2p_land_again(page->landing);
    p2p_land_missing(page->landing, apr_pstrmemdup(page->attempt_pool, type, (apr_size_t)(id - type)), id + 1, why);
    p2p_land_complete(page->landing, "", "", 0);
    page->pull->under_way_count--;
    page->pull->set.progress(page->pull->set.baton);
    p2p_page_free(page);
}

static const char *remedy(int status)
{
    if (status == 404 || status == 410) return "check sourcePayer.patientId and fhirBundleRequest, and the definition's FHIR endpoint URL";
    return status == 429 || status >= 500 ? "order the exchange again when it is well" : "check fhirBundleRequest";
}

static void on_refused(p2p_page_t *page, int status)
{
    const char *words = p2p_outcome_text(page->attempt_pool, page->refusal.data ? page->refusal.data : "", page->refusal.len);

    /* A token may come to its end while the request waits its turn; one that is refused in its time is renewed once. */
    if (status == 401 && (!page->refreshed || p2p_token_is_over(page->pull->set.token, page->token))) {
        page->refreshed = !p2p_token_is_over(page->pull->set.token, page->token);
        page->refused = page->token;
        end_attempt(page);
        attempt(page);
    } else if (p2p_retry_status(status) && retry(page)) {
        return;
    } else if (strcmp(page->kind, "read") == 0 && status != 401) {
        complete_without(page, apr_psprintf(page->attempt_pool, "the source answered %d", status));
    } else if (status == 401 || status == 403) {
        fail(page, P2P_E_REFUSED, "source-refuses",
             apr_psprintf(page->attempt_pool, "the source answered %d: the member's access does not reach this; authorise again", status),
             words);
    } else {
        fail(page, P2P_E_REFUSED, "source-answered",
             apr_psprintf(page->attempt_pool, "the source answered %d; %s", status, remedy(status)), words);
    }
}

/* A body that was cut short or is no JSON counts as a broken connection; but one that is so in the same place each time is what the
 * source has to give. */
static int may_pass(p2p_page_t *page, const p2p_error_t *error)
{
    if (error->kind == P2P_E_UNAVAILABLE) return 1;
    if (strcmp(error->code, "json-cut-short") != 0 && strcmp(error->code, "not-json") != 0) return 0;
    if (!page->malformed || strcmp(page->malformed, error->sentence) != 0) page->malformed_times = 0;
    page->malformed = apr_pstrdup(page->pool, error->sentence);
    return ++page->malformed_times < P2P_ATTEMPTS;
}

static void on_broken(p2p_page_t *page, const p2p_error_t *error)
{
    if (may_pass(page, error) && retry(page)) return;
    if (strcmp(page->kind, "read") == 0) complete_without(page, error->sentence);
    else fail(page, error->kind, error->code, error->sentence, error->detail);
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
        if (!error) follow(page);
    }
    if (page->pull->broken) return;
    if (error) on_broken(page, error);
    else if (status != 200) on_refused(page, status);
    else complete(page);
}

/* ---- The beginning of an attempt ---- */

static void on_token(void *baton, const char *access_token, const char *patient, const p2p_error_t *error)
{
    p2p_page_t *page = baton;
    p2p_pull_t *pull = page->pull;
    p2p_http_request_t request = {0};
    p2p_error_t *failed;

    (void)patient;
    if (pull->broken) return;
    if (error) {
        if (error->kind != P2P_E_UNAVAILABLE || !retry(page)) p2p_pull_fail(pull, error);
        return;
    }
    page->refused = NULL;
    page->token = apr_pstrdup(page->pool, access_token);
    page->auth.bearer = page->token;
    request.method = "GET";
    request.url = page->url;
    request.fields = pull->fields;
    request.auth = &page->auth;
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

static void attempt(p2p_page_t *page)
{
    apr_pool_create(&page->attempt_pool, page->pool);
    page->status = 0;
    page->bytes = 0;
    page->reader = p2p_bundle_reader_make(page->attempt_pool, RESOURCE_MAX, on_entry, page);
    p2p_bundle_reader_tokens(page->reader, p2p_map_scanner_token, p2p_map_scanner_make(page->attempt_pool));
    page->sha256 = EVP_MD_CTX_new();
    if (!page->sha256 || !EVP_DigestInit_ex2(page->sha256, EVP_sha256(), NULL)) abort();
    if (!page->landing)
        page->landing = p2p_land_begin(page->pull->set.land, page->request, page->number, page->url,
                                       page->is_new ? page->kind : NULL);
    else p2p_land_again(page->landing);
    p2p_token_get(page->pull->set.token, page->refused, on_token, page);
}

void p2p_page_start(p2p_page_t *page)
{
    p2p_pull_t *pull = page->pull;

    page->prev = NULL;
    page->next = pull->under_way;
    if (page->next) page->next->prev = page;
    pull->under_way = page;
    pull->under_way_count++;
    attempt(page);
}
