/* SPDX-License-Identifier: Apache-2.0 */
/* Reading request bodies, bounded. */
#include "body.h"

#include <http_protocol.h>
#include <util_filter.h>
#include <apr_strings.h>

#include "base/buf.h"
#include "mod_p2p.h"
#include "problem.h"

#define PIECE 8192

static int is_json(request_rec *r)
{
    const char *header = apr_table_get(r->headers_in, "Content-Type");
    char *type;
    apr_size_t len;

    if (!header) return 0;
    type = apr_pstrndup(r->pool, header, strcspn(header, "; \t"));
    len = strlen(type);
    ap_str_tolower(type);
    if (!strcmp(type, "application/json")) return 1;
    return len > 17 && !strncmp(type, "application/", 12) && !strcmp(type + len - 5, "+json");
}

static int too_large(request_rec *r)
{
    const char *detail = apr_psprintf(r->pool, "The request body is longer than the %" APR_INT64_T_FMT
                                      " bytes that are taken here.", p2p_config(r->server)->spec.body_limit);

    return p2p_problem(r, HTTP_REQUEST_ENTITY_TOO_LARGE, NULL, detail);
}

/* Does the request say beforehand that it is too long? */
static int says_too_large(request_rec *r)
{
    const char *length = apr_table_get(r->headers_in, "Content-Length");

    return length && apr_strtoi64(length, NULL, 10) > p2p_config(r->server)->spec.body_limit;
}

/* Adds the data of the brigade to body; *end is set at the end of the request. */
static apr_status_t take(apr_bucket_brigade *bb, p2p_buf_t *body, int *end)
{
    const char *data;
    apr_size_t len;
    apr_status_t rv;

    for (apr_bucket *b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb); b = APR_BUCKET_NEXT(b)) {
        if (APR_BUCKET_IS_EOS(b)) *end = 1;
        if (APR_BUCKET_IS_METADATA(b)) continue;
        rv = apr_bucket_read(b, &data, &len, APR_BLOCK_READ);
        if (rv) return rv;
        p2p_buf_add(body, data, len);
    }
    return APR_SUCCESS;
}

static int read_all(request_rec *r, p2p_buf_t *body)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    apr_status_t rv;
    int end = 0;

    while (!end) {
        rv = ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES, APR_BLOCK_READ, PIECE);
        if (!rv) rv = take(bb, body, &end);
        if (rv) return ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
        apr_brigade_cleanup(bb);
        if (body->overflow) return OK;
    }
    return OK;
}

static apr_status_t free_buf(void *buf)
{
    p2p_buf_free(buf);
    return APR_SUCCESS;
}

/* A buffer for the body that goes with the request. */
static p2p_buf_t *make_buf(request_rec *r)
{
    p2p_buf_t *body = apr_palloc(r->pool, sizeof *body);

    p2p_buf_init(body, (apr_size_t)p2p_config(r->server)->spec.body_limit);
    apr_pool_cleanup_register(r->pool, body, free_buf, apr_pool_cleanup_null);
    return body;
}

int p2p_body_bytes(request_rec *r, p2p_buf_t **body, int *is_cut)
{
    int answer = OK;

    *body = make_buf(r);
    *is_cut = says_too_large(r);
    if (!*is_cut) answer = read_all(r, *body);
    *is_cut |= (*body)->overflow;
    return answer;
}

static int parse(request_rec *r, const p2p_buf_t *body, json_object **doc)
{
    p2p_error_t *error = p2p_json_parse(r->pool, body->data ? body->data : "", body->len, doc);

    if (error) return p2p_problem(r, HTTP_BAD_REQUEST, error->code, error->sentence);
    if (json_object_is_type(*doc, json_type_object)) return OK;
    return p2p_problem(r, HTTP_UNPROCESSABLE_ENTITY, "not-an-object", "The body must be a JSON object.");
}

int p2p_body(request_rec *r, json_object **doc)
{
    p2p_buf_t *body;
    int answer, is_cut;

    if (!is_json(r)) return p2p_problem(r, HTTP_UNSUPPORTED_MEDIA_TYPE, NULL, NULL);
    answer = p2p_body_bytes(r, &body, &is_cut);
    if (answer == OK && is_cut) return too_large(r);
    return answer == OK ? parse(r, body, doc) : answer;
}
