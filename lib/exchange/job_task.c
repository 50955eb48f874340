/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing a job's Task. */
#include "exchange/job_task.h"

#include <string.h>

#include <apr_strings.h>

#include "exchange/address.h"
#include "exchange/asked_for.h"
#include "exchange/own.h"
#include "fhir/answer.h"
#include "fhir/task.h"

#define PROGRESS_AFTER apr_time_from_sec(10)
#define PROGRESS_MOST apr_time_from_sec(300)
#define STALL_TIMEOUT apr_time_from_sec(30)
#define ANSWER_MAX (1 << 20)

struct p2p_job_task_t {
    p2p_job_task_settings_t set;
    apr_pool_t *pool, *asking;           /* what is asked in asking is cancelled at the end */
    const char *id;                      /* at the target; NULL: not told yet */
    int is_there;                        /* the target has it */
    int knows;                           /* organization and requester_is_resource are those at the target */
    const char *organization;
    int requester_is_resource;
    const char *based_on, *email;
    const char *status, *reason;         /* as it is written at this moment */
    const p2p_job_counts_t *counts;
    const char *fault;                   /* why it is not there as it should be; "" */
    const char *saved_id, *saved_fault;  /* in the job's row */
    apr_time_t next;                     /* progress, monotonic; 0: none */
    apr_interval_time_t interval;
    apr_pool_t *progress;                /* the write under way; NULL: none */
    p2p_http_transfer_t *transfer;       /* of that */
    p2p_http_text_t progress_text;
    int is_ending;
    void (*looked)(void *baton);
    void (*begun)(void *baton, const p2p_error_t *error);
    void (*ended)(void *baton);
    void *baton;                         /* of these */
};

/* ---- Asking ---- */

/* At the end of the job a few attempts have to do. */
static p2p_ask_t for_target(const p2p_job_task_t *task)
{
    const p2p_exchange_context_t *context = task->set.context;

    return (p2p_ask_t){.http = context->target_http, .clock = context->clock, .connections = context->spec->target_connections,
                       .turn = (apr_uint64_t)task->set.job->id, .trouble = task->is_ending ? NULL : task->set.trouble};
}

static const char *url_of(const p2p_job_task_t *task, const char *what, const char *more)
{
    return apr_pstrcat(task->pool, task->set.context->spec->target, "/Task", what, more, NULL);
}

static const char *own_query(const p2p_job_task_t *task)
{
    return p2p_address_query(task->pool, P2P_URI_SYSTEM, apr_pstrcat(task->pool, "urn:uuid:", task->set.job->uuid, NULL));
}

/* ---- What is at the target already ---- */

/* An earlier runner may have made it, also where it could not note that any more. */
static int may_be_there(const p2p_job_task_t *task)
{
    return *task->set.job->task_id || task->set.job->epoch > 1;
}

static void read_own(p2p_job_task_t *task, p2p_answer_fn fn)
{
    p2p_ask_t ask = for_target(task);

    ask.method = "GET";
    ask.field = "Cache-Control: no-cache";
    ask.url = task->id ? url_of(task, "/", task->id) : url_of(task, "?", own_query(task));
    p2p_ask(task->asking, &ask, fn, task);
}

/* Returns whether it is there. */
static int learn_own(p2p_job_task_t *task, int status, const char *body, apr_size_t len, const p2p_error_t *error)
{
    const p2p_task_told_t *told = error || status != 200 ? NULL : p2p_task_read(task->pool, body, len);

    if (!told) return 0;
    task->id = told->id;
    task->is_there = 1;
    if (*told->based_on) task->based_on = told->based_on;
    if (!*told->owner) return 1;
    task->organization = told->owner;
    task->requester_is_resource = *told->requester != '\0';
    task->knows = 1;
    return 1;
}

static void on_asked_for(void *baton, const p2p_add_payer_t *asked)
{
    p2p_job_task_t *task = baton;

    if (asked) {
        task->based_on = apr_pstrdup(task->pool, asked->id); /* it is of task->asking, which is empty by the end */
        task->email = apr_pstrdup(task->pool, asked->email);
    }
    task->looked(task->baton);
}

