/* SPDX-License-Identifier: Apache-2.0 */
/* Reading discovery documents. */
#include "oidc/discovery.h"
#include <apr_strings.h>
#include <string.h>
#include "base/uri.h"

const char *p2p_discovery_of_issuer(apr_pool_t *p, const char *issuer)
{
    return apr_pstrcat(p, p2p_uri_trim(p, issuer), "/.well-known/openid-configuration", NULL);
}

const char *p2p_discovery_source(apr_pool_t *p, const p2p_trust_t *trust, const char *well_known)
{
    if (*trust->jwks_uri) return trust->jwks_uri;
    return *well_known ? well_known : p2p_discovery_of_issuer(p, trust->issuer);
}

const char *p2p_discovery_of_fhir(apr_pool_t *p, const char *endpoint)
{
    return apr_pstrcat(p, p2p_uri_trim(p, endpoint), "/.well-known/smart-configuration", NULL);
}

static p2p_client_method_t method_of(json_object *doc)
{
    json_object *methods = p2p_json_arr(doc, "token_endpoint_auth_methods_supported");
    int post = 0;

    for (apr_size_t i = 0; methods && i < json_object_array_length(methods); i++) {
        const char *method = json_object_get_string(json_object_array_get_idx(methods, i));

        if (method && !strcmp(method, "client_secret_basic")) return P2P_CLIENT_SECRET_BASIC;
        if (method && !strcmp(method, "client_secret_post")) post = 1;
    }
    return post ? P2P_CLIENT_SECRET_POST : P2P_CLIENT_SECRET_BASIC;
}

/* NUL bytes in a string would hide its end. */
static const char *text_of(json_object *doc, const char *name)
{
    json_object *value = NULL;

    if (!json_object_object_get_ex(doc, name, &value) || !json_object_is_type(value, json_type_string)) return NULL;
    return strlen(json_object_get_string(value)) == (size_t)json_object_get_string_len(value) ? json_object_get_string(value) : "";
}

/* What came over https sends nobody over http, not even to this host: its services are not for a peer to reach. */
static int is_usable(apr_pool_t *p, const char *url, int is_http)
{
    return !p2p_uri_check_endpoint(p, url, is_http) && (is_http || strncasecmp(url, "http:", 5));
}

static const char *url_of(apr_pool_t *p, json_object *doc, const char *name, int is_http, p2p_discovery_t *discovery)
{
    const char *url = text_of(doc, name);

    if (!url) return "";
    if (is_usable(p, url, is_http)) return apr_pstrdup(p, url);
    if (!*discovery->unusable) discovery->unusable = name;
    return "";
}

static int is_true(json_object *doc, const char *name)
{
    json_object *value = NULL;

    return json_object_object_get_ex(doc, name, &value) && json_object_is_type(value, json_type_boolean) && json_object_get_boolean(value);
}

p2p_error_t *p2p_discovery_read(apr_pool_t *p, const char *url, const char *body, apr_size_t len, p2p_discovery_t *discovery)
{
    int is_http = !strncasecmp(url, "http:", 5);
    json_object *doc;

    *discovery = (p2p_discovery_t){"", "", "", "", "", 0, "", P2P_CLIENT_SECRET_BASIC};
    if (p2p_json_parse(p, body, len, &doc) || !json_object_is_type(doc, json_type_object))
        return p2p_error_make(p, P2P_E_INVALID, "discovery-unusable", "%s is not a JSON object.", p2p_uri_public(p, url, url));
    if (text_of(doc, "issuer")) discovery->issuer = apr_pstrdup(p, text_of(doc, "issuer"));
    discovery->authorization_endpoint = url_of(p, doc, "authorization_endpoint", is_http, discovery);
    discovery->token_endpoint = url_of(p, doc, "token_endpoint", is_http, discovery);
    discovery->jwks_uri = url_of(p, doc, "jwks_uri", is_http, discovery);
    discovery->introspection_endpoint = url_of(p, doc, "introspection_endpoint", is_http, discovery);
    discovery->names_issuer = is_true(doc, "authorization_response_iss_parameter_supported");
    discovery->method = method_of(doc);
    return NULL;
}

p2p_error_t *p2p_discovery_answered(apr_pool_t *p, const char *url, int status)
{
    const char *shown = p2p_uri_public(p, url, url);

    if (status == 200) return NULL;
    if (status >= 300 && status < 400)
        return p2p_error_make(p, P2P_E_INVALID, "answered", "%s redirects (%d), which is not followed: name the place itself.", shown, status);
    return p2p_error_make(p, status >= 500 || status == 429 ? P2P_E_UNAVAILABLE : P2P_E_INVALID, "answered", "%s answered %d.", shown, status);
}

int p2p_discovery_is_issuer(apr_pool_t *p, const char *name, const char *issuer)
{
    return *name && !strcmp(p2p_uri_trim(p, name), p2p_uri_trim(p, issuer));
}
