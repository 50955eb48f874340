/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens: grants with expiring access tokens and rotating refresh tokens; a replayed one ends its grant. */
#include <apr_general.h>
#include "door.h"

typedef struct sandbox_token_t sandbox_token_t;

typedef struct sandbox_grant_t {
    int number;
    const char *patient;
    const char *scope; /* NULL: the usual one */
    const char *access, *refresh; /* the newest; NULL: none */
    int refreshes, replays, revoked;
    apr_array_header_t *chain; /* sandbox_token_t *: its refresh tokens, oldest first */
} sandbox_grant_t;

struct sandbox_token_t {
    sandbox_grant_t *grant;
    int is_refresh, used;
    int uses; /* how often a refresh was asked for with it */
    apr_time_t expires; /* 0: an initial token that was not used yet; its time begins with its first use */
};

typedef struct sandbox_tokens_t {
    apr_pool_t *pool;
    apr_hash_t *all;
    apr_array_header_t *grants; /* sandbox_grant_t * */
} sandbox_tokens_t;

static sandbox_token_t *add_token(sandbox_tokens_t *tokens, sandbox_grant_t *grant, const char *text,
                                  int is_refresh)
{
    sandbox_token_t *token = apr_pcalloc(tokens->pool, sizeof(*token));

    token->grant = grant;
    token->is_refresh = is_refresh;
    if (is_refresh) APR_ARRAY_PUSH(grant->chain, sandbox_token_t *) = token;
    if (is_refresh) grant->refresh = text;
    else grant->access = text;
    apr_hash_set(tokens->all, text, APR_HASH_KEY_STRING, token);
    return token;
}

static sandbox_grant_t *add_grant(sandbox_tokens_t *tokens, const char *patient)
{
    sandbox_grant_t *grant = apr_pcalloc(tokens->pool, sizeof(*grant));

    grant->patient = patient ? apr_pstrdup(tokens->pool, patient) : NULL;
    APR_ARRAY_PUSH(tokens->grants, sandbox_grant_t *) = grant;
    grant->number = tokens->grants->nelts;
    grant->chain = apr_array_make(tokens->pool, 4, sizeof(sandbox_token_t *));
    return grant;
}

/* "ACCESS REFRESH [PATIENT]"; a dash stands for no token. */
static void add_initial(sandbox_tokens_t *tokens, const char *line)
{
    char *state, *copy = apr_pstrdup(tokens->pool, line);
    const char *access = apr_strtok(copy, " ", &state), *refresh = apr_strtok(NULL, " ", &state);
    sandbox_grant_t *grant = add_grant(tokens, apr_strtok(NULL, " ", &state));

    if (access && strcmp(access, "-") != 0) add_token(tokens, grant, access, 0);
    if (refresh && strcmp(refresh, "-") != 0) add_token(tokens, grant, refresh, 1);
}

void sandbox_tokens_make(sandbox_payer_t *payer, apr_pool_t *pool)
{
    sandbox_tokens_t *tokens = apr_pcalloc(pool, sizeof(*tokens));

    apr_pool_create(&tokens->pool, pool);
    tokens->all = apr_hash_make(tokens->pool);
    tokens->grants = apr_array_make(tokens->pool, 8, sizeof(sandbox_grant_t *));
    for (int i = 0; i < payer->grants->nelts; i++)
        add_initial(tokens, APR_ARRAY_IDX(payer->grants, i, const char *));
    payer->tokens = tokens;
}

static int token_good(sandbox_payer_t *payer, const char *text)
{
    sandbox_token_t *token = apr_hash_get(payer->tokens->all, text, APR_HASH_KEY_STRING);

    if (!token || token->is_refresh || token->grant->revoked) return 0;
    if (!payer->token_lifetime) return 1;
    if (!token->expires) token->expires = apr_time_now() + apr_time_from_sec(payer->token_lifetime);
    return apr_time_now() < token->expires;
}

int sandbox_token_check(sandbox_call_t *call)
{
    const char *header = apr_table_get(call->r->headers_in, "Authorization");
    int good = 0;

    if (!call->payer->bearer) return 0;
    if (header && strncasecmp(header, "Bearer ", 7) == 0) {
        apr_thread_mutex_lock(call->payer->mutex);
        good = token_good(call->payer, header + 7);
        apr_thread_mutex_unlock(call->payer->mutex);
    }
    if (good) return 0;
    apr_table_setn(call->r->err_headers_out, "WWW-Authenticate",
                   header ? "Bearer realm=\"sandbox\", error=\"invalid_token\"" : "Bearer realm=\"sandbox\"");
    return HTTP_UNAUTHORIZED;
}

static const char *random_token(apr_pool_t *pool, const char *prefix)
{
    unsigned char bytes[24];
    char *text = apr_palloc(pool, sizeof(bytes) * 2 + 1);

    apr_generate_random_bytes(bytes, sizeof(bytes));
    for (apr_size_t i = 0; i < sizeof(bytes); i++) apr_snprintf(text + i * 2, 3, "%02x", bytes[i]);
    return apr_pstrcat(pool, prefix, text, NULL);
}

