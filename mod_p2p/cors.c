/* SPDX-License-Identifier: Apache-2.0 */
/* CORS, of the Fetch standard: which origins may read our answers. */
#include "cors.h"

#include <http_protocol.h>
#include <http_request.h>

#include "mod_p2p.h"
#include "problem.h"
#include "reply.h"
#include "route.h"

#define MAX_AGE "600" /* seconds that a browser may remember a preflight's answer */

/* The origin of the request as P2PCorsOrigins has it, or NULL. */
static const char *listed_origin(const request_rec *r)
{
    const apr_array_header_t *origins = p2p_config(r->server)->cors_origins;
    const char *origin = origins->nelts ? apr_table_get(r->headers_in, "Origin") : NULL;

    for (int i = 0; origin && i < origins->nelts; i++) {
        const char *listed = APR_ARRAY_IDX(origins, i, const char *);

        if (!ap_cstr_casecmp(origin, listed)) return listed;
    }
    return NULL;
}

void p2p_cors_headers(request_rec *r)
{
    const char *origin;

    if (!p2p_config(r->server)->cors_origins->nelts) return;
    apr_table_mergen(r->headers_out, "Vary", "Origin");
    origin = listed_origin(r);
    if (!origin) return;
    apr_table_setn(r->headers_out, "Access-Control-Allow-Origin", origin);
    apr_table_setn(r->headers_out, "Access-Control-Expose-Headers", "ETag, Location, Retry-After, WWW-Authenticate");
}

int p2p_cors_is_preflight(const request_rec *r)
{
    return r->method_number == M_OPTIONS && p2p_config(r->server)->cors_origins->nelts && apr_table_get(r->headers_in, "Origin")
        && apr_table_get(r->headers_in, "Access-Control-Request-Method");
}

int p2p_cors_preflight(request_rec *r, const char *allow)
{
    if (!listed_origin(r)) return p2p_problem(r, HTTP_FORBIDDEN, "cross-origin", "Pages of this origin may not call this API.");
    p2p_reply_headers(r);
    apr_table_setn(r->headers_out, "Access-Control-Allow-Methods", allow);
    apr_table_setn(r->headers_out, "Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key");
    apr_table_setn(r->headers_out, "Access-Control-Max-Age", MAX_AGE);
    return HTTP_NO_CONTENT;
}

/* What the handler does with OPTIONS, whoever asks, is to name methods. */
static int let_in(request_rec *r)
{
    int is_ours = p2p_dir(r)->enabled && p2p_route_no_file(r) == OK;

    return is_ours && ap_is_initial_req(r) && p2p_cors_is_preflight(r) ? OK : DECLINED;
}

void p2p_cors_register(void)
{
    static const char *const after[] = { "mod_authz_core.c", NULL };

    ap_hook_check_access_ex(let_in, after, NULL, APR_HOOK_REALLY_LAST, AP_AUTH_INTERNAL_PER_CONF);
}