static void find_asked_for(p2p_job_task_t *task)
{
    const p2p_exchange_context_t *context = task->set.context;
    p2p_asked_for_t search = {.http = context->target_http, .target = context->spec->target, .connections = context->spec->target_connections,
                              .turn = (apr_uint64_t)task->set.job->id, .patient = task->set.order->target_patient,
                              .server = task->set.server, .fn = on_asked_for, .baton = task};

    p2p_asked_for_find(task->asking, &search);
}

/* The Task that it was based on from the beginning, whatever has become of that. */
static void on_based_on(void *baton, int status, const char *body, apr_size_t len, const p2p_error_t *error)
{
    p2p_job_task_t *task = baton;
    p2p_add_payer_t *asked = NULL;

    if (!error && status == 200 && p2p_add_payer_read(task->pool, body, len, task->set.context->spec->target, &asked)) asked = NULL;
    if (asked && !strcmp(asked->patient, task->set.order->target_patient)) task->email = asked->email;
    if (!error && (status == 404 || status == 410)) task->based_on = NULL;
    task->looked(task->baton);
}

static void on_own(void *baton, int status, const char *body, apr_size_t len, const p2p_error_t *error)
{
    p2p_job_task_t *task = baton;
    p2p_ask_t ask = for_target(task);

    learn_own(task, status, body, len, error);
    if (!task->based_on) {
        find_asked_for(task);
        return;
    }
    ask.trouble = NULL;
    ask.method = "GET";
    ask.url = url_of(task, "/", task->based_on);
    p2p_ask(task->asking, &ask, on_based_on, task);
}

void p2p_job_task_look(p2p_job_task_t *task, void (*done)(void *baton), void *baton)
{
    task->looked = done;
    task->baton = baton;
    if (may_be_there(task)) read_own(task, on_own);
    else find_asked_for(task);
}

/* ---- Writing it ---- */

static const char *print(const p2p_job_task_t *task, apr_pool_t *p, const char *id, const char *progress, apr_size_t *len)
{
    const p2p_clock_t *clock = task->set.context->clock;
    p2p_task_t doc = {
        .id = id, .job_uuid = task->set.job->uuid, .status = task->status, .reason = task->reason, .progress = progress,
        .based_on = task->based_on, .patient = task->set.order->target_patient, .owner = task->organization,
        .requester = task->set.order->organization, .requester_is_resource = task->requester_is_resource,
        .authored = task->set.job->create_time, .modified = clock->now(clock->baton), .counts = task->counts};

    return p2p_task_print(p, &doc, len);
}

static const char *print_own(void *baton, apr_pool_t *p, const char *id, apr_size_t *len)
{
    return print(baton, p, id, NULL, len);
}

static void set_fault(p2p_job_task_t *task, int status, const char *body, apr_size_t len, const p2p_error_t *error)
{
    const char *what = "The target does not take the job's Task";
    p2p_error_t *fault;

    if (error) fault = p2p_error_make(task->pool, error->kind, error->code, "%s: %s", what, error->sentence);
    else if (status) fault = p2p_error_make(task->pool, P2P_E_REFUSED, "target-refuses", "%s: the answer was %d.", what, status);
    else fault = p2p_error_make(task->pool, P2P_E_REFUSED, "target-refuses", "%s: it did not tell its id.", what);
    if (strcmp(fault->sentence, task->saved_fault)) {
        p2p_error_detail(task->pool, fault, error ? error->detail : p2p_outcome_text(task->pool, body, len));
        p2p_log_error(task->set.log, P2P_LOG_WARN, task->is_there ? "Its Task keeps its old status" : "It goes on without a Task", fault);
    }
    task->fault = fault->sentence;
}

static void write_it(p2p_job_task_t *task, const char *status, const char *reason, const p2p_job_counts_t *counts);

/* The target may take the Task without the link, such as where the other one is gone. */
static int unlinked(p2p_job_task_t *task, int status, const p2p_error_t *error)
{
    if (error || !task->based_on || status < 400 || status >= 500 || status == 401 || status == 403) return 0;
    task->based_on = NULL;
    write_it(task, task->status, task->reason, task->counts);
    return 1;
}

