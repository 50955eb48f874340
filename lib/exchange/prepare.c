/* SPDX-License-Identifier: Apache-2.0 */
/* The steps before an exchange, one small request each. */
#include "exchange/prepare.h"

#include <string.h>

#include <apr_strings.h>

#include "base/uri.h"
#include "exchange/address.h"
#include "exchange/ask.h"
#include "exchange/own.h"
#include "exchange/peers.h"
#include "fhir/answer.h"
#include "fhir/capability.h"
#include "fhir/patient.h"
#include "fhir/task.h"

struct p2p_prepare_t {
    p2p_prepare_settings_t set;
    apr_pool_t *pool, *asking; /* asking dies first: what is asked is cancelled with it */
    const char *organization; /* at the target */
    const char *derived_organization;
    int step, requester_is_resource;
    p2p_http_auth_t source_auth;
    p2p_http_timer_t *token_timer;
    int token_attempts;
    const char *refused; /* the token that the source answered 401 to */
};

/* A step asks; its answer tells an error that ends the job, or NULL to go on. */
typedef struct step_t {
    void (*ask)(p2p_prepare_t *prepare);
    p2p_error_t *(*answer)(p2p_prepare_t *prepare, int status, const char *body, apr_size_t len, const p2p_error_t *error);
} step_t;

static void next_step(p2p_prepare_t *prepare);
static void on_answer(void *baton, int status, const char *body, apr_size_t len, const p2p_error_t *error);

/* Whatever is asked of the target. */
static p2p_ask_t for_target(const p2p_prepare_t *prepare)
{
    const p2p_exchange_context_t *context = prepare->set.context;

    return (p2p_ask_t){.http = context->target_http, .clock = context->clock, .connections = context->spec->target_connections,
                       .turn = (apr_uint64_t)prepare->set.job->id, .trouble = prepare->set.target_trouble};
}

static void ask_target(p2p_prepare_t *prepare, const char *method, const char *path, const char *body, apr_size_t len,
                       p2p_answer_fn fn)
{
    p2p_ask_t ask = for_target(prepare);

    ask.method = method;
    ask.url = apr_pstrcat(prepare->pool, prepare->set.context->spec->target, "/", path, NULL);
    ask.body = body;
    ask.body_len = len;
    p2p_ask(prepare->asking, &ask, fn, prepare);
}

/* What a peer that does not do what is asked leads to. */
static p2p_error_t *trouble(p2p_prepare_t *prepare, const char *code, const char *what, int status, const char *body,
                            apr_size_t len, const p2p_error_t *error)
{
    p2p_error_t *made;

    if (error) {
        made = p2p_error_make(prepare->pool, error->kind, error->code, "%s: %s", what, error->sentence);
        return p2p_error_detail(prepare->pool, made, error->detail);
    }
    made = p2p_error_make(prepare->pool, P2P_E_REFUSED, code, "%s: the answer was %d", what, status);
    return p2p_error_detail(prepare->pool, made, p2p_outcome_text(prepare->pool, body, len));
}

/* ---- 1. The member is at the target ---- */

static void ask_patient(p2p_prepare_t *prepare)
{
    ask_target(prepare, "GET", apr_pstrcat(prepare->pool, "Patient/", prepare->set.order->target_patient, NULL), NULL, 0,
               on_answer);
}

static p2p_error_t *find_mdm_identifier(p2p_prepare_t *prepare, const char *body, apr_size_t len)
{
    const p2p_spec_t *spec = prepare->set.context->spec;
    const char *identifier;

    if (!spec->mdm_system) return NULL;
    P2P_TRY(p2p_patient_identifier(prepare->pool, body, len, spec->mdm_system, spec->mdm_type, &identifier));
    p2p_mapper_set_mdm(prepare->set.mapper, identifier);
    return NULL;
}

