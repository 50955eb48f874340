/* SPDX-License-Identifier: Apache-2.0 */
/* Judging the answers that a definition's test gets. */
#include "runner/test_steps.h"
#include <apr_lib.h>
#include <apr_strings.h>
#include <string.h>
#include "base/uri.h"
#include "fhir/capability.h"
#include "oidc/jwk.h"
#include "oidc/server_keys.h"

#define WORD_MAX 40 /* of an OAuth error code */
#define PROGRAM_MAX 80 /* of a program's name */

p2p_step_t p2p_step(apr_pool_t *p, int ok, const char *detail, ...)
{
    p2p_step_t step = {ok, NULL};
    va_list args;

    va_start(args, detail);
    step.detail = apr_pvsprintf(p, detail, args);
    va_end(args);
    return step;
}

static const char *shown(apr_pool_t *p, const char *url)
{
    return p2p_uri_public(p, url, url);
}

/* ---- The discovery document ---- */

/* What portals send members to; a definition of the response type "none" has no use for it. */
static int needs_authorization(const p2p_oidc_server_t *server)
{
    return *server->response_type && strcmp(server->response_type, "none");
}

static p2p_step_t judge_document(apr_pool_t *p, const p2p_oidc_server_t *server, p2p_step_document_t *document)
{
    const p2p_discovery_t *said = &document->said;
    const char *url = shown(p, document->url);

    if (*said->issuer || !document->is_smart) {
        if (!*said->issuer) return p2p_step(p, 0, "%s names no issuer.", url);
        if (!p2p_discovery_is_issuer(p, said->issuer, server->issuer))
            return p2p_step(p, 0, "%s is the document of another issuer than the definition's: nothing in it is used.", url);
    }
    document->usable = 1;
    if (*said->unusable) return p2p_step(p, 0, "%s has a %s that cannot be used: it must be an https URL.", url, said->unusable);
    if (!*said->token_endpoint && !*server->token_endpoint)
        return p2p_step(p, 0, "%s names no token_endpoint, and the definition has no token URL.", url);
    if (!*said->authorization_endpoint && needs_authorization(server))
        return p2p_step(p, 0, "%s names no authorization_endpoint: portals cannot send members there.", url);
    return p2p_step(p, 1, "%s is there, and %s.", url, *said->issuer ? "its issuer is the definition's" : "names no issuer");
}

p2p_step_t p2p_step_document(apr_pool_t *p, const p2p_oidc_server_t *server, p2p_step_document_t *document, int status, const char *body,
                             apr_size_t len)
{
    const p2p_error_t *error = p2p_discovery_answered(p, document->url, status);

    document->usable = 0;
    if (!error) error = p2p_discovery_read(p, document->url, body, len, &document->said);
    return error ? p2p_step(p, 0, "%s", error->sentence) : judge_document(p, server, document);
}

/* ---- The token endpoint ---- */

/* An OAuth error code is a word; anything else is not shown. */
static const char *error_word(apr_pool_t *p, const char *body, apr_size_t len)
{
    json_object *doc;
    const char *word;

    if (p2p_json_parse(p, body, len, &doc) || !json_object_is_type(doc, json_type_object)) return "";
    word = p2p_json_str(doc, "error");
    if (!word || strlen(word) > WORD_MAX || strspn(word, "abcdefghijklmnopqrstuvwxyz_") != strlen(word)) return "";
    return word;
}

static p2p_step_t judge_refusal(apr_pool_t *p, const char *url, const char *word)
{
    if (!strcmp(word, "invalid_grant"))
        return p2p_step(p, 1, "%s knows the client, and refuses a refresh token that nobody issued, as it has to (invalid_grant).", url);
    if (!strcmp(word, "invalid_client"))
        return p2p_step(p, 0, "%s does not know the client (invalid_client): check clientId and clientSecret.", url);
    if (!strcmp(word, "unauthorized_client"))
        return p2p_step(p, 0, "%s knows the client, which may not refresh tokens (unauthorized_client).", url);
    if (!strcmp(word, "unsupported_grant_type"))
        return p2p_step(p, 1, "%s is there, but refreshes no tokens (unsupported_grant_type): exchanges end with their access token.", url);
    return p2p_step(p, 1, "%s is there, and does not say whether it knows the client (%s).", url, word);
}

