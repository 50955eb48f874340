/* SPDX-License-Identifier: Apache-2.0 */
/* What can be said about HTTP without knowing who speaks it: whole answers, and when to come again. */
#include "net/http.h"
#include <string.h>
#include <apr_date.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include "base/buf.h"

typedef struct fetch_t {
    p2p_buf_t body;
    apr_table_t *fields; /* the transfer's own; NULL until the head is there */
    p2p_http_whole_fn done;
    void (*begun)(void *baton);
    void *baton;
} fetch_t;

static void on_begun(void *baton)
{
    fetch_t *fetch = baton;

    fetch->begun(fetch->baton);
}

static void on_head(void *baton, const p2p_http_head_t *head)
{
    fetch_t *fetch = baton;

    fetch->fields = head->fields;
}

static p2p_http_flow_t on_data(void *baton, const char *bytes, apr_size_t len)
{
    fetch_t *fetch = baton;

    p2p_buf_add(&fetch->body, bytes, len);
    return fetch->body.overflow ? P2P_HTTP_STOP : P2P_HTTP_GO;
}

static void on_done(void *baton, int status, const p2p_error_t *error)
{
    fetch_t *fetch = baton;
    p2p_buf_t body = fetch->body;

    /* The callback may destroy the pool that fetch lives in: nothing of it is touched afterwards. */
    p2p_buf_init(&fetch->body, 0);
    fetch->done(fetch->baton, status, fetch->fields, body.data ? body.data : "", body.len, error);
    p2p_buf_free(&body);
}

static apr_status_t free_body(void *baton)
{
    fetch_t *fetch = baton;

    p2p_buf_free(&fetch->body);
    return APR_SUCCESS;
}

p2p_error_t *p2p_http_fetch(p2p_http_t *http, apr_pool_t *p, const p2p_http_request_t *request, p2p_http_whole_fn done,
                            void *baton, p2p_http_transfer_t **transfer)
{
    fetch_t *fetch = apr_pcalloc(p, sizeof *fetch);
    p2p_http_request_t whole = *request;

    if (!request->max_bytes)
        return p2p_error_make(p, P2P_E_INTERNAL, "no-limit", "A whole answer was asked for without a limit.");
    p2p_buf_init(&fetch->body, (apr_size_t)request->max_bytes);
    fetch->done = done;
    fetch->baton = baton;
    apr_pool_cleanup_register(p, fetch, free_body, apr_pool_cleanup_null);
    whole.baton = fetch;
    fetch->begun = request->begun;
    whole.begun = request->begun ? on_begun : NULL;
    whole.head = on_head;
    whole.data = on_data;
    whole.done = on_done;
    return p2p_http_start(http, &whole, transfer);
}

static apr_size_t read_text(void *baton, apr_uint64_t offset, char *out, apr_size_t room)
{
    const p2p_http_text_t *text = baton;
    apr_size_t left = (apr_size_t)(text->body.length - offset), n = left < room ? left : room;

    if (n) memcpy(out, text->bytes + offset, n);
    return n;
}

void p2p_http_text(p2p_http_text_t *text, const char *bytes, apr_size_t len)
{
    text->body = (p2p_http_body_t){read_text, text, len};
    text->bytes = bytes;
}

/* Seconds as digits only; more than fits counts as very many. -1 where it is something else. */
static apr_int64_t read_seconds(const char *text)
{
    apr_int64_t seconds = 0;

    if (!apr_isdigit(*text)) return -1;
    for (; apr_isdigit(*text); text++)
        if (seconds < APR_INT64_MAX / 100) seconds = seconds * 10 + (*text - '0');
    while (*text == ' ' || *text == '\t') text++;
    return *text ? -1 : seconds;
}

/* Value of a parameter like ";t=60" in a structured field; -1 where it is not there. */
static apr_int64_t read_parameter(const char *text, char name)
{
    for (; *text; text++) {
        if (text[0] == name && text[1] == '=' && apr_isdigit(text[2])) return apr_strtoi64(text + 2, NULL, 10);
        text += strcspn(text, "; ,\t");
        if (!*text) break;
    }
    return -1;
}

/* Seconds until a quota is renewed, where all of it is used: RateLimit (draft-ietf-httpapi-ratelimit-headers). -1 where that does not say. */
static apr_int64_t rate_limit(const apr_table_t *fields)
{
    const char *text = apr_table_get(fields, "RateLimit");

    return text && read_parameter(text, 'r') == 0 ? read_parameter(text, 't') : -1;
}

static apr_interval_time_t wait_for(apr_int64_t seconds, apr_interval_time_t max)
{
    if (seconds < 0) return -1;
    return seconds > apr_time_sec(max) ? max : apr_time_from_sec(seconds);
}

apr_interval_time_t p2p_http_retry_after(const apr_table_t *fields, apr_time_t now, apr_interval_time_t max)
{
    const char *text = fields ? apr_table_get(fields, "Retry-After") : NULL;
    apr_int64_t seconds;
    apr_time_t date;

    if (!text) return fields ? wait_for(rate_limit(fields), max) : -1;
    while (*text == ' ' || *text == '\t') text++;
    seconds = read_seconds(text);
    if (seconds >= 0) return wait_for(seconds, max);
    date = apr_date_parse_http(text);
    if (date == APR_DATE_BAD) return -1;
    if (date <= now) return 0;
    return date - now > max ? max : date - now;
}

int p2p_http_may_pass(int status)
{
    return status == 408 || status == 425 || status == 429 || (status >= 500 && status < 600 && status != 501 && status != 505);
}
