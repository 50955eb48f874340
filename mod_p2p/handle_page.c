/* SPDX-License-Identifier: Apache-2.0 */
/* The API page, its document and the console: files from memory, open to everybody. */
#include "handlers.h"

#include <httpd.h>
#include <apr_strings.h>

#include "mod_p2p.h"
#include "pages.h"
#include "problem.h"
#include "reply.h"
#include "sign_in.h"

/* What a page may do beyond nothing. Swagger UI writes styles, and images that it has in itself. */
#define POLICY(style, image) "default-src 'none'; script-src 'self'; style-src 'self'" style "; img-src 'self'" image "; connect-src 'self'%s%s; " \
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
#define REDIRECT_PAGE "swagger/oauth2-redirect.html" /* it has to find the page that opened it */

static const p2p_page_t *page_of(request_rec *r, const char *name)
{
    apr_hash_t *pages = p2p_config(r->server)->pages;

    return pages ? apr_hash_get(pages, name, APR_HASH_KEY_STRING) : NULL;
}

/* It is the page's own that holds, and no other file's: those need not know where people sign in. */
static const char *policy_of(request_rec *r, const p2p_page_t *page)
{
    const p2p_sign_in_t *known = strncmp(page->type, "text/html", 9) ? NULL : p2p_sign_in(r);
    const char *form = strncmp(page->name, "console/", 8) ? POLICY(" 'unsafe-inline'", " data:") : POLICY("", "");

    return apr_psprintf(r->pool, form, known ? " " : "", known ? known->origin : "");
}

/* Those of every answer, but that it may be kept for as long as it is the same. */
static void set_headers(request_rec *r, const p2p_page_t *page)
{
    p2p_reply_headers(r);
    apr_table_setn(r->headers_out, "Cache-Control", "no-cache");
    apr_table_setn(r->headers_out, "Content-Security-Policy", policy_of(r, page));
    if (strcmp(page->name, REDIRECT_PAGE)) apr_table_setn(r->headers_out, "Cross-Origin-Opener-Policy", "same-origin-allow-popups");
    apr_table_mergen(r->headers_out, "Vary", "Accept-Encoding");
}

/* The next of the codings in Accept-Encoding, RFC 9110 section 12.5.3, and whether it may be used: 0 with q=0. NULL at the end. */
static const char *next_coding(request_rec *r, const char **list, int *may)
{
    char *word, *quality;

    if (!**list) return NULL;
    word = ap_getword(r->pool, list, ',');
    quality = strchr(word, ';');
    if (quality) *quality++ = '\0';
    quality = quality ? ap_strcasestr(quality, "q=") : NULL;
    *may = !quality || strtod(quality + 2, NULL) > 0;
    ap_str_tolower(word);
    apr_collapse_spaces(word, word);
    return word;
}

static int takes_gzip(request_rec *r)
{
    const char *list = apr_table_get(r->headers_in, "Accept-Encoding"), *coding;
    int may, any = 0;

    while (list && (coding = next_coding(r, &list, &may)) != NULL) {
        if (!strcmp(coding, "gzip") || !strcmp(coding, "x-gzip")) return may;
        if (!strcmp(coding, "*")) any = may;
    }
    return any;
}

static int send_page(request_rec *r, const p2p_page_t *page)
{
    int gzip = page->gzip && takes_gzip(r);

    set_headers(r, page);
    if (gzip) apr_table_setn(r->headers_out, "Content-Encoding", "gzip");
    return p2p_reply_bytes(r, HTTP_OK, page->type, gzip ? page->gzip : page->bytes, gzip ? page->gzip_len : page->len, gzip ? page->gzip_etag : page->etag);
}

static int answer_with(request_rec *r, const char *name)
{
    const p2p_page_t *page = page_of(r, name);

    return page ? send_page(r, page) : p2p_problem(r, HTTP_NOT_FOUND, NULL, NULL);
}

int p2p_handle_slash(request_rec *r)
{
    const char *last = strrchr(r->uri, '/');

    p2p_reply_headers(r);
    apr_table_setn(r->headers_out, "Location", apr_pstrcat(r->pool, ap_os_escape_path(r->pool, last ? last + 1 : "", 0), "/", NULL));
    return p2p_reply_as(r, HTTP_PERMANENT_REDIRECT, "text/plain", "");
}

int p2p_handle_api_page(request_rec *r, const p2p_match_t *match)
{
    (void)match;
    return answer_with(r, "index.html");
}

int p2p_handle_openapi(request_rec *r, const p2p_match_t *match)
{
    const p2p_page_t *page = page_of(r, "openapi.json");

    (void)match;
    return page ? send_page(r, p2p_sign_in_openapi(r, page)) : p2p_problem(r, HTTP_NOT_FOUND, NULL, NULL);
}

int p2p_handle_swagger(request_rec *r, const p2p_match_t *match)
{
    return answer_with(r, apr_pstrcat(r->pool, "swagger", match->tail, NULL));
}

int p2p_handle_console(request_rec *r, const p2p_match_t *match)
{
    if (!*match->tail) return p2p_handle_slash(r);
    return answer_with(r, strcmp(match->tail, "/") ? apr_pstrcat(r->pool, "console", match->tail, NULL) : "console/index.html");
}
