/* SPDX-License-Identifier: Apache-2.0 */
/* Writes: transactions, batches and single resources, answered with the versions they made. */
#include <pthread.h>
#include "told.h"

static void apply_init(sandbox_apply_t *apply, sandbox_call_t *call, sandbox_doc_t *doc)
{
    memset(apply, 0, sizeof(*apply));
    apply->payer = call->payer;
    apply->store = call->store;
    apply->call = call;
    apply->pool = call->r->pool;
    apply->doc = doc;
    apply->at = sandbox_now(call->payer);
}

static void settle(sandbox_apply_t *apply, sandbox_op_t *op)
{
    sandbox_op_check(apply, op);
    sandbox_op_do(apply, op);
}

/* Each entry on its own, in the order given. */
static void run_batch(sandbox_apply_t *apply, sandbox_op_t *ops, int count)
{
    for (int i = 0; i < count; i++) {
        apply->txn = apply->store->next_txn++;
        sandbox_op_resolve(apply, &ops[i]);
        settle(apply, &ops[i]);
    }
}

static void map_urns(sandbox_apply_t *apply, sandbox_op_t *ops, int count)
{
    apply->urns = apr_hash_make(apply->pool);
    for (int i = 0; i < count; i++) {
        const sandbox_str_t *url = &ops[i].entry->full_url;

        if (url->n > 4 && memcmp(url->p, "urn:", 4) == 0)
            apr_hash_set(apply->urns, url->p, (apr_ssize_t)url->n, &ops[i]);
    }
}

/* All or nothing: the first refusal, or NULL. */
static sandbox_op_t *run_transaction(sandbox_apply_t *apply, sandbox_op_t *ops, int count)
{
    apply->txn = apply->store->next_txn++;
    for (int i = 0; i < count; i++) {
        sandbox_op_resolve(apply, &ops[i]);
        if (ops[i].diagnostics) return &ops[i];
    }
    for (int i = 0; i < count; i++) {
        sandbox_op_check(apply, &ops[i]);
        if (ops[i].diagnostics && !ops[i].inside) return &ops[i];
    }
    for (int i = 0; i < count; i++) sandbox_op_do(apply, &ops[i]);
    return NULL;
}

static const char *status_text(int status)
{
    switch (status) {
    case HTTP_OK: return "200 OK";
    case HTTP_CREATED: return "201 Created";
    case HTTP_NO_CONTENT: return "204 No Content";
    default: return ap_get_status_line(status);
    }
}

/* The times of a transaction are all the same: written once, then copied. */
typedef struct sandbox_stamp_t {
    apr_time_t at;
    p2p_buf_t text;
} sandbox_stamp_t;

static void add_stamp(p2p_buf_t *buf, sandbox_stamp_t *stamp, apr_time_t at)
{
    if (stamp->at != at) {
        p2p_buf_clear(&stamp->text);
        sandbox_add_time(&stamp->text, at);
        stamp->at = at;
    }
    p2p_buf_add(buf, stamp->text.data, stamp->text.len);
}

static void add_number(p2p_buf_t *buf, apr_uint32_t number)
{
    char text[12], *at = text + sizeof(text);

    do *--at = (char)('0' + number % 10);
    while (number /= 10);
    p2p_buf_add(buf, at, (apr_size_t)(text + sizeof(text) - at));
}

static void add_version(sandbox_out_t *out, const sandbox_op_t *op, const sandbox_version_t *now,
                        sandbox_stamp_t *stamp)
{
    int bare = out->call->payer->bare_etag;
    p2p_buf_t *buf = &out->buf;

    p2p_buf_puts(buf, ",\"location\":\"");
    p2p_buf_add(buf, op->res->key, op->res->key_len);
    p2p_buf_puts(buf, "/_history/");
    add_number(buf, now->number);
    p2p_buf_puts(buf, bare ? "\",\"etag\":\"" : "\",\"etag\":\"W/\\\"");
    add_number(buf, now->number);
    p2p_buf_puts(buf, bare ? "\",\"lastModified\":\"" : "\\\"\",\"lastModified\":\"");
    add_stamp(buf, stamp, now->at);
    p2p_buf_puts(buf, "\"");
}

static void add_result(sandbox_out_t *out, const sandbox_op_t *op, sandbox_stamp_t *stamp)
{
    const sandbox_version_t *now = op->res ? op->res->now : NULL;
    p2p_buf_t *buf = &out->buf;

    p2p_buf_puts(buf, "{");
    if (op->verb == SANDBOX_VERB_GET && !op->diagnostics) {
        p2p_buf_puts(buf, "\"resource\":");
        sandbox_out_version(out, op->res, now);
        p2p_buf_puts(buf, ",");
    }
    p2p_buf_puts(buf, "\"response\":{\"status\":\"");
    p2p_buf_puts(buf, status_text(op->status));
    p2p_buf_puts(buf, "\"");
    if (op->diagnostics) {
        p2p_buf_puts(buf, ",\"outcome\":");
        sandbox_outcome_text(buf, op->status, op->diagnostics);
    } else if (now) {
        add_version(out, op, now, stamp);
    }
    p2p_buf_puts(buf, "}}");
}

