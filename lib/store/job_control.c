/* SPDX-License-Identifier: Apache-2.0 */
/* What callers do with jobs: finding, listing, stopping them. */
#include "store/job_store.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "store/hash_keys.h"
#include "store/job_private.h"
#include "store/sealed.h"
#include "store/stat_store.h"

/* ---- Who sees what: here alone ---- */

const char *p2p_job_patient_hash(apr_pool_t *p, const p2p_keyring_t *hashes, int key, const char *target, const char *patient)
{
    return p2p_keyed_hash(p, hashes, key, "target-patient", apr_pstrcat(p, target, " ", patient, NULL));
}

static p2p_error_t *is_his(p2p_db_t *db, apr_pool_t *p, const p2p_viewer_t *viewer, const p2p_job_t *job, int *is)
{
    p2p_keyring_t *hashes;
    p2p_rows_t rows;

    *is = 0;
    P2P_TRY(p2p_hash_keys(db, p, viewer->keyring, &hashes));
    P2P_TRY(p2p_db_select(db, p, P2P_SQL_JOB_PATIENT, &rows, job->id));
    for (int key = 0; rows.count && !*is && key < p2p_keyring_count(hashes); key++)
        *is = !strcmp(rows.cell[0][0], p2p_job_patient_hash(p, hashes, key, viewer->target, viewer->patient));
    return NULL;
}

p2p_error_t *p2p_job_seen(p2p_db_t *db, apr_pool_t *p, const p2p_viewer_t *viewer, const p2p_job_t *job, int *seen)
{
    *seen = (viewer->administrator || !strcmp(viewer->client, job->client)) && (!viewer->kind || !strcmp(viewer->kind, job->kind));
    return *seen && viewer->patient ? is_his(db, p, viewer, job, seen) : NULL;
}

p2p_error_t *p2p_job_find(p2p_db_t *db, apr_pool_t *p, const p2p_viewer_t *viewer, apr_int64_t server_id, apr_int64_t id, p2p_job_t **job)
{
    p2p_job_t *found;
    int seen;

    *job = NULL;
    P2P_TRY(p2p_job_get(db, p, server_id, id, &found));
    P2P_TRY(p2p_job_seen(db, p, viewer, found, &seen));
    if (!seen) return p2p_job_missing(p, server_id);
    *job = found;
    return NULL;
}

/* The statement whose index serves; each checks all that is asked for. */
static p2p_sql_t statement_of(const p2p_viewer_t *viewer, const p2p_job_filter_t *filter)
{
    int has_status = filter->status != P2P_JOB_UNKNOWN;

    if (!viewer->administrator && viewer->patient) return P2P_SQL_JOB_LIST_PATIENT;
    if (!viewer->administrator) return has_status ? P2P_SQL_JOB_LIST_STATUS : P2P_SQL_JOB_LIST;
    /* Chores are few among exchanges, but not the other way round in what has a definition or ended in some way. */
    if (viewer->kind && strcmp(viewer->kind, P2P_KIND_EXCHANGE)) return P2P_SQL_JOB_LIST_KIND;
    if (viewer->kind && !filter->server_id && !has_status) return P2P_SQL_JOB_LIST_KIND;
    if (filter->server_id) return has_status ? P2P_SQL_JOB_LIST_SERVER_STATUS : P2P_SQL_JOB_LIST_SERVER;
    return has_status ? P2P_SQL_JOB_LIST_ANY_STATUS : P2P_SQL_JOB_LIST_ANY;
}

/* Adds the jobs whose patient has this hash, "" for any. */
static p2p_error_t *add_jobs(p2p_db_t *db, apr_pool_t *p, const p2p_viewer_t *viewer, const p2p_job_filter_t *filter, const char *hash,
                             apr_array_header_t *jobs)
{
    const char *client = viewer->administrator ? "" : viewer->client, *kind = viewer->kind ? viewer->kind : "";
    const char *status = filter->status == P2P_JOB_UNKNOWN ? "" : p2p_job_status_name(filter->status);
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, statement_of(viewer, filter), &rows, filter->server_id, filter->server_id, client, client, status, status,
                          hash, hash, kind, kind, filter->before, (apr_int64_t)filter->limit));
    for (int i = 0; i < rows.count; i++) APR_ARRAY_PUSH(jobs, p2p_job_t *) = p2p_job_from_row(p, &rows, i);
    return NULL;
}

static int newest_first(const void *a, const void *b)
{
    apr_int64_t one = (*(p2p_job_t *const *)a)->id, other = (*(p2p_job_t *const *)b)->id;

    return one < other ? 1 : one > other ? -1 : 0;
}

static p2p_error_t *add_patients_jobs(p2p_db_t *db, apr_pool_t *p, const p2p_viewer_t *viewer, const p2p_job_filter_t *filter,
                                      apr_array_header_t *jobs)
{
    p2p_keyring_t *hashes;

    P2P_TRY(p2p_hash_keys(db, p, viewer->keyring, &hashes));
    for (int key = 0; key < p2p_keyring_count(hashes); key++)
        P2P_TRY(add_jobs(db, p, viewer, filter, p2p_job_patient_hash(p, hashes, key, viewer->target, viewer->patient), jobs));
    qsort(jobs->elts, (size_t)jobs->nelts, sizeof(p2p_job_t *), newest_first);
    if (jobs->nelts > filter->limit) jobs->nelts = filter->limit;
    return NULL;
}

p2p_error_t *p2p_job_list(p2p_db_t *db, apr_pool_t *p, const p2p_viewer_t *viewer, const p2p_job_filter_t *filter, apr_array_header_t **jobs)
{
    *jobs = apr_array_make(p, 16, sizeof(p2p_job_t *));
    if (viewer->patient) return add_patients_jobs(db, p, viewer, filter, *jobs);
    return add_jobs(db, p, viewer, filter, "", *jobs);
}

p2p_error_t *p2p_job_error_detail(apr_pool_t *p, const p2p_keyring_t *keyring, const p2p_job_t *job, const char **detail)
{
    return p2p_unseal_column(p, keyring, P2P_JOB_TABLE, "error_detail", job->id, job->error_detail, detail);
}

/* ---- Stopping ---- */

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
    P2P_TRY(p2p_stat_add_end(db, p, *s->job, NULL, P2P_JOB_STOPPED));
    return p2p_job_get(db, p, server, id, s->job);
}

p2p_error_t *p2p_job_stop(p2p_db_t *db, apr_pool_t *p, int exact, p2p_job_t **job)
{
    stop_t s = {job, exact};

    return p2p_db_transaction(db, p, stop, &s);
}
