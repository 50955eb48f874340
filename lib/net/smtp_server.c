/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the mail server's URL. */
#include "net/smtp_server.h"

#include <apr_strings.h>
#include <string.h>
#include <strings.h>

#include "base/uri.h"

#define PORT_SMTP 25
#define PORT_SMTPS 465

static p2p_error_t *bad(apr_pool_t *p, const char *what)
{
    return p2p_error_make(p, P2P_E_INVALID, "bad-url", "%s", what);
}

/* A port that is written, behind an address in brackets as well. */
static int has_port(const char *rest)
{
    apr_size_t len = strcspn(rest, "/");
    const char *colon = memchr(rest, ':', len), *bracket = memchr(rest, ']', len);

    return bracket ? bracket[1] == ':' : colon != NULL;
}

p2p_error_t *p2p_smtp_server_parse(apr_pool_t *p, const char *text, p2p_smtp_server_t *server)
{
    static const char smtp[] = "smtp://", smtps[] = "smtps://", form[] = "must be smtp://HOST[:PORT] or smtps://HOST[:PORT]";
    const char *rest;
    p2p_uri_t uri;

    server->tls = !strncasecmp(text, smtps, strlen(smtps));
    if (!server->tls && strncasecmp(text, smtp, strlen(smtp))) return bad(p, form);
    rest = text + (server->tls ? strlen(smtps) : strlen(smtp));
    if (p2p_uri_parse(p, apr_pstrcat(p, "http://", rest, NULL), &uri)) return bad(p, form);
    if (uri.has_userinfo) return bad(p, "must not have user information: P2PMailAuth names the file with user and password");
    if (strcmp(uri.path, "/") || uri.query || uri.has_fragment) return bad(p, form);
    if (!has_port(rest)) uri.port = server->tls ? PORT_SMTPS : PORT_SMTP;
    server->is_loopback = p2p_uri_is_loopback(&uri);
    server->url = apr_psprintf(p, "%s://%s:%d", server->tls ? "smtps" : "smtp", uri.host, uri.port);
    return NULL;
}
