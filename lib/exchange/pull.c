/* SPDX-License-Identifier: Apache-2.0 */
/* Pages on their way: which are to be fetched, which are under way, what follows from their answers. */
#include "exchange/page.h"

#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#define FOLLOWED_MAX 100000 /* pages of one request: a source that never ends is stopped */

void p2p_pull_stop(p2p_pull_t *pull)
{
    pull->broken = 1;
    p2p_token_cancel(pull->set.token);
    while (pull->under_way) p2p_page_free(pull->under_way);
    while (pull->queue) {
        p2p_page_t *page = pull->queue;

        pull->queue = page->next;
        p2p_page_free(page);
    }
    pull->under_way_count = 0;
}

static apr_status_t free_pull(void *data)
{
    p2p_pull_t *pull = data;

    p2p_pull_stop(pull);
    p2p_seen_free(&pull->visited);
    return APR_SUCCESS;
}

p2p_pull_t *p2p_pull_make(apr_pool_t *p, const p2p_pull_settings_t *settings)
{
    p2p_pull_t *pull = apr_pcalloc(p, sizeof *pull);

    pull->set = *settings;
    pull->places = settings->places;
    pull->requests = apr_array_make(p, 4, sizeof(p2p_pull_request_t *));
    pull->pool = p;
    pull->fields = apr_array_make(p, 1, sizeof(const char *));
    APR_ARRAY_PUSH(pull->fields, const char *) = "Accept: application/fhir+json";
    pull->deriver = p2p_id_deriver_make(p, "page");
    apr_pool_pre_cleanup_register(p, pull, free_pull);
    return pull;
}

p2p_page_t *p2p_pull_enqueue(p2p_pull_t *pull, const char *kind, int request, int number, const char *url)
{
    p2p_page_t **at = &pull->queue;
    p2p_pull_request_t *known = p2p_pull_request(pull, request);

    if (known) known->open++;
    while (*at) at = &(*at)->next;
    *at = p2p_page_make(pull, kind, request, number, url);
    return *at;
}

/* Marks a URL of a request as visited; 0 where it was before: the pages go round in a circle. */
static int visit(p2p_pull_t *pull, int request, const char *url)
{
    char number[16];
    unsigned char digest[P2P_DIGEST_BYTES];
    p2p_seen_slot_t *slot;

    apr_snprintf(number, sizeof number, "%d", request);
    p2p_id_digest(pull->deriver, number, strlen(number), url, strlen(url), digest);
    slot = p2p_seen_add(&pull->visited, p2p_id_key(digest));
    if (slot->state) return 0;
    slot->state = P2P_SEEN_WRITTEN;
    return 1;
}

void p2p_pull_add(p2p_pull_t *pull, const char *kind, int request, int number, const char *url, int follow)
{
    p2p_pull_request_t *known = p2p_pull_request(pull, request);

    if (known) known->whole = follow && number == 0;
    p2p_pull_enqueue(pull, kind, request, number, url)->follow = follow;
    visit(pull, request, url);
}

void p2p_pull_read(p2p_pull_t *pull, const char *url)
{
    p2p_pull_enqueue(pull, P2P_REQUEST_READ, pull->next_number++, 0, url)->is_new = 1;
}

void p2p_pull_add_again(p2p_pull_t *pull, const char *kind, int request, int number, const char *url, int follow)
{
    p2p_page_t *page = p2p_pull_enqueue(pull, kind, request, number, url);

    page->follow = follow;
    page->is_new = 1;
    visit(pull, request, url);
}

const char *p2p_pull_first(const p2p_pull_t *pull, int request)
{
    const p2p_pull_request_t *known = p2p_pull_request(pull, request);

    return known ? known->first : NULL;
}

void p2p_pull_fail(p2p_pull_t *pull, const p2p_error_t *error)
{
    if (pull->broken) return;
    pull->broken = 1;
    pull->set.failed(pull->set.baton, error);
}

