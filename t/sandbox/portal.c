/* SPDX-License-Identifier: Apache-2.0 */
/* The member portal: its files, read at the start, and for its pages alone an API token that is good for one member. */
#include <apr_file_info.h>
#include <apr_file_io.h>
#include "door.h"

#define FILE_BYTES_MAX (1 << 20)
#define TOKEN_SECONDS 300
#define POLICY "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' https: http://127.0.0.1:*; " \
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

static const char *type_of(const char *name)
{
    static const char *const types[] = {".html", "text/html; charset=utf-8", ".js", "text/javascript; charset=utf-8",
                                        ".css", "text/css; charset=utf-8", ".svg", "image/svg+xml", NULL};
    const char *end = strrchr(name, '.');

    for (int i = 0; end && types[i]; i += 2)
        if (strcmp(end, types[i]) == 0) return types[i + 1];
    return NULL;
}

static const char *read_file(sandbox_payer_t *payer, apr_pool_t *pool, const char *name)
{
    const char *path = apr_pstrcat(pool, payer->portal_dir, "/", name, NULL);
    apr_file_t *file;
    apr_finfo_t info;
    char *bytes;

    if (apr_file_open(&file, path, APR_FOPEN_READ | APR_FOPEN_BINARY, 0, pool) != APR_SUCCESS) return apr_pstrcat(pool, path, " cannot be read", NULL);
    if (apr_file_info_get(&info, APR_FINFO_SIZE, file) != APR_SUCCESS || info.size > FILE_BYTES_MAX) {
        apr_file_close(file);
        return apr_pstrcat(pool, path, " is too large", NULL);
    }
    bytes = apr_pcalloc(pool, (apr_size_t)info.size + 1);
    if (apr_file_read_full(file, bytes, (apr_size_t)info.size, NULL) != APR_SUCCESS) bytes[0] = '\0';
    apr_file_close(file);
    apr_table_setn(payer->portal_files, apr_pstrdup(pool, name), bytes);
    return NULL;
}

const char *sandbox_portal_make(sandbox_payer_t *payer, apr_pool_t *pool)
{
    const char *fault = NULL;
    apr_dir_t *folder;
    apr_finfo_t entry;

    if (!payer->portal_dir) return NULL;
    payer->portal_files = apr_table_make(pool, 8);
    if (apr_dir_open(&folder, payer->portal_dir, pool) != APR_SUCCESS) return apr_pstrcat(pool, payer->portal_dir, " is no folder", NULL);
    while (!fault && apr_dir_read(&entry, APR_FINFO_NAME, folder) == APR_SUCCESS)
        if (type_of(entry.name)) fault = read_file(payer, pool, entry.name);
    apr_dir_close(folder);
    return fault;
}

static int serve_file(sandbox_call_t *call, const char *name)
{
    const char *bytes = apr_table_get(call->payer->portal_files, name);
    apr_table_t *out = call->r->headers_out;

    if (!bytes) return sandbox_text(call, HTTP_NOT_FOUND, "text/plain", "There is no such file.\n");
    if (call->r->method_number != M_GET) return sandbox_text(call, HTTP_METHOD_NOT_ALLOWED, "text/plain", "GET, please\n");
    apr_table_setn(out, "Content-Security-Policy", POLICY);
    apr_table_setn(out, "X-Content-Type-Options", "nosniff");
    apr_table_setn(out, "Referrer-Policy", "no-referrer");
    apr_table_setn(out, "Cache-Control", "no-cache");
    return sandbox_text(call, HTTP_OK, type_of(name), bytes);
}

/* Nobody else's page may have the member's token: neither one of another origin, nor one whose name was made to lead here. */
static int is_own_page(sandbox_call_t *call)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost", "[::1]"};
    const char *host = apr_table_get(call->r->headers_in, "Host"), *origin = apr_table_get(call->r->headers_in, "Origin");

    if (origin && strcmp(origin, sandbox_origin(call)) != 0) return 0;
    for (apr_size_t i = 0; host && i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        apr_size_t len = strlen(hosts[i]);

        if (strncmp(host, hosts[i], len) == 0 && (!host[len] || host[len] == ':')) return 1;
    }
    return 0;
}

static void add_member(p2p_buf_t *buf, const char *name, const char *value)
{
    p2p_buf_printf(buf, "%s\"%s\":", buf->len ? "," : "{", name);
    if (value) p2p_buf_json(buf, value, strlen(value));
    else p2p_buf_puts(buf, "null");
}

/* An access token for mod_p2p that is this member's alone (P2PPatientClaim). */
static const char *member_token(sandbox_call_t *call)
{
    const sandbox_payer_t *payer = call->payer;
    apr_int64_t now = apr_time_sec(apr_time_now());
    const char *token;
    p2p_buf_t claims;

    p2p_buf_init(&claims, 65536);
    add_member(&claims, "iss", sandbox_issuer(call));
    add_member(&claims, "aud", payer->audience ? payer->audience : payer->api);
    add_member(&claims, "sub", payer->member);
    add_member(&claims, "client_id", "sandbox-portal");
    add_member(&claims, "scope", "p2p.portal");
    add_member(&claims, "patient", payer->member);
    p2p_buf_printf(&claims, ",\"iat\":%" APR_INT64_T_FMT ",\"exp\":%" APR_INT64_T_FMT "}", now, now + TOKEN_SECONDS);
    token = sandbox_sign(call, "at+jwt", claims.data);
    p2p_buf_free(&claims);
    return token;
}

static int session(sandbox_call_t *call)
{
    const sandbox_payer_t *payer = call->payer;
    const char *token;
    sandbox_out_t out;

    if (call->r->method_number != M_POST) return sandbox_text(call, HTTP_METHOD_NOT_ALLOWED, "text/plain", "POST, please\n");
    if (!is_own_page(call)) return sandbox_text(call, HTTP_FORBIDDEN, "text/plain", "This is for the portal's own page.\n");
    if (!payer->api || !payer->member) return sandbox_text(call, HTTP_NOT_FOUND, "text/plain", "SandboxApi and SandboxMember are not set.\n");
    token = member_token(call);
    if (!token) return HTTP_INTERNAL_SERVER_ERROR;
    sandbox_out_init(&out, call, 1024);
    add_member(&out.buf, "token", token);
    add_member(&out.buf, "api", payer->api);
    add_member(&out.buf, "fhir", sandbox_base_url(call));
    add_member(&out.buf, "patient", payer->member);
    add_member(&out.buf, "organization", payer->organization);
    p2p_buf_printf(&out.buf, ",\"expiresIn\":%d}", TOKEN_SECONDS);
    apr_table_setn(call->r->headers_out, "Cache-Control", "no-store");
    return sandbox_out_send(&out, HTTP_OK, "application/json");
}

int sandbox_portal(sandbox_call_t *call, const char *what)
{
    if (!sandbox_is_loopback(call->r->useragent_ip)) return HTTP_FORBIDDEN;
    if (!*what) {
        apr_table_setn(call->r->headers_out, "Location", apr_pstrcat(call->r->pool, call->payer->portal_path, "/", NULL));
        return sandbox_text(call, HTTP_PERMANENT_REDIRECT, "text/plain", "");
    }
    if (strcmp(what, "/session") == 0) return session(call);
    return serve_file(call, strcmp(what, "/") == 0 ? "index.html" : what + 1);
}
