/* SPDX-License-Identifier: Apache-2.0 */
/* All jobs together, as administrators see them: what was done, what waits, and what needs a person. */
#ifndef P2P_STORE_OVERVIEW_STORE_H
#define P2P_STORE_OVERVIEW_STORE_H

#include "base/json.h"
#include "model/spec.h"
#include "store/db.h"

#define P2P_OVERVIEW_COUNTED 1000 /* jobs that wait are counted so far */

/* The document of GET /admin/overview (docs/api.md) for spec's target, without "time"; owned by p. It reads sums and the ends of indexes: what it
 * costs depends on the number of definitions and runners, not on that of jobs. *now is the database's time. No member data is in it. */
p2p_error_t *p2p_overview(p2p_db_t *db, apr_pool_t *p, const p2p_spec_t *spec, json_object **doc, apr_time_t *now);

#endif