p2p_step_t p2p_step_token(apr_pool_t *p, const char *url, int status, const char *body, apr_size_t len, int *stranger)
{
    const p2p_error_t *error = p2p_discovery_answered(p, url, status);
    const char *word = error_word(p, body, len);

    *stranger = 0;
    if (!error) return p2p_step(p, 0, "%s answered 200 to a refresh token that nobody issued: it is no token endpoint.", shown(p, url));
    if (status != 400 && status != 401) return p2p_step(p, 0, "%s", error->sentence);
    if (!*word) return p2p_step(p, 0, "%s answered %d, but not as a token endpoint does (RFC 6749 section 5.2).", shown(p, url), status);
    *stranger = !strcmp(word, "invalid_client");
    return judge_refusal(p, shown(p, url), word);
}

/* ---- Keys ---- */

p2p_step_t p2p_step_own_keys(apr_pool_t *p, const p2p_oidc_server_t *server, const char *key_dir)
{
    apr_array_header_t *errors = p2p_field_errors(p);
    const p2p_field_error_t *first;

    p2p_oidc_server_check_keys(p, server, key_dir, "", errors);
    if (!errors->nelts) return p2p_step(p, 1, "The definition's own keys can be used.");
    first = &APR_ARRAY_IDX(errors, 0, const p2p_field_error_t);
    return p2p_step(p, 0, "The definition's %s %s.", first->pointer + 1, first->detail);
}

p2p_step_t p2p_step_keys(apr_pool_t *p, const char *url, int status, const char *body, apr_size_t len)
{
    const p2p_error_t *error = p2p_discovery_answered(p, url, status);
    p2p_jwk_set_t *set;

    if (error) return p2p_step(p, 0, "%s", error->sentence);
    error = p2p_jwk_set_read(p, body, len, P2P_JWK_PUBLISHED, &set);
    if (error) return p2p_step(p, 0, "%s %s.", shown(p, url), error->sentence);
    return p2p_step(p, 1, "%s has %d keys that signatures can be verified with.", shown(p, url), p2p_jwk_set_count(set));
}

/* ---- FHIR ---- */

/* What a stranger calls himself, as plain text. */
static const char *plain(apr_pool_t *p, const char *name)
{
    char *text;

    if (!name || !*name) return "a program without a name";
    text = apr_pstrndup(p, name, PROGRAM_MAX);
    for (char *c = text; *c; c++)
        if (!apr_isalnum(*c) && !strchr(" .-_/()", *c)) *c = '?';
    return text;
}

p2p_step_t p2p_step_capability(apr_pool_t *p, const char *url, int status, const char *body, apr_size_t len)
{
    const p2p_error_t *error = p2p_discovery_answered(p, url, status);
    p2p_capability_t said;

    if (status == 401 || status == 403)
        return p2p_step(p, 0, "%s answered %d: it is not to be had without a token, so that it was not looked at.", shown(p, url), status);
    if (error) return p2p_step(p, 0, "%s", error->sentence);
    if (p2p_capability_read(p, body, len, &said) || !said.resource_type || strcmp(said.resource_type, "CapabilityStatement"))
        return p2p_step(p, 0, "%s is no CapabilityStatement: check the definition's FHIR endpoint URL.", shown(p, url));
    if (!said.fhir_version || strncmp(said.fhir_version, "4.0.", 4))
        return p2p_step(p, 0, "%s is not FHIR R4 (4.0.x).", shown(p, url));
    if (said.formats && !said.json_formats) return p2p_step(p, 0, "%s names formats, and JSON is none of them.", shown(p, url));
    return p2p_step(p, 1, "%s is FHIR R4, JSON, by %s.", shown(p, url), plain(p, said.software_name));
}
