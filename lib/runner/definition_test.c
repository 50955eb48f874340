/* SPDX-License-Identifier: Apache-2.0 */
/* Trying a definition: its discovery document, token endpoint, keys and FHIR server, one after the other; none keeps the next from being
 * tried. */
#include <apr_strings.h>
#include <string.h>
#include "base/seal.h"
#include "oidc/jwk.h"
#include "oidc/token_form.h"
#include "runner/chore_run.h"
#include "runner/test_steps.h"
#include "store/chore_store.h"
#include "store/oidc_server_store.h"

#define FORM "Content-Type: application/x-www-form-urlencoded"
#define TOKEN_BYTES (256 * 1024)
#define CAPABILITY_BYTES (16 * 1024 * 1024)
#define CAPABILITY_TIME apr_time_from_sec(60) /* servers that make it when they are first asked take their time */

typedef struct test_t {
    p2p_chore_run_t run; /* first */
    p2p_oidc_server_t *server;
    const p2p_error_t *error;   /* why nothing could be tried */
    json_object *steps;
    int step, failed;
    apr_time_t begin;           /* of the step */
    p2p_step_document_t first, second; /* second: the FHIR server's, where the first one leaves the token endpoint out */
    const char *endpoint;       /* for tokens */
    p2p_client_method_t method; /* by which the client is shown there */
    int tried_other;
    p2p_http_text_t text;
    p2p_http_auth_t auth;
} test_t;

static void next_step(test_t *t);

static p2p_error_t *write_result(void *work, apr_pool_t *p)
{
    test_t *t = work;
    const p2p_exchange_context_t *context = t->run.context;
    json_object *result;

    if (t->error) return p2p_chore_finish(context->db, p, t->run.chore, context->owner, P2P_JOB_FAILED, "", t->error);
    result = p2p_json_own(p, json_object_new_object());
    p2p_json_add_bool(result, "ok", !t->failed);
    json_object_object_add(result, "steps", json_object_get(t->steps));
    return p2p_chore_finish(context->db, p, t->run.chore, context->owner, P2P_JOB_COMPLETED, p2p_json_print(p, result, NULL), NULL);
}

/* ---- 1. The discovery document ---- */

static void note_step(test_t *t, p2p_step_t verdict);

static void note_error(test_t *t, const p2p_error_t *error)
{
    note_step(t, (p2p_step_t){0, error->sentence});
}

static void on_document(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len, const p2p_error_t *error)
{
    test_t *t = baton;

    (void)fields;
    if (error) note_error(t, error);
    else note_step(t, p2p_step_document(t->run.pool, t->server, &t->first, status, body, len));
}

static void try_document(test_t *t)
{
    t->first.is_smart = !*t->server->auth_well_known;
    t->first.url = t->first.is_smart ? p2p_discovery_of_fhir(t->run.pool, t->server->fhir_endpoint) : t->server->auth_well_known;
    p2p_chore_run_get(&t->run, t->first.url, P2P_CHORE_JSON, P2P_DISCOVERY_BYTES, on_document);
}

/* ---- 2. The token endpoint ---- */

static void ask_for_token(test_t *t);

static void on_token(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len, const p2p_error_t *error)
{
    test_t *t = baton;
    p2p_step_t verdict;
    int stranger;

    (void)fields;
    if (error) {
        note_error(t, error);
        return;
    }
    verdict = p2p_step_token(t->run.pool, t->endpoint, status, body, len, &stranger);
    if (stranger && *t->server->client_secret && !t->tried_other) { /* as a refresh does */
        t->tried_other = 1;
        t->method = t->method == P2P_CLIENT_SECRET_BASIC ? P2P_CLIENT_SECRET_POST : P2P_CLIENT_SECRET_BASIC;
        ask_for_token(t);
    } else note_step(t, verdict);
}

/* The client's secret goes here and nowhere else. The token is nobody's. */
static void ask_for_token(test_t *t)
{
    apr_pool_t *p = t->run.asking;
    apr_array_header_t *fields = apr_array_make(p, 2, sizeof(const char *));
    p2p_http_request_t request = {.method = "POST", .url = t->endpoint, .fields = fields, .max_bytes = TOKEN_BYTES};
    p2p_token_form_t form;
    const char *uuid;
    p2p_error_t *error = p2p_uuid4(p, &uuid);

    if (error) {
        note_error(t, error);
        return;
    }
    form = p2p_token_form_refresh(p, t->server, t->method, apr_pstrcat(p, "definition-test-", uuid, NULL));
    APR_ARRAY_PUSH(fields, const char *) = P2P_CHORE_JSON;
    APR_ARRAY_PUSH(fields, const char *) = FORM;
    p2p_http_text(&t->text, form.body, strlen(form.body));
    t->auth = (p2p_http_auth_t){.basic = form.basic};
    request.body = &t->text.body;
    request.auth = &t->auth;
    p2p_chore_run_ask(&t->run, &request, P2P_CHORE_ANSWER, on_token);
}

/* From a document that is the issuer's. */
static int take_endpoint(test_t *t, const p2p_step_document_t *document)
{
    if (!document->usable || !*document->said.token_endpoint) return 0;
    t->endpoint = document->said.token_endpoint;
    t->method = document->said.method;
    return 1;
}