static p2p_error_t *answer_patient(p2p_prepare_t *prepare, int status, const char *body, apr_size_t len,
                                   const p2p_error_t *error)
{
    if (!error && status == 200) return find_mdm_identifier(prepare, body, len);
    if (!error && (status == 404 || status == 410))
        return p2p_error_make(prepare->pool, P2P_E_NOT_FOUND, "no-target-patient",
                              "the target has no Patient with the id targetPayer.patientId; nothing was retrieved");
    return trouble(prepare, "target-refuses", "reading the member's Patient at the target (check P2PTarget and P2PTargetAuth)",
                   status, body, len, error);
}

/* ---- 2. The source is FHIR R4 ---- */

/* Where the order names no member, the token answer has to. */
static p2p_error_t *learn_member(p2p_prepare_t *prepare, const char *patient)
{
    if (*prepare->set.order->source_patient) return NULL;
    if (patient) return prepare->set.member(prepare->set.baton, patient);
    return p2p_error_make(prepare->pool, P2P_E_INVALID, "no-patient",
                          "the source's token answer names no patient; send sourcePayer.patientId");
}

static void ask_metadata(p2p_prepare_t *prepare);

static void on_token_timer(void *baton)
{
    p2p_prepare_t *prepare = baton;

    prepare->token_timer = NULL;
    prepare->set.source_trouble->asks_at = 0;
    ask_metadata(prepare);
}

static apr_status_t cancel_token_timer(void *baton)
{
    p2p_prepare_t *prepare = baton;

    if (prepare->token_timer) prepare->set.context->http->cancel_timer(prepare->token_timer);
    prepare->token_timer = NULL;
    return APR_SUCCESS;
}

/* A token endpoint that is away is trouble with the source like any other. */
static int wait_for_token(p2p_prepare_t *prepare, const p2p_error_t *error)
{
    const p2p_clock_t *clock = prepare->set.context->clock;
    p2p_trouble_t *trouble = prepare->set.source_trouble;
    p2p_http_t *http = prepare->set.context->http;
    apr_interval_time_t delay;

    if (error->kind != P2P_E_UNAVAILABLE || !p2p_trouble_next(trouble, ++prepare->token_attempts, NULL, &delay)) return 0;
    trouble->why = P2P_TROUBLE_TOKEN;
    trouble->asks_at = clock->monotonic(clock->baton) + delay;
    prepare->token_timer = http->after(http, delay, on_token_timer, prepare);
    return 1;
}

static void on_source_token(void *baton, const char *access_token, const char *patient, const p2p_error_t *error)
{
    p2p_prepare_t *prepare = baton;
    const p2p_exchange_context_t *context = prepare->set.context;
    p2p_ask_t ask = {.http = p2p_peers_payer(context, prepare->set.job->oidc_server_id), .clock = context->clock, .method = "GET",
                     .url = apr_pstrcat(prepare->pool, prepare->set.server->fhir_endpoint, "/metadata", NULL),
                     .auth = &prepare->source_auth, .connections = context->spec->source_connections,
                     .turn = (apr_uint64_t)prepare->set.job->id, .trouble = prepare->set.source_trouble};

    /* Only an answer tells the patient: an access token that was handed over is given up for one. */
    if (!error && !patient && !*prepare->set.order->source_patient && !prepare->refused) {
        prepare->refused = apr_pstrdup(prepare->pool, access_token);
        p2p_token_get(prepare->set.token, prepare->refused, on_source_token, prepare);
        return;
    }
    if (error && wait_for_token(prepare, error)) return;
    if (!error) error = learn_member(prepare, patient);
    if (error) {
        prepare->set.done(prepare->set.baton, error);
        return;
    }
    prepare->source_auth.bearer = apr_pstrdup(prepare->pool, access_token);
    p2p_ask(prepare->asking, &ask, on_answer, prepare);
}

static void ask_metadata(p2p_prepare_t *prepare)
{
    p2p_token_get(prepare->set.token, prepare->refused, on_source_token, prepare);
}

