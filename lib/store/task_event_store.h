/* SPDX-License-Identifier: Apache-2.0 */
/* Events, each noted once, with the mails that they lead to. */
#ifndef P2P_STORE_TASK_EVENT_STORE_H
#define P2P_STORE_TASK_EVENT_STORE_H

#include "base/seal.h"
#include "model/task_event.h"
#include "store/db.h"

/* Notes an event and puts its mails (array of p2p_mail_order_t, or NULL) into the outbox, all in the open transaction. An event that was noted
 * before adds nothing; *first tells (may be NULL). Whoever has committed calls p2p_outbox_ask, so that they go out at once. */
p2p_error_t *p2p_task_event_note(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const char *target,
                                 const p2p_task_event_t *event, const apr_array_header_t *mails, int *first);

#endif
