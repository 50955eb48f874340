/* SPDX-License-Identifier: Apache-2.0 */
/* One job: makes the stages, hands on from one to the next, and sees when it is over. */
#include "exchange/ending.h"

#include <string.h>

#include <apr_strings.h>

#include "exchange/peers.h"
#include "store/oidc_server_store.h"

#define DRAIN_TIME apr_time_from_sec(10)       /* for what is under way at the target when a job cannot go on */
#define DRAIN_LOOK apr_time_from_msec(50)
#define DATABASE_AGAIN apr_time_from_sec(1)     /* where it was away */
#define DATABASE_REFUSED apr_time_from_sec(5)   /* where it refuses to note the end: nobody else can while we live */
#define REST_AFTER apr_time_from_sec(60)       /* a job that waits for longer gives its slot back */
#define KEY_AGAIN apr_time_from_sec(60)        /* where a sealing key is missing */
#define SAME_MOMENT apr_time_from_msec(50)
#define FLUSH_AFTER apr_time_from_msec(200)    /* parts that have landed are noted together, at such intervals */

static void pump(void *baton);
static void begin(p2p_exchange_t *x);

/* ---- Going on ---- */

static void write_for_job(void *baton, p2p_log_level_t level, const char *line)
{
    const p2p_exchange_t *x = baton;

    p2p_log(x->context->log, level, "job %" APR_INT64_T_FMT ": %s", x->job.id, line);
}

static apr_time_t monotonic(const p2p_exchange_t *x)
{
    return x->context->clock->monotonic(x->context->clock->baton);
}

/* What can go on is looked at from the loop, once for whatever happened: never from within a transfer's callback. */
static void kick_after(p2p_exchange_t *x, apr_interval_time_t delay)
{
    if (x->kick && (delay || x->kicked_now)) return;
    if (x->kick) x->context->http->cancel_timer(x->kick);
    x->kicked_now = !delay;
    x->kick = x->context->http->after(x->context->http, delay, pump, x);
}

void p2p_exchange_kick(void *baton)
{
    p2p_exchange_t *x = baton;

    if (x->phase < ENDING) kick_after(x, 0);
}

void p2p_exchange_fail(void *baton, const p2p_error_t *error)
{
    p2p_exchange_t *x = baton;

    /* Once the lease is lost nothing else matters: the job is another runner's, its Task too. */
    if (!x->error || error->kind == P2P_E_LOST) x->error = p2p_error_copy(x->pool, error);
    p2p_exchange_kick(x);
}

/* ---- What is to be fetched ---- */

static void plan(p2p_exchange_t *x)
{
    p2p_plan_settings_t set = {.pull = x->pull, .letters = x->letters, .land = x->land, .sequence = x->sequence,
                               .source_patient = x->order.source_patient};

    x->planned = p2p_plan(x->pool, &set, x->requests);
    p2p_stages_make_again(x);
}

static void want(void *baton, const char *url)
{
    p2p_exchange_t *x = baton;

    x->planned.followed++;
    p2p_pull_read(x->pull, url);
}

/* All has been received, and what is left waits for something that has not come: fetch that, or settle that it never comes. */
static void resolve_waiting(p2p_exchange_t *x)
{
    apr_pool_t *p;
    int left;

    if (x->closed) {
        p2p_exchange_fail(x, p2p_error_make(x->pool, P2P_E_INTERNAL, "sequence-stuck",
                                            "resources wait for each other without end; report this"));
        return;
    }
    apr_pool_create(&p, x->pool);
    left = p2p_sequence_wanted(x->sequence, p, x->context->spec->follow_references - x->planned.followed, want, x);
    if (p2p_pull_is_idle(x->pull) && !p2p_sequence_has_work(x->sequence)) {
        x->closed = 1;
        if (left)
            p2p_land_remark_job(x->land, "follow-limit",
                                apr_psprintf(p, "%d resources that something refers to were not fetched", left));
        p2p_sequence_close(x->sequence);
    }
    apr_pool_destroy(p);
    p2p_exchange_kick(x);
}

/* ---- The end ---- */

static void over(p2p_exchange_t *x)
{
    x->phase = ENDED;
    x->ended(x->baton);
}

static apr_interval_time_t trouble_lasting(const p2p_exchange_t *x)
{
    apr_interval_time_t source = p2p_trouble_lasting(&x->source_trouble), target = p2p_trouble_lasting(&x->target_trouble);

    return source > target ? source : target;
}