static void add_results(sandbox_out_t *out, const sandbox_op_t *ops, int count, int batch)
{
    sandbox_stamp_t stamp = {.at = -1};

    p2p_buf_init(&stamp.text, 64);
    sandbox_out_init(out, out->call, (apr_size_t)count * 256 + 256);
    p2p_buf_printf(&out->buf, "{\"resourceType\":\"Bundle\",\"type\":\"%s-response\"",
                   batch ? "batch" : "transaction");
    for (int i = 0; i < count; i++) {
        p2p_buf_puts(&out->buf, i ? "," : ",\"entry\":[");
        add_result(out, &ops[i], &stamp);
    }
    p2p_buf_puts(&out->buf, count ? "]}" : "}");
    p2p_buf_free(&stamp.text);
}

static int run_bundle(sandbox_call_t *call, sandbox_doc_t *doc, int batch)
{
    sandbox_op_t *ops = apr_palloc(call->r->pool, sizeof(*ops) * (apr_size_t)(doc->entry_count + 1)),
        *refused = NULL;
    sandbox_out_t out = {.call = call};
    sandbox_apply_t apply;

    apply_init(&apply, call, doc);
    for (int i = 0; i < doc->entry_count; i++) {
        sandbox_op_read(&apply, &ops[i], &doc->entries[i]);
        if (ops[i].diagnostics && !batch && !refused) refused = &ops[i];
    }
    map_urns(&apply, ops, doc->entry_count);
    if (refused) return sandbox_outcome(call, refused->status, refused->diagnostics);
    apr_thread_rwlock_wrlock(call->store->lock);
    if (batch) run_batch(&apply, ops, doc->entry_count);
    else refused = run_transaction(&apply, ops, doc->entry_count);
    if (!refused) add_results(&out, ops, doc->entry_count, batch);
    apr_thread_rwlock_unlock(call->store->lock);
    if (refused) return sandbox_outcome(call, refused->status, refused->diagnostics);
    return sandbox_out_send(&out, HTTP_OK, SANDBOX_FHIR_JSON);
}

static int too_many(sandbox_call_t *call, const sandbox_doc_t *doc)
{
    return call->payer->max_entries && doc->entry_count > call->payer->max_entries;
}

/* Bundles under way at the payers that limit them; all have one lock, which nobody holds for long. */
static pthread_mutex_t turn_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn_over = PTHREAD_COND_INITIALIZER;

static void take_turn(sandbox_payer_t *payer)
{
    pthread_mutex_lock(&turn_lock);
    while (payer->bundles_at_once && payer->bundles_running >= payer->bundles_at_once)
        pthread_cond_wait(&turn_over, &turn_lock);
    payer->bundles_running++;
    pthread_mutex_unlock(&turn_lock);
}

static void end_turn(sandbox_payer_t *payer)
{
    pthread_mutex_lock(&turn_lock);
    payer->bundles_running--;
    pthread_cond_broadcast(&turn_over);
    pthread_mutex_unlock(&turn_lock);
}

/* Its text as it came, under the next number. Returns 0 where that cannot be written. */
static int keep_bundle(sandbox_call_t *call, sandbox_str_t body)
{
    apr_pool_t *pool = call->r->pool;
    apr_file_t *file;
    int number;

    pthread_mutex_lock(&turn_lock);
    number = ++call->payer->bundles_kept;
    pthread_mutex_unlock(&turn_lock);
    return apr_file_open(&file, apr_psprintf(pool, "%s/%06d.json", call->payer->keep_bundles, number),
                         APR_FOPEN_WRITE | APR_FOPEN_CREATE | APR_FOPEN_TRUNCATE, APR_FPROT_OS_DEFAULT, pool) == APR_SUCCESS &&
           apr_file_write_full(file, body.p, body.n, NULL) == APR_SUCCESS && apr_file_close(file) == APR_SUCCESS;
}

