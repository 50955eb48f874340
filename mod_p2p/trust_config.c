/* SPDX-License-Identifier: Apache-2.0 */
/* Whose tokens count, as the configuration says. */
#include "trust_config.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include "base/json.h"
#include "base/uri.h"
#include "files.h"
#include "oidc/jwk.h"

/* What a line says, word for word; NULL where it does not. */
typedef struct line_t {
    const ap_directive_t *place;
    const char *keys, *jwks, *introspection, *client, *audience, *portal, *administration;
} line_t;

static const struct word_t {
    const char *name;
    size_t offset;
    int bare; /* may stand without a value */
} words[] = {
    { "keys", offsetof(line_t, keys), 0 },         { "jwks", offsetof(line_t, jwks), 0 },
    { "introspection", offsetof(line_t, introspection), 1 }, { "client", offsetof(line_t, client), 0 },
    { "audience", offsetof(line_t, audience), 0 }, { "portal", offsetof(line_t, portal), 0 },
    { "administration", offsetof(line_t, administration), 0 },
};

static const char *take_word(cmd_parms *cmd, line_t *line, const char *text)
{
    apr_size_t len = strcspn(text, "=");
    const struct word_t *word = words;
    const struct word_t *end = words + sizeof words / sizeof *words;
    const char **value;

    while (word < end && (strlen(word->name) != len || strncmp(word->name, text, len))) word++;
    if (word == end) {
        return apr_psprintf(cmd->pool, "P2PTrustIssuer knows keys=, jwks=, introspection, client=, audience=, portal= and administration=, not "
                            "\"%s\"", text);
    }
    value = (const char **)((char *)line + word->offset);
    if (*value) return apr_psprintf(cmd->pool, "P2PTrustIssuer has %s twice in one line: write several values as %s=A,B", word->name, word->name);
    *value = apr_pstrdup(cmd->pool, text[len] ? text + len + 1 : "");
    if (**value || (word->bare && !text[len])) return NULL;
    return apr_psprintf(cmd->pool, "P2PTrustIssuer: %s= needs a value", word->name);
}

/* The values between commas, blank ones included. */
static apr_array_header_t *split(apr_pool_t *p, const char *text)
{
    apr_array_header_t *values = apr_array_make(p, 2, sizeof(const char *));

    while (text) {
        apr_size_t len = strcspn(text, ",");

        APR_ARRAY_PUSH(values, const char *) = apr_pstrmemdup(p, text, len);
        text = text[len] ? text + len + 1 : NULL;
    }
    return values;
}

static p2p_trust_kind_t kind_of(const line_t *line)
{
    if (line->keys) return P2P_TRUST_KEYS;
    return line->introspection ? P2P_TRUST_INTROSPECTION : P2P_TRUST_PUBLISHED;
}

static void complete(apr_pool_t *p, p2p_trust_t *trust, const line_t *line, const char *issuer)
{
    trust->issuer = p2p_uri_trim(p, issuer);
    trust->jwks_uri = line->jwks ? line->jwks : "";
    trust->introspection_endpoint = line->introspection ? line->introspection : "";
    trust->keys = trust->client_id = trust->client_secret = "";
    trust->audiences = split(p, line->audience);
    trust->portal_scopes = split(p, line->portal);
    trust->administrator_scopes = split(p, line->administration);
}

const char *p2p_trust_set(cmd_parms *cmd, void *field, int argc, char *const argv[])
{
    p2p_config_t *config = field;
    int definition = !ap_cstr_casecmp(argv[0], "definition");
    line_t *line = apr_array_push(config->trust_lines);
    p2p_trust_t *trust = apr_array_push(config->spec.trusts);

    if (argc < 2 + definition) return apr_psprintf(cmd->pool, "Write it as %s %s", cmd->cmd->name, cmd->cmd->errmsg);
    line->place = cmd->directive;
    for (int i = 1 + definition; i < argc; i++) {
        const char *fault = take_word(cmd, line, argv[i]);

        if (fault) return fault;
    }
    trust->kind = definition ? P2P_TRUST_DEFINITION : kind_of(line);
    complete(cmd->pool, trust, line, argv[definition]);
    return NULL;
}

static p2p_error_t *fault(apr_pool_t *p, const p2p_trust_t *trust, const char *what)
{
    return p2p_error_make(p, P2P_E_INVALID, "bad-trust", "%s %s", trust->issuer, what);
}

/* A claim's values and scopes as RFC 6749 section 3.3 has them: no blanks in them. */
static int is_list(const apr_array_header_t *values)
{
    for (int i = 0; i < values->nelts; i++) {
        const char *value = APR_ARRAY_IDX(values, i, const char *);

        if (!*value) return 0;
        for (; *value; value++) {
            if (*value <= ' ' || *value > '~' || *value == '"' || *value == '\\') return 0;
        }
    }
    return 1;
}

