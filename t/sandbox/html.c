/* SPDX-License-Identifier: Apache-2.0 */
/* Pages made here: escaped, without scripts, and what browsers may do with them. */
#include "door.h"

void sandbox_html(p2p_buf_t *buf, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '&': p2p_buf_puts(buf, "&amp;"); break;
        case '<': p2p_buf_puts(buf, "&lt;"); break;
        case '>': p2p_buf_puts(buf, "&gt;"); break;
        case '"': p2p_buf_puts(buf, "&quot;"); break;
        case '\'': p2p_buf_puts(buf, "&#39;"); break;
        default: p2p_buf_add(buf, text, 1);
        }
    }
}

static void set_headers(sandbox_call_t *call, const char *form_origin)
{
    apr_table_t *out = call->r->headers_out;

    apr_table_setn(out, "Content-Security-Policy",
                   apr_pstrcat(call->r->pool, "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action ",
                               form_origin ? "'self' " : "'none'", form_origin, NULL));
    apr_table_setn(out, "X-Content-Type-Options", "nosniff");
    apr_table_setn(out, "X-Frame-Options", "DENY");
    apr_table_setn(out, "Referrer-Policy", "no-referrer");
    apr_table_setn(out, "Cache-Control", "no-store");
}

void sandbox_html_begin(sandbox_out_t *out, sandbox_call_t *call, const char *title, const char *form_origin)
{
    set_headers(call, form_origin);
    sandbox_out_init(out, call, 4096);
    sandbox_out_puts(out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                     "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>");
    sandbox_html(&out->buf, title);
    sandbox_out_puts(out, "</title>\n<link rel=\"stylesheet\" href=\"");
    sandbox_html(&out->buf, sandbox_beside_token(call, "authorize.css"));
    sandbox_out_puts(out, "\">\n</head>\n<body>\n<main>\n<h1>");
    sandbox_html(&out->buf, title);
    sandbox_out_puts(out, "</h1>\n");
}

int sandbox_html_end(sandbox_out_t *out, int status)
{
    sandbox_out_puts(out, "</main>\n</body>\n</html>\n");
    return sandbox_out_send(out, status, "text/html; charset=utf-8");
}

int sandbox_authorize_style(sandbox_call_t *call)
{
    return sandbox_text(call, HTTP_OK, "text/css; charset=utf-8",
                        ":root { color-scheme: light dark; --ink: #1b2430; --paper: #f6f7f9; --card: #fff; --line: #6b7685; --accent: #0b5cad; --on: #fff }\n"
                        "@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf1; --paper: #14181d; --card: #1e242b; --line: #8b96a5; "
                        "--accent: #8cc4ff; --on: #10151a } }\n"
                        "* { box-sizing: border-box }\n"
                        "body { margin: 0; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper) }\n"
                        "main { max-width: 32rem; margin: 8vh auto; padding: 1.5rem; background: var(--card); border: 1px solid var(--line); border-radius: .5rem }\n"
                        "h1 { margin-top: 0; font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere }\n"
                        "p, li { overflow-wrap: anywhere }\n"
                        "label { display: block; margin: 1rem 0 .25rem; font-weight: 600 }\n"
                        "select, button { font: inherit; width: 100%; padding: .6rem; border: 1px solid var(--line); border-radius: .35rem; "
                        "color: inherit; background: var(--card) }\n"
                        "button { margin-top: 1rem; font-weight: 600; cursor: pointer }\n"
                        "button.primary { color: var(--on); background: var(--accent); border-color: var(--accent) }\n"
                        ":focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }\n");
}
