/* SPDX-License-Identifier: Apache-2.0 */
/* What one write does to the store, in steps, so that a transaction can stop before the last one. */
#include "told.h"

static void refuse(sandbox_op_t *op, int status, const char *diagnostics)
{
    op->status = status;
    op->diagnostics = diagnostics;
}

static sandbox_str_t key_of(apr_pool_t *pool, sandbox_str_t type, sandbox_str_t id)
{
    sandbox_str_t key = {type.p, type.n + 1 + id.n};

    if (type.p + type.n + 1 != id.p)
        key.p = apr_psprintf(pool, "%.*s/%.*s", (int)type.n, type.p, (int)id.n, id.p);
    return key;
}

static int same(sandbox_str_t a, sandbox_str_t b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static int read_verb(sandbox_op_t *op, sandbox_str_t method)
{
    if (sandbox_is(method, "PUT")) op->verb = SANDBOX_VERB_PUT;
    else if (sandbox_is(method, "POST")) op->verb = SANDBOX_VERB_POST;
    else if (sandbox_is(method, "DELETE")) op->verb = SANDBOX_VERB_DELETE;
    else if (sandbox_is(method, "GET")) op->verb = SANDBOX_VERB_GET;
    else return 0;
    return 1;
}

static int read_url(sandbox_op_t *op, sandbox_str_t url)
{
    const char *end = url.p + url.n, *at = url.p, *question = url.n ? memchr(url.p, '?', url.n) : NULL;
    sandbox_str_t key;

    if (url.n && *at == '/') at++;
    if (question) op->query = (sandbox_str_t){question + 1, (apr_size_t)(end - question - 1)}, end = question;
    key = sandbox_relative_key((sandbox_str_t){at, (apr_size_t)(end - at)});
    op->type.p = at;
    while (at < end && apr_isalpha(*at)) at++;
    op->type.n = (apr_size_t)(at - op->type.p);
    if (!op->type.n) return 0;
    if (at == end) return 1;
    if (!key.n || key.p + key.n != end) return 0;
    op->id = (sandbox_str_t){at + 1, (apr_size_t)(end - at - 1)};
    return 1;
}

static void check_body(sandbox_apply_t *apply, sandbox_op_t *op)
{
    const sandbox_entry_t *entry = op->entry;

    if (!entry->bytes.n) return refuse(op, HTTP_BAD_REQUEST, "HAPI-0522: the entry has no resource");
    if (!same(op->type, entry->type))
        return refuse(op, HTTP_BAD_REQUEST, "HAPI-0500: resourceType differs from the type in the URL");
    if (op->verb == SANDBOX_VERB_PUT && op->id.n && !same(op->id, entry->id))
        refuse(op, HTTP_BAD_REQUEST,
               apr_psprintf(apply->pool, "HAPI-0420: Can not update resource, resource body must contain "
                            "an ID element which matches the request URL %.*s/%.*s", (int)op->type.n, op->type.p,
                            (int)op->id.n, op->id.p));
}

void sandbox_op_read(sandbox_apply_t *apply, sandbox_op_t *op, sandbox_entry_t *entry)
{
    memset(op, 0, sizeof(*op));
    op->entry = entry;
    if (!read_verb(op, entry->method))
        return refuse(op, HTTP_BAD_REQUEST, "HAPI-0527: the entry's request has no method this server knows");
    if (!read_url(op, entry->url))
        return refuse(op, HTTP_BAD_REQUEST, "HAPI-0531: the entry's request has no usable URL");
    if (op->verb != SANDBOX_VERB_POST && !op->id.n && !op->query.n)
        return refuse(op, HTTP_BAD_REQUEST, "HAPI-0532: the entry's URL names no resource");
    if (sandbox_refuses(apply->payer, op->type))
        return refuse(op, sandbox_refuses(apply->payer, op->type), "HAPI-0302: Unknown resource type, or one that is not served here");
    if (op->verb == SANDBOX_VERB_PUT || op->verb == SANDBOX_VERB_POST) check_body(apply, op);
}

/* No two are ever the same, whatever was reset in between: who has heard of one must not meet it again as another. */
static const char *fresh_id(sandbox_apply_t *apply)
{
    unsigned char r[16];

    apr_generate_random_bytes(r, sizeof(r));
    return apr_psprintf(apply->pool, "%02x%02x%02x%02x-%02x%02x-4%x%02x-a%x%02x-%02x%02x%02x%02x%02x%02x", r[0], r[1], r[2], r[3],
                        r[4], r[5], r[6] & 15u, r[7], r[8] & 15u, r[9], r[10], r[11], r[12], r[13], r[14], r[15]);
}

static sandbox_resource_t *fresh(sandbox_apply_t *apply, sandbox_str_t type)
{
    sandbox_resource_t *res;
    char *key;

    do {
        key = apr_psprintf(apply->pool, "%.*s/%s", (int)type.n, type.p, fresh_id(apply));
        res = sandbox_intern(apply->store, key, strlen(key));
    } while (res->now);
    return res;
}

static int match_subscription(sandbox_apply_t *apply, const char *args, sandbox_resource_t **found)
{
    const sandbox_list_t *list = &apply->store->subscriptions;
    int count = 0;

    for (apr_size_t i = 0; i < list->count; i++) {
        if (!sandbox_lives(list->items[i]) || !sandbox_told_fits(apply->pool, "Subscription", list->items[i]->now, args)) continue;
        if (!count++) *found = list->items[i];
    }
    return count;
}

/* How many resources fit the query's identifier, or a Subscription's url; -1 where the query has none. */
static int match(sandbox_apply_t *apply, sandbox_op_t *op, sandbox_str_t query, sandbox_resource_t **found)
{
    const char *question = query.n ? memchr(query.p, '?', query.n) : NULL, *args, *token, *bar;
    sandbox_str_t system = {NULL, 0}, value;

    if (question) query.n -= (apr_size_t)(question + 1 - query.p), query.p = question + 1;
    args = apr_pstrmemdup(apply->pool, query.p, query.n);
    if (sandbox_is(op->type, "Subscription") && sandbox_param(apply->pool, args, "url")) return match_subscription(apply, args, found);
    token = sandbox_param(apply->pool, args, "identifier");
    if (!token) return -1;
    bar = strchr(token, '|');
    if (bar) system = (sandbox_str_t){token, (apr_size_t)(bar - token)};
    value = (sandbox_str_t){bar ? bar + 1 : token, strlen(bar ? bar + 1 : token)};
    return sandbox_ident_find(apply->store, op->type, system, value, found);
}

static void resolve_conditional(sandbox_apply_t *apply, sandbox_op_t *op, sandbox_str_t query)
{
    int count = match(apply, op, query, &op->res);

    if (count < 0) refuse(op, HTTP_BAD_REQUEST, "only conditions on identifier, or a Subscription's url, are understood here");
    else if (count > 1)
        refuse(op, HTTP_PRECONDITION_FAILED,
               "HAPI-0929: Failed to process: the condition matches several resources");
    else if (count == 1 && op->verb == SANDBOX_VERB_POST) op->nothing = 1, op->status = HTTP_OK;
    else if (!count && op->verb == SANDBOX_VERB_DELETE) op->nothing = 1, op->status = HTTP_NO_CONTENT;
    else if (!count) op->res = fresh(apply, op->type);
}

static int only_digits(sandbox_str_t id)
{
    for (apr_size_t i = 0; i < id.n; i++)
        if (!apr_isdigit(id.p[i])) return 0;
    return 1;
}

static void resolve_put(sandbox_apply_t *apply, sandbox_op_t *op)
{
    sandbox_str_t key = key_of(apply->pool, op->type, op->id);

    if (!apply->loading) {
        sandbox_resource_t *found = sandbox_find(apply->store, key.p, key.n);

        if (!sandbox_lives(found) && only_digits(op->id))
            return refuse(op, HTTP_BAD_REQUEST,
                          apr_psprintf(apply->pool,
                                       "HAPI-0960: Can not create resource with ID[%.*s], ID must not "
                                       "be supplied on a create (an ID of digits only)", (int)op->id.n, op->id.p));
        if (!sandbox_lives(found) && !apply->payer->client_ids)
            return refuse(op, HTTP_NOT_FOUND, "Not found: clients may not choose ids here");
    }
    op->res = sandbox_intern(apply->store, key.p, key.n);
}

/* W/"3", "3" and 3. */
static apr_uint32_t version_of(sandbox_str_t etag)
{
    while (etag.n && !apr_isdigit(*etag.p)) etag.p++, etag.n--;
    return etag.n ? (apr_uint32_t)apr_atoi64(etag.p) : 0;
}

static void check_once(sandbox_apply_t *apply, sandbox_op_t *op)
{
    const sandbox_entry_t *entry = op->entry;

    if (op->diagnostics || !op->res || op->nothing || op->verb == SANDBOX_VERB_GET) return;
    if (op->res->txn == apply->txn && !apply->loading)
        return refuse(op, HTTP_BAD_REQUEST,
                      apr_psprintf(apply->pool, "HAPI-0535: Transaction bundle contains multiple resources with ID: %s",
                                   op->res->key));
    op->res->txn = apply->txn;
    if (entry->if_match.n && op->res->now && version_of(entry->if_match) != op->res->now->number)
        refuse(op, HTTP_CONFLICT,
               apr_psprintf(apply->pool, "HAPI-0989: Trying to update %s/_history/%u but this is not the current version",
                            op->res->key, version_of(entry->if_match)));
}

void sandbox_op_resolve(sandbox_apply_t *apply, sandbox_op_t *op)
{
    sandbox_str_t key;

    if (op->diagnostics || op->nothing) return;
    if (op->verb == SANDBOX_VERB_POST) {
        if (op->entry->if_none_exist.n) resolve_conditional(apply, op, op->entry->if_none_exist);
        else op->res = fresh(apply, op->type);
    } else if (!op->id.n) {
        resolve_conditional(apply, op, op->query);
    } else if (op->verb == SANDBOX_VERB_PUT) {
        resolve_put(apply, op);
    } else {
        key = key_of(apply->pool, op->type, op->id);
        op->res = sandbox_find(apply->store, key.p, key.n);
    }
    check_once(apply, op);
}

void sandbox_op_check(sandbox_apply_t *apply, sandbox_op_t *op)
{
    const sandbox_rule_t *rule;
    const char *fault = NULL;

    if (op->diagnostics || op->nothing || op->verb == SANDBOX_VERB_GET || op->verb == SANDBOX_VERB_DELETE)
        return;
    rule = apply->call ? sandbox_rejects(apply->call, op) : NULL;
    if (rule) {
        refuse(op, rule->status, rule->text ? rule->text : "HAPI-0574: the sandbox was told to refuse this resource");
        op->inside = rule->inside;
        return;
    }
    if (sandbox_is(op->type, "Subscription") && !apply->loading) fault = sandbox_subscription_fault(apply->pool, op->entry->bytes);
    if (fault) return refuse(op, HTTP_UNPROCESSABLE_ENTITY, fault);
    for (int i = 0; i < op->entry->ref_count && !op->diagnostics; i++)
        sandbox_ref_resolve(apply, op, &apply->doc->refs[op->entry->first_ref + i]);
}

static void do_read(sandbox_op_t *op)
{
    if (sandbox_lives(op->res)) op->status = HTTP_OK;
    else if (op->res && op->res->now) refuse(op, HTTP_GONE, "HAPI-2049: Resource was deleted");
    else refuse(op, HTTP_NOT_FOUND, "HAPI-2001: Resource is not known");
}

static void do_delete(sandbox_apply_t *apply, sandbox_op_t *op)
{
    if (op->res && sandbox_put(apply->store, op->res, NULL, 0, apply->at)) sandbox_tell(apply, op->res);
    op->status = op->res && op->res->now ? HTTP_OK : HTTP_NO_CONTENT;
}

static int same_bytes(const sandbox_op_t *op, sandbox_str_t id)
{
    const sandbox_version_t *now = op->res->now;

    return !id.n && now && now->bytes && now->len == op->entry->bytes.n &&
           memcmp(now->bytes, op->entry->bytes.p, now->len) == 0;
}

void sandbox_op_do(sandbox_apply_t *apply, sandbox_op_t *op)
{
    sandbox_str_t id = {NULL, 0}, bytes;
    int lived, changed;

    if (op->diagnostics || op->nothing) return;
    if (op->verb == SANDBOX_VERB_GET) return do_read(op);
    if (op->verb == SANDBOX_VERB_DELETE) return do_delete(apply, op);
    lived = sandbox_lives(op->res);
    op->status = lived ? HTTP_OK : HTTP_CREATED;
    if (!op->id.n || !op->entry->id.n) {
        id.p = op->res->key + op->res->type_len + 1;
        id.n = op->res->key_len - op->res->type_len - 1;
    }
    if (same_bytes(op, id)) return;
    bytes = sandbox_splice(apply, op->entry, id);
    if (sandbox_has_meta(op->res)) bytes = sandbox_meta_drop(apply->store, bytes);
    changed = sandbox_put(apply->store, op->res, bytes.p, bytes.n, apply->at);
    sandbox_links(apply, op->entry, op->res);
    if (changed) sandbox_tell(apply, op->res);
}
