/* SPDX-License-Identifier: Apache-2.0 */
/* A definition, and a change of one, under any input: what is taken keeps to every rule and reads the same again, what is shown of it holds no
 * secret, and what is not taken is told why without a word of what it said. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "base/json.h"
#include "base/uri.h"
#include "fuzz.h"
#include "model/oidc_server.h"

#define SECRET "SECRET" /* what the corpus has in secrets and in what is wrong, and no sentence of ours */

static apr_pool_t *pool;

static void require(int holds, const char *rule)
{
    if (holds) return;
    fprintf(stderr, "# broken: %s\n", rule);
    abort();
}

static void check_errors(const apr_array_header_t *errors, const char *prefix)
{
    require(errors->nelts <= 40, "errors are not more than fields");
    for (int i = 0; i < errors->nelts; i++) {
        const p2p_field_error_t *error = &APR_ARRAY_IDX(errors, i, p2p_field_error_t);

        require(!strncmp(error->pointer, prefix, strlen(prefix)), "a pointer begins as it was told");
        require(strlen(error->pointer) < 200 && strlen(error->detail) < 400, "an error is short");
        require(!strstr(error->pointer, SECRET) && !strstr(error->detail, SECRET), "an error repeats nothing");
    }
}

static void check_url(const char *url, int required)
{
    require(!required || *url, "what is required is there");
    if (*url) require(!p2p_uri_check_endpoint(pool, url, 0), "a URL may be called");
}

static void check_text(const char *text, apr_size_t max)
{
    require(text && strlen(text) <= max, "a text is there and not too long");
    for (; *text; text++) require((unsigned char)*text >= ' ' && *text != 0x7f, "a text has no control characters");
}

static void check_definition(const p2p_oidc_server_t *server)
{
    check_text(server->name, 200);
    check_text(server->client_id, 1024);
    check_text(server->client_secret, 4096);
    check_text(server->scopes, 4096);
    check_text(server->custom_token_params, 4096);
    check_text(server->organization_id, 200);
    check_url(server->issuer, 1);
    check_url(server->fhir_endpoint, 1);
    check_url(server->auth_well_known, 0);
    check_url(server->token_endpoint, 0);
    require(*server->name && *server->response_type, "what has to be there is there");
    require(server->issuer[strlen(server->issuer) - 1] != '/', "an issuer has no trailing slash");
    require(!strcmp(server->issuer, server->id_namespace), "the name space is the issuer");
}

/* What portals see, written and read again, is the same definition but for what they do not see. */
static void check_shown(const p2p_oidc_server_t *server)
{
    static const char *const hidden[] = {"clientSecret", "keyText", "keyFile", "notes"};
    const char *text = p2p_json_print(pool, p2p_oidc_server_public(pool, server), NULL);
    p2p_oidc_server_t again;
    apr_array_header_t *errors = p2p_field_errors(pool);
    json_object *doc;

    require(!p2p_json_parse(pool, text, strlen(text), &doc), "what portals see is JSON");
    for (apr_size_t i = 0; i < sizeof hidden / sizeof *hidden; i++) require(!json_object_object_get(doc, hidden[i]), "portals see no secret");
    p2p_oidc_server_read(pool, doc, 0, "", &again, errors);
    require(!errors->nelts, "what is shown keeps to the rules");
    require(!strcmp(server->issuer, again.issuer) && !strcmp(server->fhir_endpoint, again.fhir_endpoint)
                && !strcmp(server->response_type, again.response_type) && !strcmp(server->name, again.name),
            "what is shown is what was read");
}

static void read_definition(json_object *doc)
{
    p2p_oidc_server_t server;
    apr_array_header_t *errors = p2p_field_errors(pool);

    p2p_oidc_server_read(pool, doc, 0, "/7", &server, errors);
    check_errors(errors, "/7");
    if (errors->nelts) return;
    check_definition(&server);
    check_shown(&server);
}

/* The input as a change of a definition that there is: made twice it is made once, and what it leaves out stays. */
static void change_definition(json_object *patch)
{
    static const char old_text[] = "{\"name\":\"Old\",\"issuer\":\"https://old.example\",\"clientId\":\"c\",\"fhirEndpoint\":\"https://old.example/fhir\","
                                   "\"scopes\":\"openid\",\"responseType\":\"code\",\"organizationId\":\"1\",\"notes\":\"old notes\"}";
    p2p_oidc_server_t old, once, twice;
    apr_array_header_t *errors = p2p_field_errors(pool);
    json_object *doc;

    require(!p2p_json_parse(pool, old_text, sizeof old_text - 1, &doc), "the old one is JSON");
    p2p_oidc_server_read(pool, doc, 0, "", &old, errors);
    require(!errors->nelts, "the old one is a definition");
    p2p_oidc_server_read(pool, p2p_oidc_server_merge(pool, &old, patch), 0, "", &once, errors);
    check_errors(errors, "");
    if (errors->nelts) return;
    p2p_oidc_server_read(pool, p2p_oidc_server_merge(pool, &once, patch), 0, "", &twice, errors);
    require(!errors->nelts, "a change that was taken is taken again");
    require(!strcmp(once.name, twice.name) && !strcmp(once.issuer, twice.issuer) && !strcmp(once.scopes, twice.scopes)
                && !strcmp(once.fhir_endpoint, twice.fhir_endpoint) && !strcmp(once.notes, twice.notes), "a change made twice is made once");
    require(json_object_object_get_ex(patch, "name", NULL) || !strcmp(once.name, old.name), "what a change leaves out stays");
    require(json_object_object_get_ex(patch, "notes", NULL) || !strcmp(once.notes, old.notes), "notes that a change leaves out stay");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_object *doc;

    if (!pool) {
        apr_initialize();
        apr_pool_create(&pool, NULL);
    }
    if (size > 1 << 17) return 0;
    if (!p2p_json_parse(pool, (const char *)data, size, &doc)) {
        read_definition(doc);
        if (json_object_is_type(doc, json_type_object)) change_definition(doc);
    }
    apr_pool_clear(pool);
    return 0;
}
