/* SPDX-License-Identifier: Apache-2.0 */
/* A definition: where a source payer's authorization server and FHIR endpoint are (guide, "OIDC server
 * definitions"). */
#ifndef P2P_MODEL_OIDC_SERVER_H
#define P2P_MODEL_OIDC_SERVER_H

#include <apr_time.h>
#include "base/json.h"
#include "model/field_error.h"

/* Text fields are never NULL; "" is blank. */
typedef struct p2p_oidc_server_t {
    apr_int64_t pid;     /* from 1; 0 before it is stored */
    apr_int64_t version; /* its ETag */
    const char *name;
    const char *issuer; /* without trailing slash */
    const char *id_namespace; /* the issuer at creation; derived ids rest on it */
    const char *client_id, *client_secret;
    const char *key_text, *key_file;
    const char *auth_well_known, *scopes, *fhir_endpoint, *token_endpoint, *custom_token_params;
    const char *response_type, *organization_id, *notes;
    int archived;
    apr_time_t last_updated;
    int client_secret_set, key_text_set; /* as read from the database, whether or not they were opened */
} p2p_oidc_server_t;

/* Reads the guide's member names (and clientSecret, keyText, keyFile, notes, archived) out of doc and applies every
 * rule of a definition; each broken one is added to errors with its JSON pointer under prefix ("" or "/3").
 * What the keys are is looked at in oidc/server_keys.h. Strings in p. */
void p2p_oidc_server_read(apr_pool_t *p, json_object *doc, int allow_http, const char *prefix, p2p_oidc_server_t *server,
                          apr_array_header_t *errors);

/* The document of GET /api/oidc_servers/{id}: the guide's eleven members in the guide's order; no secret, key
 * or note. Owned by p. */
json_object *p2p_oidc_server_public(apr_pool_t *p, const p2p_oidc_server_t *server);

/* {"pid":…,"name":…} for the list. */
json_object *p2p_oidc_server_listed(apr_pool_t *p, const p2p_oidc_server_t *server);

/* The document of /admin/oidc_servers/{id}: the guide's eleven members, then what only administrators see; of the secret and the key text
 * whether they are set. Owned by p. */
json_object *p2p_oidc_server_admin(apr_pool_t *p, const p2p_oidc_server_t *server);

/* What p2p_oidc_server_read is to read when the definition old is changed by a JSON merge patch (RFC 7396): what of old is not secret, with
 * the members of patch in place; a null removes. Owned by p. */
json_object *p2p_oidc_server_merge(apr_pool_t *p, const p2p_oidc_server_t *old, json_object *patch);

/* The next entry of customTokenParams, of which *rest is what is left: its name, in p, and *value, NULL where
 * it is a bare name (of the member of a token answer that holds the member's id); NULL at the end. */
const char *p2p_token_param_next(apr_pool_t *p, const char **rest, const char **value);

#endif
