/* SPDX-License-Identifier: Apache-2.0 */
/* Discovery of a token endpoint. */
#include "oidc/token_endpoint.h"
#include <apr_strings.h>
#include <string.h>
#include "base/uri.h"
#include "oidc/discovery.h"
#include "oidc/token_answer.h"

struct p2p_token_endpoint_t {
    apr_pool_t *pool, *scratch; /* scratch: of one search */
    p2p_http_t *http;
    const p2p_oidc_server_t *server;
    const char *found;
    p2p_client_method_t method;
    const char *document; /* the URL being asked */
    int is_last;          /* there is no other document to ask */
    p2p_http_transfer_t *transfer;
    p2p_token_endpoint_fn fn;
    void *baton;
};

p2p_token_endpoint_t *p2p_token_endpoint_make(apr_pool_t *p, p2p_http_t *http, const p2p_oidc_server_t *server)
{
    p2p_token_endpoint_t *e = apr_pcalloc(p, sizeof *e);

    e->pool = p;
    apr_pool_create(&e->scratch, p);
    e->http = http;
    e->server = server;
    if (*server->token_endpoint) e->found = server->token_endpoint;
    return e;
}

const char *p2p_token_endpoint_known(const p2p_token_endpoint_t *e)
{
    return e->found;
}

p2p_client_method_t p2p_token_endpoint_method(const p2p_token_endpoint_t *e)
{
    return e->method;
}

void p2p_token_endpoint_set_method(p2p_token_endpoint_t *e, p2p_client_method_t method)
{
    e->method = method;
}

void p2p_token_endpoint_forget(p2p_token_endpoint_t *e)
{
    e->found = *e->server->token_endpoint ? e->server->token_endpoint : NULL;
}

static void ask(p2p_token_endpoint_t *e);

static p2p_error_t *read_document(p2p_token_endpoint_t *e, int status, const char *body, apr_size_t len)
{
    apr_pool_t *p = e->scratch;
    const char *shown = p2p_uri_public(p, e->document, e->document);
    p2p_discovery_t discovery;

    if (status >= 500 || status == 429)
        return p2p_error_make(p, P2P_E_UNAVAILABLE, "token-endpoint-unreachable",
                              "%s, which tells the token endpoint, has trouble (%d).", shown, status);
    if (status != 200 || p2p_discovery_read(p, e->document, body, len, &discovery) || !*discovery.token_endpoint)
        return p2p_error_make(p, P2P_E_INVALID, "token-answer-unusable",
                              "%s names no token endpoint that can be used (status %d). Set the definition's token URL.",
                              shown, status);
    e->found = apr_pstrdup(e->pool, discovery.token_endpoint);
    e->method = discovery.method;
    return NULL;
}

static void on_document(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len,
                        const p2p_error_t *error)
{
    p2p_token_endpoint_t *e = baton;
    const p2p_error_t *wrong = error;

    (void)fields;
    e->transfer = NULL;
    if (error) wrong = p2p_token_no_answer(e->scratch, error);
    if (!error) wrong = read_document(e, status, body, len);
    if (wrong && !e->is_last) {
        e->document = p2p_discovery_of_fhir(e->scratch, e->server->fhir_endpoint);
        e->is_last = 1;
        ask(e);
        return;
    }
    e->fn(e->baton, wrong);
}

static void ask(p2p_token_endpoint_t *e)
{
    apr_array_header_t *fields = apr_array_make(e->scratch, 1, sizeof(const char *));
    p2p_http_request_t request = {.method = "GET", .url = e->document, .fields = fields, .max_bytes = P2P_DISCOVERY_BYTES,
                                  .stall_timeout = apr_time_from_sec(15), .least_bytes = P2P_TOKEN_LEAST_BYTES, .gzip = 1,
                                  .connections = 64};
    p2p_error_t *error;

    APR_ARRAY_PUSH(fields, const char *) = "Accept: application/json";
    error = p2p_http_fetch(e->http, e->scratch, &request, on_document, e, &e->transfer);
    if (error) e->fn(e->baton, error);
}

void p2p_token_endpoint_find(p2p_token_endpoint_t *e, p2p_token_endpoint_fn fn, void *baton)
{
    e->fn = fn;
    e->baton = baton;
    apr_pool_clear(e->scratch);
    e->is_last = !*e->server->auth_well_known;
    e->document = e->is_last ? p2p_discovery_of_fhir(e->scratch, e->server->fhir_endpoint) : e->server->auth_well_known;
    ask(e);
}

void p2p_token_endpoint_cancel(p2p_token_endpoint_t *e)
{
    if (e->transfer) e->http->cancel(e->transfer);
    e->transfer = NULL;
}
