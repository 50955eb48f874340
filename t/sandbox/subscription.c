/* SPDX-License-Identifier: Apache-2.0 */
/* Subscriptions: which are taken, when they become active, and whom a Task concerns. */
#include "search.h"
#include "told.h"

int sandbox_refuses(const sandbox_payer_t *payer, sandbox_str_t type)
{
    if (sandbox_is(type, "Task")) return payer->refuse_tasks;
    return sandbox_is(type, "Subscription") ? payer->refuse_subscriptions : 0;
}

/* "Task" or "Task?…", with what sandbox_told_fits knows. */
static const char *criteria_fault(apr_pool_t *pool, const char *criteria)
{
    static const char *const known[] = {"code=", "status=", "intent=", "requester=", "owner="};
    char *state = NULL, *param;

    if (strcmp(criteria, "Task") == 0) return NULL;
    if (strncmp(criteria, "Task?", 5) != 0) return "HAPI-0014: Invalid subscription criteria submitted: only Tasks are told of here";
    for (param = apr_strtok(apr_pstrdup(pool, criteria + 5), "&", &state); param; param = apr_strtok(NULL, "&", &state)) {
        int found = 0;

        for (apr_size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
            found |= strncmp(param, known[i], strlen(known[i])) == 0;
        if (!found) return "HAPI-0488: the criteria have a search parameter that is not known here";
    }
    return NULL;
}

static const char *object_fault(apr_pool_t *pool, json_object *object)
{
    const char *endpoint = sandbox_member(object, "channel.endpoint");

    if (!*sandbox_member(object, "status")) return "HAPI-0008: Subscription.status must be populated on this server";
    if (strcmp(sandbox_member(object, "channel.type"), "rest-hook") != 0) return "HAPI-0019: Subscription.channel.type must be rest-hook";
    if (strncmp(endpoint, "http://", 7) != 0 && strncmp(endpoint, "https://", 8) != 0)
        return "HAPI-0021: Rest-hook subscriptions must have Subscription.channel.endpoint defined";
    return criteria_fault(pool, sandbox_member(object, "criteria"));
}

const char *sandbox_subscription_fault(apr_pool_t *pool, sandbox_str_t bytes)
{
    json_object *object = sandbox_read_json(bytes.p, bytes.n);
    const char *fault = object ? object_fault(pool, object) : "HAPI-0450: this is no Subscription";

    json_object_put(object);
    return fault;
}

static int is_wanted(apr_pool_t *pool, json_object *subscription, const sandbox_version_t *task)
{
    const char *criteria = sandbox_member(subscription, "criteria");

    if (strcmp(sandbox_member(subscription, "status"), "active") != 0 || strncmp(criteria, "Task", 4) != 0) return 0;
    return sandbox_told_fits(pool, "Task", task, criteria[4] ? criteria + 5 : "");
}

/* The channel's headers; Medplum cuts each of them at its colons and takes the first two pieces. */
static void add_channel_headers(sandbox_delivery_t *delivery, json_object *subscription, sandbox_form_t form)
{
    json_object *channel, *headers;

    if (!json_object_object_get_ex(subscription, "channel", &channel) || !json_object_object_get_ex(channel, "header", &headers)) return;
    if (!json_object_is_type(headers, json_type_array)) return;
    for (apr_size_t i = 0; i < json_object_array_length(headers); i++) {
        char *line = strdup(json_object_get_string(json_object_array_get_idx(headers, i))), *colon = strchr(line, ':');

        colon = colon && form == SANDBOX_TELL_POST ? strchr(colon + 1, ':') : NULL;
        if (colon) *colon = '\0';
        sandbox_delivery_header(delivery, line);
        free(line);
    }
}

static void fill_bundle(sandbox_apply_t *apply, const sandbox_resource_t *res, const char *method, p2p_buf_t *body)
{
    p2p_buf_puts(body, "{\"resourceType\":\"Bundle\",\"type\":\"transaction\",\"entry\":[{");
    if (res->now->bytes) {
        p2p_buf_cat(body, "\"fullUrl\":\"", sandbox_base_url(apply->call), "/", res->key, "\",\"resource\":", NULL);
        sandbox_meta_add(body, res->now);
        p2p_buf_puts(body, ",");
    }
    p2p_buf_cat(body, "\"request\":{\"method\":\"", method, "\",\"url\":\"", res->key, "\"}}]}", NULL);
}

static void fill_post(sandbox_delivery_t *delivery, const sandbox_resource_t *res, p2p_buf_t *body, apr_pool_t *pool)
{
    const char *interaction = !res->now->bytes ? "delete" : res->now->prev ? "update" : "create";

    sandbox_delivery_header(delivery, "Content-Type: application/fhir+json");
    sandbox_delivery_header(delivery, apr_pstrcat(pool, "X-Medplum-Subscription: ", strchr(delivery->subscription, '/') + 1, NULL));
    sandbox_delivery_header(delivery, apr_pstrcat(pool, "X-Medplum-Interaction: ", interaction, NULL));
    if (res->now->bytes) {
        sandbox_meta_add(body, res->now);
        return;
    }
    sandbox_delivery_header(delivery, apr_pstrcat(pool, "X-Medplum-Deleted-Resource: ", res->key, NULL));
    p2p_buf_puts(body, "{}");
}

static void fill_put(sandbox_delivery_t *delivery, const sandbox_resource_t *res, p2p_buf_t *body, apr_pool_t *pool)
{
    char *url = delivery->url;

    delivery->url = strdup(apr_pstrcat(pool, url, "/", res->key, NULL));
    free(url);
    delivery->method = res->now->bytes ? "PUT" : "DELETE";
    if (!res->now->bytes) return;
    sandbox_delivery_header(delivery, "Content-Type: application/fhir+json; charset=UTF-8");
    sandbox_delivery_header(delivery, apr_psprintf(pool, "If-Match: W/\"%u\"", res->now->number));
    sandbox_meta_add(body, res->now);
}

/* Without a payload HAPI says nothing but that something happened. */
static sandbox_form_t form_for(const sandbox_payer_t *payer, json_object *subscription)
{
    if (payer->form == SANDBOX_TELL_PUT && !*sandbox_member(subscription, "channel.payload")) return SANDBOX_TELL_EMPTY;
    return (sandbox_form_t)payer->form;
}

static sandbox_delivery_t *make_delivery(sandbox_apply_t *apply, const char *key, json_object *subscription, const sandbox_resource_t *res)
{
    sandbox_form_t form = form_for(apply->payer, subscription);
    sandbox_delivery_t *delivery = sandbox_delivery_make(key, res->key);
    p2p_buf_t body;

    delivery->url = strdup(sandbox_member(subscription, "channel.endpoint"));
    delivery->method = "POST";
    p2p_buf_init(&body, 1 << 26);
    p2p_buf_puts(&body, "");
    add_channel_headers(delivery, subscription, form);
    switch (form) {
    case SANDBOX_TELL_PUT: fill_put(delivery, res, &body, apply->pool); break;
    case SANDBOX_TELL_POST: fill_post(delivery, res, &body, apply->pool); break;
    case SANDBOX_TELL_EMPTY: sandbox_delivery_header(delivery, "Content-Type: application/x-www-form-urlencoded"); break;
    case SANDBOX_TELL_BUNDLE:
        sandbox_delivery_header(delivery, "Content-Type: application/fhir+json; charset=UTF-8");
        fill_bundle(apply, res, res->now->bytes ? "PUT" : "DELETE", &body);
        break;
    }
    delivery->body = body.len ? p2p_buf_take(&body) : NULL;
    p2p_buf_free(&body);
    return delivery;
}

static void tell_of_task(sandbox_apply_t *apply, sandbox_resource_t *res)
{
    const sandbox_list_t *list = &apply->store->subscriptions;
    const sandbox_version_t *judged = res->now->bytes ? res->now : res->now->prev;

    if (!res->now->bytes && !apply->payer->deliver_deletes) return;
    for (apr_size_t i = 0; i < list->count; i++) {
        const sandbox_version_t *now = list->items[i]->now;
        json_object *subscription;

        if (!sandbox_lives(list->items[i])) continue;
        subscription = sandbox_read_json(now->bytes, now->len);
        if (is_wanted(apply->pool, subscription, judged))
            sandbox_deliver(apply->payer, make_delivery(apply, list->items[i]->key, subscription, res), apply->payer->delivery_delay_ms);
        json_object_put(subscription);
    }
}

void sandbox_tell(sandbox_apply_t *apply, sandbox_resource_t *res)
{
    json_object *object;

    if (apply->loading) return;
    if (sandbox_res_type_is(res, "Task")) return tell_of_task(apply, res);
    if (!sandbox_res_type_is(res, "Subscription") || !res->now->bytes || apply->payer->activate_ms < 0) return;
    object = sandbox_read_json(res->now->bytes, res->now->len);
    if (strcmp(sandbox_member(object, "status"), "requested") == 0)
        sandbox_deliver(apply->payer, sandbox_delivery_make(res->key, NULL), apply->payer->activate_ms);
    json_object_put(object);
}

static int set_status(sandbox_payer_t *payer, sandbox_store_t *store, sandbox_resource_t *res, const char *from, const char *status)
{
    json_object *object = sandbox_read_json(res->now->bytes, res->now->len);
    int fits = !from || strcmp(sandbox_member(object, "status"), from) == 0;
    const char *text;

    if (fits) {
        json_object_object_add(object, "status", json_object_new_string(status));
        text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
        sandbox_put(store, res, sandbox_keep(store, text, strlen(text)), strlen(text), sandbox_now(payer));
    }
    json_object_put(object);
    return fits;
}

int sandbox_subscription_set(sandbox_payer_t *payer, const char *key, const char *from, const char *status)
{
    sandbox_store_t *store;
    apr_pool_t *pool;
    int count = 0;

    apr_pool_create_unmanaged_ex(&pool, NULL, NULL);
    store = sandbox_store_hold(payer, pool);
    apr_thread_rwlock_wrlock(store->lock);
    for (apr_size_t i = 0; i < store->subscriptions.count; i++) {
        sandbox_resource_t *res = store->subscriptions.items[i];

        if (!sandbox_lives(res) || (key && strcmp(key, res->key) != 0)) continue;
        count += set_status(payer, store, res, from, status);
    }
    apr_thread_rwlock_unlock(store->lock);
    apr_pool_destroy(pool);
    return count;
}

static void show(p2p_buf_t *buf, const sandbox_resource_t *res)
{
    json_object *object = sandbox_read_json(res->now->bytes, res->now->len);
    static const char *const names[] = {"status", "criteria", "channel.endpoint", "channel.payload"};

    p2p_buf_printf(buf, "{\"id\":\"%s\",\"version\":%u", strchr(res->key, '/') + 1, res->now->number);
    for (int i = 0; i < 4; i++) {
        const char *value = sandbox_member(object, names[i]), *dot = strchr(names[i], '.');

        p2p_buf_printf(buf, ",\"%s\":", dot ? dot + 1 : names[i]);
        p2p_buf_json(buf, value, strlen(value));
    }
    p2p_buf_puts(buf, "}");
    json_object_put(object);
}

int sandbox_subscriptions(sandbox_call_t *call)
{
    const char *id = sandbox_param(call->r->pool, call->r->args, "id"), *status = sandbox_param(call->r->pool, call->r->args, "status");
    const sandbox_list_t *list = &call->store->subscriptions;
    sandbox_out_t out;
    int first = 1;

    if (call->r->method_number == M_PUT && status)
        sandbox_subscription_set(call->payer, id ? apr_pstrcat(call->r->pool, "Subscription/", id, NULL) : NULL, NULL, status);
    sandbox_out_init(&out, call, 1024);
    p2p_buf_puts(&out.buf, "[");
    apr_thread_rwlock_rdlock(call->store->lock);
    for (apr_size_t i = 0; i < list->count; i++) {
        if (!sandbox_lives(list->items[i])) continue;
        p2p_buf_puts(&out.buf, first ? "" : ",");
        show(&out.buf, list->items[i]);
        first = 0;
    }
    apr_thread_rwlock_unlock(call->store->lock);
    p2p_buf_puts(&out.buf, "]\n");
    return sandbox_out_send(&out, HTTP_OK, "application/json");
}
