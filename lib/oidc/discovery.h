/* SPDX-License-Identifier: Apache-2.0 */
/* What an authorization server says of itself: OpenID Connect Discovery, RFC 8414, SMART's configuration. */
#ifndef P2P_OIDC_DISCOVERY_H
#define P2P_OIDC_DISCOVERY_H

#include "base/json.h"
#include "model/trust.h"
#include "oidc/token_form.h"

#define P2P_DISCOVERY_BYTES (256 * 1024) /* longer documents are not read */

/* Strings in the pool of the call, never NULL; URLs are "" where they are missing, or cannot be used: they are held to the rules of a
 * definition, plain http only where the document itself came so. */
typedef struct p2p_discovery_t {
    const char *issuer; /* as it was written */
    const char *authorization_endpoint, *token_endpoint, *jwks_uri, *introspection_endpoint;
    int names_issuer;           /* answers to a sign-in name the issuer (authorization_response_iss_parameter_supported, RFC 9207 section 3) */
    const char *unusable;       /* the first member whose URL cannot be used; "" for none */
    p2p_client_method_t method; /* at the token endpoint; a document that tells none means Basic (RFC 8414 section 2) */
} p2p_discovery_t;

/* {issuer}/.well-known/openid-configuration, and {endpoint}/.well-known/smart-configuration; in p. */
const char *p2p_discovery_of_issuer(apr_pool_t *p, const char *issuer);
const char *p2p_discovery_of_fhir(apr_pool_t *p, const char *endpoint);

/* The URL that begins the search for what a trusted issuer publishes: its key set's, else a document's, well_known (a definition's own) or
 * the issuer's; in p. */
const char *p2p_discovery_source(apr_pool_t *p, const p2p_trust_t *trust, const char *well_known);

/* Reads the document of len bytes that came from url. Errors: P2P_E_INVALID "discovery-unusable". */
p2p_error_t *p2p_discovery_read(apr_pool_t *p, const char *url, const char *body, apr_size_t len, p2p_discovery_t *discovery);

/* Judges an answer that was to be a document, by its status alone: redirects are not followed. Errors, with the URL as it may be shown:
 * P2P_E_UNAVAILABLE (429, 5xx) or P2P_E_INVALID, "answered". */
p2p_error_t *p2p_discovery_answered(apr_pool_t *p, const char *url, int status);

/* Is that the issuer's name? A trailing slash is ignored. */
int p2p_discovery_is_issuer(apr_pool_t *p, const char *name, const char *issuer);

#endif