static int write_bundle(sandbox_call_t *call, sandbox_str_t body)
{
    sandbox_doc_t doc;
    const char *fault = sandbox_parse(&doc, call->r->pool, body.p, body.n, 1);
    int batch, status;

    if (fault)
        return sandbox_outcome(call, HTTP_BAD_REQUEST,
                               apr_pstrcat(call->r->pool, "HAPI-0450: ", fault, NULL));
    batch = sandbox_is(doc.bundle_type, "batch");
    if (!sandbox_is(doc.type, "Bundle") || (!batch && !sandbox_is(doc.bundle_type, "transaction")))
        return sandbox_outcome(call, HTTP_BAD_REQUEST,
                               "HAPI-0522: a Bundle of type transaction or batch was expected");
    if (too_many(call, &doc))
        return sandbox_outcome(call, HTTP_REQUEST_ENTITY_TOO_LARGE, "the Bundle has too many entries");
    if (call->payer->keep_bundles && !keep_bundle(call, body))
        return sandbox_outcome(call, HTTP_INTERNAL_SERVER_ERROR, "SandboxKeepBundles: the folder cannot be written to");
    take_turn(call->payer);
    if (call->payer->bundle_delay_ms) sandbox_sleep(call->r, call->payer->bundle_delay_ms);
    status = run_bundle(call, &doc, batch);
    end_turn(call->payer);
    return status;
}

static sandbox_str_t header(sandbox_call_t *call, const char *name)
{
    const char *value = apr_table_get(call->r->headers_in, name);

    return (sandbox_str_t){value, value ? strlen(value) : 0};
}

static int answer_one(sandbox_call_t *call, const sandbox_op_t *op, const sandbox_version_t *now)
{
    request_rec *r = call->r;
    const char *prefer = apr_table_get(r->headers_in, "Prefer");
    sandbox_out_t out;

    if (now) {
        apr_table_setn(r->headers_out, "ETag", apr_psprintf(r->pool, "W/\"%u\"", now->number));
        apr_table_setn(r->headers_out, "Last-Modified", sandbox_http_date(r->pool, now->at));
        apr_table_setn(r->headers_out, "Location",
                       apr_psprintf(r->pool, "%s/%s/_history/%u", sandbox_base_url(call), op->res->key,
                                    now->number));
    }
    sandbox_out_init(&out, call, now && now->bytes ? now->len : 16);
    if (now && now->bytes && !(prefer && strstr(prefer, "return=minimal")))
        sandbox_out_version(&out, op->res, now);
    return sandbox_out_send(&out, op->status, SANDBOX_FHIR_JSON);
}

static int run_one(sandbox_call_t *call, sandbox_doc_t *doc)
{
    sandbox_entry_t *entry = &doc->entries[0];
    const sandbox_version_t *now;
    sandbox_apply_t apply;
    sandbox_op_t op;
    const char *url = apr_pstrcat(call->r->pool, call->path, call->r->args ? "?" : NULL, call->r->args, NULL);

    entry->method = (sandbox_str_t){call->r->method, strlen(call->r->method)};
    entry->url = (sandbox_str_t){url, strlen(url)};
    entry->if_match = header(call, "If-Match");
    entry->if_none_exist = header(call, "If-None-Exist");
    apply_init(&apply, call, doc);
    sandbox_op_read(&apply, &op, entry);
    apr_thread_rwlock_wrlock(call->store->lock);
    run_batch(&apply, &op, 1);
    now = op.res ? op.res->now : NULL;
    apr_thread_rwlock_unlock(call->store->lock);
    if (op.diagnostics) return sandbox_outcome(call, op.status, op.diagnostics);
    return answer_one(call, &op, now);
}

static int write_one(sandbox_call_t *call, sandbox_str_t body)
{
    sandbox_doc_t doc;
    const char *fault;

    if (call->r->method_number == M_DELETE) {
        memset(&doc, 0, sizeof(doc));
        doc.entries = apr_pcalloc(call->r->pool, sizeof(*doc.entries));
        return run_one(call, &doc);
    }
    fault = sandbox_parse(&doc, call->r->pool, body.p, body.n, 0);
    if (fault)
        return sandbox_outcome(call, HTTP_BAD_REQUEST,
                               apr_pstrcat(call->r->pool, "HAPI-0450: ", fault, NULL));
    return run_one(call, &doc);
}

int sandbox_write(sandbox_call_t *call)
{
    sandbox_str_t body = {"", 0};
    int status = 0, at_base = !call->path[0] || strcmp(call->path, "/") == 0;

    if (call->r->method_number != M_DELETE)
        status = sandbox_body(call, (apr_size_t)call->payer->max_body, &body);
    if (status == HTTP_REQUEST_ENTITY_TOO_LARGE)
        return sandbox_outcome(call, status, "the body is too large");
    if (status) return status;
    if (!at_base) return write_one(call, body);
    if (call->r->method_number == M_POST) return write_bundle(call, body);
    return sandbox_outcome(call, HTTP_METHOD_NOT_ALLOWED, "only POST is allowed at the base");
}
