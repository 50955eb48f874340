/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials for the target: those that never change go along with each request, an access token is fetched,
 * shared and renewed. */
#include "oidc/target_http.h"
#include <apr_strings.h>
#include <string.h>
#include "base/uri.h"
#include "net/http_tally.h"
#include "oidc/target_client.h"
#include "oidc/token_answer.h"
#include "oidc/token_endpoint.h"

#define ANSWER_BYTES (256 * 1024)
#define STALL apr_time_from_sec(15)
#define PAUSE_MIN apr_time_from_sec(1)   /* after a fetch that failed; doubled each time */
#define PAUSE_MAX apr_time_from_sec(30)
#define LONGEST_ASKED apr_time_from_sec(300)
#define HIDDEN_BYTES 65536               /* of a 401's body: no more is read */

typedef struct target_t target_t;

/* A request of a caller. It waits for a token, or is under way below. */
struct p2p_http_transfer_t {
    p2p_http_transfer_t *next, **at; /* at: what points to it in its list; NULL: in none */
    target_t *target;
    apr_pool_t *pool;
    p2p_http_request_t request; /* the caller's, strings in pool */
    p2p_http_body_t body;
    p2p_http_transfer_t *below; /* the loop's, or NULL */
    const char *used;           /* the token that it was sent with last; "" for none */
    apr_size_t hidden;          /* bytes of the 401 that the caller does not see */
    int is_hidden, is_renewed;
};

struct target_t {
    p2p_http_t http; /* first */
    apr_pool_t *pool, *scratch; /* scratch: of one fetch */
    p2p_http_t *loop;
    const p2p_clock_t *clock;
    const p2p_log_t *log;
    p2p_http_auth_t auth;
    const p2p_target_client_t *client; /* NULL: auth never changes */
    p2p_oidc_server_t server;          /* no definition: tells p2p_token_endpoint where to look */
    p2p_token_endpoint_t *endpoint;
    p2p_http_transfer_t *waiting, *settling; /* settling: told at the moment */
    apr_pool_t *held;     /* what the next two live in */
    const char *access;   /* "" for none */
    p2p_token_form_t form; /* of the fetch under way */
    apr_time_t expires;   /* wall clock; 0: not known */
    apr_interval_time_t margin;
    int is_fetching;
    int failures;          /* fetches in a row */
    apr_time_t not_before; /* monotonic: of the next fetch */
    p2p_http_text_t text;
    p2p_token_asked_t asked;
};

static void need_token(target_t *target);

/* ---- What is the loop's ---- */

static p2p_http_timer_t *after(p2p_http_t *http, apr_interval_time_t delay, void (*fn)(void *baton), void *baton)
{
    p2p_http_t *loop = ((target_t *)http)->loop;

    return loop->after(loop, delay, fn, baton);
}

static p2p_error_t *poll_loop(p2p_http_t *http, int wake_fd, apr_interval_time_t timeout, int *woken)
{
    p2p_http_t *loop = ((target_t *)http)->loop;

    return loop->poll(loop, wake_fd, timeout, woken);
}

/* ---- Credentials that never change ---- */

static p2p_error_t *start_plain(p2p_http_t *http, const p2p_http_request_t *request, p2p_http_transfer_t **transfer)
{
    target_t *target = (target_t *)http;
    p2p_http_request_t with_auth = *request;

    with_auth.auth = &target->auth;
    return target->loop->start(target->loop, &with_auth, transfer);
}

/* ---- The access token ---- */

static apr_time_t wall(const target_t *target)
{
    return target->clock->now(target->clock->baton);
}

static apr_time_t monotonic(const target_t *target)
{
    return target->clock->monotonic(target->clock->baton);
}

/* Is there one to be used now: not at its end, bar a margin while a new one can be had? */
static int has_token(const target_t *target)
{
    apr_interval_time_t margin = monotonic(target) < target->not_before ? 0 : target->margin;

    return *target->access && (!target->expires || wall(target) < target->expires - margin);
}

