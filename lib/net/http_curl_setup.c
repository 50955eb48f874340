/* SPDX-License-Identifier: Apache-2.0 */
/* One transfer as libcurl sees it: its options and its callbacks. */
#include <apr_cstr.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <string.h>
#include "net/http_curl_loop.h"

#define READ_BUFFER (16 * 1024L) /* TLS comes in records of 16 KiB */
#define UPLOAD_BUFFER (64 * 1024L)

static int end_it(p2p_http_transfer_t *t, p2p_error_kind_t kind, const char *code, const char *sentence)
{
    if (!t->error) t->error = p2p_error_make(t->pool, kind, code, sentence, t->peer);
    return 0;
}

/* Hands decoded bytes out. */
static p2p_http_flow_t hand_out(void *baton, const char *bytes, apr_size_t len)
{
    p2p_http_transfer_t *t = baton;
    p2p_http_flow_t flow = P2P_HTTP_GO;

    t->received += len;
    if (t->request.max_bytes && t->received > t->request.max_bytes) {
        end_it(t, P2P_E_INVALID, "too-large", "%s sent a longer answer than is accepted.");
        return P2P_HTTP_STOP;
    }
    if (t->request.data) flow = t->request.data(t->request.baton, bytes, len);
    if (flow == P2P_HTTP_STOP) end_it(t, P2P_E_CONFLICT, "stopped", "The request to %s was stopped by this program.");
    if (flow == P2P_HTTP_PAUSE) t->paused = t->was_paused = 1;
    return t->gone ? P2P_HTTP_STOP : flow;
}

static size_t broken(p2p_http_transfer_t *t)
{
    end_it(t, P2P_E_UNAVAILABLE, "cut-short", "%s sent an answer that cannot be decompressed, or not to its end.");
    return CURL_WRITEFUNC_ERROR;
}

/* libcurl allows the call from its callback, and so takes nothing more from the connection. */
static size_t taken_and_paused(p2p_http_transfer_t *t, size_t len)
{
    return curl_easy_pause(t->easy, CURLPAUSE_RECV) == CURLE_OK ? len : CURL_WRITEFUNC_ERROR;
}

/* What is not inflated yet stays with libcurl, which gives the same bytes again: memory is a function of what is read at a time, not
 * of what it stands for. (libcurl's own decompression goes on while paused: 16 KiB may become 16 MiB at each pause.) */
static size_t gunzip(p2p_http_transfer_t *t, const char *bytes, size_t len)
{
    switch (p2p_gunzip_feed(t->gunzip, bytes, len, hand_out, t)) {
    case P2P_GUNZIP_TAKEN: return len;
    case P2P_GUNZIP_TAKEN_AND_PAUSED: return taken_and_paused(t, len);
    case P2P_GUNZIP_PAUSED: return CURL_WRITEFUNC_PAUSE;
    case P2P_GUNZIP_STOPPED: break;
    case P2P_GUNZIP_BROKEN: return broken(t);
    }
    return CURL_WRITEFUNC_ERROR;
}

static size_t on_body(char *bytes, size_t one, size_t len, void *baton)
{
    p2p_http_transfer_t *t = baton;

    (void)one; /* always 1 */
    if (t->gone) return CURL_WRITEFUNC_ERROR;
    if (t->paused) return CURL_WRITEFUNC_PAUSE;
    if (t->gunzip) return gunzip(t, bytes, len);
    switch (hand_out(t, bytes, len)) {
    case P2P_HTTP_GO: return len;
    case P2P_HTTP_PAUSE: return taken_and_paused(t, len);
    case P2P_HTTP_STOP: break;
    }
    return CURL_WRITEFUNC_ERROR;
}

/* "HTTP/1.1 200 OK" begins a head; one of 1xx is followed by another. */
static void begin_head(p2p_http_transfer_t *t, const char *line, apr_size_t len)
{
    const char *space = memchr(line, ' ', len);

    apr_table_clear(t->head.fields);
    t->head.status = 0;
    if (space && line + len - space > 3 && apr_isdigit(space[1]) && apr_isdigit(space[2]) && apr_isdigit(space[3]))
        t->head.status = (space[1] - '0') * 100 + (space[2] - '0') * 10 + (space[3] - '0');
}

