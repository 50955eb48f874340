/* SPDX-License-Identifier: Apache-2.0 */
/* Who calls, by the token that he brings: only in the Authorization header, never in a query or a form, where logs and histories would keep it. */
#include "auth.h"

#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <mod_auth.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include "mod_p2p.h"
#include "problem.h"
#include "trust.h"
#include "verdict.h"

APLOG_USE_MODULE(p2p);

#define SCHEME P2P_AUTH_SCHEME
#define LOG_WINDOW apr_time_from_sec(10)
#define LOG_LINES 20 /* of refused callers, in a window, of one child */

/* What is known of a caller with a token, for the answer that he gets. */
typedef struct p2p_bearer_t {
    const p2p_trust_t *trust;
    p2p_role_t lacks; /* that he was refused for; P2P_ROLE_NONE: he was not */
} p2p_bearer_t;

/* Keeps a flood of refused callers from filling the log. */
typedef struct p2p_auth_log_t {
    apr_thread_mutex_t *lock;
    apr_time_t began;
    int lines, unwritten;
} p2p_auth_log_t;

static int is_bearer(const request_rec *r, const char *type)
{
    return p2p_dir(r)->enabled && type && !ap_cstr_casecmp(type, SCHEME);
}

/* May another line be written? *unwritten: how many were not in the window that has just ended. */
static int may_log(p2p_auth_log_t *log, int *unwritten)
{
    apr_time_t now = apr_time_now();
    int may;

    *unwritten = 0;
    apr_thread_mutex_lock(log->lock);
    if (now - log->began >= LOG_WINDOW || now < log->began) {
        *unwritten = log->unwritten;
        log->began = now;
        log->lines = log->unwritten = 0;
    }
    may = log->lines < LOG_LINES;
    if (may) log->lines++;
    else log->unwritten++;
    apr_thread_mutex_unlock(log->lock);
    return may;
}

static void log_refusal(request_rec *r, const char *code, const p2p_trust_t *trust)
{
    p2p_auth_log_t *log = p2p_config(r->server)->auth_log;
    int unwritten;

    if (!log || !may_log(log, &unwritten)) return;
    if (unwritten) ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, r->server, "%d more callers were refused a moment ago", unwritten);
    ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r, "the caller's token is refused: %s%s%s", code, trust ? ", of " : "", trust ? trust->issuer : "");
}

/* A sentence in a quoted string of WWW-Authenticate (RFC 6750 section 3). */
static const char *quotable(apr_pool_t *p, const char *sentence)
{
    char *text = apr_pstrdup(p, sentence);

    for (char *c = text; *c; c++) {
        if (*c < ' ' || *c > '~') *c = '?';
        if (*c == '"' || *c == '\\') *c = '\'';
    }
    return text;
}

static void challenge(request_rec *r, const char *error, const char *sentence, const char *scope)
{
    const char *realm = ap_auth_name(r);
    const char *text = apr_psprintf(r->pool, SCHEME " realm=\"%s\"", realm ? ap_escape_quotes(r->pool, realm) : "p2p");

    if (error) text = apr_psprintf(r->pool, "%s, error=\"%s\", error_description=\"%s\"", text, error, quotable(r->pool, sentence));
    if (scope) text = apr_psprintf(r->pool, "%s, scope=\"%s\"", text, scope);
    apr_table_setn(r->err_headers_out, PROXYREQ_PROXY == r->proxyreq ? "Proxy-Authenticate" : "WWW-Authenticate", text);
}

static int refuse_two(request_rec *r)
{
    static const char sentence[] = "The Authorization header must be one, with one bearer token.";

    log_refusal(r, "invalid-request", NULL);
    challenge(r, "invalid_request", sentence, NULL);
    return p2p_problem(r, HTTP_BAD_REQUEST, "invalid-request", sentence);
}

static int refuse_token(request_rec *r, const char *code, const p2p_trust_t *trust, const char *sentence)
{
    log_refusal(r, code, trust);
    challenge(r, "invalid_token", sentence, NULL);
    return p2p_problem(r, HTTP_UNAUTHORIZED, "invalid-token", sentence);
}

