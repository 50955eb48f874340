/* SPDX-License-Identifier: Apache-2.0 */
/* What the answers mean that a definition's test gets: each a verdict with a sentence for administrators, without secrets, and with nothing of
 * an answer in it but short plain words. */
#ifndef P2P_RUNNER_TEST_STEPS_H
#define P2P_RUNNER_TEST_STEPS_H

#include "oidc/discovery.h"

typedef struct p2p_step_t {
    int ok;
    const char *detail; /* in the pool of the call */
} p2p_step_t;

p2p_step_t p2p_step(apr_pool_t *p, int ok, const char *detail, ...) __attribute__((format(printf, 3, 4)));

/* Where a definition's discovery document is: its own, else that of its FHIR server. */
typedef struct p2p_step_document_t {
    const char *url;
    int is_smart;         /* the FHIR server's, which may have no issuer */
    int usable;           /* it was read, and is the definition's issuer's: only then its URLs are used */
    p2p_discovery_t said;
} p2p_step_document_t;

/* Reads the answer; document->usable and said are set. Has it what the definition leaves out, and what portals begin with? */
p2p_step_t p2p_step_document(apr_pool_t *p, const p2p_oidc_server_t *server, p2p_step_document_t *document, int status, const char *body,
                             apr_size_t len);

/* What the token endpoint at url says to a refresh token that nobody issued. *stranger: it does not know the client so. */
p2p_step_t p2p_step_token(apr_pool_t *p, const char *url, int status, const char *body, apr_size_t len, int *stranger);

/* The keys that a definition has itself. */
p2p_step_t p2p_step_own_keys(apr_pool_t *p, const p2p_oidc_server_t *server, const char *key_dir);

/* A key set from url. */
p2p_step_t p2p_step_keys(apr_pool_t *p, const char *url, int status, const char *body, apr_size_t len);

/* A CapabilityStatement from url. */
p2p_step_t p2p_step_capability(apr_pool_t *p, const char *url, int status, const char *body, apr_size_t len);

#endif
