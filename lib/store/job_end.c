/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a job, and the report of what became of each part. */
#include "store/job_store.h"

#include <apr_strings.h>
#include "store/job_private.h"
#include "store/sealed.h"

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
                        error ? error->code : "", error ? error->sentence : "", detail, f->job->id, f->owner,
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
    P2P_TRY(p2p_job_add_counts(db, p, job, &f->ending->partial));
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_PART_FORGET_HELD, NULL, job));
    if (f->ending->untouched) P2P_TRY(p2p_db_exec(db, p, P2P_SQL_BINDING_RELEASE, NULL, job, job));
    return p2p_db_exec(db, p, P2P_SQL_GRANT_ERASE, NULL, grant);
}

p2p_error_t *p2p_job_finish(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const p2p_job_t *job,
                            const char *owner, const p2p_job_ending_t *ending)
{
    finish_t f = {keyring, job, owner, ending};

    return p2p_db_transaction(db, p, finish, &f);
}

static p2p_error_t *report_parts(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring,
                                 apr_int64_t job_id,
                                 int offset, int limit, apr_array_header_t *parts)
{
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_PART_REPORT, &rows, job_id, (apr_int64_t)limit,
                          (apr_int64_t)offset));
    for (int i = 0; i < rows.count; i++) {
        P2P_TRY(p2p_part_from_row(p, keyring, job_id, &rows, i, apr_array_push(parts)));
    }
    return NULL;
}

static p2p_error_t *rejected_from_row(apr_pool_t *p, const p2p_keyring_t *keyring, apr_int64_t job_id,
                                      const p2p_rows_t *rows, int row, p2p_rejected_t *r)
{
    const char **cell = rows->cell[row];
    const char *place = apr_pstrcat(p, "/", cell[0], "/", cell[1], "/", cell[2], NULL);

    r->request = (int)p2p_rows_int(rows, row, 0);
    r->part = (int)p2p_rows_int(rows, row, 1);
    r->outcome = cell[3];
    r->type = cell[4];
    r->code = cell[6];
    r->body = NULL;
    r->body_len = 0;
    P2P_TRY(p2p_unseal_column(p, keyring, "p2p_rejected", apr_pstrcat(p, "source_id", place, NULL), job_id,
                              cell[5],
                              &r->source_id));
    return p2p_unseal_column(p, keyring, "p2p_rejected", apr_pstrcat(p, "detail", place, NULL), job_id,
                             cell[7],
                             &r->detail);
}

p2p_error_t *p2p_job_report(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, apr_int64_t job_id,
                            int offset,
                            int limit, apr_array_header_t **parts, apr_array_header_t **rejected)
{
    p2p_rows_t rows;

    *parts = apr_array_make(p, 16, sizeof(p2p_part_t));
    *rejected = apr_array_make(p, 16, sizeof(p2p_rejected_t));
    P2P_TRY(report_parts(db, p, keyring, job_id, offset, limit, *parts));
    P2P_TRY(p2p_db_select(db, p, P2P_SQL_REJECTED_REPORT, &rows, job_id, (apr_int64_t)limit,
                          (apr_int64_t)offset));
    for (int i = 0; i < rows.count; i++) {
        P2P_TRY(rejected_from_row(p, keyring, job_id, &rows, i, apr_array_push(*rejected)));
    }
    return NULL;
}
