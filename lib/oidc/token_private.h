/* SPDX-License-Identifier: Apache-2.0 */
/* How tokens are refused: in the same words, whichever file does it. */
#ifndef P2P_OIDC_TOKEN_PRIVATE_H
#define P2P_OIDC_TOKEN_PRIVATE_H

#include "oidc/token.h"

#define P2P_TOKEN_GET_ANOTHER "Get a new access token from its issuer."

/* P2P_E_REFUSED with a sentence of ours; code is a literal. */
p2p_error_t *p2p_token_refuse(apr_pool_t *p, const char *code, const char *sentence);

/* "token-malformed": "The token {what}. Get a new one." */
p2p_error_t *p2p_token_malformed(apr_pool_t *p, const char *what);

#endif
