/* SPDX-License-Identifier: Apache-2.0 */
/* Reading what verifies an issuer's tokens. */
#include "trust_source.h"


p2p_error_t *p2p_trust_read(request_rec *r, const p2p_trust_t *trust, p2p_trust_source_t *source)
{
    *source = (p2p_trust_source_t){ .from = P2P_FROM_PUBLISHED, .keys = "", .introspection = { "", "", "" } };
    if (trust->kind == P2P_TRUST_KEYS) {
        source->from = P2P_FROM_CONFIGURED;
        source->keys = trust->keys;
        return NULL;
    }
    if (trust->kind == P2P_TRUST_INTROSPECTION) {
        source->from = P2P_FROM_ISSUER;
        source->introspection = (p2p_introspection_t){ trust->introspection_endpoint, trust->client_id, trust->client_secret };
        if (*trust->introspection_endpoint) return NULL;
    }
    return p2p_error_make(r->pool, P2P_E_UNAVAILABLE, "keys-unknown", "What verifies the token is not known yet: try again in a moment.");
}
