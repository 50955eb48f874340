/* SPDX-License-Identifier: Apache-2.0 */
/* What a portal does with its jobs: finding, listing, stopping them. */
#include "store/job_store.h"

#include <string.h>
#include "store/job_private.h"

/* Whose job it is: here alone, and in p2p_job_list's statements. */
static int may_see(const char *client, const p2p_job_t *job)
{
    return !strcmp(client, job->client);
}

p2p_error_t *p2p_job_find(p2p_db_t *db, apr_pool_t *p, const char *client, apr_int64_t server_id, apr_int64_t id, p2p_job_t **job)
{
    P2P_TRY(p2p_job_get(db, p, server_id, id, job));
    if (may_see(client, *job) && !strcmp((*job)->kind, P2P_KIND_EXCHANGE)) return NULL;
    *job = NULL;
    return p2p_error_make(p, P2P_E_NOT_FOUND, "no-such-job", "This definition has no batch job of this number.");
}

p2p_error_t *p2p_job_list(p2p_db_t *db, apr_pool_t *p, const char *client, apr_int64_t server_id, p2p_job_status_t status,
                          apr_int64_t before, int limit, apr_array_header_t **jobs)
{
    p2p_rows_t rows;

    if (status == P2P_JOB_UNKNOWN)
        P2P_TRY(p2p_db_select(db, p, P2P_SQL_JOB_LIST, &rows, server_id, client, before, (apr_int64_t)limit));
    else
        P2P_TRY(p2p_db_select(db, p, P2P_SQL_JOB_LIST_STATUS, &rows, server_id, client, p2p_job_status_name(status), before,
                              (apr_int64_t)limit));
    *jobs = apr_array_make(p, rows.count + 1, sizeof(p2p_job_t *));
    for (int i = 0; i < rows.count; i++) APR_ARRAY_PUSH(*jobs, p2p_job_t *) = p2p_job_from_row(p, &rows, i);
    return NULL;
}

typedef struct stop_t {
    p2p_job_t **job;
    int exact;
} stop_t;

static p2p_error_t *refuse_to_stop(apr_pool_t *p, const p2p_job_t *job)
{
    if (job->status == P2P_JOB_STOPPING || job->status == P2P_JOB_STOPPED) return NULL;
    if (p2p_job_ended(job->status))
        return p2p_error_make(p, P2P_E_CONFLICT, "job-ended", "This job is %s: there is nothing to stop.",
                              p2p_job_status_name(job->status));
    return p2p_error_make(p, P2P_E_CONFLICT, "changed", "The job has changed meanwhile: read it again.");
}

static p2p_error_t *stop(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    const stop_t *s = baton;
    apr_int64_t id = (*s->job)->id, server = (*s->job)->oidc_server_id, version = s->exact ? (*s->job)->version : 0;
    int changed;

    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_GRANT_LOCK, NULL, (*s->job)->grant_id));
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_JOB_STOP, &changed, id, version, version));
    P2P_TRY(p2p_job_get(db, p, server, id, s->job));
    if (!changed) return refuse_to_stop(p, *s->job);
    if ((*s->job)->status != P2P_JOB_STOPPED) return NULL;
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_JOB_RECOUNT, NULL, id));
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_GRANT_ERASE, NULL, (*s->job)->grant_id));
    return p2p_job_get(db, p, server, id, s->job);
}

p2p_error_t *p2p_job_stop(p2p_db_t *db, apr_pool_t *p, int exact, p2p_job_t **job)
{
    stop_t s = {job, exact};

    return p2p_db_transaction(db, p, stop, &s);
}