static void on_second(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len, const p2p_error_t *error)
{
    test_t *t = baton;

    (void)fields;
    if (!error) p2p_step_document(t->run.pool, t->server, &t->second, status, body, len);
    if (take_endpoint(t, &t->second)) ask_for_token(t);
    else note_step(t, p2p_step(t->run.pool, 0, "No token endpoint is known: set the definition's token URL."));
}

static void try_token(test_t *t)
{
    if (*t->server->token_endpoint) t->endpoint = t->server->token_endpoint;
    if (t->endpoint || take_endpoint(t, &t->first)) {
        ask_for_token(t);
        return;
    }
    if (t->first.is_smart) {
        note_step(t, p2p_step(t->run.pool, 0, "No token endpoint is known: set the definition's token URL."));
        return;
    }
    t->second.is_smart = 1;
    t->second.url = p2p_discovery_of_fhir(t->run.pool, t->server->fhir_endpoint);
    p2p_chore_run_get(&t->run, t->second.url, P2P_CHORE_JSON, P2P_DISCOVERY_BYTES, on_second);
}

/* ---- 3. Keys ---- */

static void on_keys(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len, const p2p_error_t *error)
{
    test_t *t = baton;

    (void)fields;
    if (error) note_error(t, error);
    else note_step(t, p2p_step_keys(t->run.pool, t->first.said.jwks_uri, status, body, len));
}

/* An exchange needs none: they are for tokens of this issuer that callers bring. */
static void try_keys(test_t *t)
{
    apr_pool_t *p = t->run.pool;

    if (*t->server->key_text || *t->server->key_file)
        note_step(t, p2p_step_own_keys(p, t->server, t->run.context->spec->key_dir));
    else if (!t->first.usable) note_step(t, p2p_step(p, 0, "No keys are known: there is no discovery document that can be used."));
    else if (*t->first.said.jwks_uri)
        p2p_chore_run_get(&t->run, t->first.said.jwks_uri, P2P_CHORE_KEYS, P2P_JWK_SET_BYTES, on_keys);
    else if (t->first.is_smart) note_step(t, p2p_step(p, 1, "No keys are published, and none are needed for an exchange."));
    else note_step(t, p2p_step(p, 0, "The discovery document names no jwks_uri, and the definition has no keys."));
}

/* ---- 4. FHIR ---- */

static const char *metadata_url(test_t *t)
{
    return apr_pstrcat(t->run.pool, t->server->fhir_endpoint, "/metadata", NULL);
}

static void on_metadata(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len, const p2p_error_t *error)
{
    test_t *t = baton;

    (void)fields;
    if (error) note_error(t, error);
    else note_step(t, p2p_step_capability(t->run.pool, metadata_url(t), status, body, len));
}

static void try_metadata(test_t *t)
{
    apr_array_header_t *fields = apr_array_make(t->run.asking, 1, sizeof(const char *));
    p2p_http_request_t request = {.method = "GET", .url = metadata_url(t), .fields = fields, .max_bytes = CAPABILITY_BYTES};

    APR_ARRAY_PUSH(fields, const char *) = "Accept: application/fhir+json";
    p2p_chore_run_ask(&t->run, &request, CAPABILITY_TIME, on_metadata);
}

/* ---- One after the other ---- */

static const struct {
    const char *name;
    void (*attempt)(test_t *t);
} steps[] = {{"wellKnown", try_document}, {"tokenEndpoint", try_token}, {"jwks", try_keys}, {"capabilityStatement", try_metadata}};

#define STEPS (int)(sizeof steps / sizeof *steps)

static void note_step(test_t *t, p2p_step_t verdict)
{
    json_object *step = json_object_new_object();

    p2p_json_add_str(step, "name", steps[t->step].name);
    p2p_json_add_bool(step, "ok", verdict.ok);
    p2p_json_add_int(step, "milliseconds", p2p_chore_run_since(&t->run, t->begin));
    p2p_json_add_str(step, "detail", verdict.detail);
    json_object_array_add(t->steps, step);
    t->failed += !verdict.ok;
    t->step++;
    next_step(t);
}

static void next_step(test_t *t)
{
    if (t->step == STEPS) {
        p2p_chore_run_end(&t->run, write_result);
        return;
    }
    t->begin = p2p_chore_run_now(&t->run);
    steps[t->step].attempt(t);
}

static void start(void *work)
{
    test_t *t = work;
    const p2p_exchange_context_t *context = t->run.context;

    t->steps = p2p_json_own(t->run.pool, json_object_new_array());
    t->error = p2p_oidc_server_get(context->db, t->run.pool, context->spec->keyring, t->run.chore->job.oidc_server_id, &t->server);
    if (t->error) p2p_chore_run_end(&t->run, write_result);
    else next_step(t);
}

static void *begin(p2p_exchange_context_t *context, const p2p_chore_t *job, void (*ended)(void *baton), void *baton)
{
    return p2p_chore_run_make(sizeof(test_t), context, job, start, ended, baton);
}

const p2p_work_kind_t p2p_work_test = {P2P_KIND_TEST, begin, p2p_chore_run_tick, p2p_chore_run_busy, p2p_chore_run_destroy};