static void on_written(void *baton, const char *id, int status, const char *body, apr_size_t len, const p2p_error_t *error)
{
    p2p_job_task_t *task = baton;
    const p2p_clock_t *clock = task->set.context->clock;
    p2p_error_t *lost;

    if (!id && unlinked(task, status, error)) return;
    if (id) {
        task->id = apr_pstrdup(task->pool, id);
        task->is_there = 1;
        task->fault = "";
    } else set_fault(task, status == 200 || status == 201 ? 0 : status, body, len, error);
    if (task->is_ending) {
        task->ended(task->baton);
        return;
    }
    if (id) {
        task->interval = PROGRESS_AFTER;
        task->next = clock->monotonic(clock->baton) + task->interval;
    }
    lost = p2p_job_task_save(task, task->pool);
    task->begun(task->baton, lost && lost->kind != P2P_E_UNAVAILABLE ? lost : NULL);
}

static void on_put(void *baton, int status, const char *body, apr_size_t len, const p2p_error_t *error)
{
    p2p_job_task_t *task = baton;

    on_written(task, !error && (status == 200 || status == 201) ? task->id : NULL, status, body, len, error);
}

static void write_it(p2p_job_task_t *task, const char *status, const char *reason, const p2p_job_counts_t *counts)
{
    const p2p_spec_t *spec = task->set.context->spec;
    p2p_own_t own = {.ask = for_target(task), .target = spec->target, .batch = spec->batch, .type = "Task", .id = task->id,
                     .create = 1, .print = print_own, .fn = on_written, .baton = task};

    task->status = status;
    task->reason = reason;
    task->counts = counts;
    if (task->set.ids) {
        own.query = own_query(task);
        p2p_own_write(task->asking, &own);
        return;
    }
    own.ask.method = "PUT";
    own.ask.url = url_of(task, "/", task->id);
    own.ask.body = print_own(task, task->pool, task->id, &own.ask.body_len);
    p2p_ask(task->asking, &own.ask, on_put, task);
}

void p2p_job_task_begin(p2p_job_task_t *task, const char *organization, int requester_is_resource,
                        void (*done)(void *baton, const p2p_error_t *error), void *baton)
{
    task->organization = organization;
    task->requester_is_resource = requester_is_resource;
    task->knows = 1;
    task->begun = done;
    task->baton = baton;
    write_it(task, "in-progress", NULL, NULL);
}

/* ---- Progress ---- */

static void end_now(p2p_job_task_t *task);

static apr_status_t drop_progress(void *data)
{
    p2p_job_task_t *task = data;

    if (task->transfer) task->set.context->target_http->cancel(task->transfer);
    if (task->progress) apr_pool_destroy(task->progress);
    task->transfer = NULL;
    task->progress = NULL;
    return APR_SUCCESS;
}

static void on_progress(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len, const p2p_error_t *error)
{
    p2p_job_task_t *task = baton;

    (void)status, (void)fields, (void)body, (void)len, (void)error;
    task->transfer = NULL;
    drop_progress(task);
    if (task->is_ending) end_now(task);
}

static void write_progress(p2p_job_task_t *task, const p2p_job_counts_t *counts)
{
    const p2p_exchange_context_t *context = task->set.context;
    p2p_http_request_t request = {.method = "PUT", .url = url_of(task, "/", task->id), .body = &task->progress_text.body,
                                  .max_bytes = ANSWER_MAX, .stall_timeout = STALL_TIMEOUT, .least_bytes = P2P_LEAST_BYTES, .gzip = 1,
                                  .connections = context->spec->target_connections, .turn = (apr_uint64_t)task->set.job->id, .beside = 1};
    apr_array_header_t *fields;
    apr_size_t len;
    const char *body;

    apr_pool_create(&task->progress, task->pool);
    fields = apr_array_make(task->progress, 2, sizeof(const char *));
    APR_ARRAY_PUSH(fields, const char *) = "Accept: application/fhir+json";
    APR_ARRAY_PUSH(fields, const char *) = "Content-Type: application/fhir+json";
    request.fields = fields;
    body = print(task, task->progress, task->id, p2p_task_progress(task->progress, counts), &len);
    p2p_http_text(&task->progress_text, body, len);
    if (p2p_http_fetch(context->target_http, task->progress, &request, on_progress, task, &task->transfer)) drop_progress(task);
}