static apr_time_t token_time(const p2p_exchange_t *x)
{
    return x->token ? p2p_token_refreshed(x->token) : 0;
}

static void finish(void *baton)
{
    p2p_exchange_t *x = baton;
    apr_pool_t *p;
    p2p_error_t *error;
    apr_interval_time_t again = 0;

    apr_pool_create(&p, x->pool);
    error = x->task ? p2p_job_task_save(x->task, p) : NULL;
    if (!error && x->rest)
        error = p2p_job_rest(x->context->db, p, &x->job, x->context->owner, &(p2p_job_pause_t){
            .delay = x->rest, .lasting = trouble_lasting(x), .wait_code = x->rest_code, .token_time = token_time(x)});
    else if (!error) error = p2p_ending_note(x, p);
    if (error && error->kind != P2P_E_LOST) again = error->kind == P2P_E_UNAVAILABLE ? DATABASE_AGAIN : DATABASE_REFUSED;
    if (error) p2p_log_error(&x->log, P2P_LOG_WARN, "The end of the job is not noted", error);
    apr_pool_destroy(p);
    if (again) kick_after(x, again);
    else over(x);
}

static const char *task_status(const p2p_exchange_t *x)
{
    return x->error ? "failed" : x->stopping ? "on-hold" : "completed";
}

static void sum_up(p2p_exchange_t *x)
{
    p2p_job_counts_t *counts = &x->job.counts;

    p2p_land_end(x->land, &x->partial);
    *counts = *p2p_land_counts(x->land);
    counts->retrieved += x->partial.retrieved;
    counts->written += x->partial.written;
    counts->duplicate += x->partial.duplicate;
    counts->skipped += x->partial.skipped;
    counts->rejected += x->partial.rejected;
}

/* Notes what can be noted, then drops the stages with all that is under way. */
static void drop_stages(p2p_exchange_t *x)
{
    if (x->land) sum_up(x);
    if (x->stages) apr_pool_destroy(x->stages);
    x->stages = NULL;
    x->land = NULL;
    p2p_seen_free(&x->seen);
    x->context->memory_used -= x->memory;
    x->memory = 0;
    p2p_reading_moving(x->context->reading, &x->moved, 0);
}

static void count_rejected(p2p_exchange_t *x)
{
    apr_int64_t rejected = x->job.counts.rejected;

    if (x->error || x->stopping || !rejected || x->context->spec->record_rejected) return;
    x->error = p2p_error_make(x->pool, P2P_E_REFUSED, "resources-rejected",
                              "%" APR_INT64_T_FMT " resources were rejected; the report says which and why", rejected);
}

/* Ends the job, whatever its state: what has landed stays. */
static void end(p2p_exchange_t *x)
{
    x->phase = ENDING;
    drop_stages(x);
    count_rejected(x);
    if (x->error && x->error->kind == P2P_E_LOST) over(x);
    else if (x->task) {
        p2p_prepare_end(x->prepare);
        p2p_job_task_end(x->task, task_status(x), x->error ? x->error->sentence : NULL, &x->job.counts, finish, x);
    } else finish(x);
}

/* Ends retrieval, and lets what is under way at the target come to its end. */
static void drain(p2p_exchange_t *x)
{
    x->phase = DRAINING;
    x->drain_until = monotonic(x) + DRAIN_TIME;
    p2p_pull_stop(x->pull);
    p2p_push_drain(x->push);
    p2p_exchange_kick(x);
}

/* What was written of parts that will not land gets its Provenance, too, as far as the target takes it. */
static void go_on_draining(p2p_exchange_t *x)
{
    if (monotonic(x) < x->drain_until && p2p_push_is_sending(x->push)) {
        kick_after(x, DRAIN_LOOK);
        return;
    }
    if (!x->is_closed && p2p_push_has_room(x->push)) {
        x->is_closed = 1;
        p2p_push_drain(x->push); /* of parts that have come to their end meanwhile: it is made anew with the others */
        p2p_land_close(x->land);
        p2p_push_close(x->push);
        p2p_exchange_kick(x);
    } else end(x);
}

/* ---- A rest ---- */