/* Why the next page is not fetched, if so. */
static p2p_error_t *check_next(p2p_page_t *page, const p2p_place_t *next)
{
    apr_pool_t *p = page->pool;

    if (next->kind == P2P_PLACE_ELSEWHERE)
        return p2p_error_make(p, P2P_E_REFUSED, "next-link-elsewhere", "%s", p2p_place_refusal(next, p, "the source's next link"));
    if (!visit(page->pull, page->request, next->url))
        return p2p_error_make(p, P2P_E_INVALID, "page-loop",
                              "the source's pages go round in a circle: page %d links to one that was fetched before", page->number + 1);
    if (page->number + 1 >= FOLLOWED_MAX)
        return p2p_error_make(p, P2P_E_INVALID, "too-many-pages", "the source gave %d pages and a next link: order less at a time", FOLLOWED_MAX);
    return NULL;
}

/* A link that leads elsewhere is looked at again when an entry has shown another name of the source, and at the end. */
static int may_become_known(p2p_page_t *page, const p2p_place_t *next, int whole)
{
    if (next->kind != P2P_PLACE_ELSEWHERE || whole) return 0;
    page->bases = page->pull->places.bases->count;
    return 1;
}

/* One that is empty is none. */
void p2p_pull_follow(p2p_page_t *page, const char *link, int whole)
{
    p2p_pull_t *pull = page->pull;
    p2p_place_t next;
    p2p_error_t *error;

    if (!*link || (!whole && page->bases == pull->places.bases->count)) return;
    error = p2p_place_of(&pull->places, page->pool, page->at.url, link, &next);
    if (error) {
        p2p_pull_fail(pull, p2p_error_make(page->pool, P2P_E_INVALID, "next-link-unusable",
                                           "the source's next link cannot be followed: it %s", error->sentence));
        return;
    }
    if (may_become_known(page, &next, whole)) return;
    page->next_url = next.url;
    if (!page->follow) return;
    error = check_next(page, &next);
    if (error) p2p_pull_fail(pull, error);
    else p2p_pull_enqueue(pull, page->kind, page->request, page->number + 1, next.url)->follow = 1;
}

void p2p_pull_run(p2p_pull_t *pull)
{
    p2p_page_t *page, *next;

    if (pull->broken || pull->set.is_full(pull->set.baton)) return;
    for (page = pull->under_way; page; page = next) {
        next = page->next;
        p2p_page_resume(page);
    }
    while (pull->queue && pull->under_way_count < pull->set.connections && !pull->broken) {
        page = pull->queue;
        pull->queue = page->next;
        p2p_page_start(page);
    }
}

apr_time_t p2p_pull_waits_until(const p2p_pull_t *pull, p2p_trouble_why_t *why)
{
    apr_time_t first = APR_INT64_MAX;
    const p2p_page_t *page;

    if (pull->broken || (pull->queue && pull->under_way_count < pull->set.connections)) return 0;
    for (page = pull->under_way; page; page = page->next) {
        if (!page->timer) return 0;
        if (page->due >= first) continue;
        first = page->due;
        *why = page->why;
    }
    return first;
}

int p2p_pull_is_receiving(const p2p_pull_t *pull)
{
    const p2p_page_t *page;

    for (page = pull->under_way; page && (!page->transfer || page->paused); page = page->next) continue;
    return page != NULL;
}

int p2p_pull_is_held_up(const p2p_pull_t *pull)
{
    const p2p_page_t *page;

    for (page = pull->under_way; page && !page->share.waits; page = page->next) continue;
    return page && !p2p_pull_is_receiving(pull);
}

int p2p_pull_has_room(const p2p_pull_t *pull)
{
    return !pull->broken && !pull->queue && pull->under_way_count < pull->set.connections;
}

int p2p_pull_is_idle(const p2p_pull_t *pull)
{
    return !pull->queue && !pull->under_way;
}