void p2p_job_task_tick(p2p_job_task_t *task, const p2p_job_counts_t *counts)
{
    const p2p_clock_t *clock = task->set.context->clock;
    apr_time_t now = clock->monotonic(clock->baton);

    if (!task->next || now < task->next || task->progress || task->is_ending) return;
    task->interval = task->interval * 2 < PROGRESS_MOST ? task->interval * 2 : PROGRESS_MOST;
    task->next = now + task->interval;
    write_progress(task, counts);
}

/* ---- The end ---- */

/* Where the job ends before it came to that, nobody has told the Organization's id. */
static void recall_organization(p2p_job_task_t *task)
{
    p2p_id_pair_t pair = {task->organization, NULL, NULL}, *pairs[] = {&pair};

    if (task->set.ids && !p2p_ids_find(task->set.ids, task->pool, pairs, 1) && pair.target) task->organization = pair.target;
}

static void write_end(p2p_job_task_t *task)
{
    if (task->is_there) write_it(task, task->status, task->reason, task->counts);
    else task->ended(task->baton);
}

static void on_own_at_end(void *baton, int status, const char *body, apr_size_t len, const p2p_error_t *error)
{
    p2p_job_task_t *task = baton;

    learn_own(task, status, body, len, error);
    if (!task->knows) recall_organization(task);
    write_end(task);
}

static void end_now(p2p_job_task_t *task)
{
    if (!task->knows && may_be_there(task)) read_own(task, on_own_at_end);
    else write_end(task);
}

/* A progress that is under way comes to its end before: it must not be the last to be written. */
void p2p_job_task_end(p2p_job_task_t *task, const char *status, const char *reason, const p2p_job_counts_t *counts, void (*done)(void *baton),
                      void *baton)
{
    apr_pool_clear(task->asking);
    task->is_ending = 1;
    task->status = status;
    task->reason = reason;
    task->counts = counts;
    task->ended = done;
    task->baton = baton;
    if (!task->progress) end_now(task);
}

/* ---- Its row ---- */

p2p_error_t *p2p_job_task_save(p2p_job_task_t *task, apr_pool_t *p)
{
    const p2p_exchange_context_t *context = task->set.context;
    const char *id = p2p_job_task_id(task);

    if (!strcmp(id, task->saved_id) && !strcmp(task->fault, task->saved_fault)) return NULL;
    P2P_TRY(p2p_job_set_task(context->db, p, task->set.job, context->owner, id, task->fault));
    task->saved_id = id;
    task->saved_fault = task->fault;
    return NULL;
}

const char *p2p_job_task_id(const p2p_job_task_t *task)
{
    return task->is_there && task->id ? task->id : "";
}

const char *p2p_job_task_email(const p2p_job_task_t *task)
{
    return task->email;
}

p2p_job_task_t *p2p_job_task_make(apr_pool_t *p, const p2p_job_task_settings_t *settings)
{
    p2p_job_task_t *task = apr_pcalloc(p, sizeof *task);
    const p2p_job_t *job = settings->job;

    task->set = *settings;
    task->pool = p;
    apr_pool_create(&task->asking, p);
    task->organization = p2p_payer_id(p, settings->server);
    task->is_there = *job->task_id != '\0'; /* of an earlier attempt, or of another runner's */
    if (*job->task_id) task->id = apr_pstrdup(p, job->task_id);
    else if (!settings->ids) task->id = p2p_id_derive(p, p2p_id_deriver_make(p, job->uuid), "Task", "job");
    task->saved_id = job->task_id;
    task->saved_fault = task->fault = job->task_fault;
    task->email = "";
    apr_pool_pre_cleanup_register(p, task, drop_progress);
    return task;
}
