/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the handler of a request. */
#include "route.h"

#include <http_protocol.h>
#include <http_request.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "audit.h"
#include "auth.h"
#include "caller.h"
#include "cors.h"
#include "handlers.h"
#include "limit.h"
#include "mod_p2p.h"
#include "origin.h"
#include "poll_cache.h"
#include "problem.h"
#include "reply.h"

static const p2p_route_t routes[] = {
    { "/api/oidc_servers", M_GET, P2P_ROLE_PORTAL, p2p_handle_oidc_servers, NULL },
    { "/api/oidc_servers/{id}", M_GET, P2P_ROLE_PORTAL, p2p_handle_oidc_server, NULL },
    { "/api/oidc_servers/{id}/batch_job", M_GET, P2P_ROLE_PORTAL, p2p_handle_jobs, NULL },
    { "/api/oidc_servers/{id}/batch_job", M_POST, P2P_ROLE_PORTAL, p2p_handle_job_post, "start" },
    { "/api/oidc_servers/{id}/batch_job/{id}", M_GET, P2P_ROLE_PORTAL, p2p_handle_job, NULL },
    { "/api/oidc_servers/{id}/batch_job/{id}", M_DELETE, P2P_ROLE_PORTAL, p2p_handle_job_stop, "stop" },
    { "/api/oidc_servers/{id}/batch_job/{id}/restart", M_POST, P2P_ROLE_PORTAL, p2p_handle_job_restart, "restart" },
    { "/api/oidc_servers/{id}/batch_job/{id}/report", M_GET, P2P_ROLE_PORTAL, p2p_handle_report, NULL },
    { "/admin/oidc_servers", M_GET, P2P_ROLE_ADMINISTRATOR, p2p_handle_admin_servers, NULL },
    { "/admin/oidc_servers", M_POST, P2P_ROLE_ADMINISTRATOR, p2p_handle_admin_server_post, "create" },
    { "/admin/oidc_servers/{id}", M_GET, P2P_ROLE_ADMINISTRATOR, p2p_handle_admin_server, NULL },
    { "/admin/oidc_servers/{id}", M_PUT, P2P_ROLE_ADMINISTRATOR, p2p_handle_admin_server_put, "replace" },
    { "/admin/oidc_servers/{id}", M_PATCH, P2P_ROLE_ADMINISTRATOR, p2p_handle_admin_server_patch, "change" },
    { "/admin/oidc_servers/{id}", M_DELETE, P2P_ROLE_ADMINISTRATOR, p2p_handle_admin_server_delete, "remove" },
    { "/admin/oidc_servers/{id}/use", M_GET, P2P_ROLE_ADMINISTRATOR, p2p_handle_admin_server_use, NULL },
    { "/admin/oidc_servers/{id}/unbind", M_POST, P2P_ROLE_ADMINISTRATOR, p2p_handle_admin_server_unbind, "unbind" },
    { "/admin/oidc_servers/{id}/test", M_POST, P2P_ROLE_ADMINISTRATOR, p2p_handle_admin_test_post, "test" },
    { "/admin/oidc_servers/{id}/test/{id}", M_GET, P2P_ROLE_ADMINISTRATOR, p2p_handle_admin_test, NULL },
    { "/admin/batch_jobs", M_GET, P2P_ROLE_ADMINISTRATOR, p2p_handle_admin_jobs, NULL },
    { "/admin/batch_jobs/{id}", M_GET, P2P_ROLE_ADMINISTRATOR, p2p_handle_admin_job, NULL },
    { "/admin/batch_jobs/{id}", M_DELETE, P2P_ROLE_ADMINISTRATOR, p2p_handle_admin_job_stop, "stop" },
    { "/admin/batch_jobs/{id}/restart", M_POST, P2P_ROLE_ADMINISTRATOR, p2p_handle_admin_job_restart, "restart" },
    { "/admin/batch_jobs/{id}/report", M_GET, P2P_ROLE_ADMINISTRATOR, p2p_handle_admin_report, NULL },
    { "/admin/mail", M_GET, P2P_ROLE_ADMINISTRATOR, p2p_handle_admin_mails, NULL },
    { "/admin/mail/{id}", M_GET, P2P_ROLE_ADMINISTRATOR, p2p_handle_admin_mail, NULL },
    { "/admin/mail/{id}/resend", M_POST, P2P_ROLE_ADMINISTRATOR, p2p_handle_admin_mail_resend, "resend" },
    { "/admin/overview", M_GET, P2P_ROLE_ADMINISTRATOR, p2p_handle_overview, NULL },
    { "/admin/audit", M_GET, P2P_ROLE_ADMINISTRATOR, p2p_handle_audit, NULL },
    { "/hooks/task/*", M_POST, P2P_ROLE_NONE, p2p_handle_hook, NULL },
    { "/hooks/task/*", M_PUT, P2P_ROLE_NONE, p2p_handle_hook, NULL },
    { "/hooks/task/*", M_DELETE, P2P_ROLE_NONE, p2p_handle_hook, NULL },
    { "/health", M_GET, P2P_ROLE_NONE, p2p_handle_health, NULL },
    { "/", M_GET, P2P_ROLE_NONE, p2p_handle_api_page, NULL },
    { "/openapi.json", M_GET, P2P_ROLE_NONE, p2p_handle_openapi, NULL },
    { "/swagger/*", M_GET, P2P_ROLE_NONE, p2p_handle_swagger, NULL },
    { "/console/sign-in.json", M_GET, P2P_ROLE_NONE, p2p_handle_sign_in, NULL },
    { "/console/*", M_GET, P2P_ROLE_NONE, p2p_handle_console, NULL },
};

