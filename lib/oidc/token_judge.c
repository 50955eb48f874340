/* SPDX-License-Identifier: Apache-2.0 */
/* What claims have to say, be they a signed token's or an introspection endpoint's. */
#include <apr_cstr.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <string.h>
#include "base/uri.h"
#include "oidc/token_private.h"

#define TEXT_BYTES 1024           /* longer names are refused */
#define LAST_SECOND 253402300799. /* of the year 9999 */

/* The member, NULL where it is missing or null. */
static json_object *member(json_object *all, const char *name)
{
    json_object *value = NULL;

    json_object_object_get_ex(all, name, &value);
    return value;
}

/* Text without NUL and control characters: it may come to stand in a log. */
static const char *plain_text(json_object *value)
{
    const char *text = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;

    if (!text || strlen(text) != (size_t)json_object_get_string_len(value)) return NULL;
    for (const char *c = text; *c; c++)
        if (apr_iscntrl(*c)) return NULL;
    return text;
}

/* *text is "" where the claim is missing; 0 where it is no name. */
static int name_of(json_object *all, const char *claim, const char **text)
{
    json_object *value = member(all, claim);

    *text = value ? plain_text(value) : "";
    return *text && strlen(*text) <= TEXT_BYTES;
}

/* A NumericDate; 0 where it is none, or of no time that there will be. */
static int time_of(json_object *value, apr_time_t *time)
{
    double seconds;

    if (!json_object_is_type(value, json_type_int) && !json_object_is_type(value, json_type_double)) return 0;
    seconds = json_object_get_double(value);
    if (!(seconds >= 0 && seconds <= LAST_SECOND)) return 0;
    *time = (apr_time_t)(seconds * APR_USEC_PER_SEC);
    return 1;
}

static p2p_error_t *judge_issuer(apr_pool_t *p, json_object *all, int introspected, const p2p_token_rules_t *rules)
{
    const char *issuer;

    if (introspected && !member(all, "iss")) return NULL;
    if (!name_of(all, "iss", &issuer)) return p2p_token_malformed(p, "has an iss that is no text");
    if (!strcmp(p2p_uri_trim(p, issuer), rules->issuer)) return NULL;
    return p2p_token_refuse(p, "token-wrong-issuer",
                            "The token is of another issuer than the one whose keys it was verified with.");
}

static int is_audience(const p2p_token_rules_t *rules, const char *name)
{
    for (int i = 0; i < rules->audiences->nelts; i++)
        if (!strcmp(APR_ARRAY_IDX(rules->audiences, i, const char *), name)) return 1;
    return 0;
}

static p2p_error_t *judge_audience(apr_pool_t *p, json_object *all, const p2p_token_rules_t *rules)
{
    json_object *aud = member(all, "aud");
    size_t count = json_object_is_type(aud, json_type_array) ? json_object_array_length(aud) : 1;
    int named = 0;

    for (size_t i = 0; aud && i < count; i++) {
        const char *name = plain_text(json_object_is_type(aud, json_type_array) ? json_object_array_get_idx(aud, i) : aud);

        if (!name) return p2p_token_malformed(p, "has an aud that is neither a text nor an array of texts");
        named |= is_audience(rules, name);
    }
    if (named) return NULL;
    return p2p_token_refuse(p, "token-wrong-audience",
                            "The token is not meant for this service (aud). Ask its issuer for one that is.");
}

static p2p_error_t *judge_times(apr_pool_t *p, json_object *all, apr_time_t now, apr_time_t *expires)
{
    json_object *not_before = member(all, "nbf");
    apr_time_t begins = 0;

    if (!time_of(member(all, "exp"), expires)) return p2p_token_malformed(p, "has no exp that is a time");
    if (not_before && !time_of(not_before, &begins)) return p2p_token_malformed(p, "has an nbf that is no time");
    if (*expires + P2P_TOKEN_LEEWAY <= now) return p2p_token_refuse(p, "token-expired", "The token has expired. " P2P_TOKEN_GET_ANOTHER);
    if (begins > now + P2P_TOKEN_LEEWAY)
        return p2p_token_refuse(p, "token-not-yet-valid",
                                "The token is not valid yet (nbf). Wait, or look at the clocks of its issuer and of this host.");
    return NULL;
}

