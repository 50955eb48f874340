/* SPDX-License-Identifier: Apache-2.0 */
/* Who belongs to whom: the resources of a member's record, and the orders in which they are given out. */
#include "sandbox.h"

static const char *const shared_types[] = {"Practitioner", "PractitionerRole", "Organization",
                                           "OrganizationAffiliation",
                                           "Location", "Medication", "Substance", "HealthcareService",
                                           "Endpoint",
                                           "InsurancePlan", "Group", "Questionnaire", NULL};

int sandbox_shared(const sandbox_resource_t *res)
{
    for (int i = 0; shared_types[i]; i++)
        if (sandbox_res_type_is(res, shared_types[i])) return 1;
    return 0;
}

sandbox_resource_t *sandbox_home(const sandbox_resource_t *res)
{
    if (res->member) return res->member;
    if (sandbox_shared(res) || sandbox_res_type_is(res, "Patient")) return NULL;
    for (apr_uint32_t i = 0; i < res->ref_count; i++) {
        if (res->refs[i]->member) return res->refs[i]->member;
        if (sandbox_res_type_is(res->refs[i], "Patient")) return res->refs[i];
    }
    return NULL;
}

static int left_out(const sandbox_payer_t *payer, const sandbox_resource_t *res)
{
    for (int i = 0; i < payer->without_types->nelts; i++)
        if (sandbox_res_type_is(res, APR_ARRAY_IDX(payer->without_types, i, const char *))) return 1;
    return 0;
}

static void take(sandbox_payer_t *payer, sandbox_list_t *list, sandbox_resource_t *res, apr_uint32_t mark)
{
    if (res->mark == mark || !sandbox_lives(res) || left_out(payer, res)) return;
    res->mark = mark;
    sandbox_list_add(list, res);
}

static int follows(const sandbox_resource_t *to)
{
    return !to->member && !sandbox_res_type_is(to, "Patient") && !sandbox_home(to);
}

void sandbox_everything(sandbox_payer_t *payer, sandbox_store_t *store, sandbox_resource_t *patient,
                        sandbox_list_t *list)
{
    apr_uint32_t mark = store->next_mark++;

    take(payer, list, patient, mark);
    for (apr_size_t i = 0; i < store->all.count; i++) {
        sandbox_resource_t *res = store->all.items[i];

        if (res->kept_for == patient || sandbox_home(res) == patient) take(payer, list, res, mark);
    }
    for (apr_size_t i = 0; i < list->count; i++) {
        const sandbox_resource_t *res = list->items[i];

        for (apr_uint32_t k = 0; k < res->ref_count; k++)
            if (follows(res->refs[k])) take(payer, list, res->refs[k], mark);
    }
}

static int by_order(const void *a, const void *b)
{
    const sandbox_resource_t *left = *(sandbox_resource_t *const *)a,
        *right = *(sandbox_resource_t *const *)b;

    return left->order < right->order ? -1 : left->order > right->order;
}

static int compare_types(const sandbox_resource_t *left, const sandbox_resource_t *right)
{
    apr_size_t len = left->type_len < right->type_len ? left->type_len : right->type_len;
    int difference = memcmp(left->key, right->key, len);

    return difference ? difference : (int)left->type_len - (int)right->type_len;
}

static int by_type(const void *a, const void *b)
{
    int difference = compare_types(*(sandbox_resource_t *const *)a, *(sandbox_resource_t *const *)b);

    return difference ? difference : by_order(a, b);
}

static int by_type_down(const void *a, const void *b)
{
    int difference = compare_types(*(sandbox_resource_t *const *)b, *(sandbox_resource_t *const *)a);

    return difference ? difference : by_order(a, b);
}

static void shuffle(sandbox_list_t *list, apr_uint64_t seed)
{
    apr_uint64_t state = seed * 0x9e3779b97f4a7c15ull + 1;

    for (apr_size_t i = list->count; i > 1; i--) {
        sandbox_resource_t *item = list->items[i - 1];
        apr_size_t other;

        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        other = (apr_size_t)(state % i);
        list->items[i - 1] = list->items[other];
        list->items[other] = item;
    }
}

void sandbox_sort(sandbox_list_t *list, sandbox_order_t order, apr_uint64_t seed)
{
    if (list->count < 2) return;
    qsort(list->items, list->count, sizeof(*list->items),
          order == SANDBOX_BY_TYPE ? by_type : order == SANDBOX_BY_TYPE_DOWN ? by_type_down : by_order);
    if (order == SANDBOX_SHUFFLED) shuffle(list, seed);
}
