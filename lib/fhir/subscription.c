/* SPDX-License-Identifier: Apache-2.0 */
/* Printing and reading the Subscription. */
#include "fhir/subscription.h"

#include <string.h>
#include <apr_strings.h>

#include "base/json.h"
#include "base/sha256.h"
#include "base/uri.h"
#include "fhir/bundle.h"
#include "fhir/resource_id.h"

#define PREFIX "p2p-task-"
#define HASH_LEN 26 /* base32 characters: 130 bits */
#define RESOURCE_MAX (1 << 20)
#define REST_HOOK "rest-hook"

const char *p2p_hook_subscription_id(apr_pool_t *p, const char *endpoint)
{
    p2p_id_deriver_t *deriver = p2p_id_deriver_make(p, endpoint);
    const char *derived = p2p_id_derive(p, deriver, "Subscription", "p2p-task");

    return apr_pstrcat(p, PREFIX, apr_pstrmemdup(p, derived + 4, HASH_LEN), NULL);
}

static json_object *print_channel(const p2p_hook_subscription_t *wanted)
{
    json_object *channel = json_object_new_object(), *headers = json_object_new_array();

    p2p_json_add_str(channel, "type", REST_HOOK);
    p2p_json_add_str(channel, "endpoint", wanted->endpoint);
    if (*wanted->payload) p2p_json_add_str(channel, "payload", wanted->payload);
    for (int i = 0; i < wanted->headers->nelts; i++)
        json_object_array_add(headers, json_object_new_string(APR_ARRAY_IDX(wanted->headers, i, const char *)));
    if (wanted->headers->nelts) json_object_object_add(channel, "header", headers);
    else json_object_put(headers);
    return channel;
}

const char *p2p_hook_subscription_print(apr_pool_t *p, const p2p_hook_subscription_t *wanted, apr_size_t *len)
{
    json_object *doc = p2p_json_own(p, json_object_new_object());

    p2p_json_add_str(doc, "resourceType", "Subscription");
    if (*wanted->id) p2p_json_add_str(doc, "id", wanted->id);
    p2p_json_add_str(doc, "status", wanted->status);
    p2p_json_add_str(doc, "reason", P2P_HOOK_REASON);
    p2p_json_add_str(doc, "criteria", wanted->criteria);
    json_object_object_add(doc, "channel", print_channel(wanted));
    return p2p_json_print(p, doc, len);
}

static const char *text_of(apr_pool_t *p, json_object *doc, const char *name)
{
    const char *text = p2p_json_str(doc, name);

    return text ? apr_pstrdup(p, text) : "";
}

static const apr_array_header_t *read_headers(apr_pool_t *p, json_object *channel)
{
    json_object *list = p2p_json_arr(channel, "header");
    apr_array_header_t *headers = apr_array_make(p, 2, sizeof(const char *));

    for (apr_size_t i = 0; list && i < json_object_array_length(list); i++) {
        json_object *one = json_object_array_get_idx(list, i);

        if (json_object_is_type(one, json_type_string)) APR_ARRAY_PUSH(headers, const char *) = apr_pstrdup(p, json_object_get_string(one));
    }
    return headers;
}

p2p_error_t *p2p_hook_subscription_read(apr_pool_t *p, const char *body, apr_size_t len, p2p_hook_subscription_t **said)
{
    json_object *doc, *channel;
    const char *type, *id;

    *said = NULL;
    P2P_TRY(p2p_json_parse(p, body, len, &doc));
    type = p2p_json_str(doc, "resourceType");
    id = p2p_json_str(doc, "id");
    if (!type || strcmp(type, "Subscription") || !id || !p2p_is_fhir_id(id, strlen(id))) return NULL;
    channel = p2p_json_obj(doc, "channel");
    *said = apr_palloc(p, sizeof **said);
    **said = (p2p_hook_subscription_t){
        .id = apr_pstrdup(p, id), .status = text_of(p, doc, "status"), .reason = text_of(p, doc, "reason"), .criteria = text_of(p, doc, "criteria"),
        .type = text_of(p, channel, "type"), .endpoint = text_of(p, channel, "endpoint"), .payload = text_of(p, channel, "payload"),
        .headers = read_headers(p, channel)};
    return NULL;
}

typedef struct page_reader_t {
    apr_pool_t *pool;
    apr_array_header_t *all;
} page_reader_t;

static p2p_error_t *on_entry(void *baton, const p2p_bundle_entry_t *entry)
{
    const page_reader_t *reader = baton;
    p2p_hook_subscription_t *said;

    if (entry->alone) return p2p_error_make(reader->pool, P2P_E_INVALID, "not-fhir", "The answer is no Bundle.");
    if (!p2p_hook_subscription_read(reader->pool, entry->resource, entry->len, &said) && said)
        APR_ARRAY_PUSH(reader->all, p2p_hook_subscription_t) = *said;
    return NULL;
}

p2p_error_t *p2p_hook_subscription_read_page(apr_pool_t *p, const char *body, apr_size_t len, apr_array_header_t **all)
{
    page_reader_t own = {p, apr_array_make(p, 4, sizeof(p2p_hook_subscription_t))};
    p2p_bundle_reader_t *reader = p2p_bundle_reader_make(p, RESOURCE_MAX, on_entry, &own);
    p2p_error_t *error;

    *all = own.all;
    error = p2p_bundle_reader_feed(reader, body, len);
    if (!error) error = p2p_bundle_reader_finish(reader);
    p2p_bundle_reader_close(reader);
    return error;
}

/* One text a line: none of them has a line feed but what a stranger's server makes up. */
static const char *what_it_asks(apr_pool_t *p, const p2p_hook_subscription_t *one)
{
    const char *text = apr_pstrcat(p, one->criteria, "\n", one->type, "\n", one->endpoint, "\n", one->payload, NULL);

    for (int i = 0; i < one->headers->nelts; i++) text = apr_pstrcat(p, text, "\n", APR_ARRAY_IDX(one->headers, i, const char *), NULL);
    return text;
}

int p2p_hook_subscription_same(apr_pool_t *p, const p2p_hook_subscription_t *a, const p2p_hook_subscription_t *b)
{
    return !strcmp(what_it_asks(p, a), what_it_asks(p, b));
}

const char *p2p_hook_subscription_fingerprint(apr_pool_t *p, const p2p_hook_subscription_t *one)
{
    const char *text = what_it_asks(p, one);
    p2p_sha256_t *sha256 = p2p_sha256_begin();

    p2p_sha256_add(sha256, text, strlen(text));
    return p2p_sha256_end(p, sha256);
}
