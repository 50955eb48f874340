/* SPDX-License-Identifier: Apache-2.0 */
/* What needs a person, in plain sentences. */
#ifndef P2P_STORE_ATTENTION_H
#define P2P_STORE_ATTENTION_H

#include "base/json.h"
#include "model/spec.h"
#include "store/db.h"

/* An array of {"kind", "sentence", "object", "time"}, at most 20, what stops everything first, of each kind the newest first; owned by p. now: the
 * database's time; runners: how many are alive for spec's target. */
p2p_error_t *p2p_attention(p2p_db_t *db, apr_pool_t *p, const p2p_spec_t *spec, apr_time_t now, int runners, json_object **list);

#endif
