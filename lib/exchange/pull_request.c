/* SPDX-License-Identifier: Apache-2.0 */
/* Requests with pages: whether they bring anything, whether they are complete, and beginning them anew where their links expire. */
#include "exchange/page.h"

#include <string.h>

#include <apr_strings.h>

#define BARREN_MAX 1000   /* pages in a row that bring nothing new */
#define ANEW_MAX 3        /* times in a row that a request is begun anew before anything new comes, and */
#define ANEW_IN_ALL 100

p2p_pull_request_t *p2p_pull_request(const p2p_pull_t *pull, int number)
{
    int i;

    for (i = pull->requests->nelts - 1; i >= 0; i--) {
        p2p_pull_request_t *request = APR_ARRAY_IDX(pull->requests, i, p2p_pull_request_t *);

        if (request->number == number) return request;
    }
    return NULL;
}

/* What was begun anew has its successor's URL; so has what was ordered twice. */
static void succeed(p2p_pull_t *pull, const p2p_pull_request_t *later)
{
    int i;

    for (i = 0; i < pull->requests->nelts; i++) {
        p2p_pull_request_t *request = APR_ARRAY_IDX(pull->requests, i, p2p_pull_request_t *);

        if (request->successor < 0 && strcmp(request->first, later->first) == 0) request->successor = later->number;
    }
}

void p2p_pull_know(p2p_pull_t *pull, const char *kind, int number, const char *url, int landed)
{
    p2p_pull_request_t *request;

    if (number >= pull->next_number) pull->next_number = number + 1;
    pull->fruitful += landed;
    if (strcmp(kind, P2P_REQUEST_PAGES) != 0) return;
    request = apr_pcalloc(pull->pool, sizeof *request);
    request->number = number;
    request->first = url;
    request->successor = -1;
    request->total = -1;
    succeed(pull, request);
    APR_ARRAY_PUSH(pull->requests, p2p_pull_request_t *) = request;
}

/* ---- Accounts ---- */

/* The source has told how many there are: are they? */
static void compare_total(p2p_page_t *page, const p2p_pull_request_t *request)
{
    const char *words;

    if (request->open || !request->whole || request->total < 0 || request->total == request->matches) return;
    words = apr_psprintf(page->pool, "the source says that %" APR_INT64_T_FMT " match and gave %" APR_INT64_T_FMT, request->total,
                         request->matches);
    p2p_land_remark(page->landing, "total-differs", words);
    p2p_log(page->pull->set.log, P2P_LOG_NOTICE, "request %d: %s", request->number, words);
}

/* What is begun anew brings nothing new for as long as what was there before. */
static p2p_error_t *look_for_news(p2p_page_t *page, p2p_pull_request_t *request)
{
    p2p_pull_t *pull = page->pull;

    if (p2p_land_is_fruitful(page->landing)) {
        request->barren = 0;
        request->fruitful = 1;
        pull->fruitful++;
    } else request->barren++;
    if (request->barren <= BARREN_MAX + pull->fruitful) return NULL;
    return p2p_error_make(page->pool, P2P_E_INVALID, "nothing-new",
                          "the source's pages do not end: %d in a row brought nothing new; ask the source payer what is wrong", request->barren);
}

p2p_error_t *p2p_pull_page_done(p2p_page_t *page)
{
    p2p_pull_request_t *request = p2p_pull_request(page->pull, page->request);
    const p2p_bundle_t *bundle = p2p_bundle_reader_bundle(page->reader);

    if (!request) return NULL;
    request->open--;
    request->matches += bundle->matches;
    if (bundle->total >= 0) request->total = bundle->total;
    compare_total(page, request);
    return look_for_news(page, request);
}

/* ---- Beginning anew ---- */

static p2p_error_t *too_often(const p2p_page_t *page, int times)
{
    return p2p_error_make(page->pool, P2P_E_REFUSED, "pages-expire",
                          "the source's next links are not good any more when they are fetched, after the request was begun anew %d times; "
                          "order less at a time, or ask the source payer to keep its pages longer", times);
}

static void begin_anew(p2p_pull_t *pull, const p2p_pull_request_t *request)
{
    p2p_pull_request_t *next;
    p2p_page_t *page;
    int number = pull->next_number;

    p2p_pull_know(pull, P2P_REQUEST_PAGES, number, request->first, 0);
    next = p2p_pull_request(pull, number);
    next->anew = request->fruitful ? 1 : request->anew + 1;
    next->anew_in_all = request->anew_in_all + 1;
    p2p_pull_add(pull, P2P_REQUEST_PAGES, number, 0, request->first, 1);
    for (page = pull->queue; page->next; page = page->next) continue;
    page->is_new = 1;
    p2p_page_begin_landing(page); /* it is noted together with the end of the other: after a takeover nothing begins anew twice */
}

p2p_error_t *p2p_pull_start_over(p2p_page_t *page, int *number)
{
    p2p_pull_t *pull = page->pull;
    p2p_pull_request_t *request = p2p_pull_request(pull, page->request);

    request->open--;
    request->whole = 0;
    if (request->successor < 0) {
        if (!request->fruitful && request->anew >= ANEW_MAX) return too_often(page, request->anew);
        if (request->anew_in_all >= ANEW_IN_ALL) return too_often(page, request->anew_in_all);
        begin_anew(pull, request);
    }
    *number = request->successor;
    return NULL;
}
