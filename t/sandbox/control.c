/* SPDX-License-Identifier: Apache-2.0 */
/* The control path, for tests on the same host: faults, requests, dump, reset, load, grants, set. */
#include "search.h"
#include "told.h"

#define DUMP_PIECE ((apr_size_t)1 << 18)

static int done(sandbox_call_t *call)
{
    return sandbox_text(call, HTTP_OK, "application/json", "{}\n");
}

static int wrong_method(sandbox_call_t *call)
{
    return sandbox_text(call, HTTP_METHOD_NOT_ALLOWED, "text/plain", "not with this method\n");
}

static int control_faults(sandbox_call_t *call)
{
    sandbox_str_t body;
    sandbox_out_t out;
    const char *fault;
    int rv;

    if (call->r->method_number == M_GET) {
        sandbox_out_init(&out, call, 1024);
        sandbox_faults_show(call->payer, &out.buf);
        return sandbox_out_send(&out, HTTP_OK, "application/json");
    }
    if (call->r->method_number == M_DELETE) {
        sandbox_faults_clear(call->payer);
        return done(call);
    }
    rv = sandbox_body(call, 1 << 20, &body);
    if (rv) return rv;
    fault = sandbox_faults_add(call->payer, body.p, body.n, call->r->method_number == M_PUT);
    return fault ? sandbox_text(call, HTTP_BAD_REQUEST, "text/plain", fault) : done(call);
}

static int control_requests(sandbox_call_t *call)
{
    sandbox_out_t out;

    if (call->r->method_number == M_DELETE) {
        sandbox_log_clear(call->payer);
        return done(call);
    }
    sandbox_out_init(&out, call, 65536);
    sandbox_log_show(call->payer, &out.buf);
    return sandbox_out_send(&out, HTTP_OK, "application/json");
}

/* Line breaks stand between tokens only: as blanks they change nothing. */
static void add_flat(p2p_buf_t *buf, const char *bytes, apr_size_t len)
{
    apr_size_t from = buf->len;

    p2p_buf_add(buf, bytes, len);
    if (buf->overflow) return;
    for (char *at = buf->data + from; at < buf->data + buf->len; at++)
        if (*at == '\n' || *at == '\r') *at = ' ';
}

static void dump_line(p2p_buf_t *buf, const sandbox_resource_t *res, int keys)
{
    const sandbox_version_t *now = res->now;
    apr_uint32_t versions = 0;

    for (const sandbox_version_t *version = now; version; version = version->prev) versions++;
    p2p_buf_printf(buf, "{\"key\":\"%s\",\"version\":%u,\"versions\":%u,\"deleted\":%s", res->key,
                   now->number, versions,
                   now->bytes ? "false" : "true");
    if (now->bytes && !keys) {
        p2p_buf_puts(buf, ",\"resource\":");
        add_flat(buf, now->bytes, now->len);
    }
    p2p_buf_puts(buf, "}\n");
}

/* Fills buf from the resource at *at on; 0 where none is left. */
static int dump_piece(sandbox_store_t *store, p2p_buf_t *buf, apr_size_t *at, const char *type, int keys)
{
    int more;

    apr_thread_rwlock_rdlock(store->lock);
    for (; *at < store->all.count && buf->len < DUMP_PIECE; ++*at) {
        const sandbox_resource_t *res = store->all.items[*at];

        if (type && !sandbox_res_type_is(res, type)) continue;
        dump_line(buf, res, keys);
    }
    more = *at < store->all.count;
    apr_thread_rwlock_unlock(store->lock);
    return more;
}

/* ?type=Task limits it to a type, ?keys=1 leaves the resources out. */
static int control_dump(sandbox_call_t *call)
{
    request_rec *r = call->r;
    const char *type = sandbox_param(r->pool, r->args, "type");
    int keys = sandbox_param(r->pool, r->args, "keys") != NULL, more = 1;
    apr_size_t at = 0;

    ap_set_content_type(r, "application/fhir+ndjson");
    while (more && !r->connection->aborted) {
        apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
        p2p_buf_t buf;

        p2p_buf_init(&buf, (apr_size_t)1 << 31);
        more = dump_piece(call->store, &buf, &at, type, keys);
        if (buf.len)
            APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_heap_create(buf.data, buf.len, free, bb->bucket_alloc));
        if (!more) APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(bb->bucket_alloc));
        ap_pass_brigade(r->output_filters, bb);
    }
    return OK;
}

/* Back to the beginning: empty, but for what the configuration loads. */
static int control_reset(sandbox_call_t *call)
{
    sandbox_store_t *fresh;
    const char *fault;

    if (call->r->method_number != M_POST) return wrong_method(call);
    fresh = sandbox_store_make();
    fault = sandbox_load_all(call->payer, fresh, call->r->pool);
    if (fault) {
        sandbox_store_free(fresh);
        return sandbox_text(call, HTTP_INTERNAL_SERVER_ERROR, "text/plain", fault);
    }
    sandbox_deliveries_drop(call->payer);
    sandbox_store_swap(call->payer, fresh);
    return done(call);
}