/* Makes room for another job, as a runner that ends would: what has not landed is fetched again. Nothing is under way. */
static void rest(p2p_exchange_t *x, apr_interval_time_t delay, const char *code)
{
    if (x->land) p2p_land_flush(x->land);
    if (x->error) return;
    p2p_log(&x->log, P2P_LOG_INFO, "It has to wait %" APR_TIME_T_FMT " s for a peer and gives its slot back", apr_time_sec(delay));
    x->rest = delay;
    x->rest_code = code;
    x->phase = ENDING;
    x->land = NULL;
    drop_stages(x);
    if (x->kick) x->context->http->cancel_timer(x->kick);
    x->kick = NULL;
    finish(x);
}

/* A refresh that is under way is not left alone. */
static void look_whether_to_rest(p2p_exchange_t *x, const p2p_wait_t *wait)
{
    apr_interval_time_t delay = wait->until - monotonic(x);

    if (wait->may_rest && delay > REST_AFTER && !p2p_exchange_busy(x)) rest(x, delay, wait->code);
}

/* ---- The pump ---- */

static void flush_landed(p2p_exchange_t *x, int now)
{
    if (!p2p_land_has_landed(x->land)) return;
    if (!x->landed_since) x->landed_since = monotonic(x);
    if (!now && !p2p_land_is_full(x->land) && monotonic(x) - x->landed_since < FLUSH_AFTER) {
        kick_after(x, FLUSH_AFTER);
        return;
    }
    x->landed_since = 0;
    p2p_land_flush(x->land);
    if (p2p_land_counts(x->land)->parts == x->job.counts.parts) return;
    p2p_trouble_landed(&x->source_trouble);
    p2p_trouble_landed(&x->target_trouble);
}

/* Dead letters come as soon as there is room for them. */
static void read_letters(p2p_exchange_t *x)
{
    apr_pool_t *p;
    p2p_error_t *error;
    int told;

    apr_pool_create(&p, x->pool);
    error = p2p_letters_run(x->letters, p, &told);
    if (error && error->kind == P2P_E_UNAVAILABLE) kick_after(x, DATABASE_AGAIN);
    else if (error) p2p_exchange_fail(x, error);
    else if (told) p2p_exchange_kick(x);
    apr_pool_destroy(p);
}

/* Is nothing more to be received, as far as is known? */
static int is_received(const p2p_exchange_t *x)
{
    return p2p_pull_is_idle(x->pull) && p2p_letters_is_idle(x->letters);
}

/* Pages with what was written open are fetched again as there is room. Returns 0 where that goes on later. */
static int fetch_again(p2p_exchange_t *x)
{
    p2p_error_t *error;

    if (!x->writing_again) return 1;
    error = p2p_again_run(x->again);
    if (!error && p2p_again_has_more(x->again) && p2p_pull_is_idle(x->pull)) p2p_exchange_kick(x);
    else if (!error) return 1;
    else if (error->kind == P2P_E_UNAVAILABLE) kick_after(x, DATABASE_AGAIN);
    else p2p_exchange_fail(x, error);
    return 0;
}

/* All has landed. What was written open is written again; then, or where there is nothing of that kind, it is the end. */
static void write_again_or_end(p2p_exchange_t *x)
{
    x->writing_again = p2p_again_begin(x->again);
    if (x->writing_again) {
        p2p_log(&x->log, P2P_LOG_INFO, "fetching again pages with what was written before all it refers to was there");
        x->closed = p2p_again_is_last(x->again);
        if (x->closed) p2p_sequence_close(x->sequence);
        else p2p_sequence_reopen(x->sequence);
    }
    if (!x->writing_again && p2p_land_is_done(x->land)) end(x);
    else p2p_exchange_kick(x);
}

static void run(p2p_exchange_t *x)
{
    p2p_sequence_run(x->sequence);
    if (!p2p_sequence_has_work(x->sequence)) p2p_push_flush(x->push);
    p2p_stages_measure(x);
    if (x->error || !fetch_again(x)) return;
    p2p_pull_run(x->pull);
    read_letters(x);
    if (!is_received(x) || p2p_sequence_has_work(x->sequence) || !p2p_push_is_idle(x->push)) {
        flush_landed(x, 0);
        return;
    }
    if (!p2p_sequence_is_empty(x->sequence)) resolve_waiting(x);
    else {
        flush_landed(x, 1);
        if (p2p_land_is_done(x->land)) write_again_or_end(x);
        else kick_after(x, DATABASE_AGAIN);
    }
}

