/* SPDX-License-Identifier: Apache-2.0 */
/* The members that a payer holds, as its sign-in page names them. */
#include "door.h"
#include "told.h"

static const char *text_of(json_object *object, const char *name)
{
    return json_object_is_type(object, json_type_object) ? sandbox_member(object, name) : "";
}

static const char *name_of(apr_pool_t *pool, json_object *patient)
{
    json_object *names = NULL, *name, *given = NULL;
    const char *text = "";

    json_object_object_get_ex(patient, "name", &names);
    if (!json_object_is_type(names, json_type_array)) return text;
    name = json_object_array_get_idx(names, 0);
    if (*text_of(name, "text")) return apr_pstrdup(pool, text_of(name, "text"));
    if (!json_object_is_type(name, json_type_object)) return text;
    json_object_object_get_ex(name, "given", &given);
    for (apr_size_t i = 0; json_object_is_type(given, json_type_array) && i < json_object_array_length(given); i++) {
        json_object *one = json_object_array_get_idx(given, i);

        if (json_object_is_type(one, json_type_string)) text = apr_pstrcat(pool, text, json_object_get_string(one), " ", NULL);
    }
    return apr_pstrcat(pool, text, text_of(name, "family"), NULL);
}

/* The store is locked. */
static void read_member(sandbox_call_t *call, const sandbox_resource_t *res, sandbox_member_t *member)
{
    apr_pool_t *pool = call->r->pool;
    json_object *patient = sandbox_read_json(res->now->bytes, res->now->len);

    member->id = apr_pstrdup(pool, res->key + res->type_len + 1);
    member->name = member->born = "";
    if (json_object_is_type(patient, json_type_object)) {
        member->name = name_of(pool, patient);
        member->born = apr_pstrdup(pool, text_of(patient, "birthDate"));
    }
    if (!*member->name) member->name = member->id;
    json_object_put(patient);
}

static int by_name(const void *a, const void *b)
{
    const sandbox_member_t *left = a, *right = b;
    int difference = strcmp(left->name, right->name);

    return difference ? difference : strcmp(left->id, right->id);
}

apr_array_header_t *sandbox_members(sandbox_call_t *call, int limit)
{
    apr_array_header_t *members = apr_array_make(call->r->pool, 64, sizeof(sandbox_member_t));
    sandbox_store_t *store = call->store;
    sandbox_member_t first;
    int has_first = call->payer->member && sandbox_member_find(call, call->payer->member, &first);

    if (has_first) APR_ARRAY_PUSH(members, sandbox_member_t) = first;
    apr_thread_rwlock_rdlock(store->lock);
    for (apr_size_t i = 0; i < store->all.count && members->nelts < limit; i++) {
        const sandbox_resource_t *res = store->all.items[i];

        if (!sandbox_res_type_is(res, "Patient") || !sandbox_lives(res)) continue;
        if (has_first && strcmp(res->key + res->type_len + 1, first.id) == 0) continue;
        read_member(call, res, &APR_ARRAY_PUSH(members, sandbox_member_t));
    }
    apr_thread_rwlock_unlock(store->lock);
    if (members->nelts > has_first)
        qsort((sandbox_member_t *)members->elts + has_first, (apr_size_t)(members->nelts - has_first), sizeof(sandbox_member_t), by_name);
    return members;
}

int sandbox_member_find(sandbox_call_t *call, const char *id, sandbox_member_t *member)
{
    const char *key = apr_pstrcat(call->r->pool, "Patient/", id, NULL);
    const sandbox_resource_t *res;

    apr_thread_rwlock_rdlock(call->store->lock);
    res = sandbox_find(call->store, key, strlen(key));
    if (sandbox_lives(res)) read_member(call, res, member);
    else res = NULL;
    apr_thread_rwlock_unlock(call->store->lock);
    return res != NULL;
}
