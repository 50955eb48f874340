/* SPDX-License-Identifier: Apache-2.0 */
/* What the pages are told of signing in: sign-in.json, and the scheme oauth2 in openapi.json. */
#include <httpd.h>
#include <apr_strings.h>

#include "base/buf.h"
#include "base/json.h"
#include "handlers.h"
#include "mod_p2p.h"
#include "pages.h"
#include "reply.h"
#include "sign_in.h"

#define SCHEMES "\"securitySchemes\": {"
#define BEARER "{\"bearer\": []}" /* each operation that takes a token has it among its "security" */
#define OAUTH2 "{\"oauth2\": []}, "
#define GROWTH (256 * 1024)

int p2p_handle_sign_in(request_rec *r, const p2p_match_t *match)
{
    const p2p_config_t *config = p2p_config(r->server);
    const p2p_sign_in_t *known = p2p_sign_in(r);
    json_object *doc = p2p_json_own(r->pool, json_object_new_object()), *entry = known ? json_object_new_object() : NULL;

    (void)match;
    json_object_object_add(doc, "signIn", entry);
    if (known) {
        p2p_json_add_str(entry, "issuer", config->spec.sign_in_issuer);
        p2p_json_add_str(entry, "clientId", config->sign_in_client);
        p2p_json_add_str(entry, "scopes", config->sign_in_scopes);
        p2p_json_add_str(entry, "authorizationEndpoint", known->authorization_endpoint);
        p2p_json_add_str(entry, "tokenEndpoint", known->token_endpoint);
        p2p_json_add_bool(entry, "namesIssuer", known->names_issuer);
    }
    return p2p_reply(r, HTTP_OK, doc, p2p_etag_doc(r->pool, doc));
}

static json_object *scopes_of(request_rec *r)
{
    json_object *scopes = json_object_new_object();
    const char *rest = p2p_config(r->server)->sign_in_scopes;

    while (*rest) p2p_json_add_str(scopes, ap_getword_white(r->pool, &rest), "");
    return scopes;
}

static const char *scheme_of(request_rec *r, const p2p_sign_in_t *known)
{
    json_object *doc = p2p_json_own(r->pool, json_object_new_object()), *flows = json_object_new_object(), *flow = json_object_new_object();

    p2p_json_add_str(doc, "type", "oauth2");
    p2p_json_add_str(doc, "description", apr_pstrcat(r->pool, "Signing in at ", p2p_config(r->server)->spec.sign_in_issuer,
                                                     ": authorization code with PKCE, without a secret.", NULL));
    json_object_object_add(doc, "flows", flows);
    json_object_object_add(flows, "authorizationCode", flow);
    p2p_json_add_str(flow, "authorizationUrl", known->authorization_endpoint);
    p2p_json_add_str(flow, "tokenUrl", known->token_endpoint);
    json_object_object_add(flow, "scopes", scopes_of(r));
    return apr_pstrcat(r->pool, "\"oauth2\": ", p2p_json_print(r->pool, doc, NULL), ", ", NULL);
}

/* Appends text with more before (or, where behind is set, after) each place where it says what. */
static void put_in(p2p_buf_t *out, const char *text, const char *what, const char *more, int behind)
{
    apr_size_t len = strlen(what);

    for (const char *at = strstr(text, what); at; at = strstr(text, what)) {
        p2p_buf_add(out, text, (apr_size_t)(at - text) + (behind ? len : 0));
        p2p_buf_puts(out, more);
        p2p_buf_add(out, what, behind ? 0 : len);
        text = at + len;
    }
    p2p_buf_puts(out, text);
}

const p2p_page_t *p2p_sign_in_openapi(request_rec *r, const p2p_page_t *page)
{
    const p2p_sign_in_t *known = p2p_sign_in(r);
    p2p_page_t *made;
    p2p_buf_t with_scheme, all;

    if (!known) return page;
    p2p_buf_init(&with_scheme, page->len + GROWTH);
    p2p_buf_init(&all, page->len + GROWTH);
    put_in(&with_scheme, page->bytes, SCHEMES, scheme_of(r, known), 1);
    if (!with_scheme.overflow) put_in(&all, with_scheme.data, BEARER, OAUTH2, 0);
    made = with_scheme.overflow || all.overflow ? NULL : apr_pmemdup(r->pool, page, sizeof *page);
    if (made) {
        made->bytes = apr_pstrmemdup(r->pool, all.data, all.len);
        made->len = all.len;
        made->gzip = NULL; /* everybody may ask: it is not compressed for each of them */
        p2p_page_set_etag(r->pool, made);
    }
    p2p_buf_free(&with_scheme);
    p2p_buf_free(&all);
    return made ? made : page;
}
