/* SPDX-License-Identifier: Apache-2.0 */
/* Which pages of other origins may read the well-known documents and ask the token endpoint (SandboxOrigins). */
#include "door.h"

static int allowed(const sandbox_payer_t *payer, const char *origin)
{
    for (int i = 0; origin && i < payer->origins->nelts; i++)
        if (strcmp(APR_ARRAY_IDX(payer->origins, i, const char *), origin) == 0) return 1;
    return 0;
}

int sandbox_cors(sandbox_call_t *call, int *rv)
{
    request_rec *r = call->r;
    const char *origin = apr_table_get(r->headers_in, "Origin");

    if (!call->payer->origins->nelts) return 0;
    apr_table_mergen(r->headers_out, "Vary", "Origin");
    if (allowed(call->payer, origin)) apr_table_set(r->headers_out, "Access-Control-Allow-Origin", origin);
    if (r->method_number != M_OPTIONS) return 0;
    if (allowed(call->payer, origin)) {
        apr_table_setn(r->headers_out, "Access-Control-Allow-Methods", "GET, POST");
        apr_table_setn(r->headers_out, "Access-Control-Allow-Headers", "Accept, Authorization, Content-Type");
    }
    *rv = sandbox_text(call, HTTP_NO_CONTENT, "text/plain", "");
    return 1;
}
