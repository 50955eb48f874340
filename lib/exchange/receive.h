/* SPDX-License-Identifier: Apache-2.0 */
/* Reception: maps what a page brings and decides what it is: new, a duplicate, a later version, or somebody else's. */
#ifndef P2P_EXCHANGE_RECEIVE_H
#define P2P_EXCHANGE_RECEIVE_H

#include "exchange/land.h"
#include "exchange/sequence.h"

typedef struct p2p_receive_t p2p_receive_t;

/* Makes one in p. */
p2p_receive_t *p2p_receive_make(apr_pool_t *p, p2p_mapper_t *mapper, p2p_seen_t *seen, p2p_sequence_t *sequence);

/* Takes one entry of a page; every entry is accounted for in its landing. Errors: P2P_E_REFUSED "source-outcome" where the answer is an
 * OperationOutcome instead of data. */
p2p_error_t *p2p_receive_entry(p2p_receive_t *receive, p2p_landing_t *landing, const p2p_bundle_entry_t *entry);

/* The same for one that was rejected in an earlier attempt, and is tried again. */
p2p_error_t *p2p_receive_letter(p2p_receive_t *receive, p2p_landing_t *landing, const p2p_bundle_entry_t *entry);

/* The resource of this key came to its end: a later version that came while it was under way goes on now. */
void p2p_receive_settled(p2p_receive_t *receive, apr_uint64_t key);

#endif