static void show_text(p2p_buf_t *buf, const char *name, const char *value)
{
    p2p_buf_printf(buf, ",\"%s\":", name);
    if (value) p2p_buf_json(buf, value, strlen(value));
    else p2p_buf_puts(buf, "null");
}

static int answer_tokens(sandbox_call_t *call, const sandbox_grant_t *grant, const char *access,
                         const char *refresh, const char *id_token)
{
    sandbox_payer_t *payer = call->payer;
    sandbox_out_t out;

    sandbox_out_init(&out, call, 512);
    p2p_buf_printf(&out.buf, "{\"access_token\":\"%s\",\"token_type\":\"Bearer\"", access);
    show_text(&out.buf, "scope", grant->scope ? grant->scope : "patient/*.read offline_access");
    if (payer->token_lifetime) p2p_buf_printf(&out.buf, ",\"expires_in\":%d", payer->token_lifetime);
    if (refresh) p2p_buf_printf(&out.buf, ",\"refresh_token\":\"%s\"", refresh);
    if (id_token) show_text(&out.buf, "id_token", id_token);
    if (grant->patient) show_text(&out.buf, payer->patient_member, grant->patient);
    p2p_buf_puts(&out.buf, "}");
    apr_table_setn(call->r->headers_out, "Cache-Control", "no-store");
    return sandbox_out_send(&out, HTTP_OK, "application/json");
}

static const char *issue_access(sandbox_payer_t *payer, sandbox_grant_t *grant)
{
    sandbox_token_t *token = add_token(payer->tokens, grant, random_token(payer->tokens->pool, "at-"), 0);

    token->expires = apr_time_now() + apr_time_from_sec(payer->token_lifetime);
    return grant->access;
}

/* Under the mutex: the grant with new tokens, or NULL and why. */
static sandbox_grant_t *refresh_grant(sandbox_payer_t *payer, const char *text, const char **why)
{
    sandbox_token_t *token = text ? apr_hash_get(payer->tokens->all, text, APR_HASH_KEY_STRING) : NULL;

    *why = "the refresh token is not known";
    if (!token || !token->is_refresh) return NULL;
    token->uses++;
    *why = "the grant was revoked";
    if (token->grant->revoked) return NULL;
    if (token->used) {
        *why = "a refresh token that was used already: the grant is revoked";
        token->grant->replays++;
        token->grant->revoked = 1;
        return NULL;
    }
    token->grant->refreshes++;
    if (payer->rotate) {
        token->used = 1;
        add_token(payer->tokens, token->grant, random_token(payer->tokens->pool, "rt-"), 1);
    }
    issue_access(payer, token->grant);
    return token->grant;
}

static int refresh(sandbox_call_t *call, const char *form)
{
    sandbox_payer_t *payer = call->payer;
    const char *text = sandbox_param(call->r->pool, form, "refresh_token"), *why, *access = NULL,
        *next = NULL;
    sandbox_grant_t *grant;

    apr_thread_mutex_lock(payer->mutex);
    grant = refresh_grant(payer, text, &why);
    if (grant) access = grant->access, next = payer->rotate ? grant->refresh : NULL;
    apr_thread_mutex_unlock(payer->mutex);
    if (!grant) return sandbox_oauth_error(call, HTTP_BAD_REQUEST, "invalid_grant", why);
    return answer_tokens(call, grant, access, next, NULL);
}

/* Under the mutex: what the member has allowed, with its first tokens. */
static sandbox_grant_t *grant_of(sandbox_payer_t *payer, sandbox_ask_t *ask)
{
    sandbox_grant_t *grant = add_grant(payer->tokens, ask->text[SANDBOX_ASK_MEMBER]);

    grant->scope = apr_pstrdup(payer->tokens->pool, ask->text[SANDBOX_ASK_SCOPE]);
    if (sandbox_has_word(grant->scope, "offline_access"))
        add_token(payer->tokens, grant, random_token(payer->tokens->pool, "rt-"), 1);
    issue_access(payer, grant);
    ask->grant = grant;
    return grant;
}

/* An authorization code; one that comes again ends the grant that was made of it (RFC 6749 4.1.2). */
static int redeem(sandbox_call_t *call, const char *form, const char *client)
{
    sandbox_payer_t *payer = call->payer;
    sandbox_grant_t *grant = NULL;
    const char *why, *access = NULL, *next = NULL, *id_token = NULL;
    sandbox_ask_t *ask;

    apr_thread_mutex_lock(payer->mutex);
    ask = sandbox_ask_redeem(call, form, client, &why);
    if (ask && ask->grant) {
        ask->grant->revoked = 1;
    } else if (ask) {
        grant = grant_of(payer, ask);
        access = grant->access;
        next = grant->refresh;
        if (sandbox_has_word(grant->scope, "openid")) id_token = sandbox_id_token(call, ask);
    }
    apr_thread_mutex_unlock(payer->mutex);
    if (!grant) return sandbox_oauth_error(call, HTTP_BAD_REQUEST, "invalid_grant", why);
    return answer_tokens(call, grant, access, next, id_token);
}

