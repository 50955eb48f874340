/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a job. */
#include "store/job_store.h"

#include "store/job_private.h"
#include "store/sealed.h"
#include "store/stat_store.h"
#include "store/task_event_store.h"

typedef struct finish_t {
    const p2p_keyring_t *keyring;
    const p2p_job_t *job;
    const char *owner;
    const p2p_job_ending_t *ending;
} finish_t;

static p2p_error_t *end_job(p2p_db_t *db, apr_pool_t *p, const finish_t *f)
{
    const p2p_error_t *error = f->ending->error;
    const char *detail;
    int changed;

    P2P_TRY(p2p_seal_column(p, f->keyring, P2P_JOB_TABLE, "error_detail", f->job->id,
                            error && error->detail ? error->detail : "", &detail));
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_JOB_FINISH, &changed, p2p_job_status_name(f->ending->status),
                        error ? error->code : "", error ? error->sentence : "", detail, (apr_int64_t)f->ending->token_time,
                        (apr_int64_t)f->ending->token_time, f->job->id, f->owner,
                        f->job->epoch));
    return changed ? NULL : p2p_job_lost(p);
}

static p2p_error_t *finish(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    const finish_t *f = baton;
    apr_int64_t grant = f->job->grant_id, job = f->job->id;

    /* The grant first, as in job_enqueue.c; and what erases it is a statement of its own, which sees the jobs that came in
     * while this one waited. */
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_GRANT_LOCK, NULL, grant));
    P2P_TRY(end_job(db, p, f));
    if (f->ending->event)
        P2P_TRY(p2p_task_event_note(db, p, f->keyring, f->job->target, f->ending->event, f->ending->mails, NULL));
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_JOB_RECOUNT, NULL, job));
    if (f->ending->status == P2P_JOB_COMPLETED) P2P_TRY(p2p_db_exec(db, p, P2P_SQL_PART_FORGET_HELD, NULL, job));
    if (f->ending->untouched) P2P_TRY(p2p_db_exec(db, p, P2P_SQL_BINDING_RELEASE, NULL, job, job));
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_GRANT_ERASE, NULL, grant));
    return p2p_stat_add_end(db, p, f->job, f->owner, f->ending->status);
}

p2p_error_t *p2p_job_finish(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const p2p_job_t *job,
                            const char *owner, const p2p_job_ending_t *ending)
{
    finish_t f = {keyring, job, owner, ending};

    return p2p_db_transaction(db, p, finish, &f);
}