static void pump(void *baton)
{
    p2p_exchange_t *x = baton;

    x->kick = NULL;
    if (x->phase == ENDED) return;
    if (x->phase == ENDING) finish(x);
    else if (x->phase == DRAINING) go_on_draining(x);
    else if (!x->prepare && !x->error) begin(x);
    else if ((x->error || x->stopping) && x->phase == RUNNING && !(x->error && x->error->kind == P2P_E_LOST)) drain(x);
    else if (x->error || x->stopping) end(x);
    else if (x->phase == RUNNING) run(x);
}

/* ---- The beginning ---- */

static void on_prepared(void *baton, const p2p_error_t *error)
{
    p2p_exchange_t *x = baton;

    if (x->phase != PREPARING) return;
    if (error) {
        p2p_exchange_fail(x, error);
        return;
    }
    x->phase = RUNNING;
    x->has_run = 1;
    p2p_stages_make(x);
    plan(x);
    p2p_exchange_kick(x);
}

static p2p_error_t *on_member(void *baton, const char *patient)
{
    p2p_exchange_t *x = baton;

    if (!p2p_is_fhir_id(patient, strlen(patient)))
        return p2p_error_make(x->pool, P2P_E_INVALID, "no-patient", "the source's token answer names no FHIR id of a patient");
    x->order.source_patient = apr_pstrdup(x->pool, patient);
    p2p_token_set_member(x->token, patient);
    p2p_mapper_set_member(x->mapper, patient);
    return p2p_job_bind_patient(x->context->db, x->pool, x->context->spec->keyring, &x->job, x->context->owner, x->server,
                                &x->order);
}

static p2p_error_t *load(p2p_exchange_t *x)
{
    const p2p_exchange_context_t *context = x->context;
    apr_interval_time_t lasting;

    P2P_TRY(p2p_job_trouble(context->db, x->pool, &x->job, &lasting));
    p2p_trouble_recall(&x->source_trouble, lasting);
    p2p_trouble_recall(&x->target_trouble, lasting);
    P2P_TRY(p2p_job_load(context->db, x->pool, context->spec->keyring, &x->job, &x->order, &x->requests));
    return p2p_oidc_server_get(context->db, x->pool, context->spec->keyring, x->job.oidc_server_id, &x->server);
}

static void prepare(p2p_exchange_t *x)
{
    p2p_map_settings_t map = {
        .id_namespace = x->server->id_namespace, .endpoint = x->server->fhir_endpoint, .source_patient = x->order.source_patient,
        .target_patient = x->order.target_patient, .conditional_ids = x->context->spec->conditional_ids};
    p2p_ids_settings_t ids = {.db = x->context->db, .keyring = x->context->spec->keyring, .job = &x->job, .owner = x->context->owner};
    p2p_prepare_settings_t set = {
        .context = x->context, .job = &x->job, .order = &x->order, .server = x->server, .log = &x->log,
        .source_trouble = &x->source_trouble, .target_trouble = &x->target_trouble,
        .member = on_member, .done = on_prepared, .baton = x};
    p2p_job_task_settings_t task = {.context = x->context, .job = &x->job, .order = &x->order, .server = x->server, .log = &x->log,
                                    .trouble = &x->target_trouble};

    if (map.conditional_ids) set.ids = task.ids = x->ids = p2p_ids_make(x->pool, &ids);
    x->mapper = p2p_mapper_make(x->pool, &map);
    x->token = p2p_token_make(x->pool, p2p_peers_payer(x->context, x->job.oidc_server_id), x->context->db, x->context->spec->keyring, x->context->clock,
                              &x->log, x->server, x->job.grant_id, x->context->owner);
    if (*x->order.source_patient) p2p_token_set_member(x->token, x->order.source_patient);
    x->task = p2p_job_task_make(x->pool, &task);
    set.token = x->token;
    set.task = x->task;
    set.mapper = x->mapper;
    x->prepare = p2p_prepare_begin(x->pool, &set);
}

/* What it needs was sealed with a key that this runner has not got: another one may have it, or this one when it has been given it. */
static void wait_for_key(p2p_exchange_t *x, const p2p_error_t *error)
{
    p2p_log_error(&x->log, P2P_LOG_ERROR, "The job waits until it can be opened", error);
    x->rest = KEY_AGAIN;
    x->rest_code = P2P_WAIT_KEY;
    x->phase = ENDING;
    kick_after(x, 0); /* not from here: whoever begins it does not know it yet */
}

