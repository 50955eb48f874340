/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs as callers see them, on either way. */
#include "job_reply.h"

#include <http_log.h>
#include <apr_strings.h>

#include "caller.h"
#include "mod_p2p.h"
#include "problem.h"
#include "reply.h"

APLOG_USE_MODULE(p2p);

p2p_viewer_t p2p_job_viewer(request_rec *r, const p2p_job_way_t *way)
{
    const p2p_caller_t *caller = p2p_caller(r);
    const p2p_spec_t *spec = &p2p_config(r->server)->spec;

    return (p2p_viewer_t){
        .client = caller->client, .patient = caller->patient, .target = spec->target, .keyring = spec->keyring,
        .kind = way->administration ? NULL : P2P_KIND_EXCHANGE, .administrator = caller->role >= P2P_ROLE_ADMINISTRATOR,
    };
}

/* The absolute path of a job, as the caller reaches it. */
static const char *path_of(request_rec *r, const p2p_job_way_t *way, const p2p_job_t *job)
{
    const char *prefix = p2p_dir(r)->prefix;

    if (way->administration) return apr_psprintf(r->pool, "%s/admin/batch_jobs/%" APR_INT64_T_FMT, prefix, job->id);
    return apr_psprintf(r->pool, "%s/api/oidc_servers/%" APR_INT64_T_FMT "/batch_job/%" APR_INT64_T_FMT, prefix, job->oidc_server_id,
                        job->id);
}

/* A detail that no key opens is no reason to hide the job. */
static const char *detail_of(request_rec *r, const p2p_job_t *job)
{
    const char *detail;
    p2p_error_t *error = p2p_job_error_detail(r->pool, p2p_config(r->server)->spec.keyring, job, &detail);

    if (!error) return *detail ? detail : NULL;
    ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, "%s (%s)", error->sentence, error->code);
    return NULL;
}

int p2p_reply_job(request_rec *r, const p2p_job_way_t *way, int status, const p2p_job_t *job)
{
    json_object *doc = way->administration ? p2p_job_administered(r->pool, job, detail_of(r, job)) : p2p_job_public(r->pool, job);

    return p2p_reply(r, status, doc, p2p_etag_version(r->pool, job->version));
}

int p2p_reply_queued(request_rec *r, const p2p_job_way_t *way, const p2p_job_t *job)
{
    apr_table_setn(r->headers_out, "Location", path_of(r, way, job));
    apr_table_setn(r->headers_out, "Retry-After", "2");
    return p2p_reply_job(r, way, HTTP_ACCEPTED, job);
}

static int is_running(const p2p_error_t *error)
{
    return !strcmp(error->code, "already-running");
}

p2p_error_t *p2p_job_hide_running(p2p_db_t *db, request_rec *r, const p2p_job_way_t *way, p2p_error_t *error, p2p_job_t **running)
{
    p2p_viewer_t viewer = p2p_job_viewer(r, way);
    int seen = 0;

    if (!error || !is_running(error) || !*running) return error;
    if (p2p_job_seen(db, r->pool, &viewer, *running, &seen) || !seen) *running = NULL;
    return error;
}

int p2p_refuse_job(request_rec *r, const p2p_job_way_t *way, const p2p_error_t *error, const p2p_job_t *running)
{
    if (is_running(error) && running) apr_table_setn(r->err_headers_out, "Location", path_of(r, way, running));
    return p2p_problem_error(r, error);
}