/* RFC 6750 section 2.1: b64token. */
static int is_token(const char *text)
{
    const char *at = text;

    while (apr_isalnum(*at) || (*at && strchr("-._~+/", *at))) at++;
    if (at == text) return 0;
    while (*at == '=') at++;
    return !*at;
}

/* OK with what stands for a token, or HTTP_UNAUTHORIZED where there is nothing of our kind. httpd has made one line, with a comma, of two
 * headers: HTTP_BAD_REQUEST. */
static int read_token(request_rec *r, const char **token)
{
    const char *header = apr_table_get(r->headers_in, "Authorization");
    char *text;

    if (!header) return HTTP_UNAUTHORIZED;
    while (*header == ' ' || *header == '\t') header++;
    if (ap_cstr_casecmpn(header, SCHEME, sizeof SCHEME - 1)) return HTTP_UNAUTHORIZED;
    header += sizeof SCHEME - 1;
    if (*header && *header != ' ' && *header != '\t') return HTTP_UNAUTHORIZED; /* another scheme */
    while (*header == ' ' || *header == '\t') header++;
    text = apr_pstrdup(r->pool, header);
    for (apr_size_t len = strlen(text); len && (text[len - 1] == ' ' || text[len - 1] == '\t'); len--) text[len - 1] = '\0';
    *token = text;
    return strchr(text, ',') ? HTTP_BAD_REQUEST : OK;
}

static const p2p_trust_t *trust_of(request_rec *r, int number)
{
    return number >= 0 ? &APR_ARRAY_IDX(p2p_config(r->server)->spec.trusts, number, p2p_trust_t) : NULL;
}

static void let_in(request_rec *r, const p2p_verdict_t *verdict)
{
    p2p_caller_t *caller = apr_pcalloc(r->pool, sizeof *caller);
    p2p_bearer_t *bearer = apr_pcalloc(r->pool, sizeof *bearer);

    bearer->trust = trust_of(r, verdict->trust);
    caller->client = apr_pstrcat(r->pool, verdict->client, "@", bearer->trust->issuer, NULL);
    caller->patient = verdict->patient;
    caller->role = verdict->role;
    p2p_state(r)->caller = caller;
    p2p_state(r)->bearer = bearer;
    r->user = (char *)caller->client;
    r->ap_auth_type = (char *)SCHEME;
}

static int try_later(request_rec *r, const p2p_error_t *error)
{
    log_refusal(r, error->code, NULL);
    apr_table_setn(r->err_headers_out, "Retry-After", "2");
    return p2p_problem(r, HTTP_SERVICE_UNAVAILABLE, error->code, error->sentence);
}

static int authenticate(request_rec *r)
{
    const char *token = "";
    p2p_verdict_t verdict;
    p2p_error_t *error;
    int answer;

    if (!is_bearer(r, ap_auth_type(r))) return DECLINED;
    r->ap_auth_type = (char *)SCHEME;
    answer = read_token(r, &token);
    if (answer == HTTP_BAD_REQUEST) return refuse_two(r);
    if (answer != OK) {
        challenge(r, NULL, NULL, NULL);
        return answer;
    }
    if (!is_token(token)) return refuse_token(r, "token-characters", NULL, "The token is empty or has a character that no token has. Send it whole.");
    error = p2p_verdict(r, token, &verdict);
    if (error) return try_later(r, error);
    if (verdict.refusal) return refuse_token(r, verdict.refusal, trust_of(r, verdict.trust), verdict.sentence);
    let_in(r, &verdict);
    return OK;
}

static const char *scopes_for(apr_pool_t *p, const p2p_trust_t *trust, p2p_role_t role)
{
    const apr_array_header_t *scopes = trust->administrator_scopes;

    if (role == P2P_ROLE_PORTAL && trust->portal_scopes->nelts) scopes = trust->portal_scopes;
    return apr_array_pstrcat(p, scopes, ' ');
}

