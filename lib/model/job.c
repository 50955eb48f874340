/* SPDX-License-Identifier: Apache-2.0 */
/* The names of a job's states, and the document that callers see. */
#include "model/job.h"

#include <string.h>

static const char *const names[] = {
    [P2P_JOB_STARTING] = "STARTING",   [P2P_JOB_STARTED] = "STARTED", [P2P_JOB_STOPPING] = "STOPPING",
    [P2P_JOB_STOPPED] = "STOPPED",     [P2P_JOB_COMPLETED] = "COMPLETED", [P2P_JOB_FAILED] = "FAILED",
    [P2P_JOB_ABANDONED] = "ABANDONED", [P2P_JOB_UNKNOWN] = "UNKNOWN",
};

const char *p2p_job_status_name(p2p_job_status_t status)
{
    return names[status];
}

p2p_job_status_t p2p_job_status_parse(const char *name)
{
    int status = P2P_JOB_STARTING;

    while (status < P2P_JOB_UNKNOWN && strcmp(names[status], name)) status++;
    return (p2p_job_status_t)status;
}

int p2p_job_ended(p2p_job_status_t status)
{
    return status == P2P_JOB_STOPPED || status == P2P_JOB_COMPLETED || status == P2P_JOB_FAILED ||
           status == P2P_JOB_ABANDONED;
}

static json_object *progress(const p2p_job_counts_t *counts)
{
    json_object *doc = json_object_new_object();

    p2p_json_add_int(doc, "parts", counts->parts);
    p2p_json_add_int(doc, "retrieved", counts->retrieved);
    p2p_json_add_int(doc, "written", counts->written);
    p2p_json_add_int(doc, "duplicate", counts->duplicate);
    p2p_json_add_int(doc, "skipped", counts->skipped);
    p2p_json_add_int(doc, "rejected", counts->rejected);
    p2p_json_add_int(doc, "waiting", counts->waiting);
    p2p_json_add_int(doc, "bytes", counts->bytes);
    return doc;
}

json_object *p2p_job_failure(const p2p_job_t *job)
{
    json_object *doc = json_object_new_object();

    p2p_json_add_str(doc, "code", job->error_code);
    p2p_json_add_str(doc, "message", job->error_sentence);
    return doc;
}

json_object *p2p_job_public(apr_pool_t *p, const p2p_job_t *job)
{
    json_object *doc = p2p_json_own(p, json_object_new_object());

    p2p_json_add_int(doc, "batchJobId", job->id);
    p2p_json_add_str(doc, "batchStatus", p2p_job_status_name(job->status));
    p2p_json_add_time(doc, "startTime", job->start_time);
    p2p_json_add_time(doc, "createTime", job->create_time);
    p2p_json_add_time(doc, "endTime", job->end_time);
    p2p_json_add_time(doc, "lastUpdated", job->last_updated);
    p2p_json_add_str(doc, "jobConfigurationName", job->kind);
    p2p_json_add_str(doc, "taskId", *job->task_id ? job->task_id : NULL);
    json_object_object_add(doc, "progress", progress(&job->counts));
    if (job->status == P2P_JOB_FAILED) json_object_object_add(doc, "error", p2p_job_failure(job));
    return doc;
}

json_object *p2p_job_administered(apr_pool_t *p, const p2p_job_t *job, const char *detail)
{
    json_object *doc = p2p_job_public(p, job), *error;

    p2p_json_add_int(doc, "oidcServerId", job->oidc_server_id);
    p2p_json_add_str(doc, "client", job->client);
    p2p_json_add_int(doc, "attempt", job->attempt);
    p2p_json_add_str(doc, "target", job->target);
    p2p_json_add_str(doc, "kind", job->kind);
    if (detail && json_object_object_get_ex(doc, "error", &error)) p2p_json_add_str(error, "detail", detail);
    return doc;
}
