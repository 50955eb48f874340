/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of a definition, and what callers see of it. */
#include "model/oidc_server.h"

#include <ctype.h>
#include <string.h>
#include <apr_strings.h>
#include "base/uri.h"

#define URL_MAX 2048

/* Where the rules of one definition put what they find. */
typedef struct reader_t {
    apr_pool_t *p;
    json_object *doc;
    const char *prefix;
    apr_array_header_t *errors;
    int allow_http;
} reader_t;

static const char *text(reader_t *reader, const char *name, apr_size_t max)
{
    return apr_pstrdup(reader->p, p2p_field_text(reader->errors, reader->doc, reader->prefix, name, max, 0));
}

static const char *lines(reader_t *reader, const char *name, apr_size_t max)
{
    return apr_pstrdup(reader->p, p2p_field_text(reader->errors, reader->doc, reader->prefix, name, max, 1));
}

/* Is the member missing, null or ""? One of another type is not: that has its error already. */
static int missing(reader_t *reader, const char *name)
{
    json_object *value;

    if (!json_object_object_get_ex(reader->doc, name, &value) || !value) return 1;
    return json_object_is_type(value, json_type_string) && json_object_get_string_len(value) == 0;
}

static const char *required(reader_t *reader, const char *name, apr_size_t max)
{
    if (missing(reader, name)) p2p_field_error(reader->errors, reader->prefix, name, "is required");
    return text(reader, name, max);
}

static void check(reader_t *reader, const char *name, const p2p_error_t *error)
{
    if (error) p2p_field_error(reader->errors, reader->prefix, name, "%s", error->sentence);
}

static void check_url(reader_t *reader, const char *name, const char *url)
{
    check(reader, name, *url ? p2p_uri_check_endpoint(reader->p, url, reader->allow_http) : NULL);
}

/* An issuer and an endpoint have a path at most: other URLs are made by adding to it. */
static const char *base_url(reader_t *reader, const char *name)
{
    const char *url = required(reader, name, URL_MAX);

    check(reader, name, *url ? p2p_uri_check_base(reader->p, url, reader->allow_http) : NULL);
    return p2p_uri_trim(reader->p, url);
}

static const char *optional_url(reader_t *reader, const char *name)
{
    const char *url = text(reader, name, URL_MAX);

    check_url(reader, name, url);
    return url;
}

/* The words in the guide's order, so that two spellings of a set are one; "code" where it is blank. */
static const char *response_type(reader_t *reader)
{
    static const char *const words[] = {"code", "id_token", "token", "none"};
    const char *given = text(reader, "responseType", 100), *result = "";
    int seen[4] = {0};
    char *state, *word;

    for (word = apr_strtok(apr_pstrdup(reader->p, given), " ",
                           &state); word; word = apr_strtok(NULL, " ", &state)) {
        int i = 0;

        while (i < 4 && strcmp(words[i], word)) i++;
        if (i == 4 || seen[i]++) {
            p2p_field_error(reader->errors, reader->prefix, "responseType",
                            "must be one or more of code, id_token and token, or none");
            return "";
        }
    }
    if (seen[3] && (seen[0] || seen[1] || seen[2])) {
        p2p_field_error(reader->errors, reader->prefix, "responseType", "none must stand alone");
        return "";
    }
    for (int i = 0; i < 4; i++) {
        if (seen[i]) result = apr_pstrcat(reader->p, result, *result ? " " : "", words[i], NULL);
    }
    return *result ? result : "code";
}

const char *p2p_token_param_next(apr_pool_t *p, const char **rest, const char **value)
{
    const char *begin = *rest + strspn(*rest, ", \t");
    apr_size_t len = strcspn(begin, ", \t");
    const char *equals = memchr(begin, '=', len);

    *rest = begin + len;
    *value = equals ? apr_pstrmemdup(p, equals + 1, (apr_size_t)(begin + len - equals - 1)) : NULL;
    return len ? apr_pstrmemdup(p, begin, equals ? (apr_size_t)(equals - begin) : len) : NULL;
}

/* One entry of customTokenParams; NULL, or what is wrong with it. */
static const char *check_param(const char *name, const char *value, int *bare)
{
    static const char *const ours[] = {"grant_type", "refresh_token", "client_id", "client_secret"};

    for (const char *c = name; *c; c++) {
        if (!isalnum((unsigned char)*c) && !strchr("_-.:", *c)) {
            return "must be a list of name or name=value, separated by commas or spaces";
        }
    }
    if (!*name) return "must be a list of name or name=value, separated by commas or spaces";
    if (!value) return (*bare)++ ? "must not hold more than one name without a value" : NULL;
    for (apr_size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        if (!strcmp(ours[i], name)) return "must not set grant_type, refresh_token, client_id or client_secret";
    }
    return NULL;
}

