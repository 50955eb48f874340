/* SPDX-License-Identifier: Apache-2.0 */
/* What is to be fetched. */
#include "exchange/plan.h"

#include <string.h>

typedef struct plan_t {
    apr_pool_t *pool;
    const p2p_plan_settings_t *set;
} plan_t;

static void recall_name(void *baton, apr_uint64_t urn, const p2p_named_t *named)
{
    p2p_sequence_name(baton, urn, named);
}

static const p2p_part_t *part_of(const p2p_request_t *request, int number)
{
    int i;

    for (i = 0; i < request->parts->nelts; i++) {
        const p2p_part_t *part = &APR_ARRAY_IDX(request->parts, i, p2p_part_t);

        if (part->number == number) return part;
    }
    return NULL;
}

/* Parts come by number. */
static int is_last(const p2p_request_t *request, int number)
{
    const apr_array_header_t *parts = request->parts;

    return !parts->nelts || APR_ARRAY_IDX(parts, parts->nelts - 1, p2p_part_t).number <= number;
}

static int has_pages(const p2p_request_t *request)
{
    return strcmp(request->kind, P2P_REQUEST_PAGES) == 0 || strcmp(request->kind, P2P_REQUEST_AGAIN_ALL) == 0;
}

/* Where the part is fetched; NULL where there is none. */
static const char *url_of(const plan_t *plan, const p2p_request_t *request, int number)
{
    const p2p_part_t *part = part_of(request, number), *before = part_of(request, number - 1);

    if (part) return part->url;
    if (number == 0) return p2p_job_order_url(plan->pool, request->url, plan->set->source_patient);
    return before && before->landed && *before->next_url ? before->next_url : NULL;
}

/* Takes up one part of a request. Returns 0 where all behind it is fetched with it. */
static int plan_part(const plan_t *plan, const p2p_request_t *request, int number)
{
    const p2p_plan_settings_t *set = plan->set;
    const p2p_part_t *part = part_of(request, number);
    int last = is_last(request, number), follow = has_pages(request) && (!part || last);
    const char *url;

    if (part && part->landed) {
        p2p_land_recall(set->land, part, recall_name, set->sequence);
        return 1;
    }
    url = url_of(plan, request, number);
    if (url) p2p_pull_add(set->pull, request->kind, request->number, number, url, follow);
    return part && !last;
}

static void tell(const plan_t *plan, const p2p_request_t *request)
{
    int i, landed = 0;

    for (i = 0; i < request->parts->nelts; i++) landed += APR_ARRAY_IDX(request->parts, i, p2p_part_t).landed;
    p2p_pull_know(plan->set->pull, request->kind, request->number,
                  p2p_job_order_url(plan->pool, request->url, plan->set->source_patient), landed);
}

/* Resources that were rejected before: nothing of them is fetched. */
static void plan_letters(const plan_t *plan, const p2p_request_t *request)
{
    int i;

    for (i = 0; i < request->parts->nelts; i++) {
        const p2p_part_t *part = &APR_ARRAY_IDX(request->parts, i, p2p_part_t);

        if (part->landed) p2p_land_recall(plan->set->land, part, recall_name, plan->set->sequence);
        else p2p_letters_add(plan->set->letters, request->number, part->number, part->url);
    }
}

static void note_again(p2p_planned_t *planned, int request, int number)
{
    p2p_again_part_t part = {request, number};

    APR_ARRAY_PUSH(planned->again, p2p_again_part_t) = part;
}

/* Pages that were fetched again: those that have not landed are not taken up, since a new pass over all parts finds them. */
static void recall_again(const plan_t *plan, const p2p_request_t *request, p2p_planned_t *planned)
{
    int i;

    for (i = 0; i < request->parts->nelts; i++) {
        const p2p_part_t *part = &APR_ARRAY_IDX(request->parts, i, p2p_part_t);

        if (!part->landed) continue;
        p2p_land_recall(plan->set->land, part, recall_name, plan->set->sequence);
        note_again(planned, request->number, part->number);
    }
}

static void plan_request(const plan_t *plan, const p2p_request_t *request, p2p_planned_t *planned)
{
    int number;

    if (strcmp(request->kind, P2P_REQUEST_AGAIN) == 0) {
        recall_again(plan, request, planned);
        return;
    }
    if (strcmp(request->kind, P2P_REQUEST_LETTERS) == 0) {
        plan_letters(plan, request);
        return;
    }
    for (number = 0; plan_part(plan, request, number); number++) continue;
    if (p2p_request_is_again(request->kind)) note_again(planned, request->number, -1);
    if (strcmp(request->kind, P2P_REQUEST_READ) == 0) planned->followed++;
}

p2p_planned_t p2p_plan(apr_pool_t *p, const p2p_plan_settings_t *settings, const apr_array_header_t *requests)
{
    plan_t plan = {p, settings};
    p2p_planned_t planned = {0, apr_array_make(p, 4, sizeof(p2p_again_part_t))};
    int i;

    for (i = 0; i < requests->nelts; i++) {
        const p2p_request_t *request = &APR_ARRAY_IDX(requests, i, p2p_request_t);

        if (!p2p_request_is_again(request->kind)) tell(&plan, request);
    }
    for (i = 0; i < requests->nelts; i++) plan_request(&plan, &APR_ARRAY_IDX(requests, i, p2p_request_t), &planned);
    return planned;
}
