/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at requests of the source role. The form of a POST search is copied as it passes to the server behind; whether it asks for Provenance is
 * decided when the answer comes. */
#include "inject_request.h"

#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <util_filter.h>
#include <apr_strings.h>

#include "base/buf.h"
#include "fhir/injection_request.h"
#include "inject_cache.h"
#include "mod_p2p.h"

#define FILTER "P2P_PROVENANCE_FORM"

struct p2p_inject_request_t {
    p2p_inject_asked_t asked; /* UNKNOWN: the form tells */
    p2p_buf_t form;
    int failed; /* the form cannot be read */
};

static p2p_injection_request_t describe(const request_rec *r)
{
    return (p2p_injection_request_t){ .post = r->method_number == M_POST, .path = r->uri, .query = r->args,
                                      .content_type = apr_table_get(r->headers_in, "Content-Type") };
}

static p2p_inject_asked_t judge_url(request_rec *r)
{
    p2p_injection_request_t request = describe(r);

    if (request.post) return p2p_injection_needs_body(&request) ? P2P_INJECT_UNKNOWN : P2P_INJECT_NO;
    return p2p_injection_asked(r->pool, &request) || p2p_inject_cache_has(r) ? P2P_INJECT_YES : P2P_INJECT_NO;
}

static apr_status_t drop_form(void *data)
{
    p2p_buf_free(&((p2p_inject_request_t *)data)->form);
    return APR_SUCCESS;
}

static void take_conditions(apr_table_t *headers)
{
    static const char *const names[] = { "Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since" };

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) apr_table_unset(headers, names[i]);
}

int p2p_inject_fixups(request_rec *r)
{
    const p2p_inject_dir_t *settings = &p2p_dir(r)->inject;
    p2p_inject_request_t *request;
    p2p_inject_asked_t asked;

    if (settings->on != 1 || !settings->who || !ap_is_initial_req(r)) return DECLINED;
    if (r->method_number != M_GET && r->method_number != M_POST) return DECLINED;
    asked = judge_url(r);
    if (asked == P2P_INJECT_NO) return DECLINED;
    request = apr_pcalloc(r->pool, sizeof *request);
    request->asked = asked;
    p2p_buf_init(&request->form, P2P_INJECT_FORM_MAX);
    apr_pool_cleanup_register(r->pool, request, drop_form, apr_pool_cleanup_null);
    p2p_state(r)->inject = request;
    take_conditions(r->headers_in);
    return DECLINED;
}

p2p_inject_request_t *p2p_inject_request(request_rec *r)
{
    p2p_state_t *state = ap_get_module_config(r->request_config, &p2p_module);

    return state ? state->inject : NULL;
}

/* ---- The form ---- */

static void note(p2p_inject_request_t *request, apr_bucket_brigade *bb)
{
    const char *data;
    apr_size_t len;

    for (apr_bucket *e = APR_BRIGADE_FIRST(bb); e != APR_BRIGADE_SENTINEL(bb) && !request->failed; e = APR_BUCKET_NEXT(e)) {
        if (APR_BUCKET_IS_METADATA(e)) continue;
        if (apr_bucket_read(e, &data, &len, APR_BLOCK_READ)) request->failed = 1;
        else p2p_buf_add(&request->form, data, len);
        if (request->form.overflow) request->failed = 1;
    }
}

static apr_status_t watch(ap_filter_t *f, apr_bucket_brigade *bb, ap_input_mode_t mode, apr_read_type_e block, apr_off_t readbytes)
{
    p2p_inject_request_t *request = f->ctx;
    apr_status_t rv = ap_get_brigade(f->next, bb, mode, block, readbytes);

    if (!rv && mode != AP_MODE_SPECULATIVE && mode != AP_MODE_INIT) note(request, bb);
    return rv;
}

void p2p_inject_watch(request_rec *r)
{
    p2p_inject_request_t *request = p2p_inject_request(r);

    if (!request || request->asked != P2P_INJECT_UNKNOWN) return;
    if (apr_table_get(r->headers_in, "Content-Encoding")) request->failed = 1;
    else ap_add_input_filter(FILTER, request, r, r->connection);
}

p2p_inject_asked_t p2p_inject_asked(request_rec *r)
{
    p2p_inject_request_t *state = p2p_inject_request(r);
    p2p_injection_request_t request = describe(r);

    if (state->asked != P2P_INJECT_UNKNOWN || state->failed) return state->asked;
    request.body = state->form.data;
    request.len = state->form.len;
    state->asked = p2p_injection_asked(r->pool, &request) ? P2P_INJECT_YES : P2P_INJECT_NO;
    p2p_buf_free(&state->form);
    return state->asked;
}

/* ---- What the server behind sees ---- */

int p2p_inject_inflates(void)
{
    return ap_get_output_filter_handle("INFLATE") != NULL;
}

/* Does one part of Accept-Encoding take gzip, that is, without a q of 0? */
static int takes_gzip(char *part)
{
    char *q = strchr(part, ';');

    if (q) *q++ = '\0';
    apr_collapse_spaces(part, part);
    if (ap_cstr_casecmp(part, "gzip") && ap_cstr_casecmp(part, "x-gzip") && strcmp(part, "*")) return 0;
    if (!q) return 1;
    apr_collapse_spaces(q, q);
    return ap_cstr_casecmpn(q, "q=", 2) || strpbrk(q + 2, "123456789") != NULL;
}

static int accepts_gzip(request_rec *r)
{
    const char *accepted = apr_table_get(r->headers_in, "Accept-Encoding");
    char *state, *part;

    if (!accepted) return 0;
    for (part = apr_strtok(apr_pstrdup(r->pool, accepted), ",", &state); part; part = apr_strtok(NULL, ",", &state)) {
        if (takes_gzip(part)) return 1;
    }
    return 0;
}

int p2p_inject_proxy_fixups(request_rec *r)
{
    if (!p2p_inject_request(r)) return DECLINED;
    apr_table_setn(r->headers_in, "Accept-Encoding", p2p_inject_inflates() && accepts_gzip(r) ? "gzip" : "identity");
    return OK;
}

void p2p_inject_request_register(void)
{
    ap_register_input_filter(FILTER, watch, NULL, AP_FTYPE_RESOURCE);
}