static void hold(target_t *target, const p2p_token_answer_t *answer)
{
    apr_time_t issued = 0;
    apr_interval_time_t life;

    apr_pool_clear(target->held);
    target->access = apr_pstrdup(target->held, answer->access_token);
    target->expires = answer->lives ? wall(target) + answer->lives
                                    : p2p_token_jwt_expires(target->held, target->access, &issued);
    life = target->expires - wall(target);
    if (life <= 0) target->expires = 0; /* a new one is used, whatever the clocks say */
    target->margin = p2p_token_margin(life);
    target->failures = 0;
    target->not_before = 0;
}

/* ---- Lists ---- */

static void leave(p2p_http_transfer_t *t)
{
    if (!t->at) return;
    *t->at = t->next;
    if (t->next) t->next->at = t->at;
    t->at = NULL;
    t->next = NULL;
}

static void join(p2p_http_transfer_t **list, p2p_http_transfer_t *t)
{
    while (*list) list = &(*list)->next;
    *list = t;
    t->at = list;
    t->next = NULL;
}

/* ---- A request below ---- */

static void finish(p2p_http_transfer_t *t, int status, const p2p_error_t *error)
{
    leave(t);
    t->request.done(t->request.baton, status, error);
    apr_pool_destroy(t->pool);
}

static void wait_for_token(p2p_http_transfer_t *t)
{
    join(&t->target->waiting, t);
    need_token(t->target);
}

/* A second time where the token had to be renewed. */
static void on_begun(void *baton)
{
    p2p_http_transfer_t *t = baton;

    if (t->request.begun) t->request.begun(t->request.baton);
}

static void on_head(void *baton, const p2p_http_head_t *head)
{
    p2p_http_transfer_t *t = baton;

    t->is_hidden = head->status == 401 && !t->is_renewed;
    if (!t->is_hidden && t->request.head) t->request.head(t->request.baton, head);
}

static p2p_http_flow_t on_data(void *baton, const char *bytes, apr_size_t len)
{
    p2p_http_transfer_t *t = baton;

    if (t->is_hidden) return (t->hidden += len) < HIDDEN_BYTES ? P2P_HTTP_GO : P2P_HTTP_STOP;
    return t->request.data ? t->request.data(t->request.baton, bytes, len) : P2P_HTTP_GO;
}

static void on_done(void *baton, int status, const p2p_error_t *error)
{
    p2p_http_transfer_t *t = baton;
    target_t *target = t->target;

    t->below = NULL;
    if (!t->is_hidden) {
        finish(t, status, error);
        return;
    }
    t->is_hidden = 0;
    t->is_renewed = 1;
    if (!strcmp(target->access, t->used)) target->access = ""; /* else somebody has renewed it already */
    wait_for_token(t);
}

static p2p_error_t *send_it(p2p_http_transfer_t *t)
{
    target_t *target = t->target;
    p2p_http_request_t request = t->request;
    p2p_http_auth_t auth = {.bearer = target->access};

    leave(t);
    t->used = apr_pstrdup(t->pool, target->access);
    request.auth = &auth;
    request.baton = t;
    request.begun = on_begun;
    request.head = on_head;
    request.data = on_data;
    request.done = on_done;
    return target->loop->start(target->loop, &request, &t->below);
}

/* All that wait now, not those that their callbacks add, are sent or told why not. */
static void settle(target_t *target, const p2p_error_t *error)
{
    p2p_http_transfer_t *t;

    while ((t = target->waiting)) {
        leave(t);
        join(&target->settling, t);
    }
    while ((t = target->settling)) {
        const p2p_error_t *failed = has_token(target) ? send_it(t) : error;

        leave(t);
        if (failed) finish(t, 0, failed);
        else if (!t->below) wait_for_token(t);
    }
}

/* ---- Fetching a token ---- */