/* As the endpoint of RFC 7662 has to call an access token, and as some call it. */
static int is_bearer_type(const char *type)
{
    return !*type || !apr_cstr_casecmp(type, "Bearer") || !apr_cstr_casecmp(type, "access_token");
}

/* A token that opens only together with a proof of its holder's key (RFC 7800, 8705, 9449) must not open without. */
static p2p_error_t *judge_kind(apr_pool_t *p, json_object *all, int introspected)
{
    const char *type;

    if (member(all, "cnf")) return p2p_token_malformed(p, "is bound to a key of its holder (cnf), which is not checked here");
    if (introspected && (!name_of(all, "token_type", &type) || !is_bearer_type(type)))
        return p2p_token_malformed(p, "is no bearer token by its token_type");
    return NULL;
}

/* Adds the words of a text, parted by spaces, or the one word that an array's element is. */
static int add_scopes(json_object *value, int is_element, apr_array_header_t *words)
{
    const char *text = plain_text(value);
    char *word, *rest;

    if (!text || (is_element && strchr(text, ' '))) return 0;
    for (word = apr_strtok(apr_pstrdup(words->pool, text), " ", &rest); word; word = apr_strtok(NULL, " ", &rest))
        APR_ARRAY_PUSH(words, const char *) = word;
    return 1;
}

static int read_scopes(apr_pool_t *p, json_object *all, const char **scopes)
{
    json_object *value = member(all, "scope");
    apr_array_header_t *words = apr_array_make(p, 8, sizeof(const char *));
    int is_array, good = 1;

    if (!value) value = member(all, "scp");
    is_array = json_object_is_type(value, json_type_array);
    if (value && !is_array) good = add_scopes(value, 0, words);
    for (size_t i = 0; is_array && good && i < json_object_array_length(value); i++)
        good = add_scopes(json_object_array_get_idx(value, i), 1, words);
    *scopes = apr_array_pstrcat(p, words, ' ');
    return good;
}

static p2p_error_t *read_claims(apr_pool_t *p, json_object *all, p2p_token_claims_t *claims)
{
    const char *client, *party, *subject;

    if (!name_of(all, "client_id", &client) || !name_of(all, "azp", &party) || !name_of(all, "sub", &subject))
        return p2p_token_malformed(p, "has a client_id, azp or sub that is no text, too long or has control characters");
    client = *client ? client : *party ? party : subject;
    if (!*client) return p2p_token_malformed(p, "does not say whose it is: client_id, azp and sub are missing");
    if (!read_scopes(p, all, &claims->scopes))
        return p2p_token_malformed(p, "has a scope that is neither a text nor an array of words");
    claims->client_id = apr_pstrdup(p, client);
    claims->subject = apr_pstrdup(p, subject);
    claims->all = all;
    return NULL;
}

p2p_error_t *p2p_token_judge(apr_pool_t *p, json_object *all, int introspected, const p2p_token_rules_t *rules,
                             p2p_token_claims_t *claims)
{
    json_object *active = introspected ? member(all, "active") : NULL;

    if (!json_object_is_type(all, json_type_object)) return p2p_token_malformed(p, "has claims that are no JSON object");
    if (introspected && (!json_object_is_type(active, json_type_boolean) || !json_object_get_boolean(active)))
        return p2p_token_refuse(p, "token-inactive",
                                "The token's issuer says that it is not valid, or not any more. " P2P_TOKEN_GET_ANOTHER);
    P2P_TRY(judge_issuer(p, all, introspected, rules));
    P2P_TRY(judge_audience(p, all, rules));
    P2P_TRY(judge_times(p, all, rules->now, &claims->expires));
    P2P_TRY(judge_kind(p, all, introspected));
    return read_claims(p, all, claims);
}

int p2p_token_has_scope(const p2p_token_claims_t *claims, const apr_array_header_t *scopes)
{
    for (int i = 0; i < scopes->nelts; i++) {
        const char *scope = APR_ARRAY_IDX(scopes, i, const char *), *at = claims->scopes;
        apr_size_t len = strlen(scope);

        for (; len && (at = strstr(at, scope)); at += len)
            if ((at == claims->scopes || at[-1] == ' ') && (at[len] == ' ' || !at[len])) return 1;
    }
    return 0;
}
