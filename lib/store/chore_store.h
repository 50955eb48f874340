/* SPDX-License-Identifier: Apache-2.0 */
/* Chores in the queue: asked for, claimed, ended. They come before exchanges, and never wait for one to end. */
#ifndef P2P_STORE_CHORE_STORE_H
#define P2P_STORE_CHORE_STORE_H

#include "model/chore.h"
#include "store/db.h"

/* What is asked for. */
typedef struct p2p_chore_order_t {
    const char *kind, *target, *subject, *client;
    apr_int64_t server_id;
} p2p_chore_order_t;

/* Enqueues it, unless one for the same kind, definition and subject has not ended yet: then that is *chore, and *again is 1. */
p2p_error_t *p2p_chore_enqueue(p2p_db_t *db, apr_pool_t *p, const p2p_chore_order_t *order, p2p_chore_t **chore, int *again);

/* One of a definition. Errors: P2P_E_NOT_FOUND "no-such-test". */
p2p_error_t *p2p_chore_get(p2p_db_t *db, apr_pool_t *p, const char *kind, apr_int64_t server_id, apr_int64_t id, p2p_chore_t **chore);

/* Takes the oldest one of this target that nobody works on, be it queued or left behind by a runner that is gone; *chore is NULL where there is
 * none. From here the lease is as with p2p_job_claim: p2p_job_progress and p2p_job_release do for chore->job as well. */
p2p_error_t *p2p_chore_claim(p2p_db_t *db, apr_pool_t *p, const char *target, const char *owner, p2p_chore_t **chore);

/* Ends it: COMPLETED with a result (JSON without secrets; ""), FAILED with an error, or STOPPED. Errors: P2P_E_LOST "lease-lost". */
p2p_error_t *p2p_chore_finish(p2p_db_t *db, apr_pool_t *p, const p2p_chore_t *chore, const char *owner, p2p_job_status_t status,
                              const char *result, const p2p_error_t *why);

/* Ends it and takes its row away. Errors: P2P_E_LOST "lease-lost". */
p2p_error_t *p2p_chore_forget(p2p_db_t *db, apr_pool_t *p, const p2p_chore_t *chore, const char *owner);

#endif
