/* SPDX-License-Identifier: Apache-2.0 */
/* The names of a job's states, and the document that callers see. */
#include "model/job.h"

#include <string.h>
#include <apr_strings.h>

#include "base/clock.h"

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

/* ---- Why it waits ---- */

static const struct {
    const char *code, *sentence;
} reasons[] = {
    {P2P_WAIT_SOURCE_ASKS, "The source asked us to wait"},
    {P2P_WAIT_SOURCE_FAILS, "The source is away, or does not answer as it should"},
    {P2P_WAIT_TARGET_ASKS, "The target asked us to wait"},
    {P2P_WAIT_TARGET_FAILS, "The target is away, or does not answer as it should"},
    {P2P_WAIT_TOKEN_ENDPOINT, "The source's token endpoint gives no new access token for now"},
    {P2P_WAIT_TOKEN_REFRESH, "A new access token is asked for at the source"},
    {P2P_WAIT_TOKEN_ELSEWHERE, "Another exchange with the same authorization has a new access token asked for, which this one will share"},
    {P2P_WAIT_MEMORY, "Other exchanges of its runner have what memory there is (P2PMemory)"},
    {P2P_WAIT_CONNECTION, "Other exchanges of its runner have all connections to the target (P2PTargetConnections)"},
    {P2P_WAIT_KEY, "What it needs was sealed with a key that its runner has not got (P2PSecretKeyFile)"},
    {P2P_WAIT_QUEUED, "It is queued until a runner has a free slot for it"},
    {P2P_WAIT_SLOT, "No runner has it in hand: it goes on when one has a free slot for it"},
    {"", "It waits"}, /* for a reason that a later program knows */
};

const char *p2p_job_waits(const p2p_job_t *job)
{
    if (job->status == P2P_JOB_STARTING) return P2P_WAIT_QUEUED;
    if (job->status != P2P_JOB_STARTED && job->status != P2P_JOB_STOPPING) return NULL;
    if (*job->wait_code) return job->wait_code;
    return job->is_owned ? NULL : P2P_WAIT_SLOT;
}

const char *p2p_job_wait_sentence(apr_pool_t *p, const p2p_job_t *job)
{
    const char *code = p2p_job_waits(job);
    int i = 0;

    while (*reasons[i].code && strcmp(reasons[i].code, code)) i++;
    return apr_pstrcat(p, reasons[i].sentence, *job->wait_code && !job->is_owned ? ". It has given its slot back meanwhile." : ".", NULL);
}

static json_object *waits(apr_pool_t *p, const p2p_job_t *job)
{
    const char *code = p2p_job_waits(job);
    json_object *doc;

    if (!code) return NULL;
    doc = json_object_new_object();
    p2p_json_add_str(doc, "code", code);
    p2p_json_add_str(doc, "sentence", p2p_job_wait_sentence(p, job));
    p2p_json_add_time(doc, "until", *job->wait_code ? job->wait_until : 0);
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
    json_object_object_add(doc, "waits", waits(p, job));
    p2p_json_add_time(doc, "tokenRefreshed", job->token_time);
    if (detail && json_object_object_get_ex(doc, "error", &error)) p2p_json_add_str(error, "detail", detail);
    return doc;
}