/* Requests that come meanwhile wait for the next attempt; a token that still lives is used to its end. */
static void fail_fetch(target_t *target, apr_interval_time_t asked, const p2p_error_t *error)
{
    apr_interval_time_t pause = PAUSE_MIN << (target->failures < 5 ? target->failures : 5);

    if (pause > PAUSE_MAX) pause = PAUSE_MAX;
    if (asked > pause) pause = asked;
    target->is_fetching = 0;
    target->failures++;
    target->not_before = monotonic(target) + pause;
    p2p_token_endpoint_forget(target->endpoint);
    p2p_log_error(target->log, P2P_LOG_WARN, "No access token for the target", error);
    settle(target, error);
}

static void on_answer(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len,
                      const p2p_error_t *failure)
{
    target_t *target = baton;
    p2p_token_answer_t answer = {0};
    p2p_error_t *error = NULL;

    if (failure) {
        fail_fetch(target, 0, p2p_token_no_answer(target->scratch, failure));
    } else if (p2p_token_answer_judge(target->scratch, &target->asked, status, body, len, &answer, &error) != P2P_TOKEN_GIVEN) {
        if (!p2p_http_may_pass(status)) p2p_http_tally_add(target->loop); /* else the loop has counted it */
        fail_fetch(target, p2p_http_retry_after(fields, wall(target), LONGEST_ASKED), error);
    } else {
        target->is_fetching = 0;
        hold(target, &answer);
        settle(target, NULL);
    }
}

static void ask(target_t *target, const char *url)
{
    apr_array_header_t *fields = apr_array_make(target->scratch, 2, sizeof(const char *));
    p2p_http_auth_t auth = {0};
    p2p_http_request_t request = {.method = "POST", .url = url, .fields = fields, .body = &target->text.body, .auth = &auth,
                                  .max_bytes = ANSWER_BYTES, .stall_timeout = STALL, .least_bytes = P2P_TOKEN_LEAST_BYTES,
                                  .connections = 64, .once = 1};
    p2p_error_t *error = p2p_target_client_form(target->scratch, target->client, url, target->clock, &target->form);

    APR_ARRAY_PUSH(fields, const char *) = "Content-Type: application/x-www-form-urlencoded";
    APR_ARRAY_PUSH(fields, const char *) = "Accept: application/json";
    if (!error) {
        auth.basic = target->form.basic;
        p2p_http_text(&target->text, target->form.body, strlen(target->form.body));
        target->asked = (p2p_token_asked_t){p2p_uri_public(target->scratch, url, url), "", 1};
        error = p2p_http_fetch(target->loop, target->scratch, &request, on_answer, target, NULL);
    }
    if (error) fail_fetch(target, 0, error);
}

static void on_endpoint(void *baton, const p2p_error_t *error)
{
    target_t *target = baton;

    if (!error) ask(target, p2p_token_endpoint_known(target->endpoint));
    else if (error->kind == P2P_E_UNAVAILABLE) fail_fetch(target, 0, error);
    else fail_fetch(target, 0, p2p_error_make(target->scratch, P2P_E_REFUSED, "target-token-refused",
                                              "The target's token endpoint is not known: %s/.well-known/smart-configuration "
                                              "names none. Write tokenEndpoint into the file that P2PTargetAuth names.",
                                              target->server.fhir_endpoint));
}

static void fetch(void *baton)
{
    target_t *target = baton;

    apr_pool_clear(target->scratch);
    if (p2p_token_endpoint_known(target->endpoint)) on_endpoint(target, NULL);
    else p2p_token_endpoint_find(target->endpoint, on_endpoint, target);
}

/* From the loop: nobody is told from within start. */
static void need_token(target_t *target)
{
    apr_interval_time_t delay = target->not_before - monotonic(target);

    if (target->is_fetching) return;
    target->is_fetching = 1;
    target->loop->after(target->loop, delay > 0 ? delay : 0, fetch, target);
}

/* ---- What callers use ---- */

