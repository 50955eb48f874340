/* SPDX-License-Identifier: Apache-2.0 */
/* Answers: their bytes, and the faults that befall them on their way out. */
#include <poll.h>
#include "sandbox.h"

#define BY_REFERENCE 32768 /* stored bytes from this size on are not copied */

static apr_status_t free_buf(void *data)
{
    p2p_buf_free(data);
    return APR_SUCCESS;
}

void sandbox_out_init(sandbox_out_t *out, sandbox_call_t *call, apr_size_t expected)
{
    request_rec *r = call->r;

    out->call = call;
    out->total = 0;
    out->bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    p2p_buf_init(&out->buf, (apr_size_t)1 << 31);
    p2p_buf_reserve(&out->buf, expected);
}

/* What is in the buffer becomes a bucket that owns the memory. */
static void flush(sandbox_out_t *out)
{
    apr_bucket *bucket;

    if (!out->buf.len) return;
    bucket = apr_bucket_heap_create(out->buf.data, out->buf.len, free, out->bb->bucket_alloc);
    APR_BRIGADE_INSERT_TAIL(out->bb, bucket);
    out->total += (apr_off_t)out->buf.len;
    p2p_buf_init(&out->buf, out->buf.max);
}

void sandbox_out_stored(sandbox_out_t *out, const char *bytes, apr_size_t len)
{
    if (len < BY_REFERENCE) {
        p2p_buf_add(&out->buf, bytes, len);
        return;
    }
    flush(out);
    APR_BRIGADE_INSERT_TAIL(out->bb, apr_bucket_immortal_create(bytes, len, out->bb->bucket_alloc));
    out->total += (apr_off_t)len;
}

static int stopping(void)
{
    int state = AP_MPMQ_RUNNING;

    ap_mpm_query(AP_MPMQ_MPM_STATE, &state);
    return state == AP_MPMQ_STOPPING;
}

