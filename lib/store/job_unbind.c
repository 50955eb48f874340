/* SPDX-License-Identifier: Apache-2.0 */
/* A source patient that is to be somebody else's at the target. */
#include "store/job_store.h"

#include "store/hash_keys.h"
#include "store/job_private.h"

typedef struct unbind_t {
    p2p_job_member_t member;
    p2p_job_t **running;
} unbind_t;

/* The row is held first: an order that has looked at it is waited for, and its job is then found. */
static p2p_error_t *unbind(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    const unbind_t *u = baton;
    const p2p_job_member_t *m = &u->member;
    int found = 0;
    p2p_rows_t rows;

    for (int key = 0; !found && key < p2p_keyring_count(m->hashes); key++) {
        P2P_TRY(p2p_db_select(db, p, P2P_SQL_BINDING_LOCK, &rows, m->target, m->server_id, p2p_job_source_hash(p, m, key)));
        found = rows.count;
    }
    if (!found) {
        return p2p_error_make(p, P2P_E_NOT_FOUND, "no-such-binding",
                              "No exchange from this source payer has bound this source patient.");
    }
    P2P_TRY(p2p_job_check_running(db, p, m, u->running));
    return p2p_db_exec(db, p, P2P_SQL_BINDING_DELETE, NULL, p2p_rows_int(&rows, 0, 0));
}

p2p_error_t *p2p_job_unbind(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const char *target, apr_int64_t server_id,
                            const char *source_patient, p2p_job_t **running)
{
    unbind_t u = {.member = {.keyring = keyring, .target = target, .server_id = server_id, .source_patient = source_patient,
                             .target_patient = ""}, .running = running};

    *running = NULL;
    P2P_TRY(p2p_hash_keys(db, p, keyring, &u.member.hashes));
    return p2p_db_transaction(db, p, unbind, &u);
}
