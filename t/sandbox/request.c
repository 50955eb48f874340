/* SPDX-License-Identifier: Apache-2.0 */
/* Reading requests: parameters, the base the outside sees, and times as FHIR and HTTP write them. */
#include <apr_date.h>
#include "sandbox.h"

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int sandbox_form_decode(char *text)
{
    char *to = text;
    int ok = 1;

    for (; *text; text++) {
        if (*text == '+') *to++ = ' ';
        else if (*text != '%') *to++ = *text;
        else if (hex(text[1]) < 0 || hex(text[2]) < 0) ok = 0;
        else {
            *to++ = (char)(hex(text[1]) << 4 | hex(text[2]));
            text += 2;
        }
    }
    *to = '\0';
    return ok;
}

const char *sandbox_param(apr_pool_t *p, const char *args, const char *name)
{
    apr_size_t len = strlen(name);
    const char *end;
    char *value;

    for (; args && *args; args = *end ? end + 1 : end) {
        end = args + strcspn(args, "&");
        if (strncmp(args, name, len) != 0 || args[len] != '=') continue;
        value = apr_pstrmemdup(p, args + len + 1, (apr_size_t)(end - args) - len - 1);
        sandbox_form_decode(value);
        return value;
    }
    return NULL;
}

const char *sandbox_origin(sandbox_call_t *call)
{
    request_rec *r = call->r;
    const char *host = apr_table_get(r->headers_in, "Host");

    if (!host) host = apr_psprintf(r->pool, "127.0.0.1:%d", r->connection->local_addr->port);
    return apr_pstrcat(r->pool, ap_http_scheme(r), "://", host, NULL);
}

const char *sandbox_base_url(sandbox_call_t *call)
{
    if (call->payer->base_url) return call->payer->base_url;
    return apr_pstrcat(call->r->pool, sandbox_origin(call), call->payer->base, NULL);
}

const char *sandbox_http_date(apr_pool_t *p, apr_time_t t)
{
    char *text = apr_palloc(p, APR_RFC822_DATE_LEN);

    apr_rfc822_date(text, t);
    return text;
}

apr_time_t sandbox_now(const sandbox_payer_t *payer)
{
    apr_time_t t = apr_time_now() + apr_time_from_sec(payer->clock_s);

    return t - t % 1000;
}

void sandbox_add_time(p2p_buf_t *buf, apr_time_t t)
{
    apr_time_exp_t exp;

    apr_time_exp_gmt(&exp, t);
    p2p_buf_printf(buf, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", exp.tm_year + 1900, exp.tm_mon + 1,
                   exp.tm_mday, exp.tm_hour,
                   exp.tm_min, exp.tm_sec, exp.tm_usec / 1000);
}
