/* SPDX-License-Identifier: Apache-2.0 */
/* Callers that httpd's own modules let in. */
#include "caller.h"

#include "auth.h"
#include "mod_p2p.h"

static int is_administrator(const request_rec *r)
{
    const apr_array_header_t *names = p2p_config(r->server)->administrators;

    for (int i = 0; r->user && i < names->nelts; i++) {
        if (!strcmp(r->user, APR_ARRAY_IDX(names, i, const char *))) return 1;
    }
    return 0;
}

/* The request of the client that httpd itself made this one of (mod_rewrite, ErrorDocument, SSI), or NULL. */
static request_rec *origin_of(const request_rec *r)
{
    return r->prev ? r->prev : r->main;
}

/* httpd may take the name over without asking anybody again (AP_AUTH_INTERNAL_PER_CONF): what came with it, its role and its member, is taken
 * over as well. */
static int take_over(request_rec *r, p2p_state_t *state)
{
    for (request_rec *from = origin_of(r); from && r->user; from = origin_of(from)) {
        const p2p_state_t *before = p2p_state(from);

        if (!before->bearer || !from->user || strcmp(from->user, r->user)) continue;
        state->caller = before->caller;
        state->bearer = before->bearer;
        return 1;
    }
    return 0;
}

/* Nobody gets in by having been refused, nor by a name that a token had and nothing else of it. */
static int is_nobody(const request_rec *r)
{
    if (r->user) return r->ap_auth_type && !ap_cstr_casecmp(r->ap_auth_type, P2P_AUTH_SCHEME) && p2p_config(r->server)->spec.trusts->nelts;
    for (r = origin_of(r); r && r->status < 400; ) r = origin_of(r);
    return r != NULL;
}

const p2p_caller_t *p2p_caller(request_rec *r)
{
    p2p_state_t *state = p2p_state(r);
    p2p_caller_t *caller;

    if (state->caller || take_over(r, state)) return state->caller;
    caller = apr_pcalloc(r->pool, sizeof *caller);
    caller->client = r->user ? r->user : "";
    caller->role = is_administrator(r) ? P2P_ROLE_ADMINISTRATOR : P2P_ROLE_PORTAL;
    if (is_nobody(r)) caller->role = P2P_ROLE_NONE;
    caller->ambient = 1;
    state->caller = caller;
    return caller;
}

const char *p2p_role_name(p2p_role_t role)
{
    static const char *const names[] = { "none", "portal", "administrator" };

    return names[role];
}
