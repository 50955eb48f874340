/* SPDX-License-Identifier: Apache-2.0 */
/* What the answers of token endpoints mean. */
#include "oidc/token_answer.h"
#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>
#include "base/encode.h"

#define TOKEN_BYTES 16384          /* longer access or refresh tokens are not taken */
#define MARGIN apr_time_from_sec(30)
#define SHORT_LIFE apr_time_from_sec(60)
#define LONGEST_LIFE (10 * 366 * 86400LL) /* seconds; more is taken for this */

/* A token goes into a header field: visible ASCII only (RFC 6749 appendix A). */
static int is_token(const char *text)
{
    apr_size_t len = 0;

    if (!text) return 0;
    for (; text[len]; len++)
        if (text[len] < 0x21 || text[len] > 0x7e || len == TOKEN_BYTES) return 0;
    return len > 0;
}

/* A member as text, be it a string or a number. */
static const char *text_member(apr_pool_t *p, json_object *doc, const char *name)
{
    json_object *value = NULL;

    if (!json_object_object_get_ex(doc, name, &value)) return NULL;
    if (!json_object_is_type(value, json_type_string) && !json_object_is_type(value, json_type_int)) return NULL;
    return apr_pstrdup(p, json_object_get_string(value));
}

static const char *patient_of(apr_pool_t *p, json_object *doc, const char *names)
{
    const char *name, *value, *id = NULL;

    while (!id && (name = p2p_token_param_next(p, &names, &value)))
        if (!value) id = text_member(p, doc, name);
    return id ? id : text_member(p, doc, "patient");
}

/* Some servers write expires_in as a string. */
static apr_interval_time_t lives(apr_pool_t *p, json_object *doc)
{
    const char *text = text_member(p, doc, "expires_in");
    apr_int64_t seconds = text ? apr_strtoi64(text, NULL, 10) : 0;

    if (seconds <= 0) return 0;
    return apr_time_from_sec(seconds > LONGEST_LIFE ? LONGEST_LIFE : seconds);
}

static p2p_error_t *unusable(apr_pool_t *p, const p2p_token_asked_t *asked, const char *why)
{
    if (asked->is_target)
        return p2p_error_make(p, P2P_E_REFUSED, "target-token-refused",
                              "The target's token endpoint %s %s. Check the file that P2PTargetAuth names.", asked->endpoint,
                              why);
    return p2p_error_make(p, P2P_E_INVALID, "token-answer-unusable",
                          "The token endpoint %s %s. Check the definition's token URL, client id and client secret.",
                          asked->endpoint, why);
}

static p2p_token_verdict_t judge_given(apr_pool_t *p, const p2p_token_asked_t *asked, json_object *doc,
                                       p2p_token_answer_t *answer, p2p_error_t **error)
{
    const char *type = p2p_json_str(doc, "token_type"), *refresh = p2p_json_str(doc, "refresh_token");
    const char *access = p2p_json_str(doc, "access_token");

    if (!is_token(access) || (refresh && *refresh && !is_token(refresh)) || (type && strcasecmp(type, "bearer"))) {
        *error = unusable(p, asked, "gave no bearer token that can be used");
        return P2P_TOKEN_UNUSABLE;
    }
    answer->access_token = apr_pstrdup(p, access);
    answer->refresh_token = refresh ? apr_pstrdup(p, refresh) : "";
    answer->patient = patient_of(p, doc, asked->names);
    answer->lives = lives(p, doc);
    return P2P_TOKEN_GIVEN;
}

/* An OAuth error code is a word; anything else is not shown. */
static const char *error_word(apr_pool_t *p, json_object *doc)
{
    const char *word = doc ? p2p_json_str(doc, "error") : NULL;

    if (!word || !*word || strlen(word) > 40 || strspn(word, "abcdefghijklmnopqrstuvwxyz_-") != strlen(word)) return "";
    return apr_pstrdup(p, word);
}