static void add_field(p2p_http_transfer_t *t, const char *line, apr_size_t len)
{
    const char *colon = memchr(line, ':', len), *value;

    if (!colon) return;
    value = colon + 1;
    while (value < line + len && (*value == ' ' || *value == '\t')) value++;
    while (len && apr_isspace(line[len - 1])) len--;
    apr_table_addn(t->head.fields, apr_pstrmemdup(t->pool, line, (apr_size_t)(colon - line)),
                   line + len > value ? apr_pstrmemdup(t->pool, value, (apr_size_t)(line + len - value)) : "");
}

/* In the form it came in, or as gzip where that was offered. */
static int is_readable(p2p_http_transfer_t *t)
{
    const char *coding = t->request.gzip ? apr_table_get(t->head.fields, "Content-Encoding") : NULL;

    if (!coding || !*coding || !apr_cstr_casecmp(coding, "identity")) return 1;
    if (apr_cstr_casecmp(coding, "gzip") && apr_cstr_casecmp(coding, "x-gzip")) return 0;
    t->gunzip = p2p_gunzip_make();
    return t->gunzip != NULL;
}

static size_t on_head_line(char *line, size_t one, size_t len, void *baton)
{
    p2p_http_transfer_t *t = baton;

    (void)one;
    if (t->gone) return CURL_WRITEFUNC_ERROR;
    t->head_bytes += len;
    if (t->head_bytes > P2P_CURL_HEAD_BYTES)
        return end_it(t, P2P_E_INVALID, "too-large", "%s sent more header fields than are accepted."),
               CURL_WRITEFUNC_ERROR;
    if (t->head_done) return len; /* trailers */
    if (len > 5 && !memcmp(line, "HTTP/", 5)) {
        begin_head(t, line, len);
    } else if (len > 2) {
        add_field(t, line, len);
    } else if (t->head.status >= 200) {
        t->head_done = 1;
        if (!is_readable(t)) return broken(t);
        if (t->request.head) t->request.head(t->request.baton, &t->head);
    }
    return t->gone ? CURL_WRITEFUNC_ERROR : len;
}

static size_t on_read(char *out, size_t one, size_t room, void *baton)
{
    p2p_http_transfer_t *t = baton;
    apr_size_t n;

    (void)one;
    if (t->gone) return CURL_READFUNC_ABORT;
    if (t->sent >= t->body.length) return 0;
    if (room > t->body.length - t->sent) room = (size_t)(t->body.length - t->sent);
    n = t->body.read(t->body.baton, t->sent, out, room);
    if (t->gone || n == 0 || n > room) return CURL_READFUNC_ABORT;
    t->sent += n;
    return n;
}

static int on_seek(void *baton, curl_off_t offset, int origin)
{
    p2p_http_transfer_t *t = baton;

    if (t->gone || origin != SEEK_SET || offset < 0) return CURL_SEEKFUNC_FAIL;
    t->sent = (apr_uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

#define SET(option, value)                                             \
    do {                                                               \
        CURLcode set_ = curl_easy_setopt(t->easy, option, value);      \
        if (set_ != CURLE_OK) return set_;                             \
    } while (0)

/* Whatever the environment or a peer may say, a transfer goes where its URL says and nowhere else. */
static CURLcode set_connection(p2p_http_transfer_t *t)
{
    SET(CURLOPT_URL, t->request.url);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_CONNECTTIMEOUT, (long)P2P_CURL_CONNECT_SECONDS);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    SET(CURLOPT_BUFFERSIZE, READ_BUFFER);
    SET(CURLOPT_PRIVATE, &t->owner);
    SET(CURLOPT_ERRORBUFFER, t->curl_said);
    SET(CURLOPT_FRESH_CONNECT, t->request.once ? 1L : 0L);
    SET(CURLOPT_FORBID_REUSE, t->request.once ? 1L : 0L);
    return CURLE_OK;
}

static struct curl_blob blob_of(const char *text)
{
    struct curl_blob blob = {(void *)(apr_uintptr_t)text, strlen(text), CURL_BLOB_COPY};

    return blob;
}

/* Without a CA folder libcurl keeps the trusted certificates parsed between connections. */
static CURLcode set_tls(p2p_http_transfer_t *t)
{
    const p2p_http_auth_t *auth = &t->auth;

    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_CAPATH, NULL);
    if (t->loop->settings.ca_file) SET(CURLOPT_CAINFO, t->loop->settings.ca_file);
    if (auth->cert_pem && auth->key_pem) {
        struct curl_blob cert = blob_of(auth->cert_pem), key = blob_of(auth->key_pem);
        SET(CURLOPT_SSLCERTTYPE, "PEM");
        SET(CURLOPT_SSLKEYTYPE, "PEM");
        SET(CURLOPT_SSLCERT_BLOB, &cert);
        SET(CURLOPT_SSLKEY_BLOB, &key);
    }
    return CURLE_OK;
}