int p2p_auth_lacks(request_rec *r, p2p_role_t role)
{
    static const char sentence[] = "The token has none of the scopes that open this.";
    const p2p_bearer_t *bearer = p2p_state(r)->bearer;

    if (!bearer) return p2p_problem(r, HTTP_FORBIDDEN, NULL, NULL);
    challenge(r, "insufficient_scope", sentence, scopes_for(r->pool, bearer->trust, role));
    return p2p_problem(r, HTTP_FORBIDDEN, "insufficient-scope", sentence);
}

/* httpd's Require has refused somebody whom we know: a 403, or where AuthzSendForbiddenOnFailure is not On a 401. */
static int note_failure(request_rec *r, const char *type)
{
    const p2p_bearer_t *bearer = p2p_state(r)->bearer;

    if (!is_bearer(r, type)) return DECLINED;
    if (bearer && bearer->lacks) p2p_auth_lacks(r, bearer->lacks);
    else if (!apr_table_get(r->err_headers_out, "WWW-Authenticate")) challenge(r, NULL, NULL, NULL);
    return OK;
}

/* A header field longer than LimitRequestFieldSize ends the request before anybody is asked who calls: whatever field it was, no token came. */
static int is_cut(const request_rec *r)
{
    const char *notes = apr_table_get(r->notes, "error-notes");

    return r->status == HTTP_BAD_REQUEST && p2p_config(r->server)->spec.trusts->nelts && notes && strstr(notes, "header field exceeds");
}

static void complete_refusal(request_rec *r)
{
    const p2p_bearer_t *bearer = p2p_dir(r)->enabled ? p2p_state(r)->bearer : NULL;

    if (p2p_dir(r)->enabled && is_cut(r))
        r->status = refuse_token(r, "token-too-long", NULL, "A header field is longer than this server takes; a token may have up to 16 KiB.");

    if (r->status == HTTP_FORBIDDEN && bearer && bearer->lacks) p2p_auth_lacks(r, bearer->lacks);
}

static const char *parse_role(cmd_parms *cmd, const char *line, const void **parsed)
{
    static const p2p_role_t roles[] = { P2P_ROLE_PORTAL, P2P_ROLE_ADMINISTRATOR };
    const char *word = ap_getword_conf(cmd->temp_pool, &line);

    for (int i = 0; i < 2; i++) {
        if (*line || strcmp(word, p2p_role_name(roles[i]))) continue;
        *parsed = &roles[i];
        return NULL;
    }
    return "Require p2p-role must be portal or administrator";
}

static authz_status check_role(request_rec *r, const char *line, const void *parsed)
{
    p2p_role_t role = *(const p2p_role_t *)parsed;

    (void)line;
    if (!r->user) return AUTHZ_DENIED_NO_USER;
    if (p2p_caller(r)->role >= role) return AUTHZ_GRANTED;
    if (p2p_state(r)->bearer) p2p_state(r)->bearer->lacks = role;
    return AUTHZ_DENIED;
}

static void start_child(apr_pool_t *p, server_rec *s)
{
    p2p_config_t *config = p2p_config(s);
    p2p_auth_log_t *log = apr_pcalloc(p, sizeof *log);

    if (!config->spec.trusts->nelts) return;
    p2p_trust_child(p, s);
    config->token_cache = p2p_token_cache_make(p);
    if (!apr_thread_mutex_create(&log->lock, APR_THREAD_MUTEX_DEFAULT, p)) config->auth_log = log;
}

void p2p_auth_register(apr_pool_t *p)
{
    static const authz_provider role = { check_role, parse_role };

    ap_hook_child_init(start_child, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_authn(authenticate, NULL, NULL, APR_HOOK_MIDDLE, AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_note_auth_failure(note_failure, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_insert_error_filter(complete_refusal, NULL, NULL, APR_HOOK_FIRST);
    ap_register_auth_provider(p, AUTHZ_PROVIDER_GROUP, "p2p-role", AUTHZ_PROVIDER_VERSION, &role, AP_AUTH_INTERNAL_PER_CONF);
}
