/* SPDX-License-Identifier: Apache-2.0 */
/* What a runner has to know of the issuers whose tokens open our API: whose keys it is to fetch, and where they are. */
#include "model/trust.h"

#include <string.h>
#include <apr_strings.h>

static const char *const kinds[] = {
    [P2P_TRUST_PUBLISHED] = "published", [P2P_TRUST_KEYS] = "keys", [P2P_TRUST_INTROSPECTION] = "introspection",
    [P2P_TRUST_DEFINITION] = "definition",
};

#define KINDS (sizeof kinds / sizeof *kinds)

json_object *p2p_trust_print(apr_pool_t *p, const apr_array_header_t *trusts)
{
    json_object *list = p2p_json_own(p, json_object_new_array());

    for (int i = 0; i < trusts->nelts; i++) {
        const p2p_trust_t *trust = &APR_ARRAY_IDX(trusts, i, p2p_trust_t);
        json_object *entry = json_object_new_object();

        p2p_json_add_str(entry, "issuer", trust->issuer);
        p2p_json_add_str(entry, "kind", kinds[trust->kind]);
        p2p_json_add_str(entry, "jwksUri", trust->jwks_uri);
        p2p_json_add_str(entry, "introspectionEndpoint", trust->introspection_endpoint);
        json_object_array_add(list, entry);
    }
    return list;
}

static p2p_error_t *bad(apr_pool_t *p, const char *name)
{
    return p2p_error_make(p, P2P_E_INVALID, "bad-spec", "The specification's member trust cannot be used: %s.", name);
}

static p2p_error_t *parse_text(apr_pool_t *p, json_object *entry, const char *name, const char **text)
{
    *text = apr_pstrdup(p, p2p_json_str(entry, name));
    return *text ? NULL : bad(p, name);
}

static p2p_error_t *parse_entry(apr_pool_t *p, json_object *entry, p2p_trust_t *trust)
{
    const char *kind;
    size_t i = 0;

    if (!json_object_is_type(entry, json_type_object)) return bad(p, "entry");
    P2P_TRY(parse_text(p, entry, "issuer", &trust->issuer));
    P2P_TRY(parse_text(p, entry, "kind", &kind));
    P2P_TRY(parse_text(p, entry, "jwksUri", &trust->jwks_uri));
    P2P_TRY(parse_text(p, entry, "introspectionEndpoint", &trust->introspection_endpoint));
    while (i < KINDS && strcmp(kinds[i], kind)) i++;
    if (i == KINDS) return bad(p, "kind");
    trust->kind = (p2p_trust_kind_t)i;
    trust->keys = trust->client_id = trust->client_secret = "";
    trust->audiences = apr_array_make(p, 0, sizeof(const char *));
    trust->portal_scopes = apr_array_make(p, 0, sizeof(const char *));
    trust->administrator_scopes = apr_array_make(p, 0, sizeof(const char *));
    return NULL;
}

p2p_error_t *p2p_trust_parse(apr_pool_t *p, json_object *doc, apr_array_header_t **trusts)
{
    apr_array_header_t *list = apr_array_make(p, 2, sizeof(p2p_trust_t));

    if (!json_object_is_type(doc, json_type_array)) return bad(p, "array");
    for (size_t i = 0; i < json_object_array_length(doc); i++) {
        P2P_TRY(parse_entry(p, json_object_array_get_idx(doc, i), apr_array_push(list)));
    }
    *trusts = list;
    return NULL;
}
