/* SPDX-License-Identifier: Apache-2.0 */
/* The payer's own pages: who signs in, what is asked for, allow or deny (RFC 6749 4.1, RFC 7636, RFC 9207). */
#include "door.h"
#include "told.h"

#define MEMBERS_MAX 200

const char *sandbox_beside_token(const sandbox_call_t *call, const char *name)
{
    const char *token = call->payer->token_path, *end = strrchr(token, '/');

    return apr_pstrcat(call->r->pool, apr_pstrmemdup(call->r->pool, token, end ? (apr_size_t)(end - token) : 0), "/", name, NULL);
}

static const char *origin_of(apr_pool_t *pool, const char *url)
{
    const char *host = strstr(url, "://");

    return host ? apr_pstrmemdup(pool, url, (apr_size_t)(host + 3 - url) + strcspn(host + 3, "/?#")) : url;
}

/* A page that leads nowhere: what is wrong cannot be told to the client, since nobody knows whether it is one. */
static int refuse(sandbox_call_t *call, const char *sentence)
{
    sandbox_out_t out;

    sandbox_html_begin(&out, call, "This cannot go on", NULL);
    p2p_buf_cat(&out.buf, "<p>", sentence, "</p>\n", NULL);
    return sandbox_html_end(&out, HTTP_BAD_REQUEST);
}

