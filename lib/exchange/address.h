/* SPDX-License-Identifier: Apache-2.0 */
/* Addressing: how each entry of a Bundle is written, and how references in it read, where the target assigns ids. */
#ifndef P2P_EXCHANGE_ADDRESS_H
#define P2P_EXCHANGE_ADDRESS_H

#include "exchange/ids.h"
#include "exchange/outgoing.h"

/* Makes outgoing->addresses in outgoing->pool, anew for each attempt:
 * - a resource whose id is known is put there; one that bears our identifier is a conditional update on it; anything else is created;
 * - a reference to something whose id is known is Type/id; one to something in the same transaction is its fullUrl; one to anything else
 *   becomes logical (keep: stays as the source wrote it).
 * Errors: the database's. */
p2p_error_t *p2p_address(p2p_outgoing_t *outgoing, p2p_ids_t *ids, int batch, int keep);

/* The attempt is over: what refers to itself, and could not in it, does so again; those have an address->aside, and are to be sent once more. */
void p2p_address_restore(p2p_outgoing_t *outgoing);

/* The query that a conditional update of a resource with this identifier has, percent-encoded: "identifier=…", in p. */
const char *p2p_address_query(apr_pool_t *p, const char *system, const char *value);

#endif