static p2p_error_t *check_lists(apr_pool_t *p, const p2p_trust_t *trust)
{
    if (!trust->audiences->nelts)
        return fault(p, trust, "needs audience=: what its tokens have to name as their audience (aud) to be meant for this API");
    if (!trust->portal_scopes->nelts && !trust->administrator_scopes->nelts)
        return fault(p, trust, "needs portal= or administration=: which scopes of its tokens open the API");
    if (is_list(trust->audiences) && is_list(trust->portal_scopes) && is_list(trust->administrator_scopes)) return NULL;
    return fault(p, trust, "has a blank or a character that cannot be in an audience or scope: write them as A,B");
}

static p2p_error_t *check_words(apr_pool_t *p, const p2p_trust_t *trust, const line_t *line)
{
    if (trust->kind == P2P_TRUST_DEFINITION && (line->keys || line->jwks || line->introspection || line->client))
        return fault(p, trust, "is trusted as its definition says: leave out keys=, jwks=, introspection and client=");
    if ((line->keys != NULL) + (line->jwks != NULL) + (line->introspection != NULL) > 1)
        return fault(p, trust, "can be verified in one way only: keys=, jwks= or introspection");
    if (line->introspection && !line->client) return fault(p, trust, "needs client=: the file that says who we are at its introspection endpoint");
    if (line->client && !line->introspection) return fault(p, trust, "needs no client= without introspection: leave it out");
    return NULL;
}

static p2p_error_t *check_url(apr_pool_t *p, const p2p_config_t *config, const char *url)
{
    p2p_error_t *error = url && *url ? p2p_uri_check_endpoint(p, url, config->spec.allow_http) : NULL;

    return error ? p2p_error_make(p, P2P_E_INVALID, "bad-trust", "%s %s", url, error->sentence) : NULL;
}

static p2p_error_t *check_once(apr_pool_t *p, const p2p_config_t *config, int last)
{
    const p2p_trust_t *trust = &APR_ARRAY_IDX(config->spec.trusts, last, p2p_trust_t);

    for (int i = 0; i < last; i++) {
        const ap_directive_t *before = p2p_trust_place(config, i);

        if (strcmp(APR_ARRAY_IDX(config->spec.trusts, i, p2p_trust_t).issuer, trust->issuer)) continue;
        return fault(p, trust, apr_psprintf(p, "stands twice: remove this one or the one in line %d of %s", before->line_num, before->filename));
    }
    return NULL;
}

static p2p_error_t *rooted(apr_pool_t *p, const char *name, const char **path)
{
    *path = ap_server_root_relative(p, name);
    return *path ? NULL : p2p_error_make(p, P2P_E_INVALID, "bad-file", "\"%s\" is not a path", name);
}

static p2p_error_t *read_keys(apr_pool_t *p, const char *name, const char **text)
{
    const char *path;
    p2p_jwk_set_t *set;
    p2p_error_t *error;

    P2P_TRY(rooted(p, name, &path));
    P2P_TRY(p2p_file_read(p, path, 0, text));
    error = p2p_jwk_set_read(p, *text, strlen(*text), P2P_JWK_CONFIGURED, &set);
    return error ? p2p_error_make(p, P2P_E_INVALID, "bad-file", "%s %s", path, error->sentence) : NULL;
}

static p2p_error_t *read_client(apr_pool_t *p, const char *name, p2p_trust_t *trust)
{
    const char *path, *text, *id = NULL, *secret = NULL;
    json_object *doc;

    P2P_TRY(rooted(p, name, &path));
    P2P_TRY(p2p_file_read(p, path, 1, &text));
    if (!p2p_json_parse(p, text, strlen(text), &doc) && json_object_is_type(doc, json_type_object)) {
        id = p2p_json_str(doc, "clientId");
        secret = p2p_json_str(doc, "clientSecret");
    }
    if (!id || !*id || !secret || !*secret)
        return p2p_error_make(p, P2P_E_INVALID, "bad-file", "%s must be a JSON object, {\"clientId\": \"...\", \"clientSecret\": \"...\"}", path);
    trust->client_id = id;
    trust->client_secret = secret;
    return NULL;
}

p2p_error_t *p2p_trust_check(apr_pool_t *p, const p2p_config_t *config, int i)
{
    p2p_trust_t *trust = &APR_ARRAY_IDX(config->spec.trusts, i, p2p_trust_t);
    const line_t *line = &APR_ARRAY_IDX(config->trust_lines, i, line_t);
    p2p_error_t *error = p2p_uri_check_base(p, trust->issuer, config->spec.allow_http);

    if (error) return fault(p, trust, error->sentence);
    P2P_TRY(check_once(p, config, i));
    P2P_TRY(check_words(p, trust, line));
    P2P_TRY(check_lists(p, trust));
    P2P_TRY(check_url(p, config, line->jwks));
    P2P_TRY(check_url(p, config, line->introspection));
    if (line->keys) P2P_TRY(read_keys(p, line->keys, &trust->keys));
    if (line->client) P2P_TRY(read_client(p, line->client, trust));
    return NULL;
}

const ap_directive_t *p2p_trust_place(const p2p_config_t *config, int i)
{
    return APR_ARRAY_IDX(config->trust_lines, i, line_t).place;
}

apr_array_header_t *p2p_trust_lines(apr_pool_t *p)
{
    return apr_array_make(p, 2, sizeof(line_t));
}