/* Back to the client: name=value, with state and iss. */
static int lead_back(sandbox_call_t *call, const sandbox_ask_t *ask, const char *name, const char *value, const char *words)
{
    apr_pool_t *pool = call->r->pool;
    const char *redirect = ask->text[SANDBOX_ASK_REDIRECT], *state = ask->text[SANDBOX_ASK_STATE];
    const char *url = apr_pstrcat(pool, redirect, strchr(redirect, '?') ? "&" : "?", name, "=", ap_escape_urlencoded(pool, value),
                                  "&iss=", ap_escape_urlencoded(pool, sandbox_issuer(call)), NULL);

    if (words) url = apr_pstrcat(pool, url, "&error_description=", ap_escape_urlencoded(pool, words), NULL);
    if (state) url = apr_pstrcat(pool, url, "&state=", ap_escape_urlencoded(pool, state), NULL);
    apr_table_setn(call->r->headers_out, "Location", url);
    apr_table_setn(call->r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(call->r->headers_out, "Referrer-Policy", "no-referrer");
    return sandbox_text(call, HTTP_SEE_OTHER, "text/plain", "");
}

static int is_repeated(const char *args, const char *name)
{
    apr_size_t len = strlen(name);
    int count = 0;

    for (; args && *args; args += strcspn(args, "&"), args += *args == '&')
        if (strncmp(args, name, len) == 0 && args[len] == '=') count++;
    return count > 1;
}

static int is_redirect(const sandbox_payer_t *payer, const char *url)
{
    for (int i = 0; url && i < payer->redirects->nelts; i++)
        if (strcmp(APR_ARRAY_IDX(payer->redirects, i, const char *), url) == 0) return 1;
    return 0;
}

static int is_public(const sandbox_payer_t *payer, const char *client)
{
    const char *secret = apr_table_get(payer->clients, client);

    return !secret || !*secret;
}

/* Reads the request; NULL, or why it cannot be told to the client. */
static const char *read_ask(sandbox_call_t *call, sandbox_ask_t *ask)
{
    static const struct {
        sandbox_ask_text_t which;
        const char *name;
    } params[] = {{SANDBOX_ASK_CLIENT, "client_id"}, {SANDBOX_ASK_REDIRECT, "redirect_uri"}, {SANDBOX_ASK_STATE, "state"},
                  {SANDBOX_ASK_SCOPE, "scope"}, {SANDBOX_ASK_CHALLENGE, "code_challenge"}, {SANDBOX_ASK_NONCE, "nonce"}};
    const sandbox_payer_t *payer = call->payer;

    memset(ask, 0, sizeof(*ask));
    for (apr_size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
        if (is_repeated(call->r->args, params[i].name)) return "A parameter of the request came twice.";
        ask->text[params[i].which] = sandbox_param(call->r->pool, call->r->args, params[i].name);
    }
    if (!ask->text[SANDBOX_ASK_CLIENT]) return "The request names no client (client_id).";
    if (!apr_is_empty_table(payer->clients) && !apr_table_get(payer->clients, ask->text[SANDBOX_ASK_CLIENT]))
        return "This payer does not know the application that sent you here (client_id).";
    if (!is_redirect(payer, ask->text[SANDBOX_ASK_REDIRECT]))
        return "The address to lead you back to (redirect_uri) is not one that this payer knows (SandboxRedirect).";
    return NULL;
}

/* NULL, or the error to be told to the client, and why. */
static const char *fault_of(sandbox_call_t *call, const sandbox_ask_t *ask, const char **words)
{
    const char *type = sandbox_param(call->r->pool, call->r->args, "response_type"), *challenge = ask->text[SANDBOX_ASK_CHALLENGE];
    const char *method = sandbox_param(call->r->pool, call->r->args, "code_challenge_method");

    *words = "response_type is code";
    if (!type || strcmp(type, "code") != 0) return "unsupported_response_type";
    *words = "a public client has to send a code_challenge";
    if (!challenge && is_public(call->payer, ask->text[SANDBOX_ASK_CLIENT])) return "invalid_request";
    *words = "code_challenge_method is S256, and the challenge 43 characters long";
    if (challenge && (!method || strcmp(method, "S256") != 0 || strlen(challenge) != 43)) return "invalid_request";
    return NULL;
}

static void add_hidden(p2p_buf_t *buf, const char *action, const char *id)
{
    p2p_buf_puts(buf, "<form method=\"post\" action=\"");
    sandbox_html(buf, action);
    p2p_buf_puts(buf, "\">\n<input type=\"hidden\" name=\"request\" value=\"");
    sandbox_html(buf, id);
    p2p_buf_puts(buf, "\">\n");
}

static void add_option(p2p_buf_t *buf, const sandbox_member_t *member, int chosen)
{
    p2p_buf_puts(buf, "<option value=\"");
    sandbox_html(buf, member->id);
    p2p_buf_puts(buf, chosen ? "\" selected>" : "\">");
    sandbox_html(buf, member->name);
    if (*member->born) p2p_buf_puts(buf, ", born ");
    sandbox_html(buf, member->born);
    p2p_buf_puts(buf, "</option>\n");
}

static int show_members(sandbox_call_t *call, const sandbox_ask_t *ask, const char *id)
{
    apr_array_header_t *members = sandbox_members(call, MEMBERS_MAX);
    sandbox_out_t out;

    sandbox_html_begin(&out, call, apr_pstrcat(call->r->pool, "Sign in at payer ", call->payer->name, NULL),
                       origin_of(call->r->pool, ask->text[SANDBOX_ASK_REDIRECT]));
    sandbox_out_puts(&out, "<p>This is a sandbox: its members are synthetic, and nobody needs a password. Choose who you are.</p>\n");
    add_hidden(&out.buf, sandbox_beside_token(call, "authorize"), id);
    sandbox_out_puts(&out, "<label for=\"member\">Member</label>\n<select id=\"member\" name=\"member\" required>\n");
    for (int i = 0; i < members->nelts; i++) add_option(&out.buf, &APR_ARRAY_IDX(members, i, sandbox_member_t), i == 0);
    sandbox_out_puts(&out, "</select>\n<button class=\"primary\" name=\"step\" value=\"sign-in\">Sign in</button>\n"
                     "<button name=\"answer\" value=\"deny\" formnovalidate>Cancel</button>\n</form>\n");
    return sandbox_html_end(&out, HTTP_OK);
}

static const char *meaning(const char *scope)
{
    if (strcmp(scope, "openid") == 0) return "to know who you are";
    if (strcmp(scope, "profile") == 0) return "to know your name";
    if (strcmp(scope, "offline_access") == 0 || strcmp(scope, "online_access") == 0) return "to go on while you are away, until you withdraw it";
    if (strncmp(scope, "patient/", 8) == 0) return "to read from your health record";
    return NULL;
}

static void add_scopes(p2p_buf_t *buf, apr_pool_t *pool, const char *scopes)
{
    char *state, *copy = apr_pstrdup(pool, scopes ? scopes : "");

    p2p_buf_puts(buf, "<ul>\n");
    for (const char *scope = apr_strtok(copy, " ", &state); scope; scope = apr_strtok(NULL, " ", &state)) {
        p2p_buf_puts(buf, "<li><code>");
        sandbox_html(buf, scope);
        p2p_buf_cat(buf, "</code>", meaning(scope) ? " " : "", meaning(scope) ? meaning(scope) : "", "</li>\n", NULL);
    }
    p2p_buf_puts(buf, "</ul>\n");
}

static int show_consent(sandbox_call_t *call, const sandbox_ask_t *ask, const sandbox_member_t *member)
{
    sandbox_out_t out;

    sandbox_html_begin(&out, call, "May it have your record?", origin_of(call->r->pool, ask->text[SANDBOX_ASK_REDIRECT]));
    sandbox_out_puts(&out, "<p>You are signed in as <strong>");
    sandbox_html(&out.buf, member->name);
    sandbox_out_puts(&out, "</strong>. The application <strong>");
    sandbox_html(&out.buf, ask->text[SANDBOX_ASK_CLIENT]);
    sandbox_out_puts(&out, "</strong> at ");
    sandbox_html(&out.buf, origin_of(call->r->pool, ask->text[SANDBOX_ASK_REDIRECT]));
    sandbox_out_puts(&out, " asks for:</p>\n");
    add_scopes(&out.buf, call->r->pool, ask->text[SANDBOX_ASK_SCOPE]);
    add_hidden(&out.buf, sandbox_beside_token(call, "authorize"), ask->text[SANDBOX_ASK_ID]);
    sandbox_out_puts(&out, "<button class=\"primary\" name=\"answer\" value=\"allow\">Allow</button>\n"
                     "<button name=\"answer\" value=\"deny\">Deny</button>\n</form>\n");
    return sandbox_html_end(&out, HTTP_OK);
}

static int begin(sandbox_call_t *call)
{
    const char *sentence, *error, *words;
    sandbox_ask_t ask;

    sentence = read_ask(call, &ask);
    if (sentence) return refuse(call, sentence);
    error = fault_of(call, &ask, &words);
    if (error) return lead_back(call, &ask, "error", error, words);
    return show_members(call, &ask, sandbox_ask_add(call->payer, call->r->pool, &ask));
}

static int answer(sandbox_call_t *call, const sandbox_ask_t *ask, int allow)
{
    const char *code;

    if (allow && !ask->text[SANDBOX_ASK_MEMBER]) return refuse(call, "Nobody has signed in.");
    code = sandbox_ask_end(call->payer, call->r->pool, ask->text[SANDBOX_ASK_ID], allow);
    if (!allow) return lead_back(call, ask, "error", "access_denied", "the member said no");
    return code ? lead_back(call, ask, "code", code, NULL) : refuse(call, "This request has been answered already.");
}

static int go_on(sandbox_call_t *call)
{
    apr_pool_t *pool = call->r->pool;
    const char *form, *word, *member;
    sandbox_str_t body;
    sandbox_ask_t ask;
    sandbox_member_t who;
    int rv = sandbox_body(call, 65536, &body);

    if (rv) return rv;
    form = apr_pstrmemdup(pool, body.p, body.n);
    if (!sandbox_ask_find(call->payer, pool, sandbox_param(pool, form, "request"), &ask))
        return refuse(call, "This request is over. Begin again where you came from.");
    word = sandbox_param(pool, form, "answer");
    if (word) return answer(call, &ask, strcmp(word, "allow") == 0);
    member = sandbox_param(pool, form, "member");
    if (!member || !sandbox_member_find(call, member, &who)) return refuse(call, "This payer has no such member.");
    sandbox_ask_sign_in(call->payer, ask.text[SANDBOX_ASK_ID], who.id);
    return show_consent(call, &ask, &who);
}

int sandbox_authorize(sandbox_call_t *call)
{
    if (call->r->method_number == M_GET) return begin(call);
    if (call->r->method_number == M_POST) return go_on(call);
    return sandbox_text(call, HTTP_METHOD_NOT_ALLOWED, "text/plain", "GET or POST, please\n");
}
