/* SPDX-License-Identifier: Apache-2.0 */
/* What administrators see of a definition, and what a change makes of it. */
#include "model/oidc_server.h"

/* What can be read and written: the guide's members, notes, keyFile and archived. */
static json_object *editable(apr_pool_t *p, const p2p_oidc_server_t *server)
{
    json_object *doc = p2p_oidc_server_public(p, server);

    p2p_json_add_str(doc, "notes", server->notes);
    p2p_json_add_str(doc, "keyFile", server->key_file);
    p2p_json_add_bool(doc, "archived", server->archived);
    return doc;
}

json_object *p2p_oidc_server_admin(apr_pool_t *p, const p2p_oidc_server_t *server)
{
    json_object *doc = editable(p, server);

    p2p_json_add_bool(doc, "clientSecretSet", server->client_secret_set);
    p2p_json_add_bool(doc, "keyTextSet", server->key_text_set);
    p2p_json_add_str(doc, "idNamespace", server->id_namespace);
    p2p_json_add_int(doc, "version", server->version);
    p2p_json_add_time(doc, "lastUpdated", server->last_updated);
    return doc;
}

/* A definition has no member that is an object: what the RFC does inside of one is never asked for. */
json_object *p2p_oidc_server_merge(apr_pool_t *p, const p2p_oidc_server_t *old, json_object *patch)
{
    json_object *doc = editable(p, old);

    json_object_object_foreach(patch, name, value) {
        if (value) json_object_object_add(doc, name, json_object_get(value));
        else json_object_object_del(doc, name);
    }
    return doc;
}
