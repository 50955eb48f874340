/* SPDX-License-Identifier: Apache-2.0 */
/* URLs of peers: which may be used, which belong together, and how they are shown. */
#include "base/uri.h"

#include <string.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <apr_lib.h>
#include <apr_strings.h>

int p2p_uri_same_origin(const p2p_uri_t *a, const p2p_uri_t *b)
{
    return a->port == b->port && !strcmp(a->scheme, b->scheme) && !strcmp(a->host, b->host);
}

/* What a server might turn into a dot segment or a slash after we have looked: %2e, %2f, %5c, "/..;". */
static int has_hidden_step(const char *path)
{
    const char *s;

    for (s = path; *s; s++) {
        if (!strncasecmp(s, "%2e", 3) || !strncasecmp(s, "%2f", 3) || !strncasecmp(s, "%5c", 3)) return 1;
        if (!strncmp(s, "/.;", 3) || !strncmp(s, "/..;", 4)) return 1;
    }
    return 0;
}

/* The part of path below the endpoint's path: "" or one that begins with "/"; NULL where it is not below. */
static const char *below(const char *endpoint, const char *path)
{
    apr_size_t len = strlen(endpoint);

    while (len && endpoint[len - 1] == '/') len--;
    if (strncmp(endpoint, path, len)) return NULL;
    return path[len] == '/' || !path[len] ? path + len : NULL;
}

int p2p_uri_is_under(const p2p_uri_t *endpoint, const p2p_uri_t *url)
{
    const char *rest = p2p_uri_same_origin(endpoint, url) ? below(endpoint->path, url->path) : NULL;

    return rest && !has_hidden_step(rest);
}

static int is_loopback_v6(const char *host)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    apr_size_t len = strlen(host);

    if (host[0] != '[' || len < 3 || len - 2 >= sizeof text) return 0;
    memcpy(text, host + 1, len - 2);
    text[len - 2] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1 && IN6_IS_ADDR_LOOPBACK(&address);
}

int p2p_uri_is_loopback(const p2p_uri_t *uri)
{
    struct in_addr address;

    if (!strcmp(uri->host, "localhost")) return 1;
    if (inet_pton(AF_INET, uri->host, &address) == 1) return ntohl(address.s_addr) >> 24 == 127;
    return is_loopback_v6(uri->host);
}

p2p_error_t *p2p_uri_check_endpoint(apr_pool_t *p, const char *text, int allow_http)
{
    p2p_uri_t uri;
    const char *sentence = NULL;

    P2P_TRY(p2p_uri_parse(p, text, &uri));
    if (uri.has_userinfo) sentence = "must be a URL without user name and password";
    else if (uri.has_fragment) sentence = "must be a URL without a fragment (#)";
    else if (strcmp(uri.scheme, "https") && !allow_http && !p2p_uri_is_loopback(&uri)) {
        sentence = "must be an https URL (http only for loopback)";
    }
    return sentence ? p2p_error_make(p, P2P_E_INVALID, "bad-url", "%s", sentence) : NULL;
}

p2p_error_t *p2p_uri_check_base(apr_pool_t *p, const char *text, int allow_http)
{
    P2P_TRY(p2p_uri_check_endpoint(p, text, allow_http));
    if (!strchr(text, '?')) return NULL;
    return p2p_error_make(p, P2P_E_INVALID, "bad-url", "must be a URL without a query");
}

/* Is the segment a word of the interface (Patient, $everything, _history) and not an id? */
static int is_word(const char *s, apr_size_t len)
{
    apr_size_t i;

    for (i = 0; i < len; i++) {
        if (!apr_isalpha(s[i]) && !strchr("$_-", s[i])) return 0;
    }
    return 1;
}

/* Is it a resource type? What follows one is an id, whatever it is made of. */
static int is_type(const char *s, apr_size_t len)
{
    return len > 0 && apr_isupper(*s) && is_word(s, len);
}

/* path with each segment that may be an id as {id}. */
static const char *mask_path(apr_pool_t *p, const char *path)
{
    char *out = apr_palloc(p, strlen(path) * 3 + 1), *o = out; /* "/1", the shortest, becomes "/{id}" */
    int behind_type = 0;

    while (*path) {
        apr_size_t n = strcspn(path + 1, "/");
        int word = is_word(path + 1, n) && (!behind_type || !n || strchr("$_", path[1]));

        behind_type = !behind_type && is_type(path + 1, n);

        *o++ = '/';
        memcpy(o, word ? path + 1 : "{id}", word ? n : 4);
        o += word ? n : 4;
        path += n + 1;
    }
    *o = '\0';
    return out;
}

const char *p2p_uri_public(apr_pool_t *p, const char *text, const char *endpoint)
{
    p2p_uri_t uri, base;
    const char *rest = NULL, *kept = "";

    if (p2p_uri_parse(p, text, &uri)) return "(a malformed URL)";
    if (endpoint && !p2p_uri_parse(p, endpoint, &base) && p2p_uri_same_origin(&base, &uri)) {
        rest = below(base.path, uri.path);
    }
    if (rest) kept = apr_pstrmemdup(p, uri.path, (apr_size_t)(rest - uri.path));
    uri.path = apr_pstrcat(p, kept, mask_path(p, rest ? rest : uri.path), NULL);
    uri.query = NULL;
    return p2p_uri_text(p, &uri);
}

int p2p_is_fhir_id(const char *text, apr_size_t len)
{
    apr_size_t i;

    if (len < 1 || len > 64 || (text[0] == '.' && (len == 1 || (len == 2 && text[1] == '.')))) return 0;
    for (i = 0; i < len; i++) {
        if (!apr_isalnum(text[i]) && text[i] != '-' && text[i] != '.') return 0;
    }
    return 1;
}