/* Adds the body's NDJSON as a file of its own. */
static int control_load(sandbox_call_t *call)
{
    sandbox_str_t body;
    const char *fault;
    int count, rv;

    if (call->r->method_number != M_POST) return wrong_method(call);
    rv = sandbox_body(call, 0, &body);
    if (rv) return rv;
    apr_thread_rwlock_wrlock(call->store->lock);
    fault = sandbox_load_ndjson(call->payer, call->store, call->r->pool, body.p, body.n, &count);
    apr_thread_rwlock_unlock(call->store->lock);
    if (fault) return sandbox_text(call, HTTP_BAD_REQUEST, "text/plain", fault);
    return sandbox_text(call, HTTP_OK, "application/json",
                        apr_psprintf(call->r->pool, "{\"count\":%d}\n", count));
}

#define NUMBER(name, field) {name, offsetof(sandbox_payer_t, field)}
static const struct {
    const char *name;
    apr_size_t offset;
} numbers[] = {NUMBER("delay", delay_ms), NUMBER("bundleDelay", bundle_delay_ms),
               NUMBER("bundlesAtOnce", bundles_at_once),
               NUMBER("tokenLifetime", token_lifetime),
               NUMBER("pageSize", page_size), NUMBER("pageMax", page_max), NUMBER("maxEntries", max_entries),
               NUMBER("maxBody", max_body), NUMBER("repeat", repeat), NUMBER("nextPad", next_pad),
               NUMBER("integrity", integrity), NUMBER("clientIds", client_ids), NUMBER("bearer", bearer),
               NUMBER("bareEtag", bare_etag), NUMBER("linkLast", link_last), NUMBER("rotate", rotate),
               NUMBER("clock", clock_s), NUMBER("stale", stale_s), NUMBER("refuseTasks", refuse_tasks),
               NUMBER("refuseSubscriptions", refuse_subscriptions), NUMBER("activate", activate_ms),
               NUMBER("deliveryDelay", delivery_delay_ms), NUMBER("deliveryTries", delivery_tries),
               NUMBER("deliveryRetry", delivery_retry_ms), NUMBER("deliverDeletes", deliver_deletes),
               NUMBER("offWhenFailed", off_when_failed)};

/* PUT /set?order=shuffled%207&delay=50 changes directives while the payer runs. */
static int control_set(sandbox_call_t *call)
{
    request_rec *r = call->r;
    const char *order = sandbox_param(r->pool, r->args, "order"), *value;
    const char *delivery = sandbox_param(r->pool, r->args, "delivery"), *api = sandbox_param(r->pool, r->args, "api");

    if (r->method_number != M_PUT) return wrong_method(call);
    if (order && !sandbox_order_read(order, &call->payer->order, &call->payer->seed))
        return sandbox_text(call, HTTP_BAD_REQUEST, "text/plain",
                            "order: file, type, reverse-type or shuffled SEED\n");
    if (delivery && !sandbox_delivery_read(delivery, call->payer))
        return sandbox_text(call, HTTP_BAD_REQUEST, "text/plain", "delivery: put, post, empty or bundle; whole, thrice or half\n");
    for (apr_size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        value = sandbox_param(r->pool, r->args, numbers[i].name);
        if (value) *(int *)((char *)call->payer + numbers[i].offset) = atoi(value);
    }
    if (api) call->payer->api = strdup(api); /* a few bytes for each of a test's changes, read without a lock */
    return done(call);
}

int sandbox_is_loopback(const char *ip)
{
    return strncmp(ip, "127.", 4) == 0 || strcmp(ip, "::1") == 0;
}

int sandbox_control(sandbox_call_t *call, const char *what)
{
    call->logged = 1;
    if (!sandbox_is_loopback(call->r->useragent_ip)) return HTTP_FORBIDDEN;
    if (strcmp(what, "/faults") == 0) return control_faults(call);
    if (strcmp(what, "/requests") == 0) return control_requests(call);
    if (strcmp(what, "/dump") == 0) return control_dump(call);
    if (strcmp(what, "/reset") == 0) return control_reset(call);
    if (strcmp(what, "/load") == 0) return control_load(call);
    if (strcmp(what, "/grants") == 0) return sandbox_grants(call);
    if (strcmp(what, "/set") == 0) return control_set(call);
    if (strcmp(what, "/subscriptions") == 0) return sandbox_subscriptions(call);
    if (strcmp(what, "/deliveries") == 0) return sandbox_deliveries(call);
    return HTTP_NOT_FOUND;
}
