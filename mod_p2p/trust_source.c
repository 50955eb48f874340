/* SPDX-License-Identifier: Apache-2.0 */
/* Reading what verifies an issuer's tokens. */
#include "trust_source.h"

#include "dbd.h"
#include "mod_p2p.h"
#include "oidc/discovery.h"
#include "oidc/server_keys.h"
#include "store/jwks_store.h"
#include "store/oidc_server_store.h"

typedef struct read_t {
    const p2p_trust_t *trust;
    p2p_trust_source_t *source;
} read_t;

/* What a runner has fetched from where it is to be had now, or that it has to. */
static p2p_error_t *read_published(p2p_db_t *db, apr_pool_t *p, const p2p_trust_t *trust, const char *well_known, p2p_trust_source_t *source)
{
    p2p_jwks_t *jwks;

    P2P_TRY(p2p_jwks_get(db, p, trust->issuer, &jwks));
    if (jwks && strcmp(jwks->source, p2p_discovery_source(p, trust, well_known))) jwks = NULL;
    if (source->from == P2P_FROM_ISSUER) {
        source->unfetched = !jwks || !*jwks->introspection_endpoint;
        if (!source->unfetched) source->introspection.endpoint = jwks->introspection_endpoint;
        return NULL;
    }
    source->unfetched = !jwks || !*jwks->document;
    if (!source->unfetched) source->keys = jwks->document;
    return NULL;
}

static p2p_error_t *read_key_file(request_rec *r, const char *name, const char **text)
{
    apr_size_t len;
    p2p_error_t *error = p2p_key_file_read(r->pool, p2p_config(r->server)->spec.key_dir, name, text, &len);

    return error ? p2p_error_make(r->pool, P2P_E_INVALID, "bad-keys", "The definition's keyFile %s.", error->sentence) : NULL;
}

static p2p_error_t *read_definition(p2p_db_t *db, request_rec *r, const p2p_trust_t *trust, p2p_trust_source_t *source)
{
    p2p_oidc_server_t *server;

    P2P_TRY(p2p_oidc_server_find(db, r->pool, p2p_config(r->server)->spec.keyring, trust->issuer, &server));
    source->distrusted = !server || server->archived;
    if (source->distrusted) return NULL;
    source->from = P2P_FROM_CONFIGURED;
    source->keys = server->key_text;
    if (*server->key_text) return NULL;
    if (*server->key_file) return read_key_file(r, server->key_file, &source->keys);
    source->from = *server->client_secret ? P2P_FROM_ISSUER : P2P_FROM_PUBLISHED;
    source->introspection.client_id = server->client_id;
    source->introspection.client_secret = server->client_secret;
    return read_published(db, r->pool, trust, server->auth_well_known, source);
}

static p2p_error_t *read_stored(p2p_db_t *db, request_rec *r, void *baton)
{
    const read_t *read = baton;

    if (read->trust->kind == P2P_TRUST_DEFINITION) return read_definition(db, r, read->trust, read->source);
    return read_published(db, r->pool, read->trust, "", read->source);
}

p2p_error_t *p2p_trust_read(request_rec *r, const p2p_trust_t *trust, p2p_trust_source_t *source)
{
    read_t read = { trust, source };

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
    return p2p_dbd_with(r, read_stored, &read);
}