static const char *custom_token_params(reader_t *reader)
{
    const char *given = text(reader, "customTokenParams", 4096), *rest = given, *wrong = NULL, *name, *value;
    int bare = 0;

    while (!wrong && (name = p2p_token_param_next(reader->p, &rest, &value))) wrong = check_param(name, value, &bare);
    if (wrong) p2p_field_error(reader->errors, reader->prefix, "customTokenParams", "%s", wrong);
    return given;
}

/* Of a file in P2PKeyDir: no path leads out of it. */
static const char *key_file(reader_t *reader)
{
    const char *given = text(reader, "keyFile", 255);

    for (const char *c = given; *c; c++) {
        if (isalnum((unsigned char)*c) || *c == '_' || *c == '-' || (*c == '.' && c > given)) continue;
        p2p_field_error(reader->errors, reader->prefix, "keyFile",
                        "must be a plain file name of letters, digits, dots, hyphens and underscores, not beginning with a dot");
        return "";
    }
    return given;
}

static int flag(reader_t *reader, const char *name)
{
    json_object *value;

    if (!json_object_object_get_ex(reader->doc, name, &value) || !value) return 0;
    if (json_object_is_type(value, json_type_boolean)) return json_object_get_boolean(value);
    p2p_field_error(reader->errors, reader->prefix, name, "must be true or false");
    return 0;
}

static void all_blank(p2p_oidc_server_t *server)
{
    memset(server, 0, sizeof *server);
    server->name = server->issuer = server->id_namespace = server->client_id = server->client_secret = "";
    server->key_text = server->key_file = server->auth_well_known = server->scopes = server->fhir_endpoint = "";
    server->token_endpoint = server->custom_token_params = server->response_type = server->organization_id = "";
    server->notes = "";
}

void p2p_oidc_server_read(apr_pool_t *p, json_object *doc, int allow_http, const char *prefix,
                          p2p_oidc_server_t *server,
                          apr_array_header_t *errors)
{
    reader_t reader = {p, doc, prefix, errors, allow_http};

    all_blank(server);
    if (!json_object_is_type(doc, json_type_object)) {
        p2p_field_error(errors, prefix, "", "must be a JSON object");
        return;
    }
    server->name = required(&reader, "name", 200);
    server->issuer = base_url(&reader, "issuer");
    server->id_namespace = server->issuer;
    server->client_id = text(&reader, "clientId", 1024);
    server->client_secret = text(&reader, "clientSecret", 4096);
    server->key_text = lines(&reader, "keyText", 65536);
    server->key_file = key_file(&reader);
    server->auth_well_known = optional_url(&reader, "authWellKnown");
    server->scopes = text(&reader, "scopes", 4096);
    server->fhir_endpoint = base_url(&reader, "fhirEndpoint");
    server->token_endpoint = optional_url(&reader, "tokenEndpoint");
    server->custom_token_params = custom_token_params(&reader);
    server->response_type = response_type(&reader);
    server->organization_id = text(&reader, "organizationId", 200);
    server->notes = lines(&reader, "notes", 8192);
    server->archived = flag(&reader, "archived");
}

json_object *p2p_oidc_server_public(apr_pool_t *p, const p2p_oidc_server_t *server)
{
    json_object *doc = p2p_oidc_server_listed(p, server);

    p2p_json_add_str(doc, "issuer", server->issuer);
    p2p_json_add_str(doc, "clientId", server->client_id);
    p2p_json_add_str(doc, "scopes", server->scopes);
    p2p_json_add_str(doc, "customTokenParams", server->custom_token_params);
    p2p_json_add_str(doc, "authWellKnown", server->auth_well_known);
    p2p_json_add_str(doc, "tokenEndpoint", server->token_endpoint);
    p2p_json_add_str(doc, "fhirEndpoint", server->fhir_endpoint);
    p2p_json_add_str(doc, "responseType", server->response_type);
    p2p_json_add_str(doc, "organizationId", server->organization_id);
    return doc;
}

json_object *p2p_oidc_server_listed(apr_pool_t *p, const p2p_oidc_server_t *server)
{
    json_object *doc = p2p_json_own(p, json_object_new_object());

    p2p_json_add_int(doc, "pid", server->pid);
    p2p_json_add_str(doc, "name", server->name);
    return doc;
}