static p2p_token_verdict_t judge_refused(apr_pool_t *p, const p2p_token_asked_t *asked, int status, json_object *doc,
                                         p2p_error_t **error)
{
    const char *word = error_word(p, doc), *said = doc ? p2p_json_str(doc, "error_description") : NULL;
    const char *what = asked->is_target ? "give a token" : "refresh a token";
    p2p_token_verdict_t verdict = P2P_TOKEN_UNUSABLE;

    if (!asked->is_target && !strcmp(word, "invalid_grant") && (status == 400 || status == 401)) {
        verdict = P2P_TOKEN_DEAD;
        *error = p2p_error_make(p, P2P_E_REFUSED, "token-refused",
                                "The source's authorization is not valid any more (invalid_grant at %s). The member has "
                                "to authorise the exchange again.", asked->endpoint);
    } else {
        if (!strcmp(word, "invalid_client")) verdict = P2P_TOKEN_STRANGER;
        *error = unusable(p, asked, apr_psprintf(p, "refused to %s (%d%s%s)", what, status, *word ? ", " : "", word));
    }
    p2p_error_detail(p, *error, said ? said : "The endpoint gave no description of the error.");
    return verdict;
}

p2p_token_verdict_t p2p_token_answer_judge(apr_pool_t *p, const p2p_token_asked_t *asked, int status, const char *body,
                                           apr_size_t len, p2p_token_answer_t *answer, p2p_error_t **error)
{
    json_object *doc = NULL;

    if (status >= 500 || status == 429 || status == 408) {
        *error = p2p_error_make(p, P2P_E_UNAVAILABLE, "token-endpoint-unreachable",
                                "The token endpoint %s has trouble (%d). Try again later, or ask its operator.",
                                asked->endpoint, status);
        return P2P_TOKEN_LATER;
    }
    if (p2p_json_parse(p, body, len, &doc) || !json_object_is_type(doc, json_type_object)) doc = NULL;
    if (status != 200) return judge_refused(p, asked, status, doc, error);
    if (doc) return judge_given(p, asked, doc, answer, error);
    *error = unusable(p, asked, "gave an answer that is not a JSON object");
    return P2P_TOKEN_UNUSABLE;
}

const p2p_error_t *p2p_token_no_answer(apr_pool_t *p, const p2p_error_t *failure)
{
    if (failure->kind != P2P_E_UNAVAILABLE) return failure;
    return p2p_error_detail(p, p2p_error_make(p, P2P_E_UNAVAILABLE, "token-endpoint-unreachable", "%s", failure->sentence),
                            failure->detail);
}

static apr_time_t time_member(json_object *doc, const char *name)
{
    apr_int64_t seconds = p2p_json_int(doc, name, 0);

    return seconds > 0 && seconds < APR_INT64_MAX / APR_USEC_PER_SEC ? apr_time_from_sec(seconds) : 0;
}

apr_time_t p2p_token_jwt_expires(apr_pool_t *p, const char *access_token, apr_time_t *issued)
{
    const char *first = strchr(access_token, '.'), *second = first ? strchr(first + 1, '.') : NULL;
    unsigned char *payload;
    json_object *doc;
    apr_size_t len;

    *issued = 0;
    if (!second || second == first + 1 || strlen(access_token) > TOKEN_BYTES) return 0;
    if (!p2p_base64url_decode(p, apr_pstrmemdup(p, first + 1, (apr_size_t)(second - first - 1)), &payload, &len)) return 0;
    if (p2p_json_parse(p, (const char *)payload, len, &doc) || !json_object_is_type(doc, json_type_object)) return 0;
    *issued = time_member(doc, "iat");
    return time_member(doc, "exp");
}

apr_interval_time_t p2p_token_margin(apr_interval_time_t life)
{
    if (life >= SHORT_LIFE) return MARGIN;
    return life > 0 ? life / 5 : 0;
}
