/* SPDX-License-Identifier: Apache-2.0 */
/* The table p2p_task_event. */
#include "store/task_event_store.h"

#include "store/outbox_store.h"

p2p_error_t *p2p_task_event_note(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const char *target,
                                 const p2p_task_event_t *event, const apr_array_header_t *mails, int *first)
{
    int changed;

    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_EVENT_INSERT, &changed, target, event->subject, event->status));
    if (first) *first = changed;
    for (int i = 0; changed && mails && i < mails->nelts; i++)
        P2P_TRY(p2p_outbox_add(db, p, keyring, target, event, &APR_ARRAY_IDX(mails, i, p2p_mail_order_t)));
    return NULL;
}
