/* SPDX-License-Identifier: Apache-2.0 */
/* The end of an attempt at a page: it is complete, tried again, fetched elsewhere, begun anew, or the end of the job. */
#include "exchange/again.h"
#include "exchange/page.h"

#include <string.h>

#include <apr_strings.h>

#include "fhir/answer.h"

#define FRESH apr_time_from_sec(1) /* so long after it was got a token has not worn out */
#define UNAUTHORIZED_MAX 5

/* ---- Sentences ---- */

static const char *where(const p2p_page_t *page, apr_pool_t *p)
{
    return p2p_uri_public(p, page->url, page->pull->places.endpoint);
}

/* The page cannot be had. The sentence tells what happened and where, the detail all. */
static void fail(p2p_page_t *page, p2p_error_kind_t kind, const char *code, const char *what, const char *detail)
{
    apr_pool_t *p = page->attempt_pool;
    p2p_error_t *error = p2p_error_make(p, kind, code, "GET %s: %s", where(page, p), what);

    p2p_error_detail(p, error, apr_pstrcat(p, page->url, detail && *detail ? ": " : "", detail ? detail : "", NULL));
    p2p_pull_fail(page->pull, error);
}

/* ---- Again ---- */

static void on_timer(void *baton)
{
    p2p_page_t *page = baton;

    page->timer = NULL;
    p2p_page_begin(page);
}

/* Trouble that may pass. Returns 0 where it has lasted too long. */
static int retry(p2p_page_t *page)
{
    p2p_pull_t *pull = page->pull;
    apr_interval_time_t delay;

    if (!p2p_trouble_next(pull->set.trouble, ++page->failures, page->head_fields, &delay)) return 0;
    page->why = pull->set.trouble->why;
    p2p_page_end_attempt(page);
    page->due = pull->set.clock->monotonic(pull->set.clock->baton) + delay;
    page->timer = pull->set.http->after(pull->set.http, delay, on_timer, page);
    return 1;
}

/* It is over, whatever it brought. */
static void close_page(p2p_page_t *page, const char *next_url, const char *sha256)
{
    p2p_pull_t *pull = page->pull;

    p2p_land_complete(page->landing, next_url, sha256, *sha256 ? page->bytes : 0);
    pull->under_way_count--;
    pull->set.progress(pull->set.baton);
    p2p_page_free(page);
}

static void complete(p2p_page_t *page)
{
    p2p_pull_t *pull = page->pull;
    const char *hex = p2p_sha256_end(page->pool, page->sha256);
    p2p_error_t *error = p2p_pull_page_done(page);

    page->sha256 = NULL;
    p2p_trouble_over(pull->set.trouble);
    if (error) p2p_pull_fail(pull, error);
    close_page(page, page->next_url ? page->next_url : "", hex);
}

static int is_again(const p2p_page_t *page)
{
    return p2p_request_is_again(page->kind);
}

static int is_read(const p2p_page_t *page)
{
    return strcmp(page->kind, P2P_REQUEST_READ) == 0;
}

/* Can the job do without it? */
static int is_optional(const p2p_page_t *page)
{
    return is_read(page) || is_again(page);
}

/* What the report says of a page that the job does without. */
static void tell_missing(p2p_page_t *page, const char *why)
{
    const char *id = strrchr(page->url, '/'), *type = id;

    if (is_again(page)) {
        if (!page->pull->set.gone(page->pull->set.baton, page->request)) p2p_land_remark(page->landing, P2P_LEFT_OPEN, why);
        return;
    }
    while (type > page->url && type[-1] != '/') type--;
    p2p_land_missing(page->landing, apr_pstrmemdup(page->attempt_pool, type, (apr_size_t)(id - type)), id + 1, why);
}

/* A resource that something refers to and that the source does not give, or a page that it does not give again: an empty part, or one of
 * what had come of it. */
static void complete_without(p2p_page_t *page, const char *why)
{
    p2p_land_anew(page->landing);
    tell_missing(page, why);
    close_page(page, "", "");
}

/* ---- Links that expired ---- */

/* A page behind the first that is not there: its link has expired. What was read of it before stays. */
static void start_over(p2p_page_t *page)
{
    int number;
    p2p_error_t *error = p2p_pull_start_over(page, &number);

    if (error) {
        fail(page, error->kind, error->code, error->sentence, "");
        return;
    }
    p2p_land_anew(page->landing);
    p2p_land_remark(page->landing, "expired", apr_psprintf(page->attempt_pool, "expired, started over as request %d", number));
    p2p_log(page->pull->set.log, P2P_LOG_NOTICE, "request %d: page %d has expired; it is begun anew as request %d", page->request,
            page->number, number);
    close_page(page, "", "");
}

static int has_expired(const p2p_page_t *page, int status)
{
    return page->number > 0 && !is_optional(page) && (status == 404 || status == 410 || status == 400);
}

