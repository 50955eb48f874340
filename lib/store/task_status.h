/* SPDX-License-Identifier: Apache-2.0 */
/* What status shows of the Subscription and of the searches for Tasks. */
#ifndef P2P_STORE_TASK_STATUS_H
#define P2P_STORE_TASK_STATUS_H

#include "base/json.h"
#include "store/db.h"

/* Of one target: "way" is subscription, polling (with "why") or off; "subscription" (endpoint, status, fault, checked; null where none is to be), and
 * "lastSearch", "waiting" (hints), "fault". hook_url: NULL without P2PHookURL; has_mail: P2PMailServer. Owned by p. */
p2p_error_t *p2p_task_status(p2p_db_t *db, apr_pool_t *p, const char *target, const char *hook_url, int has_mail, json_object **status);

#endif
