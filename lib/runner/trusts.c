/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the trusted issuers publish something that httpd needs. */
#include "runner/trusts.h"
#include <string.h>
#include "store/jwks_store.h"
#include "store/oidc_server_store.h"

int p2p_trust_is_signed_in_at(const p2p_spec_t *spec, const p2p_trust_t *trust)
{
    return spec->sign_in_issuer && !strcmp(spec->sign_in_issuer, trust->issuer);
}

static int is_fetched(const p2p_spec_t *spec, const p2p_trust_t *trust)
{
    if (p2p_trust_is_signed_in_at(spec, trust)) return 1;
    if (trust->kind == P2P_TRUST_INTROSPECTION) return !*trust->introspection_endpoint;
    return trust->kind == P2P_TRUST_PUBLISHED || trust->kind == P2P_TRUST_DEFINITION;
}

const p2p_trust_t *p2p_trust_of(const p2p_spec_t *spec, const char *issuer)
{
    for (int i = 0; i < spec->trusts->nelts; i++) {
        const p2p_trust_t *trust = &APR_ARRAY_IDX(spec->trusts, i, p2p_trust_t);

        if (is_fetched(spec, trust) && !strcmp(trust->issuer, issuer)) return trust;
    }
    return NULL;
}

/* Is nothing of it to be fetched? A definition may be made, or given keys, at any time. */
static p2p_error_t *needs_none(const p2p_exchange_context_t *context, apr_pool_t *p, const p2p_trust_t *trust, int *none)
{
    p2p_oidc_server_t *server = NULL;

    *none = 0;
    if (trust->kind != P2P_TRUST_DEFINITION || p2p_trust_is_signed_in_at(context->spec, trust)) return NULL;
    P2P_TRY(p2p_oidc_server_find(context->db, p, context->spec->keyring, trust->issuer, &server));
    *none = !server || server->archived || *server->key_text || *server->key_file;
    return NULL;
}

p2p_error_t *p2p_trusts_ask_old(const p2p_exchange_context_t *context, apr_pool_t *p, int *asked)
{
    const p2p_spec_t *spec = context->spec;

    *asked = 0;
    for (int i = 0; i < spec->trusts->nelts; i++) {
        const p2p_trust_t *trust = &APR_ARRAY_IDX(spec->trusts, i, p2p_trust_t);
        int none, more = 0;

        if (!is_fetched(spec, trust)) continue;
        P2P_TRY(needs_none(context, p, trust, &none));
        if (!none) P2P_TRY(p2p_jwks_ask_old(context->db, p, spec->target, trust->issuer, &more));
        *asked += more;
    }
    return NULL;
}
