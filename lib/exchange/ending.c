/* SPDX-License-Identifier: Apache-2.0 */
/* What a job's end is told as. */
#include "exchange/ending.h"

#include <apr_strings.h>

#include "store/outbox_store.h"

static const char *text(const char *value)
{
    return value ? value : "";
}

/* A job may fail before it is known whose it is. */
static p2p_task_event_t event_of(const p2p_exchange_t *x, apr_pool_t *p)
{
    const p2p_job_t *job = &x->job;

    return (p2p_task_event_t){
        .kind = P2P_EVENT_EXCHANGE, .subject = apr_psprintf(p, "job/%s/%" APR_INT64_T_FMT, job->uuid, job->attempt),
        .status = x->error ? "failed" : "completed", .task_id = x->task ? p2p_job_task_id(x->task) : job->task_id,
        .patient = text(x->order.target_patient), .email = x->task ? p2p_job_task_email(x->task) : "",
        .payer = x->server ? x->server->name : "", .member_name = "", .member_phone = "",
        .reason = x->error ? x->error->sentence : "", .job = job->id, .server = job->oidc_server_id};
}

/* Without this the mails wait until a runner looks at the outbox. */
static void send_mails(const p2p_exchange_t *x, apr_pool_t *p)
{
    p2p_error_t *error = p2p_outbox_ask(x->context->db, p, x->job.target, NULL);

    if (error) p2p_log_error(&x->log, P2P_LOG_WARN, "Its mails go out later", error);
}

p2p_error_t *p2p_ending_note(const p2p_exchange_t *x, apr_pool_t *p)
{
    const p2p_exchange_context_t *context = x->context;
    p2p_job_ending_t ending = {.status = x->error ? P2P_JOB_FAILED : x->stopping ? P2P_JOB_STOPPED : P2P_JOB_COMPLETED,
                               .error = x->error, .untouched = !x->has_run && x->job.epoch == 1,
                               .token_time = x->token ? p2p_token_refreshed(x->token) : 0};
    p2p_task_event_t event;
    p2p_error_t *error;

    if (ending.status != P2P_JOB_STOPPED) {
        event = event_of(x, p);
        ending.event = &event;
        ending.mails = p2p_task_event_mails(p, context->spec, &event);
    }
    error = p2p_job_finish(context->db, p, context->spec->keyring, &x->job, context->owner, &ending);
    /* A lease that is lost may be that of a job which we have ended, by a COMMIT whose answer was lost. */
    if ((!error || error->kind == P2P_E_LOST) && ending.mails && ending.mails->nelts) send_mails(x, p);
    return error;
}
