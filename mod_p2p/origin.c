/* SPDX-License-Identifier: Apache-2.0 */
/* Is a request's Origin our own? */
#include "origin.h"

#include <http_core.h>
#include <http_protocol.h>
#include <apr_strings.h>

#include "caller.h"
#include "problem.h"

static int is_safe(int method)
{
    return method == M_GET || method == M_OPTIONS; /* HEAD is M_GET */
}

/* Without the port that goes without saying. */
static const char *drop_port(apr_pool_t *p, const char *origin, const char *scheme)
{
    const char *port = !strcmp(scheme, "https") ? ":443" : ":80";
    apr_size_t len = strlen(origin), tail = strlen(port);

    if (len < tail || strcmp(origin + len - tail, port)) return origin;
    return apr_pstrmemdup(p, origin, len - tail);
}

/* Scheme and Host as the browser knows them: behind a proxy that ends TLS, ServerName has the scheme. */
static int is_own(request_rec *r, const char *origin)
{
    const char *host = apr_table_get(r->headers_in, "Host"), *scheme = ap_http_scheme(r), *own;

    if (!host || !*host) return 0;
    own = apr_pstrcat(r->pool, scheme, "://", host, NULL);
    return !ap_cstr_casecmp(drop_port(r->pool, own, scheme), drop_port(r->pool, origin, scheme));
}

int p2p_origin_check(request_rec *r)
{
    const char *origin = apr_table_get(r->headers_in, "Origin");

    if (!origin || is_safe(r->method_number) || !p2p_caller(r)->ambient || is_own(r, origin)) return OK;
    return p2p_problem(r, HTTP_FORBIDDEN, "cross-origin", "Another site's page may not do this with what your browser knows you by.");
}
