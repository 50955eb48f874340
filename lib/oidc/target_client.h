/* SPDX-License-Identifier: Apache-2.0 */
/* The file of P2PTargetAuth client-credentials: who we are at the target's authorization server. */
#ifndef P2P_OIDC_TARGET_CLIENT_H
#define P2P_OIDC_TARGET_CLIENT_H

#include "base/clock.h"
#include "model/field_error.h"
#include "oidc/jws.h"
#include "oidc/token_form.h"

typedef struct p2p_target_client_t {
    const char *token_endpoint; /* "": what the target's .well-known/smart-configuration names */
    const char *id, *secret;
    p2p_client_method_t method;
    const p2p_jws_key_t *key;   /* in place of a secret (private_key_jwt); or NULL */
    const char *scope, *audience; /* or "" */
} p2p_target_client_t;

/* Reads the JSON object, strings and key in p. Each fault is added to errors (p2p_field_error_t in p). */
p2p_target_client_t *p2p_target_client_read(apr_pool_t *p, const char *text, int allow_http, apr_array_header_t *errors);

/* What is sent to the endpoint for a token (RFC 6749 section 4.4; with a key RFC 7523, an assertion of its own
 * at each call), in p. Errors: P2P_E_INTERNAL. */
p2p_error_t *p2p_target_client_form(apr_pool_t *p, const p2p_target_client_t *client, const char *endpoint,
                                    const p2p_clock_t *clock, p2p_token_form_t *form);

#endif
