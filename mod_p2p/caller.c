/* SPDX-License-Identifier: Apache-2.0 */
/* Callers that httpd's own modules let in. */
#include "caller.h"

#include "mod_p2p.h"

static int is_administrator(const request_rec *r)
{
    const apr_array_header_t *names = p2p_config(r->server)->administrators;

    for (int i = 0; r->user && i < names->nelts; i++) {
        if (!strcmp(r->user, APR_ARRAY_IDX(names, i, const char *))) return 1;
    }
    return 0;
}

const p2p_caller_t *p2p_caller(request_rec *r)
{
    p2p_state_t *state = p2p_state(r);
    p2p_caller_t *caller;

    if (state->caller) return state->caller;
    caller = apr_pcalloc(r->pool, sizeof *caller);
    caller->client = r->user ? r->user : "";
    caller->role = is_administrator(r) ? P2P_ROLE_ADMINISTRATOR : P2P_ROLE_PORTAL;
    caller->ambient = 1;
    state->caller = caller;
    return caller;
}

const char *p2p_role_name(p2p_role_t role)
{
    static const char *const names[] = { "none", "portal", "administrator" };

    return names[role];
}
