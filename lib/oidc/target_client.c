/* SPDX-License-Identifier: Apache-2.0 */
/* A client of the target's authorization server: its file, its rules, and how it asks for a token. */
#include "oidc/target_client.h"
#include <apr_strings.h>
#include <string.h>
#include "base/seal.h"
#include "base/uri.h"

#define TEXT_MAX 4096
#define KEY_MAX 16384
#define ASSERTION_LIVES 240 /* seconds; SMART allows 300, and clocks differ */
#define ASSERTION_TYPE "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

typedef struct reader_t {
    apr_pool_t *p;
    json_object *doc;
    apr_array_header_t *errors;
    p2p_target_client_t *client;
} reader_t;

static const char *text(const reader_t *reader, const char *name)
{
    return p2p_field_text(reader->errors, reader->doc, "", name, TEXT_MAX, 0);
}

static int is_known(const char *name)
{
    static const char *const names[] = {"tokenEndpoint", "clientId", "clientSecret", "authMethod", "privateKey", "keyId",
                                        "algorithm", "scope", "audience"};

    for (apr_size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i], name)) return 1;
    return 0;
}

static void check_names(const reader_t *reader)
{
    json_object_object_foreach(reader->doc, name, value) {
        (void)value;
        if (!is_known(name)) p2p_field_error(reader->errors, "", name, "is no member that is known here");
    }
}

static void read_endpoint(const reader_t *reader, int allow_http)
{
    const char *url = text(reader, "tokenEndpoint");
    const p2p_error_t *wrong = *url ? p2p_uri_check_endpoint(reader->p, url, allow_http) : NULL;

    if (wrong) p2p_field_error(reader->errors, "", "tokenEndpoint", "%s", wrong->sentence);
    reader->client->token_endpoint = url;
}

/* Members that have no meaning beside the others are more likely a mistake. */
static void refuse(const reader_t *reader, const char *name, const char *why)
{
    if (json_object_object_get_ex(reader->doc, name, NULL)) p2p_field_error(reader->errors, "", name, "%s", why);
}

static void read_secret(const reader_t *reader)
{
    const char *method = text(reader, "authMethod");

    if (!strcmp(method, "client_secret_post")) reader->client->method = P2P_CLIENT_SECRET_POST;
    else if (*method && strcmp(method, "client_secret_basic"))
        p2p_field_error(reader->errors, "", "authMethod", "must be client_secret_basic or client_secret_post");
    refuse(reader, "keyId", "goes with privateKey, not with clientSecret");
    refuse(reader, "algorithm", "goes with privateKey, not with clientSecret");
}

static void read_key(const reader_t *reader, const char *pem)
{
    const char *algorithm = text(reader, "algorithm"), *id = text(reader, "keyId");
    p2p_jws_key_t *key = NULL;
    const p2p_error_t *wrong = NULL;

    if (!*id) p2p_field_error(reader->errors, "", "keyId", "is required with privateKey: the kid under which the server knows it");
    if (!p2p_jws_algorithm(algorithm)) p2p_field_error(reader->errors, "", "algorithm", "must be RS384 or ES384");
    else wrong = p2p_jws_key_read(reader->p, pem, algorithm, id, &key);
    if (wrong) p2p_field_error(reader->errors, "", "privateKey", "%s", wrong->sentence);
    refuse(reader, "authMethod", "goes with clientSecret, not with privateKey");
    reader->client->key = key;
}

p2p_target_client_t *p2p_target_client_read(apr_pool_t *p, const char *content, int allow_http, apr_array_header_t *errors)
{
    p2p_target_client_t *client = apr_pcalloc(p, sizeof *client);
    reader_t reader = {p, NULL, errors, client};
    const char *pem;

    if (p2p_json_parse(p, content, strlen(content), &reader.doc) || !json_object_is_type(reader.doc, json_type_object)) {
        p2p_field_error(errors, "", "", "must be a JSON object");
        return client;
    }
    check_names(&reader);
    read_endpoint(&reader, allow_http);
    client->id = text(&reader, "clientId");
    client->secret = text(&reader, "clientSecret");
    client->scope = text(&reader, "scope");
    client->audience = text(&reader, "audience");
    pem = p2p_field_text(errors, reader.doc, "", "privateKey", KEY_MAX, 1);
    if (!*client->id) p2p_field_error(errors, "", "clientId", "is required");
    if (*client->secret && *pem) p2p_field_error(errors, "", "privateKey", "must not stand beside clientSecret");
    else if (*client->secret) read_secret(&reader);
    else if (*pem) read_key(&reader, pem);
    else p2p_field_error(errors, "", "clientSecret", "is required where there is no privateKey");
    return client;
}

static p2p_error_t *add_assertion(apr_pool_t *p, const p2p_target_client_t *client, const char *endpoint,
                                  const p2p_clock_t *clock, p2p_token_form_t *form)
{
    json_object *claims = p2p_json_own(p, json_object_new_object());
    const char *jti, *jwt;

    P2P_TRY(p2p_uuid4(p, &jti));
    p2p_json_add_str(claims, "iss", client->id);
    p2p_json_add_str(claims, "sub", client->id);
    p2p_json_add_str(claims, "aud", endpoint);
    p2p_json_add_int(claims, "exp", apr_time_sec(clock->now(clock->baton)) + ASSERTION_LIVES);
    p2p_json_add_str(claims, "jti", jti);
    P2P_TRY(p2p_jws_sign(p, client->key, p2p_json_print(p, claims, NULL), &jwt));
    p2p_token_form_add(p, form, "client_assertion_type", ASSERTION_TYPE);
    p2p_token_form_add(p, form, "client_assertion", jwt);
    return NULL;
}

p2p_error_t *p2p_target_client_form(apr_pool_t *p, const p2p_target_client_t *client, const char *endpoint,
                                    const p2p_clock_t *clock, p2p_token_form_t *form)
{
    *form = (p2p_token_form_t){NULL, NULL};
    p2p_token_form_add(p, form, "grant_type", "client_credentials");
    if (*client->scope) p2p_token_form_add(p, form, "scope", client->scope);
    if (*client->audience) p2p_token_form_add(p, form, "audience", client->audience);
    if (client->key) return add_assertion(p, client, endpoint, clock, form);
    p2p_token_form_client(p, form, client->id, client->secret, client->method);
    return NULL;
}
