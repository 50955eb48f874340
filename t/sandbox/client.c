/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks for a token: client_secret_basic (RFC 6749 2.3.1), client_secret_post or none. */
#include <apr_base64.h>
#include "sandbox.h"

int sandbox_oauth_error(sandbox_call_t *call, int status, const char *error, const char *description)
{
    sandbox_out_t out;

    if (status == HTTP_UNAUTHORIZED)
        apr_table_setn(call->r->err_headers_out, "WWW-Authenticate", "Basic realm=\"token\"");
    apr_table_setn(call->r->headers_out, "Cache-Control", "no-store");
    sandbox_out_init(&out, call, 256);
    p2p_buf_printf(&out.buf, "{\"error\":\"%s\",\"error_description\":\"%s\"}", error, description);
    return sandbox_out_send(&out, status, "application/json");
}

/* No character that urlencoding would have replaced. */
static int is_encoded(const char *text)
{
    return !text[strcspn(text, " \"#$&,/:;<=>?@[\\]^`{|}")];
}

static int read_basic(sandbox_call_t *call, const char *header, const char **id, const char **secret)
{
    char *text = apr_palloc(call->r->pool, (apr_size_t)apr_base64_decode_len(header) + 1), *colon;

    text[apr_base64_decode(text, header)] = '\0';
    colon = strchr(text, ':');
    if (!colon) return 0;
    *colon++ = '\0';
    if (!is_encoded(text) || !is_encoded(colon)) return 0;
    *id = text;
    *secret = colon;
    return sandbox_form_decode(text) && sandbox_form_decode(colon);
}

static const char *read_client(sandbox_call_t *call, const char *form, const char **id, const char **secret,
                               int *malformed)
{
    const char *header = apr_table_get(call->r->headers_in, "Authorization");

    *malformed = 0;
    *id = sandbox_param(call->r->pool, form, "client_id");
    *secret = sandbox_param(call->r->pool, form, "client_secret");
    if (!header || strncasecmp(header, "Basic ", 6) != 0) return *secret ? "post" : "none";
    *malformed = *secret != NULL || !read_basic(call, header + 6, id, secret);
    return "basic";
}

static int known(const sandbox_payer_t *payer, const char *id, const char *secret)
{
    const char *expected = id ? apr_table_get(payer->clients, id) : NULL;

    return expected && strcmp(expected, secret ? secret : "") == 0;
}

int sandbox_client_refused(sandbox_call_t *call, const char *form, const char **client, int *rv)
{
    const char *secret, *method, *wanted = call->payer->client_auth;
    int malformed;

    method = read_client(call, form, client, &secret, &malformed);
    if (malformed) {
        *rv = sandbox_oauth_error(call, HTTP_BAD_REQUEST, "invalid_request", "the Authorization header is malformed");
        return 1;
    }
    if (apr_is_empty_table(call->payer->clients)) return 0;
    if (strcmp(wanted, "any") != 0 && strcmp(wanted, method) != 0) {
        *rv = sandbox_oauth_error(call, HTTP_UNAUTHORIZED, "invalid_client", "this client must authenticate in another way");
        return 1;
    }
    if (known(call->payer, *client, secret)) return 0;
    *rv = sandbox_oauth_error(call, HTTP_UNAUTHORIZED, "invalid_client", "client authentication failed");
    return 1;
}