static void begin(p2p_exchange_t *x)
{
    p2p_error_t *error = load(x);

    if (!error) {
        prepare(x);
        if (x->stopping) p2p_exchange_kick(x); /* somebody wanted it stopped, and its runner is gone: only its Task is told */
    } else if (error->kind == P2P_E_UNAVAILABLE) kick_after(x, DATABASE_AGAIN);
    else if (!strcmp(error->code, "key-missing") && !x->stopping) wait_for_key(x, error);
    else p2p_exchange_fail(x, error);
}

p2p_exchange_t *p2p_exchange_begin(p2p_exchange_context_t *context, const p2p_job_t *job, void (*ended)(void *baton),
                                   void *baton)
{
    apr_pool_t *pool;
    p2p_exchange_t *x;

    apr_pool_create(&pool, NULL);
    x = apr_pcalloc(pool, sizeof *x);
    x->pool = pool;
    apr_pool_create(&x->stages, pool);
    x->context = context;
    x->source_trouble = x->target_trouble = (p2p_trouble_t){.clock = context->clock, .lasts = apr_time_from_sec(context->spec->retry_for)};
    x->job = *job;
    x->stopping = job->status == P2P_JOB_STOPPING;
    x->log = (p2p_log_t){context->log->level, write_for_job, x};
    x->ended = ended;
    x->baton = baton;
    begin(x);
    return x;
}

void p2p_exchange_destroy(p2p_exchange_t *exchange)
{
    if (exchange->kick) exchange->context->http->cancel_timer(exchange->kick);
    if (exchange->stages) apr_pool_destroy(exchange->stages);
    p2p_seen_free(&exchange->seen);
    exchange->context->memory_used -= exchange->memory;
    p2p_reading_moving(exchange->context->reading, &exchange->moved, 0);
    apr_pool_destroy(exchange->pool);
}

static void tell_progress(p2p_exchange_t *x)
{
    p2p_job_counts_t counts = x->land ? *p2p_land_counts(x->land) : x->job.counts;

    if (x->land) counts.waiting = p2p_land_waiting(x->land);
    if (x->land) counts.retrieved += counts.waiting;
    p2p_job_task_tick(x->task, &counts);
}

/* By the database's clock. The two clocks are not read in the same moment: one moment is told in one way all the time. */
static apr_time_t until_of(p2p_exchange_t *x, const p2p_wait_t *wait)
{
    const p2p_clock_t *clock = x->context->clock;
    apr_time_t until = wait->until ? clock->now(clock->baton) + (wait->until - clock->monotonic(clock->baton)) : 0;

    if (until - x->told_until > SAME_MOMENT || x->told_until - until > SAME_MOMENT) x->told_until = until;
    return x->told_until;
}

/* How it stands, for its row. */
static p2p_job_state_t state_of(p2p_exchange_t *x, const p2p_wait_t *wait)
{
    return (p2p_job_state_t){.waiting = x->land ? p2p_land_waiting(x->land) : 0, .wait_code = wait->code, .wait_until = until_of(x, wait),
                             .token_time = token_time(x)};
}

void p2p_exchange_tick(p2p_exchange_t *exchange)
{
    apr_pool_t *p;
    p2p_error_t *error;
    p2p_wait_t wait;
    p2p_job_state_t state;
    int stopping = 0;

    if (exchange->phase == ENDING || exchange->phase == ENDED) return;
    wait = p2p_waits(exchange);
    state = state_of(exchange, &wait);
    apr_pool_create(&p, exchange->pool);
    error = p2p_job_progress(exchange->context->db, p, &exchange->job, exchange->context->owner, &state, &stopping);
    if (!error && exchange->task) error = p2p_job_task_save(exchange->task, p);
    if (error && error->kind != P2P_E_UNAVAILABLE) p2p_exchange_fail(exchange, error);
    if (!error && stopping && !exchange->stopping) {
        exchange->stopping = 1;
        p2p_exchange_kick(exchange);
    }
    if (!error && exchange->task && !exchange->stopping) tell_progress(exchange);
    if (!error) look_whether_to_rest(exchange, &wait);
    apr_pool_destroy(p);
}

int p2p_exchange_busy(const p2p_exchange_t *exchange)
{
    return exchange->token && p2p_token_busy(exchange->token);
}
