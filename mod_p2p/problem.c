/* SPDX-License-Identifier: Apache-2.0 */
/* Errors as problem documents: a handler notes one, an output filter writes it in place of httpd's HTML. */
#include "problem.h"

#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <util_filter.h>
#include <apr_strings.h>

#include "base/json.h"
#include "mod_p2p.h"
#include "reply.h"

APLOG_USE_MODULE(p2p);

#define FILTER "P2P_PROBLEM"

typedef struct p2p_problem_t {
    int status;
    const char *code, *detail;
    const apr_array_header_t *errors; /* of p2p_field_error_t, or NULL */
} problem_t;

/* What httpd's own errors are called here. The last row is for any other status. */
static const problem_t known[] = {
    { HTTP_BAD_REQUEST, "bad-request", "The request is not well formed.", NULL },
    { HTTP_UNAUTHORIZED, "unauthorized", "This needs authentication: send valid credentials.", NULL },
    { HTTP_FORBIDDEN, "forbidden", "These credentials do not open this.", NULL },
    { HTTP_NOT_FOUND, "not-found", "There is nothing at this path.", NULL },
    { HTTP_METHOD_NOT_ALLOWED, "method-not-allowed", "The Allow header names what this path takes.", NULL },
    { HTTP_REQUEST_TIME_OUT, "request-timeout", "The request did not arrive in time.", NULL },
    { HTTP_PRECONDITION_FAILED, "precondition-failed", "It has changed: read it again.", NULL },
    { HTTP_REQUEST_ENTITY_TOO_LARGE, "body-too-large", "The request body is too long.", NULL },
    { HTTP_REQUEST_URI_TOO_LARGE, "uri-too-long", "The request line is too long.", NULL },
    { HTTP_UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Send the body as application/json.", NULL },
    { HTTP_TOO_MANY_REQUESTS, "too-many-requests", "This client asks too often: wait for the seconds of Retry-After.", NULL },
    { 431, "headers-too-large", "The request headers are too long.", NULL },
    { HTTP_SERVICE_UNAVAILABLE, "unavailable", "This is not available now: try again later.", NULL },
    { 0, "error", "The request failed; the server's log tells more.", NULL },
};

static const struct {
    p2p_error_kind_t kind;
    int status;
} statuses[] = {
    { P2P_E_INVALID, HTTP_UNPROCESSABLE_ENTITY }, { P2P_E_NOT_FOUND, HTTP_NOT_FOUND },
    { P2P_E_CONFLICT, HTTP_CONFLICT },            { P2P_E_UNAVAILABLE, HTTP_SERVICE_UNAVAILABLE },
    { P2P_E_REFUSED, HTTP_BAD_GATEWAY },
};

static const problem_t *known_problem(int status)
{
    const problem_t *problem = known;

    while (problem->status && problem->status != status) problem++;
    return problem;
}

int p2p_problem(request_rec *r, int status, const char *code, const char *detail)
{
    problem_t *problem = apr_pcalloc(r->pool, sizeof *problem);

    problem->status = status;
    problem->code = code ? code : known_problem(status)->code;
    problem->detail = detail ? detail : known_problem(status)->detail;
    p2p_state(r)->problem = problem;
    return status;
}

int p2p_problem_fields(request_rec *r, const apr_array_header_t *errors)
{
    p2p_problem(r, HTTP_UNPROCESSABLE_ENTITY, "invalid-fields",
                "The body breaks the rules listed in errors.");
    p2p_state(r)->problem->errors = errors;
    return HTTP_UNPROCESSABLE_ENTITY;
}

/* Without one of its keys the service does not work until somebody has seen to it; the log says how. */
static int status_of(const p2p_error_t *error)
{
    if (!strcmp(error->code, "key-missing")) return HTTP_SERVICE_UNAVAILABLE;
    for (unsigned i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        if (statuses[i].kind == error->kind) return statuses[i].status;
    }
    return HTTP_INTERNAL_SERVER_ERROR;
}

int p2p_problem_error(request_rec *r, const p2p_error_t *error)
{
    int status = status_of(error);

    if (status >= 500) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "%s (%s)", error->sentence, error->code);
    }
    if (status == HTTP_SERVICE_UNAVAILABLE) apr_table_setn(r->err_headers_out, "Retry-After", "5");
    if (error->kind == P2P_E_INTERNAL) return p2p_problem(r, status, status == HTTP_SERVICE_UNAVAILABLE ? NULL : error->code, NULL);
    return p2p_problem(r, status, error->code, error->sentence);
}

static const problem_t *problem_of(request_rec *r, int status)
{
    const problem_t *problem = p2p_state(r)->problem;

    return problem && problem->status == status ? problem : known_problem(status);
}

const char *p2p_problem_code(request_rec *r, int status)
{
    return status < 400 ? "" : problem_of(r, status)->code;
}

/* "404 Not Found" without its number. */
static const char *title_of(int status)
{
    const char *line = ap_get_status_line(status);

    return ap_strchr_c(line, ' ') ? ap_strchr_c(line, ' ') + 1 : line;
}

static void add_fields(json_object *doc, const apr_array_header_t *errors)
{
    json_object *list = json_object_new_array();

    for (int i = 0; i < errors->nelts; i++) {
        const p2p_field_error_t *error = &APR_ARRAY_IDX(errors, i, p2p_field_error_t);
        json_object *entry = json_object_new_object();

        p2p_json_add_str(entry, "pointer", error->pointer);
        p2p_json_add_str(entry, "detail", error->detail);
        json_object_array_add(list, entry);
    }
    json_object_object_add(doc, "errors", list);
}

static const char *print_problem(request_rec *r, apr_size_t *len)
{
    const problem_t *problem = problem_of(r, r->status);
    json_object *doc = p2p_json_own(r->pool, json_object_new_object());

    p2p_json_add_str(doc, "type", "about:blank");
    p2p_json_add_str(doc, "title", title_of(r->status));
    p2p_json_add_int(doc, "status", r->status);
    p2p_json_add_str(doc, "detail", problem->detail);
    p2p_json_add_str(doc, "code", problem->code);
    if (problem->errors) add_fields(doc, problem->errors);
    return p2p_json_print(r->pool, doc, len);
}

/* httpd writes Allow from what the core allows, TRACE included: the route's own list stands in its place. */
static void set_headers(request_rec *r, apr_size_t len)
{
    const char *allow = apr_table_get(r->notes, P2P_NOTE_ALLOW);

    if (allow) apr_table_setn(r->headers_out, "Allow", allow);
    p2p_reply_headers(r);
    ap_set_content_type(r, "application/problem+json");
    ap_set_content_length(r, (apr_off_t)len);
}

static apr_status_t write_problem(ap_filter_t *f, apr_bucket_brigade *bb)
{
    apr_size_t len;
    const char *text;

    apr_brigade_cleanup(bb);
    if (f->ctx) return APR_SUCCESS; /* the rest of httpd's own page */
    f->ctx = f;
    text = print_problem(f->r, &len);
    set_headers(f->r, len);
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_pool_create(text, len, f->r->pool, bb->bucket_alloc));
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(bb->bucket_alloc));
    return ap_pass_brigade(f->next, bb);
}

void p2p_problem_insert(request_rec *r)
{
    if (r->status >= 400 && p2p_dir(r)->enabled) ap_add_output_filter(FILTER, NULL, r, r->connection);
}

void p2p_problem_register(void)
{
    ap_register_output_filter(FILTER, write_problem, NULL, AP_FTYPE_CONTENT_SET);
}