static void copy_request(p2p_http_transfer_t *t, const p2p_http_request_t *request)
{
    apr_array_header_t *fields;

    t->request = *request;
    t->request.method = apr_pstrdup(t->pool, request->method);
    t->request.url = apr_pstrdup(t->pool, request->url);
    if (request->fields) {
        fields = apr_array_copy(t->pool, request->fields);
        for (int i = 0; i < fields->nelts; i++)
            APR_ARRAY_IDX(fields, i, const char *) = apr_pstrdup(t->pool, APR_ARRAY_IDX(fields, i, const char *));
        t->request.fields = fields;
    }
    if (request->body) {
        t->body = *request->body;
        t->request.body = &t->body;
    }
}

static p2p_error_t *start(p2p_http_t *http, const p2p_http_request_t *request, p2p_http_transfer_t **transfer)
{
    target_t *target = (target_t *)http;
    apr_pool_t *pool;
    p2p_http_transfer_t *t;
    p2p_error_t *error = NULL;

    apr_pool_create(&pool, target->pool);
    t = apr_pcalloc(pool, sizeof *t);
    t->target = target;
    t->pool = pool;
    t->used = "";
    copy_request(t, request);
    if (has_token(target)) error = send_it(t);
    else wait_for_token(t);
    if (error) apr_pool_destroy(pool);
    else if (transfer) *transfer = t;
    return error;
}

static void resume(p2p_http_transfer_t *t)
{
    if (t->below) t->target->loop->resume(t->below);
}

static void cancel(p2p_http_transfer_t *t)
{
    if (t->below) t->target->loop->cancel(t->below);
    leave(t);
    apr_pool_destroy(t->pool);
}

/* ---- Making ---- */

static p2p_error_t *make_client(target_t *target, const p2p_spec_t *spec)
{
    apr_array_header_t *errors = p2p_field_errors(target->pool);

    target->client = p2p_target_client_read(target->pool, spec->target_credential, spec->allow_http, errors);
    if (errors->nelts)
        return p2p_error_make(target->pool, P2P_E_INVALID, "bad-spec", "The file of P2PTargetAuth cannot be used: %s %s",
                              APR_ARRAY_IDX(errors, 0, p2p_field_error_t).pointer,
                              APR_ARRAY_IDX(errors, 0, p2p_field_error_t).detail);
    target->server = (p2p_oidc_server_t){.fhir_endpoint = spec->target, .token_endpoint = target->client->token_endpoint,
                                         .auth_well_known = ""};
    target->endpoint = p2p_token_endpoint_make(target->pool, target->loop, &target->server);
    target->access = "";
    target->http.start = start;
    target->http.resume = resume;
    target->http.cancel = cancel;
    return NULL;
}

p2p_error_t *p2p_target_http_make(apr_pool_t *p, p2p_http_t *loop, const p2p_clock_t *clock, const p2p_log_t *log,
                                  const p2p_spec_t *spec, p2p_http_t **http)
{
    target_t *target = apr_pcalloc(p, sizeof *target);

    target->http = (p2p_http_t){start_plain, loop->resume, loop->cancel, after, loop->cancel_timer, poll_loop, NULL};
    apr_pool_create(&target->pool, p);
    apr_pool_create(&target->scratch, target->pool);
    apr_pool_create(&target->held, target->pool);
    target->loop = loop;
    target->clock = clock;
    target->log = log;
    if (spec->target_auth == P2P_AUTH_BEARER) target->auth.bearer = spec->target_credential;
    if (spec->target_auth == P2P_AUTH_BASIC) target->auth.basic = spec->target_credential;
    if (spec->target_auth == P2P_AUTH_CERTIFICATE) {
        target->auth.cert_pem = spec->target_cert;
        target->auth.key_pem = spec->target_key;
    }
    *http = &target->http;
    return spec->target_auth == P2P_AUTH_CLIENT_CREDENTIALS ? make_client(target, spec) : NULL;
}
