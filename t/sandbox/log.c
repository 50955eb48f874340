/* SPDX-License-Identifier: Apache-2.0 */
/* The payer's record of requests: counters, how many at a time, and one line each (no bodies, no tokens). */
#include "sandbox.h"

#define LOG_LINES 50000

typedef struct sandbox_line_t {
    char *text; /* what was known at the begin: a JSON object without its end */
    int status; /* -1: under way */
    apr_int64_t at, us; /* since the log began; how long it took */
    apr_off_t bytes_in, bytes_out;
} sandbox_line_t;

typedef struct sandbox_log_t {
    sandbox_line_t *lines;
    apr_int64_t first; /* number of the first line; none repeats: a late end finds its own line or none */
    apr_int64_t count, gets, writes, tokens, in_flight, max, gets_in_flight, gets_max, writes_in_flight,
        writes_max;
    apr_int64_t statuses[600];
    apr_off_t bytes_in, bytes_out;
    apr_time_t since;
} sandbox_log_t;

void sandbox_log_make(sandbox_payer_t *payer, apr_pool_t *pool)
{
    payer->log = apr_pcalloc(pool, sizeof(*payer->log));
    payer->log->lines = apr_pcalloc(pool, sizeof(*payer->log->lines) * LOG_LINES);
    payer->log->since = apr_time_now();
}

static void put_header(p2p_buf_t *buf, request_rec *r, const char *member, const char *name)
{
    const char *value = apr_table_get(r->headers_in, name);

    if (!value) return;
    p2p_buf_printf(buf, ",\"%s\":", member);
    p2p_buf_json(buf, value, strlen(value));
}

static char *begin_line(sandbox_call_t *call)
{
    request_rec *r = call->r;
    const char *auth = apr_table_get(r->headers_in, "Authorization");
    p2p_buf_t buf;

    p2p_buf_init(&buf, 1 << 20);
    p2p_buf_printf(&buf, "{\"method\":\"%s\",\"url\":", r->method);
    p2p_buf_json(&buf, r->unparsed_uri, strlen(r->unparsed_uri));
    p2p_buf_printf(&buf, ",\"connection\":%d,\"protocol\":\"%s\",\"auth\":\"%.*s\"",
                   r->connection->client_addr->port, r->protocol,
                   auth ? (int)strcspn(auth, " ") : 4, auth ? auth : "none");
    put_header(&buf, r, "accept", "Accept");
    put_header(&buf, r, "acceptEncoding", "Accept-Encoding");
    put_header(&buf, r, "contentType", "Content-Type");
    put_header(&buf, r, "ifMatch", "If-Match");
    put_header(&buf, r, "ifNoneExist", "If-None-Exist");
    return buf.data;
}

static int is_get(const sandbox_call_t *call)
{
    return call->r->method_number == M_GET;
}

static void up(apr_int64_t *now, apr_int64_t *max)
{
    if (++*now > *max) *max = *now;
}

void sandbox_log_begin(sandbox_call_t *call)
{
    sandbox_log_t *log = call->payer->log;
    char *text = begin_line(call);

    call->begun = apr_time_now();
    apr_thread_mutex_lock(call->payer->mutex);
    call->log_number = log->first + log->count++;
    if (log->count <= LOG_LINES) {
        log->lines[log->count - 1] = (sandbox_line_t){.text = text, .status = -1, .at = call->begun - log->since};
        text = NULL;
    }
    up(&log->in_flight, &log->max);
    if (is_get(call)) log->gets++, up(&log->gets_in_flight, &log->gets_max);
    else log->writes++, up(&log->writes_in_flight, &log->writes_max);
    apr_thread_mutex_unlock(call->payer->mutex);
    free(text);
}

void sandbox_log_end(sandbox_call_t *call, int status, apr_off_t bytes_out)
{
    sandbox_log_t *log = call->payer->log;
    apr_int64_t at;

    if (call->logged) return;
    call->logged = 1;
    apr_thread_mutex_lock(call->payer->mutex);
    log->in_flight--;
    if (is_get(call)) log->gets_in_flight--;
    else log->writes_in_flight--;
    at = call->log_number - log->first;
    if (at >= 0) {
        if (status >= 0 && status < 600) log->statuses[status]++;
        log->bytes_in += call->bytes_in;
        log->bytes_out += bytes_out;
    }
    if (at >= 0 && at < LOG_LINES) {
        log->lines[at].status = status;
        log->lines[at].us = apr_time_now() - call->begun;
        log->lines[at].bytes_in = call->bytes_in;
        log->lines[at].bytes_out = bytes_out;
    }
    apr_thread_mutex_unlock(call->payer->mutex);
}

static void show_counts(const sandbox_log_t *log, p2p_buf_t *buf)
{
    int first = 1;

    p2p_buf_printf(buf, "{\"total\":%" APR_INT64_T_FMT ",\"gets\":%" APR_INT64_T_FMT ",\"writes\":%" APR_INT64_T_FMT
                   ",\"inFlight\":%" APR_INT64_T_FMT ",\"inFlightMax\":%" APR_INT64_T_FMT, log->count,
                   log->gets, log->writes,
                   log->in_flight, log->max);
    p2p_buf_printf(buf, ",\"getsInFlightMax\":%" APR_INT64_T_FMT ",\"writesInFlightMax\":%" APR_INT64_T_FMT
                   ",\"bytesIn\":%" APR_OFF_T_FMT ",\"bytesOut\":%" APR_OFF_T_FMT ",\"statuses\":{",
                   log->gets_max,
                   log->writes_max, log->bytes_in, log->bytes_out);
    for (int i = 0; i < 600; i++) {
        if (!log->statuses[i]) continue;
        p2p_buf_printf(buf, "%s\"%d\":%" APR_INT64_T_FMT, first ? "" : ",", i, log->statuses[i]);
        first = 0;
    }
    p2p_buf_puts(buf, "},\"log\":[");
}

void sandbox_log_show(sandbox_payer_t *payer, p2p_buf_t *buf)
{
    sandbox_log_t *log = payer->log;

    apr_thread_mutex_lock(payer->mutex);
    show_counts(log, buf);
    for (apr_int64_t i = 0; i < log->count && i < LOG_LINES; i++) {
        const sandbox_line_t *line = &log->lines[i];

        p2p_buf_puts(buf, i ? ",\n" : "\n");
        p2p_buf_puts(buf, line->text);
        p2p_buf_printf(buf, ",\"status\":%d,\"at\":%" APR_INT64_T_FMT ",\"us\":%" APR_INT64_T_FMT ",\"bytesIn\":%" APR_OFF_T_FMT
                       ",\"bytesOut\":%" APR_OFF_T_FMT "}", line->status, line->at, line->us, line->bytes_in, line->bytes_out);
    }
    apr_thread_mutex_unlock(payer->mutex);
    p2p_buf_puts(buf, "]}");
}

void sandbox_log_clear(sandbox_payer_t *payer)
{
    sandbox_log_t *log = payer->log, kept;

    apr_thread_mutex_lock(payer->mutex);
    for (apr_int64_t i = 0; i < log->count && i < LOG_LINES; i++) free(log->lines[i].text);
    kept = *log;
    memset(log, 0, sizeof(*log));
    log->lines = kept.lines;
    log->first = kept.first + kept.count;
    log->in_flight = log->max = kept.in_flight;
    log->gets_in_flight = log->gets_max = kept.gets_in_flight;
    log->writes_in_flight = log->writes_max = kept.writes_in_flight;
    log->since = apr_time_now();
    apr_thread_mutex_unlock(payer->mutex);
}