static p2p_error_t *check_capabilities(p2p_prepare_t *prepare, const char *body, apr_size_t len)
{
    p2p_capability_t said;
    apr_pool_t *p = prepare->pool;

    if (p2p_capability_read(p, body, len, &said) || !said.resource_type
        || strcmp(said.resource_type, "CapabilityStatement") != 0)
        return p2p_error_make(p, P2P_E_INVALID, "not-fhir",
                              "the source's metadata is no CapabilityStatement; check the definition's FHIR endpoint URL");
    if (!said.fhir_version || strncmp(said.fhir_version, "4.0.", 4) != 0)
        return p2p_error_make(p, P2P_E_INVALID, "not-r4", "the source is not FHIR R4 (4.0.x) by its CapabilityStatement");
    if (said.implementation_url)
        p2p_bases_add(p2p_mapper_bases(prepare->set.mapper), said.implementation_url, strlen(said.implementation_url));
    return NULL;
}

/* A 401 may come from a token that is no good any more: it is refreshed once. */
static p2p_error_t *answer_metadata(p2p_prepare_t *prepare, int status, const char *body, apr_size_t len,
                                    const p2p_error_t *error)
{
    if (!error && status == 200) return check_capabilities(prepare, body, len);
    if (!error && status == 401 && (!prepare->refused || p2p_token_is_over(prepare->set.token, prepare->source_auth.bearer))) {
        prepare->refused = prepare->source_auth.bearer;
        prepare->step--;
        return NULL;
    }
    return trouble(prepare, "source-answered", "reading the source's metadata (check the definition's FHIR endpoint URL)", status,
                   body, len, error);
}

/* ---- 3. Does the target know the target payer as an Organization? ---- */

static void ask_requester(p2p_prepare_t *prepare)
{
    const char *id = prepare->set.order->organization;

    if (p2p_is_fhir_id(id, strlen(id)))
        ask_target(prepare, "GET", apr_pstrcat(prepare->pool, "Organization/", id, NULL), NULL, 0, on_answer);
    else next_step(prepare);
}

static p2p_error_t *answer_requester(p2p_prepare_t *prepare, int status, const char *body, apr_size_t len,
                                     const p2p_error_t *error)
{
    (void)body;
    (void)len;
    prepare->requester_is_resource = !error && status == 200;
    return NULL;
}

/* ---- 4. The source payer's Organization, kept in step with its definition ---- */

static const char *print_organization(void *baton, apr_pool_t *p, const char *id, apr_size_t *len)
{
    const p2p_prepare_t *prepare = baton;

    return p2p_payer_print(p, id, prepare->set.server, len);
}

/* What the map of ids is told of it. Without the database it is found again by its identifier. */
static p2p_error_t *note_organization(p2p_prepare_t *prepare)
{
    p2p_id_pair_t pair = {prepare->derived_organization, "Organization", prepare->organization}, *pairs[] = {&pair};
    p2p_error_t *error = p2p_ids_note(prepare->set.ids, prepare->pool, pairs, 1);

    return error && error->kind != P2P_E_UNAVAILABLE ? error : NULL;
}

static void on_organization(void *baton, const char *id, int status, const char *body, apr_size_t len, const p2p_error_t *error)
{
    p2p_prepare_t *prepare = baton;
    p2p_error_t *lost;

    if (id) prepare->organization = apr_pstrdup(prepare->pool, id);
    lost = id ? note_organization(prepare) : NULL;
    if (lost) prepare->set.done(prepare->set.baton, lost);
    else on_answer(prepare, id ? 200 : status == 200 || status == 201 ? 0 : status, body, len, error);
}

