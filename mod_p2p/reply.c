/* SPDX-License-Identifier: Apache-2.0 */
/* Writing JSON answers. */
#include "reply.h"

#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <util_filter.h>
#include <apr_escape.h>
#include <apr_sha1.h>
#include <apr_strings.h>

#include "cors.h"

void p2p_reply_headers(request_rec *r)
{
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    apr_table_setn(r->headers_out, "X-Frame-Options", "DENY");
    apr_table_setn(r->headers_out, "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
    apr_table_setn(r->headers_out, "Referrer-Policy", "no-referrer");
    apr_table_setn(r->headers_out, "Cross-Origin-Resource-Policy", "same-origin"); /* CORS has a say of its own, and is not touched */
    if (!strcmp(ap_http_scheme(r), "https")) apr_table_setn(r->headers_out, "Strict-Transport-Security", "max-age=31536000");
    p2p_cors_headers(r);
}

int p2p_reply(request_rec *r, int status, json_object *doc, const char *etag)
{
    apr_size_t len;
    const char *text = p2p_json_print(r->pool, doc, &len);

    return p2p_reply_text(r, status, text, len, etag);
}

static int send_text(request_rec *r, const char *text, apr_size_t len)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);

    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_pool_create(text, len, r->pool, bb->bucket_alloc));
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(bb->bucket_alloc));
    ap_pass_brigade(r->output_filters, bb); /* a client that is gone is httpd's matter */
    return OK;
}

int p2p_reply_text(request_rec *r, int status, const char *text, apr_size_t len, const char *etag)
{
    p2p_reply_headers(r);
    return p2p_reply_bytes(r, status, "application/json", text, len, etag);
}

int p2p_reply_bytes(request_rec *r, int status, const char *type, const char *bytes, apr_size_t len, const char *etag)
{
    int answer;

    if (etag) apr_table_setn(r->headers_out, "ETag", etag);
    if (r->method_number == M_GET) {
        answer = ap_meets_conditions(r);
        if (answer != OK) return answer;
    }
    r->status = status;
    ap_set_content_type(r, type);
    ap_set_content_length(r, (apr_off_t)len);
    return send_text(r, bytes, len);
}

int p2p_reply_as(request_rec *r, int status, const char *type, const char *text)
{
    p2p_reply_headers(r);
    r->status = status;
    ap_set_content_type(r, type);
    ap_set_content_length(r, (apr_off_t)strlen(text));
    return send_text(r, text, strlen(text));
}

const char *p2p_etag_version(apr_pool_t *p, apr_int64_t version)
{
    return apr_psprintf(p, "\"%" APR_INT64_T_FMT "\"", version);
}

const char *p2p_etag_doc(apr_pool_t *p, json_object *doc)
{
    unsigned char digest[APR_SHA1_DIGESTSIZE];
    apr_sha1_ctx_t sha1;
    apr_size_t len;
    const char *text = p2p_json_print(p, doc, &len);

    apr_sha1_init(&sha1);
    apr_sha1_update(&sha1, text, (unsigned)len);
    apr_sha1_final(digest, &sha1);
    return apr_pstrcat(p, "\"", apr_pescape_hex(p, digest, 8, 0), "\"", NULL);
}

p2p_if_match_t p2p_if_match(request_rec *r, apr_int64_t version)
{
    const char *wanted = apr_table_get(r->headers_in, "If-Match");

    if (!wanted || !strcmp(wanted, "*")) return P2P_MATCH_ANY;
    return ap_find_etag_strong(r->pool, wanted, p2p_etag_version(r->pool, version)) ? P2P_MATCH_EXACT : P2P_MATCH_STALE;
}
