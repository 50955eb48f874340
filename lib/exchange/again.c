/* SPDX-License-Identifier: Apache-2.0 */
/* One pass after the other over the parts that hold something open. */
#include "exchange/again.h"

#include <string.h>

#include <apr_strings.h>

#include "store/job_store.h"

#define LOOKED_AT 100 /* parts at a time: what else there is has its turn, too */
#define PASSES_MAX 3 /* in the first, references may still be followed; what that leaves open is closed in the last */

struct p2p_again_t {
    p2p_again_settings_t set;
    apr_pool_t *pool, *scratch;
    int passes, end;            /* parts of requests before end are looked at */
    int request, number;        /* the last one looked at */
    int exhausted;              /* there are no others */
    apr_size_t left;            /* open resources when the pass began */
    p2p_seen_t added;           /* the pages that have been handed to pull, or had landed before */
    apr_array_header_t *wholes; /* of int, in pairs: requests to be fetched whole, and whether that is still to be begun */
    int begun, told;
};

/* A page of a pass as a key: spread, since it is no digest. */
static apr_uint64_t page_key(int request, int number)
{
    return (((apr_uint64_t)request << 32 | (apr_uint32_t)number) + 1) * 0x9e3779b97f4a7c15;
}

static apr_status_t free_again(void *data)
{
    p2p_again_t *again = data;

    p2p_seen_free(&again->added);
    return APR_SUCCESS;
}

static void add_whole(p2p_again_t *again, int from, int todo)
{
    APR_ARRAY_PUSH(again->wholes, int) = from;
    APR_ARRAY_PUSH(again->wholes, int) = todo;
}

p2p_again_t *p2p_again_make(apr_pool_t *p, const p2p_again_settings_t *settings)
{
    p2p_again_t *again = apr_pcalloc(p, sizeof *again);
    const apr_array_header_t *done = settings->planned->again;
    int i;

    again->set = *settings;
    again->pool = p;
    again->wholes = apr_array_make(p, 4, sizeof(int));
    apr_pool_create(&again->scratch, p);
    apr_pool_cleanup_register(p, again, free_again, apr_pool_cleanup_null);
    for (i = 0; i < done->nelts; i++) {
        const p2p_again_part_t *part = &APR_ARRAY_IDX(done, i, p2p_again_part_t);

        if (part->request / P2P_AGAIN_PASS > again->passes) again->passes = part->request / P2P_AGAIN_PASS;
        if (part->number < 0) add_whole(again, part->request % P2P_AGAIN_PASS - P2P_AGAIN_WHOLE, 0);
        else p2p_seen_add(&again->added, page_key(part->request, part->number))->state = P2P_SEEN_WRITTEN;
    }
    if (again->passes) again->passes--; /* the last one goes on */
    return again;
}

/* What stays open is as if what it refers to had never come; the report says so. */
static void report(p2p_again_t *again, apr_size_t count)
{
    p2p_landing_t *landing;

    if (again->told++) return;
    landing = p2p_land_begin(again->set.land, (PASSES_MAX + 1) * P2P_AGAIN_PASS, 0, "", P2P_REQUEST_AGAIN);
    p2p_land_remark(landing, P2P_LEFT_OPEN,
                    apr_psprintf(again->pool, "%" APR_SIZE_T_FMT " resources keep logical references to what came after them: "
                                 "their pages could not be fetched again, or hold them no longer", count));
    p2p_land_complete(landing, "", "", 0);
}

int p2p_again_begin(p2p_again_t *again)
{
    apr_size_t count = p2p_seen_count(again->set.seen, P2P_SEEN_OPEN);

    if (!count) return 0;
    if (again->passes == PASSES_MAX || (again->begun && count >= again->left)) {
        report(again, count);
        return 0;
    }
    again->begun = 1;
    again->passes++;
    again->left = count;
    again->request = again->number = -1;
    again->exhausted = 0;
    again->end = again->passes * P2P_AGAIN_PASS;
    return 1;
}

int p2p_again_is_last(const p2p_again_t *again)
{
    return again->passes == PASSES_MAX;
}

/* ---- Pages ---- */

/* A page that was fetched as part number of request from. */
static void add_page(p2p_again_t *again, int from, int number, const char *url)
{
    int request = again->end + from % P2P_AGAIN_PASS;
    p2p_seen_slot_t *slot = p2p_seen_add(&again->added, page_key(request, number));

    if (slot->state != P2P_SEEN_NEVER) return;
    slot->state = P2P_SEEN_SENT;
    p2p_pull_add_again(again->set.pull, P2P_REQUEST_AGAIN, request, number, url, 0);
}

/* The next part that holds something open goes to pull. */
static p2p_error_t *add_next_part(p2p_again_t *again)
{
    p2p_part_t part;
    int found;

    apr_pool_clear(again->scratch);
    P2P_TRY(p2p_job_next_landed(again->set.db, again->scratch, again->set.keyring, again->set.job, again->request, again->number,
                                &part, &found));
    again->exhausted = !found || part.request >= again->end;
    if (again->exhausted) return NULL;
    again->request = part.request;
    again->number = part.number;
    if (p2p_land_holds_open(again->set.land, &part)) add_page(again, part.request, part.number, part.url);
    return NULL;
}

static int add_next_whole(p2p_again_t *again)
{
    int i;

    for (i = 0; i < again->wholes->nelts; i += 2) {
        int *todo = &APR_ARRAY_IDX(again->wholes, i + 1, int), number = APR_ARRAY_IDX(again->wholes, i, int);

        if (!*todo) continue;
        *todo = 0;
        p2p_pull_add_again(again->set.pull, P2P_REQUEST_AGAIN_ALL, again->end + P2P_AGAIN_WHOLE + number, 0, p2p_pull_first(again->set.pull, number), 1);
        return 1;
    }
    return 0;
}

p2p_error_t *p2p_again_run(p2p_again_t *again)
{
    int looked = 0;

    while (!again->exhausted && looked++ < LOOKED_AT && p2p_pull_has_room(again->set.pull)) P2P_TRY(add_next_part(again));
    while (again->exhausted && p2p_pull_has_room(again->set.pull) && add_next_whole(again)) continue;
    return NULL;
}

int p2p_again_has_more(const p2p_again_t *again)
{
    return !again->exhausted;
}

/* A request that was begun anew has the URL of the one before. */
int p2p_again_gone(p2p_again_t *again, int request)
{
    int from = request % P2P_AGAIN_PASS, i;
    const char *url = p2p_pull_first(again->set.pull, from), *other;

    if (!url) return 0;
    for (i = 0; i < again->wholes->nelts; i += 2) {
        other = p2p_pull_first(again->set.pull, APR_ARRAY_IDX(again->wholes, i, int));
        if (other && strcmp(other, url) == 0) return 1;
    }
    add_whole(again, from, 1);
    return 1;
}