static int own_grant(sandbox_call_t *call)
{
    sandbox_payer_t *payer = call->payer;
    sandbox_grant_t *grant;
    const char *access;

    apr_thread_mutex_lock(payer->mutex);
    grant = add_grant(payer->tokens, NULL);
    access = issue_access(payer, grant);
    apr_thread_mutex_unlock(payer->mutex);
    return answer_tokens(call, grant, access, NULL, NULL);
}

/* SandboxTokenRequire NAME=VALUE: a parameter that this server insists on. */
static int lacks_required(sandbox_call_t *call, const char *form)
{
    const char *required = call->payer->token_require, *equals = required ? strchr(required, '=') : NULL,
        *value;

    if (!equals) return 0;
    value = sandbox_param(call->r->pool, form, apr_pstrmemdup(call->r->pool, required,
                                                              (apr_size_t)(equals - required)));
    return !value || strcmp(value, equals + 1) != 0;
}

int sandbox_token_endpoint(sandbox_call_t *call)
{
    const char *form, *type, *client, *content_type = apr_table_get(call->r->headers_in, "Content-Type");
    sandbox_str_t body;
    int rv;

    if (call->r->method_number != M_POST)
        return sandbox_oauth_error(call, 405, "invalid_request", "POST, please");
    rv = sandbox_body(call, 65536, &body);
    if (rv) return rv;
    if (!content_type || strncasecmp(content_type, "application/x-www-form-urlencoded", 33) != 0)
        return sandbox_oauth_error(call, HTTP_BAD_REQUEST, "invalid_request",
                                   "the body must be form-urlencoded");
    form = apr_pstrmemdup(call->r->pool, body.p, body.n);
    if (sandbox_client_refused(call, form, &client, &rv)) return rv;
    if (lacks_required(call, form))
        return sandbox_oauth_error(call, HTTP_BAD_REQUEST, "invalid_request",
                                   "a required parameter is missing");
    type = sandbox_param(call->r->pool, form, "grant_type");
    if (type && strcmp(type, "refresh_token") == 0) return refresh(call, form);
    if (type && strcmp(type, "client_credentials") == 0) return own_grant(call);
    if (type && strcmp(type, "authorization_code") == 0) return redeem(call, form, client);
    return sandbox_oauth_error(call, HTTP_BAD_REQUEST, "unsupported_grant_type",
                               "authorization_code, refresh_token or client_credentials");
}

static void show_uses(p2p_buf_t *buf, const sandbox_grant_t *grant)
{
    p2p_buf_puts(buf, ",\"uses\":[");
    for (int i = 0; i < grant->chain->nelts; i++)
        p2p_buf_printf(buf, i ? ",%d" : "%d", APR_ARRAY_IDX(grant->chain, i, sandbox_token_t *)->uses);
    p2p_buf_puts(buf, "]");
}

static int show_grants(sandbox_call_t *call)
{
    sandbox_payer_t *payer = call->payer;
    sandbox_out_t out;

    sandbox_out_init(&out, call, 4096);
    apr_thread_mutex_lock(payer->mutex);
    for (int i = 0; i < payer->tokens->grants->nelts; i++) {
        const sandbox_grant_t *grant = APR_ARRAY_IDX(payer->tokens->grants, i, sandbox_grant_t *);

        p2p_buf_printf(&out.buf, "%s{\"grant\":%d,\"refreshes\":%d,\"replays\":%d,\"revoked\":%s",
                       i ? "," : "[", grant->number,
                       grant->refreshes, grant->replays, grant->revoked ? "true" : "false");
        show_text(&out.buf, "patient", grant->patient);
        show_text(&out.buf, "access", grant->access);
        show_text(&out.buf, "refresh", grant->refresh);
        show_uses(&out.buf, grant);
        p2p_buf_puts(&out.buf, "}");
    }
    p2p_buf_puts(&out.buf, payer->tokens->grants->nelts ? "]" : "[]");
    apr_thread_mutex_unlock(payer->mutex);
    return sandbox_out_send(&out, HTTP_OK, "application/json");
}

/* GET shows the grants; POST with the body "ACCESS REFRESH [PATIENT]" adds one. */
int sandbox_grants(sandbox_call_t *call)
{
    sandbox_str_t body;
    int rv;

    if (call->r->method_number != M_POST) return show_grants(call);
    rv = sandbox_body(call, 65536, &body);
    if (rv) return rv;
    apr_thread_mutex_lock(call->payer->mutex);
    add_initial(call->payer->tokens, apr_pstrmemdup(call->r->pool, body.p, body.n));
    apr_thread_mutex_unlock(call->payer->mutex);
    return sandbox_text(call, HTTP_OK, "application/json", "{}");
}
