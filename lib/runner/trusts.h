/* SPDX-License-Identifier: Apache-2.0 */
/* The issuers whose keys a runner fetches, and when it is time to. */
#ifndef P2P_RUNNER_TRUSTS_H
#define P2P_RUNNER_TRUSTS_H

#include "exchange/exchange.h"

/* Do people sign in there (P2PSignIn)? */
int p2p_trust_is_signed_in_at(const p2p_spec_t *spec, const p2p_trust_t *trust);

/* The P2PTrustIssuer of this issuer whose keys or endpoints are to be fetched; NULL where there is none. */
const p2p_trust_t *p2p_trust_of(const p2p_spec_t *spec, const char *issuer);

/* Enqueues a refresh of each such issuer that is due; *asked tells how many. A trusted definition with keys of its own has nothing to be
 * fetched, unless people sign in there. */
p2p_error_t *p2p_trusts_ask_old(const p2p_exchange_context_t *context, apr_pool_t *p, int *asked);

#endif
