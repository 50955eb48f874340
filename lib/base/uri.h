/* SPDX-License-Identifier: Apache-2.0 */
/* URIs of peers (RFC 3986): taking apart, resolving, comparing origins, and the rules for endpoints. */
#ifndef P2P_BASE_URI_H
#define P2P_BASE_URI_H

#include <apr_pools.h>
#include "base/error.h"

typedef struct p2p_uri_t {
    const char *scheme; /* lower case */
    const char *host;   /* lower case, IPv6 in brackets */
    int port;           /* the scheme's default where none is given */
    const char *path;   /* "/" at least, dot segments removed, percent-encoding as given */
    const char *query;  /* without "?", or NULL */
    int has_userinfo, has_fragment;
} p2p_uri_t;

/* Takes an absolute http or https URL apart, strings in p. Errors: P2P_E_INVALID "bad-url" (control
 * characters, spaces, backslashes, another scheme, no host, a port out of range, over 8,192 bytes). */
p2p_error_t *p2p_uri_parse(apr_pool_t *p, const char *text, p2p_uri_t *uri);

/* Text of uri (default port left out, no user info, no fragment), in p. */
const char *p2p_uri_text(apr_pool_t *p, const p2p_uri_t *uri);

/* Its origin: scheme://host, and :port where that is not the default; in p. */
const char *p2p_uri_origin(apr_pool_t *p, const p2p_uri_t *uri);

/* Resolves reference against the absolute URL base (RFC 3986 section 5), result parsed. */
p2p_error_t *p2p_uri_resolve(apr_pool_t *p, const char *base, const char *reference, p2p_uri_t *uri);

/* Same scheme, host and port (RFC 6454). */
int p2p_uri_same_origin(const p2p_uri_t *a, const p2p_uri_t *b);

/* Is url the endpoint itself or below it: same origin, and its path the endpoint's, or the endpoint's with
 * "/" and more? A trailing slash of the endpoint is ignored. An encoded dot or slash segment (%2e, %2f) below
 * it is refused. */
int p2p_uri_is_under(const p2p_uri_t *endpoint, const p2p_uri_t *url);

/* Is the host a loopback one: localhost, 127.0.0.0/8, [::1]? */
int p2p_uri_is_loopback(const p2p_uri_t *uri);

/* The rules for an issuer, well-known, FHIR or token URL: https, or http where loopback or allow_http; no
 * user info, no fragment. Errors: P2P_E_INVALID "bad-url" with a sentence such as "must be an https URL (http
 * only for loopback)". */
p2p_error_t *p2p_uri_check_endpoint(apr_pool_t *p, const char *text, int allow_http);

/* The same for a URL that others are made from by adding a path: a query breaks the rule, too. */
p2p_error_t *p2p_uri_check_base(apr_pool_t *p, const char *text, int allow_http);

/* Is it a logical id of FHIR (R4, data type id): [A-Za-z0-9.-]{1,64}, but for "." and "..", which would change a URL? */
int p2p_is_fhir_id(const char *text, apr_size_t len);

/* text without its trailing slashes, in p. */
const char *p2p_uri_trim(apr_pool_t *p, const char *text);

/* For sentences and logs: scheme://host[:port]/path without query, where each path segment that is not a
 * plain word of letters, $, _ and - (an id, most likely), or that follows a resource type, is shown as {id}.
 * The endpoint's own path stays as it is. endpoint may be NULL. */
const char *p2p_uri_public(apr_pool_t *p, const char *text, const char *endpoint);

/* text percent-encoded for a path segment or query value (unreserved characters stay), in p. */
const char *p2p_uri_encode(apr_pool_t *p, const char *text);

#endif