/* ---- Redirects ---- */

static int is_redirect(const p2p_page_t *page, int status)
{
    return (status == 301 || status == 302 || status == 303 || status == 307 || status == 308)
           && page->head_fields && apr_table_get(page->head_fields, "Location");
}

static int was_there(const p2p_page_t *page, const char *url)
{
    int i;

    for (i = 0; i < page->hop_count; i++) {
        if (strcmp(page->hops[i], url) == 0) return 1;
    }
    return strcmp(page->url, url) == 0 || strcmp(page->at.url, url) == 0;
}

/* Why a redirect is not followed; NULL where it is. */
static p2p_error_t *check_redirect(p2p_page_t *page, p2p_place_t *to)
{
    apr_pool_t *p = page->pool;
    p2p_error_t *error = p2p_place_of(&page->pull->places, p, page->at.url, apr_table_get(page->head_fields, "Location"), to);

    if (error) return p2p_error_make(p, P2P_E_INVALID, "redirect-unusable", "the source's redirect cannot be followed: it %s", error->sentence);
    if (to->kind == P2P_PLACE_ELSEWHERE)
        return p2p_error_make(p, P2P_E_REFUSED, "redirect-elsewhere", "%s", p2p_place_refusal(to, p, "the source's redirect"));
    if (was_there(page, to->url))
        return p2p_error_make(p, P2P_E_INVALID, "redirect-loop", "the source's redirects go round in a circle");
    if (page->hop_count == P2P_REDIRECTS_MAX)
        return p2p_error_make(p, P2P_E_INVALID, "too-many-redirects", "the source redirects more than %d times", P2P_REDIRECTS_MAX);
    return NULL;
}

static void redirect(p2p_page_t *page)
{
    p2p_place_t to;
    p2p_error_t *error = check_redirect(page, &to);

    if (error && is_optional(page)) complete_without(page, error->sentence);
    else if (error) fail(page, error->kind, error->code, error->sentence, apr_table_get(page->head_fields, "Location"));
    else {
        page->hops[page->hop_count++] = to.url;
        page->at = to;
        p2p_page_end_attempt(page);
        p2p_page_attempt(page);
    }
}

/* ---- Refusals ---- */

/* A token may come to its end while its request waits its turn; one that was refused in its time, after another was, is worth nothing. */
static int may_refresh(p2p_page_t *page)
{
    const p2p_clock_t *clock = page->pull->set.clock;
    apr_interval_time_t age = clock->monotonic(clock->baton) - page->token_at;

    if (page->at.kind != P2P_PLACE_OWN) return 0;
    page->unauthorized++;
    if (page->unauthorized == 1) return 1;
    return page->unauthorized < UNAUTHORIZED_MAX && (age > FRESH || p2p_token_is_over(page->pull->set.token, page->token));
}

static const char *remedy(int status)
{
    if (status == 404 || status == 410) return "check sourcePayer.patientId and fhirBundleRequest, and the definition's FHIR endpoint URL";
    return status == 429 || status >= 500 ? "order the exchange again when it is well" : "check fhirBundleRequest";
}

/* A resource that something refers to, and that the source fails at while it is well otherwise, is not worth all the time. */
static int is_hopeless(const p2p_page_t *page, int status)
{
    return is_read(page) && status != 429 && status != 503 && page->failures + 1 >= P2P_ATTEMPTS;
}

static void on_refused(p2p_page_t *page, int status)
{
    const char *words = p2p_outcome_text(page->attempt_pool, page->refusal.data ? page->refusal.data : "", page->refusal.len);

    if (status == 401 && may_refresh(page)) {
        page->refused = page->token;
        p2p_page_end_attempt(page);
        p2p_page_attempt(page);
    } else if (p2p_retry_status(status) && !is_hopeless(page, status) && retry(page)) {
        return;
    } else if (has_expired(page, status)) {
        start_over(page);
    } else if (is_optional(page) && status != 401 && !(is_again(page) && p2p_retry_status(status))) {
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
    if (is_optional(page) && !(is_again(page) && error->kind == P2P_E_UNAVAILABLE)) complete_without(page, error->sentence);
    else fail(page, error->kind, error->code, error->sentence, error->detail);
}

void p2p_page_answered(p2p_page_t *page, int status, const p2p_error_t *error)
{
    if (error) on_broken(page, error);
    else if (status == 200) complete(page);
    else if (is_redirect(page, status)) redirect(page);
    else on_refused(page, status);
}

void p2p_page_without_token(p2p_page_t *page, const p2p_error_t *error)
{
    if (error->kind != P2P_E_UNAVAILABLE || !retry(page)) p2p_pull_fail(page->pull, error);
    else page->why = P2P_TROUBLE_TOKEN;
}
