/* SPDX-License-Identifier: Apache-2.0 */
/* The document that administrators see of a chore. */
#include "model/chore.h"

#include <string.h>

json_object *p2p_chore_public(apr_pool_t *p, const p2p_chore_t *chore)
{
    json_object *doc = p2p_json_own(p, json_object_new_object()), *result = NULL;
    const p2p_job_t *job = &chore->job;

    p2p_json_add_int(doc, "testId", job->id);
    p2p_json_add_str(doc, "status", p2p_job_status_name(job->status));
    p2p_json_add_time(doc, "createTime", job->create_time);
    p2p_json_add_time(doc, "startTime", job->start_time);
    p2p_json_add_time(doc, "endTime", job->end_time);
    p2p_json_add_time(doc, "lastUpdated", job->last_updated);
    if (*chore->result && p2p_json_parse(p, chore->result, strlen(chore->result), &result)) result = NULL;
    json_object_object_add(doc, "result", json_object_get(result));
    if (job->status == P2P_JOB_FAILED) json_object_object_add(doc, "error", p2p_job_failure(job));
    return doc;
}