static CURLcode set_credentials(p2p_http_transfer_t *t)
{
    if (t->auth.bearer) {
        SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        SET(CURLOPT_XOAUTH2_BEARER, t->auth.bearer);
    } else if (t->auth.basic) {
        SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        SET(CURLOPT_USERPWD, t->auth.basic);
    }
    return CURLE_OK;
}

static CURLcode add_line(p2p_http_transfer_t *t, const char *line)
{
    struct curl_slist *longer = curl_slist_append(t->fields, line);

    if (!longer) return CURLE_OUT_OF_MEMORY;
    t->fields = longer;
    return CURLE_OK;
}

static CURLcode set_fields(p2p_http_transfer_t *t)
{
    const apr_array_header_t *fields = t->request.fields;
    CURLcode code = t->request.body ? add_line(t, "Expect:") : CURLE_OK;

    if (code == CURLE_OK && t->request.gzip) code = add_line(t, "Accept-Encoding: gzip");
    for (int i = 0; code == CURLE_OK && fields && i < fields->nelts; i++)
        code = add_line(t, APR_ARRAY_IDX(fields, i, const char *));
    if (code != CURLE_OK) return code;
    if (t->fields) SET(CURLOPT_HTTPHEADER, t->fields);
    if (t->loop->settings.user_agent) SET(CURLOPT_USERAGENT, t->loop->settings.user_agent);
    return CURLE_OK;
}

/* Every body goes as an upload: then libcurl adds no Content-Type of its own. */
static CURLcode set_method(p2p_http_transfer_t *t)
{
    const char *method = t->request.method;

    if (t->request.body) {
        SET(CURLOPT_UPLOAD, 1L);
        SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)t->body.length);
        SET(CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER);
        SET(CURLOPT_READFUNCTION, on_read);
        SET(CURLOPT_READDATA, t);
        SET(CURLOPT_SEEKFUNCTION, on_seek);
        SET(CURLOPT_SEEKDATA, t);
        if (strcmp(method, "PUT")) SET(CURLOPT_CUSTOMREQUEST, method);
    } else if (!strcmp(method, "HEAD")) {
        SET(CURLOPT_NOBODY, 1L);
    } else if (strcmp(method, "GET")) {
        SET(CURLOPT_CUSTOMREQUEST, method);
    }
    return CURLE_OK;
}

static CURLcode set_callbacks(p2p_http_transfer_t *t)
{
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_HEADERFUNCTION, on_head_line);
    SET(CURLOPT_HEADERDATA, t);
    return CURLE_OK;
}

CURLcode p2p_curl_setup(p2p_http_transfer_t *t)
{
    static CURLcode (*const steps[])(p2p_http_transfer_t *t) = {
        set_connection, set_tls, set_credentials, set_fields, set_method, set_callbacks,
    };
    CURLcode code = CURLE_OK;

    t->easy = t->loop->idle_count ? t->loop->idle[--t->loop->idle_count] : curl_easy_init();
    if (!t->easy) return CURLE_OUT_OF_MEMORY;
    for (apr_size_t i = 0; code == CURLE_OK && i < sizeof steps / sizeof *steps; i++) code = steps[i](t);
    return code;
}
