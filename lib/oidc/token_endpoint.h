/* SPDX-License-Identifier: Apache-2.0 */
/* Where a definition's token endpoint is: its token URL, else what its well-known document or its FHIR server
 * tells. */
#ifndef P2P_OIDC_TOKEN_ENDPOINT_H
#define P2P_OIDC_TOKEN_ENDPOINT_H

#include "model/oidc_server.h"
#include "net/http.h"
#include "oidc/token_form.h"

#define P2P_TOKEN_LEAST_BYTES 1024 /* in a stall time-out: an answer that dribbles holds up all that wait for its token */

typedef struct p2p_token_endpoint_t p2p_token_endpoint_t;

/* Told once, from the loop or at once: NULL where it is known now, else P2P_E_UNAVAILABLE
 * "token-endpoint-unreachable" or P2P_E_INVALID "token-answer-unusable". */
typedef void (*p2p_token_endpoint_fn)(void *baton, const p2p_error_t *error);

/* Makes one in p. All arguments must outlive it. */
p2p_token_endpoint_t *p2p_token_endpoint_make(apr_pool_t *p, p2p_http_t *http, const p2p_oidc_server_t *server);

/* The endpoint, or NULL while it is not known. Once it is known it stays; valid as long as the definition and
 * p. */
const char *p2p_token_endpoint_known(const p2p_token_endpoint_t *endpoint);

/* How a client's secret is shown there: what its document tells (RFC 8414), else by Basic. */
p2p_client_method_t p2p_token_endpoint_method(const p2p_token_endpoint_t *endpoint);

/* What experience tells of that. */
void p2p_token_endpoint_set_method(p2p_token_endpoint_t *endpoint, p2p_client_method_t method);

/* What was found is looked for anew next time. */
void p2p_token_endpoint_forget(p2p_token_endpoint_t *endpoint);

/* Looks for it; one search at a time. */
void p2p_token_endpoint_find(p2p_token_endpoint_t *endpoint, p2p_token_endpoint_fn fn, void *baton);

/* Ends a search that is under way; fn is not called. */
void p2p_token_endpoint_cancel(p2p_token_endpoint_t *endpoint);

#endif