#define ROUTES (sizeof routes / sizeof *routes)
#define ID_DIGITS 18

/* Reads a number at *path and moves behind it; 0 where there is none. */
static apr_int64_t take_id(const char **path)
{
    const char *at = *path;
    apr_int64_t id = 0;

    if (*at == '0') return 0;
    while (apr_isdigit(*at) && at - *path < ID_DIGITS) id = id * 10 + (*at++ - '0');
    *path = at;
    return id;
}

int p2p_route_fits(const char *pattern, const char *path, p2p_match_t *match)
{
    int ids = 0;

    while (*pattern) {
        if (!strcmp(pattern, P2P_ROUTE_TAIL)) {
            match->tail = path;
            return !*path || *path == '/';
        }
        if (!strncmp(pattern, P2P_ROUTE_ID, sizeof P2P_ROUTE_ID - 1) && ids < P2P_ROUTE_IDS) {
            match->ids[ids] = take_id(&path);
            if (!match->ids[ids++]) return 0;
            pattern += sizeof P2P_ROUTE_ID - 1;
        } else if (*pattern++ != *path++) {
            return 0;
        }
    }
    return !*path;
}

/* The path behind the prefix, or NULL where it is not under it. */
static const char *path_of(const request_rec *r)
{
    const char *prefix = p2p_dir(r)->prefix;
    apr_size_t len = strlen(prefix);

    return strncmp(r->uri, prefix, len) ? NULL : r->uri + len;
}

/* Adds the method of a route to what its path allows. */
static const char *allow_more(apr_pool_t *p, const char *allow, int method)
{
    const char *name = method == M_GET ? "GET, HEAD" : ap_method_name_of(p, method);

    return allow ? apr_pstrcat(p, allow, ", ", name, NULL) : name;
}

/* The Location itself, without a slash: the API page's links would lead elsewhere. */
static int is_bare(request_rec *r)
{
    const char *path = path_of(r);

    return path && !*path && r->method_number == M_GET;
}

static int refuse(request_rec *r, const char *allow)
{
    int preflight = p2p_cors_is_preflight(r), limit = preflight ? OK : p2p_limit_check(r);

    if (limit != OK) return limit;
    if (is_bare(r)) return p2p_handle_slash(r);
    if (!allow) return p2p_problem(r, HTTP_NOT_FOUND, NULL, NULL);
    allow = apr_pstrcat(r->pool, allow, ", OPTIONS", NULL);
    if (preflight) return p2p_cors_preflight(r, allow);
    if (r->method_number == M_OPTIONS) {
        apr_table_setn(r->headers_out, "Allow", allow);
        p2p_reply_headers(r);
        return HTTP_NO_CONTENT;
    }
    apr_table_setn(r->notes, P2P_NOTE_ALLOW, allow);
    return p2p_problem(r, HTTP_METHOD_NOT_ALLOWED, NULL, NULL);
}

/* httpd's Require has let the caller in; the table has the last word all the same. What is open to everyone takes nothing that a browser sends by
 * itself. */
static int call(request_rec *r, const p2p_route_t *route, const p2p_match_t *match)
{
    p2p_poll_t poll;
    int answer = route->role == P2P_ROLE_NONE ? OK : p2p_origin_check(r);

    if (answer != OK) return answer;
    if (p2p_caller(r)->role < route->role) return p2p_auth_lacks(r, route->role);
    answer = p2p_poll_same(r, route, &poll);
    if (answer != OK) return answer;
    answer = route->handle(r, match);
    p2p_poll_answered(r, &poll, answer);
    return answer;
}

/* What is open to everyone is not counted; what is too much costs nothing but a line in the audit now and then (p2p_audit_log). */
static int call_noted(request_rec *r, const p2p_route_t *route, const p2p_match_t *match)
{
    int answer = route->role == P2P_ROLE_NONE ? OK : p2p_limit_check(r);

    if (answer != OK) return answer;
    p2p_audit_begin(r, route, match);
    answer = call(r, route, match);
    p2p_audit_end(r, answer == OK ? r->status : answer);
    return answer;
}

const p2p_route_t *p2p_route_find(request_rec *r, p2p_match_t *match, const char **allow)
{
    const char *path = path_of(r);

    *allow = NULL;
    for (unsigned i = 0; path && i < ROUTES; i++) {
        if (!p2p_route_fits(routes[i].pattern, path, match)) continue;
        if (routes[i].method == r->method_number) return &routes[i];
        *allow = allow_more(r->pool, *allow, routes[i].method);
    }
    return NULL;
}

int p2p_route_handle(request_rec *r)
{
    p2p_match_t match = { .tail = "" };
    const p2p_route_t *route;
    const char *allow;

    if (!r->handler || strcmp(r->handler, "p2p")) return DECLINED;
    route = p2p_route_find(r, &match, &allow);
    return route ? call_noted(r, route, &match) : refuse(r, allow);
}

int p2p_route_translate(request_rec *r)
{
    if (!p2p_dir(r)->enabled) return DECLINED;
    r->filename = apr_pstrcat(r->pool, "p2p:", r->uri, NULL);
    return OK;
}

/* Known by its name: httpd forgets what a <Location> says before it asks where the file is. */
int p2p_route_no_file(request_rec *r)
{
    return r->filename && !strncmp(r->filename, "p2p:", 4) ? OK : DECLINED;
}