static void write_own_organization(p2p_prepare_t *prepare)
{
    const p2p_spec_t *spec = prepare->set.context->spec;
    p2p_own_t own = {.ask = for_target(prepare), .target = spec->target, .batch = spec->batch, .type = "Organization",
                     .print = print_organization, .fn = on_organization, .baton = prepare};
    p2p_id_pair_t pair = {prepare->derived_organization, NULL, NULL}, *pairs[] = {&pair};
    p2p_error_t *error = p2p_ids_find(prepare->set.ids, prepare->pool, pairs, 1);

    if (error && error->kind != P2P_E_UNAVAILABLE) {
        prepare->set.done(prepare->set.baton, error);
        return;
    }
    own.id = pair.target;
    own.query = p2p_address_query(prepare->pool, P2P_URI_SYSTEM, prepare->set.server->id_namespace);
    p2p_own_write(prepare->asking, &own);
}

static void ask_organization(p2p_prepare_t *prepare)
{
    apr_size_t len;
    const char *body;

    if (prepare->set.ids) {
        write_own_organization(prepare);
        return;
    }
    body = p2p_payer_print(prepare->pool, prepare->organization, prepare->set.server, &len);
    ask_target(prepare, "PUT", apr_pstrcat(prepare->pool, "Organization/", prepare->organization, NULL), body, len, on_answer);
}

static p2p_error_t *answer_organization(p2p_prepare_t *prepare, int status, const char *body, apr_size_t len,
                                        const p2p_error_t *error)
{
    if (!error && (status == 200 || status == 201)) return NULL;
    return trouble(prepare, "target-refuses", "writing the source payer's Organization to the target", status, body, len, error);
}

/* ---- The Task ---- */

static void on_task_looked(void *baton)
{
    next_step(baton);
}

static void look_for_task(p2p_prepare_t *prepare)
{
    p2p_job_task_look(prepare->set.task, on_task_looked, prepare);
}

static void on_task_begun(void *baton, const p2p_error_t *error)
{
    p2p_prepare_t *prepare = baton;

    if (error) prepare->set.done(prepare->set.baton, error);
    else next_step(prepare);
}

static void begin_task(p2p_prepare_t *prepare)
{
    p2p_job_task_begin(prepare->set.task, prepare->organization, prepare->requester_is_resource, on_task_begun, prepare);
}

/* ---- The sequence ---- */

/* The Task is there before anything is asked of the source, which may make the job wait, or fail. Those two steps have no answer of this kind. */
static const step_t steps[] = {
    {ask_patient, answer_patient}, {ask_requester, answer_requester}, {ask_organization, answer_organization},
    {look_for_task, NULL}, {begin_task, NULL}, {ask_metadata, answer_metadata}};

static void next_step(p2p_prepare_t *prepare)
{
    prepare->step++;
    if (prepare->step < (int)(sizeof steps / sizeof *steps)) steps[prepare->step].ask(prepare);
    else prepare->set.done(prepare->set.baton, NULL);
}

static void on_answer(void *baton, int status, const char *body, apr_size_t len, const p2p_error_t *error)
{
    p2p_prepare_t *prepare = baton;
    p2p_error_t *ends = steps[prepare->step].answer(prepare, status, body, len, error);

    if (ends) prepare->set.done(prepare->set.baton, ends);
    else next_step(prepare);
}

p2p_prepare_t *p2p_prepare_begin(apr_pool_t *p, const p2p_prepare_settings_t *settings)
{
    p2p_prepare_t *prepare = apr_pcalloc(p, sizeof *prepare);

    prepare->set = *settings;
    prepare->pool = p;
    apr_pool_create(&prepare->asking, p);
    apr_pool_pre_cleanup_register(prepare->asking, prepare, cancel_token_timer);
    prepare->organization = prepare->derived_organization = p2p_payer_id(p, settings->server);
    prepare->step = -1;
    next_step(prepare);
    return prepare;
}

const char *p2p_prepare_organization(const p2p_prepare_t *prepare)
{
    return prepare->organization;
}

void p2p_prepare_end(p2p_prepare_t *prepare)
{
    p2p_token_cancel(prepare->set.token);
    apr_pool_clear(prepare->asking);
}
