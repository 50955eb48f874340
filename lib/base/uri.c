/* SPDX-License-Identifier: Apache-2.0 */
/* URLs of peers: parsing, resolving and printing. */
#include "base/uri.h"

#include <string.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <apr_lib.h>
#include <apr_strings.h>

#define URL_MAX 8192

static p2p_error_t *bad(apr_pool_t *p, const char *sentence)
{
    return p2p_error_make(p, P2P_E_INVALID, "bad-url", "%s", sentence);
}

static char *lower(apr_pool_t *p, const char *s, apr_size_t len)
{
    char *copy = apr_pstrmemdup(p, s, len), *c;

    for (c = copy; *c; c++) *c = (char)apr_tolower(*c);
    return copy;
}

/* Nothing that a URL has no place for, and nothing that two readers might take differently. */
static p2p_error_t *check_characters(apr_pool_t *p, const char *text)
{
    const char *s;

    if (strlen(text) > URL_MAX) return bad(p, "must be a URL of at most 8,192 bytes");
    for (s = text; *s; s++) {
        if (*s <= ' ' || *s >= 0x7F || strchr("\\\"<>", *s)) {
            return bad(p, "must be a URL without spaces, backslashes, quotes, angle brackets and characters "
                          "that are not ASCII; percent-encode them");
        }
    }
    return NULL;
}

static int take_scheme(const char **s, p2p_uri_t *uri)
{
    if (!strncasecmp(*s, "https://", 8)) {
        uri->scheme = "https";
        uri->port = 443;
        *s += 8;
        return 1;
    }
    if (strncasecmp(*s, "http://", 7)) return 0;
    uri->scheme = "http";
    uri->port = 80;
    *s += 7;
    return 1;
}

/* A name or IPv4 address of letters, digits, "-", "." and "_"; percent-encoding there only deceives. */
static int is_host_name(const char *host)
{
    const char *s;

    for (s = host; *s; s++) {
        if (!apr_isalnum(*s) && !strchr("-._", *s)) return 0;
    }
    return s > host && *host != '.';
}

static int is_host_v6(apr_pool_t *p, const char *host)
{
    struct in6_addr address;
    apr_size_t len = strlen(host);

    if (len < 4 || host[0] != '[' || host[len - 1] != ']') return 0;
    return inet_pton(AF_INET6, apr_pstrmemdup(p, host + 1, len - 2), &address) == 1;
}

/* The digits behind the host's colon; none at all mean the default (RFC 3986 section 3.2.3). */
static int read_port(const char *s, apr_size_t len, int *port)
{
    int value = 0;
    apr_size_t i;

    if (!len) return 1;
    for (i = 0; i < len; i++) {
        if (!apr_isdigit(s[i])) return 0;
        value = value * 10 + (s[i] - '0');
        if (value > 65535) return 0;
    }
    *port = value;
    return value > 0;
}

/* [userinfo@]host[:port] at s[0..len). */
static p2p_error_t *take_authority(apr_pool_t *p, const char *s, apr_size_t len, p2p_uri_t *uri)
{
    const char *at = memrchr(s, '@', len), *end = s + len, *colon;

    uri->has_userinfo = at != NULL;
    if (at) s = at + 1;
    colon = memrchr(s, ':', (apr_size_t)(end - s));
    if (colon && memchr(colon, ']', (apr_size_t)(end - colon))) colon = NULL; /* one of an IPv6 address */
    if (colon && !read_port(colon + 1, (apr_size_t)(end - colon - 1), &uri->port)) {
        return bad(p, "must be a URL with a port from 1 to 65535, or none");
    }
    uri->host = lower(p, s, (apr_size_t)((colon ? colon : end) - s));
    if (is_host_name(uri->host) || is_host_v6(p, uri->host)) return NULL;
    return bad(p, "must be a URL with the name or address of a host");
}

/* Cuts the last segment written to out. */
static char *drop_segment(char *begin, char *out)
{
    while (out > begin && *--out != '/') {}
    return out;
}

