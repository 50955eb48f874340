/* SPDX-License-Identifier: Apache-2.0 */
/* The jobs that a runner has in hand: claimed, kept going, given back. */
#ifndef P2P_RUNNER_CLAIM_H
#define P2P_RUNNER_CLAIM_H

#include "exchange/exchange.h"

typedef struct p2p_claims_t p2p_claims_t;

/* None yet; in p. context is what work of all kinds gets; its db and owner may change while no job is in hand. */
p2p_claims_t *p2p_claims_make(apr_pool_t *p, p2p_exchange_context_t *context);

/* Jobs in hand. */
int p2p_claims_count(const p2p_claims_t *claims);

/* Claims jobs while there is room for more and the queue has some, and begins them: first chores, which take no room from exchanges. Errors, in
 * p, as of p2p_job_claim and p2p_chore_claim; those begun before go on. */
p2p_error_t *p2p_claims_take(p2p_claims_t *claims, apr_pool_t *p);

/* Lets each note its progress. */
void p2p_claims_tick(p2p_claims_t *claims);

/* Puts away those that have ended; returns how many. */
int p2p_claims_reap(p2p_claims_t *claims);

/* Abandons all: their leases are not ours any more, nothing is written. */
void p2p_claims_drop(p2p_claims_t *claims);

/* Abandons those that are not busy (with a token refresh), or all where even_busy, and gives their leases back,
 * which is not tried any more once the database is away. Returns how many are left. */
int p2p_claims_release(p2p_claims_t *claims, apr_pool_t *p, int even_busy);

/* Did p2p_claims_release find the database away? */
int p2p_claims_db_away(const p2p_claims_t *claims);

#endif
