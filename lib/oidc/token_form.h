/* SPDX-License-Identifier: Apache-2.0 */
/* What a client says to a token endpoint (RFC 6749): who it is, and what it wants. */
#ifndef P2P_OIDC_TOKEN_FORM_H
#define P2P_OIDC_TOKEN_FORM_H

#include "model/oidc_server.h"

/* How a client with a secret shows it (section 2.3.1). */
typedef enum { P2P_CLIENT_SECRET_BASIC, P2P_CLIENT_SECRET_POST } p2p_client_method_t;

/* A request; strings in the pool it was made in. */
typedef struct p2p_token_form_t {
    const char *body;  /* application/x-www-form-urlencoded */
    const char *basic; /* "id:secret", each form-urlencoded, or NULL */
} p2p_token_form_t;

/* Adds name=value, in p. */
void p2p_token_form_add(apr_pool_t *p, p2p_token_form_t *form, const char *name, const char *value);

/* Adds who the client is; without a secret ("": a public client) its id goes into the body. */
void p2p_token_form_client(apr_pool_t *p, p2p_token_form_t *form, const char *client_id, const char *client_secret,
                           p2p_client_method_t method);

/* The form of a refresh (section 6) at a definition's token endpoint, with each name=value of its
 * customTokenParams. In p. */
p2p_token_form_t p2p_token_form_refresh(apr_pool_t *p, const p2p_oidc_server_t *server, p2p_client_method_t method,
                                        const char *refresh_token);

#endif