static int client_gone(request_rec *r)
{
    apr_socket_t *socket = ap_get_conn_socket(r->connection);
    struct pollfd fd = {.events = POLLRDHUP};
    apr_os_sock_t os;

    if (!socket || apr_os_sock_get(&os, socket) != APR_SUCCESS) return 0;
    fd.fd = os;
    return poll(&fd, 1, 0) > 0 && (fd.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

void sandbox_sleep(request_rec *r, int ms)
{
    for (int slice; ms > 0; ms -= slice) {
        slice = ms > 50 ? 50 : ms;
        apr_sleep((apr_interval_time_t)slice * 1000);
        if (ms > 50 && (stopping() || client_gone(r))) return;
    }
}

static void hang_up(request_rec *r)
{
    apr_socket_t *socket = ap_get_conn_socket(r->connection);

    if (socket) apr_socket_shutdown(socket, APR_SHUTDOWN_READWRITE);
    r->connection->aborted = 1;
    r->connection->keepalive = AP_CONN_CLOSE;
}

static void pass_flush(request_rec *r, apr_bucket_brigade *bb)
{
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_flush_create(bb->bucket_alloc));
    ap_pass_brigade(r->output_filters, bb);
}

/* length: "right" (the whole body's), "wrong" (what is sent looks complete), "chunked", "none" (ends with the
 * connection). */
static void cut_length(request_rec *r, const char *length, apr_off_t total, apr_off_t sent)
{
    if (strcmp(length, "right") == 0) ap_set_content_length(r, total);
    else if (strcmp(length, "wrong") == 0) ap_set_content_length(r, sent);
    else if (strcmp(length, "none") == 0) {
        r->proto_num = HTTP_VERSION(1, 0);
        apr_table_setn(r->subprocess_env, "force-response-1.0", "1");
        apr_table_setn(r->subprocess_env, "nokeepalive", "1");
    }
}

/* Sends the first bytes only; then the connection goes, at once or (stall) after a while. */
static int send_part(sandbox_out_t *out, const sandbox_rule_t *rule)
{
    request_rec *r = out->call->r;
    apr_off_t sent = rule->after < 0 ? 0 : rule->after < out->total ? rule->after : out->total;
    apr_bucket *stop;

    if (apr_brigade_partition(out->bb, sent, &stop) != APR_SUCCESS) stop = APR_BRIGADE_SENTINEL(out->bb);
    while (stop != APR_BRIGADE_SENTINEL(out->bb)) {
        apr_bucket *next = APR_BUCKET_NEXT(stop);

        apr_bucket_delete(stop);
        stop = next;
    }
    cut_length(r, rule->length, out->total, sent);
    sandbox_log_end(out->call, r->status, sent);
    if (strcmp(rule->length, "wrong") == 0) {
        APR_BRIGADE_INSERT_TAIL(out->bb, apr_bucket_eos_create(out->bb->bucket_alloc));
        ap_pass_brigade(r->output_filters, out->bb);
        return OK;
    }
    if (rule->after >= 0) pass_flush(r, out->bb);
    if (rule->act == SANDBOX_DO_STALL) sandbox_sleep(r, rule->ms);
    hang_up(r);
    return OK;
}

static void spoil(sandbox_out_t *out)
{
    apr_brigade_cleanup(out->bb);
    out->total = 0;
    p2p_buf_puts(&out->buf, "{\"resourceType\":\"Bundle\",\"type\":\"searchset\",\"entry\":[<html>it works</html>]}");
    flush(out);
}

int sandbox_out_send(sandbox_out_t *out, int status, const char *content_type)
{
    request_rec *r = out->call->r;
    const sandbox_rule_t *part = sandbox_fired(out->call, SANDBOX_DO_CUT);

    flush(out);
    r->status = status;
    ap_set_content_type(r, content_type);
    if (sandbox_fired(out->call, SANDBOX_DO_NOT_JSON)) spoil(out);
    if (!part) part = sandbox_fired(out->call, SANDBOX_DO_STALL);
    if (part) return send_part(out, part);
    ap_set_content_length(r, out->total);
    sandbox_log_end(out->call, status, out->total);
    APR_BRIGADE_INSERT_TAIL(out->bb, apr_bucket_eos_create(out->bb->bucket_alloc));
    ap_pass_brigade(r->output_filters, out->bb);
    return OK;
}

int sandbox_hang_up(sandbox_call_t *call)
{
    sandbox_log_end(call, 0, 0);
    hang_up(call->r);
    return OK;
}

int sandbox_text(sandbox_call_t *call, int status, const char *content_type, const char *text)
{
    sandbox_out_t out;

    sandbox_out_init(&out, call, strlen(text) + 1);
    p2p_buf_puts(&out.buf, text);
    return sandbox_out_send(&out, status, content_type);
}

static const char *issue_code(int status)
{
    switch (status) {
    case HTTP_NOT_FOUND: return "not-found";
    case HTTP_GONE: return "deleted";
    case HTTP_UNAUTHORIZED: return "login";
    case HTTP_CONFLICT: return "conflict";
    case HTTP_REQUEST_ENTITY_TOO_LARGE: return "too-long";
    case 429: return "throttled";
    default: return status >= 500 ? "exception" : "processing";
    }
}

void sandbox_outcome_text(p2p_buf_t *buf, int status, const char *diagnostics)
{
    p2p_buf_printf(buf, "{\"resourceType\":\"OperationOutcome\",\"issue\":[{\"severity\":\"error\",\"code\":\"%s\","
                   "\"diagnostics\":", issue_code(status));
    p2p_buf_json(buf, diagnostics, strlen(diagnostics));
    p2p_buf_puts(buf, "}]}");
}

int sandbox_outcome(sandbox_call_t *call, int status, const char *diagnostics)
{
    sandbox_out_t out;

    sandbox_out_init(&out, call, 512);
    sandbox_outcome_text(&out.buf, status, diagnostics);
    return sandbox_out_send(&out, status, SANDBOX_FHIR_JSON);
}

/* Adds a brigade's data to buf; 1 at the end, 0 for more, or a status. */
static int take_brigade(apr_bucket_brigade *bb, p2p_buf_t *buf)
{
    for (apr_bucket *b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb); b = APR_BUCKET_NEXT(b)) {
        const char *data;
        apr_size_t len;

        if (APR_BUCKET_IS_EOS(b)) return 1;
        if (APR_BUCKET_IS_METADATA(b)) continue;
        if (apr_bucket_read(b, &data, &len, APR_BLOCK_READ) != APR_SUCCESS) return HTTP_BAD_REQUEST;
        p2p_buf_add(buf, data, len);
        if (buf->overflow) return HTTP_REQUEST_ENTITY_TOO_LARGE;
    }
    return 0;
}

int sandbox_body(sandbox_call_t *call, apr_size_t limit, sandbox_str_t *body)
{
    request_rec *r = call->r;
    const char *length = apr_table_get(r->headers_in, "Content-Length");
    p2p_buf_t *buf = apr_palloc(r->pool, sizeof(*buf));
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    apr_int64_t expected = length ? apr_atoi64(length) : 0;
    int state = 0;

    p2p_buf_init(buf, limit ? limit : (apr_size_t)1 << 31);
    apr_pool_cleanup_register(r->pool, buf, free_buf, apr_pool_cleanup_null);
    if (expected > 0 && expected < (1 << 28)) p2p_buf_reserve(buf, (apr_size_t)expected + 1);
    buf->overflow = 0;
    while (!state) {
        apr_status_t rv = ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES, APR_BLOCK_READ, 1 << 17);

        state = rv == APR_SUCCESS ? take_brigade(bb, buf) : ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
        apr_brigade_cleanup(bb);
    }
    call->bytes_in = (apr_off_t)buf->len;
    *body = (sandbox_str_t){buf->data ? buf->data : "", buf->len};
    return state == 1 ? 0 : state;
}