/* The path at s[0..len), which begins with "/" or is empty, without dot segments (RFC 3986 section 5.2.4). */
static const char *remove_dots(apr_pool_t *p, const char *s, apr_size_t len)
{
    char *begin = apr_palloc(p, len + 2), *out = begin;
    const char *end = s + len;

    while (s < end) {
        const char *next = memchr(s + 1, '/', (apr_size_t)(end - s - 1));
        apr_size_t n = (apr_size_t)((next ? next : end) - s);
        int dots = n == 2 && s[1] == '.' ? 1 : n == 3 && s[1] == '.' && s[2] == '.' ? 2 : 0;

        if (dots == 2) out = drop_segment(begin, out);
        if (!dots) {
            memcpy(out, s, n);
            out += n;
        } else if (!next) {
            *out++ = '/';
        }
        s += n;
    }
    if (out == begin) *out++ = '/';
    *out = '\0';
    return begin;
}

p2p_error_t *p2p_uri_parse(apr_pool_t *p, const char *text, p2p_uri_t *uri)
{
    const char *s = text;
    apr_size_t n;

    memset(uri, 0, sizeof *uri);
    P2P_TRY(check_characters(p, text));
    if (!take_scheme(&s, uri)) return bad(p, "must be an absolute URL that begins with https:// or http://");
    n = strcspn(s, "/?#");
    P2P_TRY(take_authority(p, s, n, uri));
    s += n;
    n = strcspn(s, "?#");
    uri->path = remove_dots(p, s, n);
    s += n;
    if (*s == '?') {
        n = strcspn(s, "#");
        uri->query = apr_pstrmemdup(p, s + 1, n - 1);
        s += n;
    }
    uri->has_fragment = *s == '#';
    return NULL;
}

static int default_port(const p2p_uri_t *uri)
{
    return uri->port == (strcmp(uri->scheme, "https") ? 80 : 443);
}

const char *p2p_uri_origin(apr_pool_t *p, const p2p_uri_t *uri)
{
    if (default_port(uri)) return apr_pstrcat(p, uri->scheme, "://", uri->host, NULL);
    return apr_psprintf(p, "%s://%s:%d", uri->scheme, uri->host, uri->port);
}

const char *p2p_uri_text(apr_pool_t *p, const p2p_uri_t *uri)
{
    const char *query = uri->query ? apr_pstrcat(p, "?", uri->query, NULL) : "";

    return apr_pstrcat(p, p2p_uri_origin(p, uri), uri->path, query, NULL);
}

/* Does the reference begin with a scheme (RFC 3986 section 3.1)? */
static int has_scheme(const char *s)
{
    if (!apr_isalpha(*s)) return 0;
    while (apr_isalnum(*s) || (*s && strchr("+-.", *s))) s++;
    return *s == ':';
}

/* The target of a reference without scheme, as text (RFC 3986 section 5.2.2). */
static const char *target_text(apr_pool_t *p, const p2p_uri_t *base, const char *reference)
{
    const char *origin = p2p_uri_origin(p, base), *slash = strrchr(base->path, '/');

    switch (*reference) {
    case '/':
        if (reference[1] == '/') return apr_pstrcat(p, base->scheme, ":", reference, NULL);
        return apr_pstrcat(p, origin, reference, NULL);
    case '?':
        return apr_pstrcat(p, origin, base->path, reference, NULL);
    case '#':
    case '\0':
        return apr_pstrcat(p, p2p_uri_text(p, base), reference, NULL);
    default:
        return apr_pstrcat(p, origin, apr_pstrmemdup(p, base->path, (apr_size_t)(slash - base->path + 1)),
                           reference, NULL);
    }
}

p2p_error_t *p2p_uri_resolve(apr_pool_t *p, const char *base, const char *reference, p2p_uri_t *uri)
{
    p2p_uri_t parsed;

    P2P_TRY(p2p_uri_parse(p, base, &parsed));
    if (has_scheme(reference)) return p2p_uri_parse(p, reference, uri);
    P2P_TRY(check_characters(p, reference));
    return p2p_uri_parse(p, target_text(p, &parsed, reference), uri);
}

const char *p2p_uri_trim(apr_pool_t *p, const char *text)
{
    apr_size_t len = strlen(text);

    while (len && text[len - 1] == '/') len--;
    return apr_pstrmemdup(p, text, len);
}

const char *p2p_uri_encode(apr_pool_t *p, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = apr_palloc(p, strlen(text) * 3 + 1), *o = out;

    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c < 0x80 && (apr_isalnum(c) || strchr("-._~", c))) {
            *o++ = (char)c;
            continue;
        }
        *o++ = '%';
        *o++ = hex[c >> 4];
        *o++ = hex[c & 15];
    }
    *o = '\0';
    return out;
}
