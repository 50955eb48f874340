/* SPDX-License-Identifier: Apache-2.0 */
/* One refresh: sent, tried again where that cannot harm, stored before anyone sees it. */
#include "oidc/refresh_call.h"
#include <apr_strings.h>
#include <string.h>
#include "base/uri.h"
#include "net/http_tally.h"
#include "oidc/token_endpoint.h"

#define ANSWER_BYTES (256 * 1024)
#define STALL apr_time_from_sec(15)
#define SHORTEST_PAUSE (APR_USEC_PER_SEC / 10)
#define LONGEST_PAUSE (8 * APR_USEC_PER_SEC)
#define LONGEST_ASKED apr_time_from_sec(3600)
/* The mark in the database holds for 60 s: no request begins later, no answer comes later than that. */
#define LAST_BEGIN apr_time_from_sec(30)
#define LAST_STORE apr_time_from_sec(55)

struct p2p_refresh_call_t {
    apr_pool_t *pool, *scratch; /* scratch: of one attempt */
    p2p_refresh_order_t order;
    p2p_token_form_t form, other; /* other: the client's secret shown the other way; without a body: there is none */
    p2p_token_asked_t asked;
    p2p_http_text_t text;
    apr_time_t began;  /* monotonic */
    apr_time_t due;    /* monotonic: it comes again then; 0: a request is under way */
    int tries, lost;   /* requests sent; those of them whose fate is unknown */
    p2p_refreshed_t refreshed;
    p2p_refresh_call_fn fn; /* NULL when nobody wants to know */
    void *baton;
};

static apr_time_t age(const p2p_refresh_call_t *call)
{
    return call->order.clock->monotonic(call->order.clock->baton) - call->began;
}

static void finish(p2p_refresh_call_t *call, const p2p_error_t *error)
{
    if (call->fn) call->fn(call->baton, &call->refreshed, error);
    else if (error) p2p_log_error(call->order.log, P2P_LOG_WARN, "A token refresh that nobody waits for", error);
    apr_pool_destroy(call->pool);
}

static void give_up(p2p_refresh_call_t *call, int ended, const p2p_error_t *error)
{
    p2p_error_t *failed = p2p_grant_abandon_refresh(call->order.db, call->scratch, call->order.grant_id,
                                                    call->order.owner, ended);

    /* Without it the mark runs out by itself. */
    if (failed) p2p_log_error(call->order.log, P2P_LOG_WARN, "The end of a token refresh was not noted", failed);
    finish(call, error);
}

/* The endpoint has said no: the loop, which sees an answer, counts no trouble. */
static void refused(p2p_refresh_call_t *call, int ended, const p2p_error_t *error)
{
    p2p_http_tally_add(call->order.http);
    give_up(call, ended, error);
}

/* The old refresh token is worth nothing from now on: the new one is tried again for as long as the mark
 * holds. */
static void store(void *baton)
{
    p2p_refresh_call_t *call = baton;
    p2p_error_t *error;

    apr_pool_clear(call->scratch);
    error = p2p_grant_end_refresh(call->order.db, call->scratch, call->order.keyring, call->order.grant_id,
                                  call->order.owner, call->refreshed.tokens.access_token, call->refreshed.expires,
                                  call->refreshed.tokens.refresh_token);
    if (error && error->kind == P2P_E_UNAVAILABLE && age(call) < LAST_STORE) {
        call->order.http->after(call->order.http, APR_USEC_PER_SEC / 2, store, call);
        return;
    }
    finish(call, error);
}

static void send_it(void *baton);

/* 0.5, 1, 2, 4, 8, 8 s, or what the endpoint asks for, for as long as the mark allows. */
static void try_again(p2p_refresh_call_t *call, const apr_table_t *fields, const p2p_error_t *error)
{
    apr_interval_time_t wait = (APR_USEC_PER_SEC / 2) << (call->tries < 6 ? call->tries - 1 : 5), asked;

    if (wait > LONGEST_PAUSE) wait = LONGEST_PAUSE;
    asked = p2p_http_retry_after(fields, call->order.clock->now(call->order.clock->baton), LONGEST_ASKED);
    if (asked >= 0) wait = asked > SHORTEST_PAUSE ? asked : SHORTEST_PAUSE;
    if (age(call) + wait >= LAST_BEGIN) {
        if (asked > 0) call->refreshed.wait = asked;
        give_up(call, 0, error);
        return;
    }
    call->due = call->order.clock->monotonic(call->order.clock->baton) + wait;
    call->order.http->after(call->order.http, wait, send_it, call);
}

/* No answer came. Where the request never arrived that is harmless; else the endpoint may have rotated the
 * token, and a repeated one may cost the whole grant: it is sent once more only where nothing else is left.
 */
static void on_failure(p2p_refresh_call_t *call, const p2p_error_t *failure)
{
    int never_sent = !strcmp(failure->code, "unreachable") || !strcmp(failure->code, "tls-refused") ||
                     !strcmp(failure->code, "timed-out");
    const p2p_error_t *error = p2p_token_no_answer(call->scratch, failure);

    if (!never_sent) call->lost++;
    if (failure->kind != P2P_E_UNAVAILABLE || call->lost > 1 || (call->lost && call->order.can_wait))
        give_up(call, 0, error);
    else
        try_again(call, NULL, error);
}

/* Not known by the secret shown this way: who the client is comes before the refresh token is looked at
 * (section 5.2), so that showing it the other way cannot harm. */
static void show_otherwise(p2p_refresh_call_t *call, const p2p_error_t *error)
{
    if (!call->other.body) {
        refused(call, 0, error);
        return;
    }
    call->form = call->other;
    call->other.body = NULL;
    p2p_http_text(&call->text, call->form.body, strlen(call->form.body));
    call->refreshed.method = call->form.basic ? P2P_CLIENT_SECRET_BASIC : P2P_CLIENT_SECRET_POST;
    call->order.http->after(call->order.http, 0, send_it, call);
}

static void on_answer(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len,
                      const p2p_error_t *failure)
{
    p2p_refresh_call_t *call = baton;
    p2p_error_t *error = NULL;

    if (failure) {
        on_failure(call, failure);
        return;
    }
    switch (p2p_token_answer_judge(call->pool, &call->asked, status, body, len, &call->refreshed.tokens, &error)) {
    case P2P_TOKEN_GIVEN:
        if (call->refreshed.tokens.lives)
            call->refreshed.expires = call->order.clock->now(call->order.clock->baton) + call->refreshed.tokens.lives;
        store(call);
        break;
    case P2P_TOKEN_LATER:
        /* Something before the endpoint may have answered for it: what it has done then is not known. */
        if (call->order.can_wait && status != 429 && status != 503) give_up(call, 0, error);
        else try_again(call, fields, error);
        break;
    case P2P_TOKEN_DEAD: refused(call, 1, error); break;
    case P2P_TOKEN_STRANGER: show_otherwise(call, error); break;
    case P2P_TOKEN_UNUSABLE: refused(call, 0, error); break;
    }
}

static void send_it(void *baton)
{
    p2p_refresh_call_t *call = baton;
    p2p_http_auth_t auth = {.basic = call->form.basic};
    p2p_http_request_t request = {.method = "POST", .url = call->order.endpoint, .body = &call->text.body, .auth = &auth,
                                  .max_bytes = ANSWER_BYTES, .stall_timeout = STALL, .least_bytes = P2P_TOKEN_LEAST_BYTES,
                                  .connections = 64, .once = 1};
    apr_array_header_t *fields;
    p2p_error_t *error;

    apr_pool_clear(call->scratch);
    fields = apr_array_make(call->scratch, 2, sizeof(const char *));
    APR_ARRAY_PUSH(fields, const char *) = "Content-Type: application/x-www-form-urlencoded";
    APR_ARRAY_PUSH(fields, const char *) = "Accept: application/json";
    request.fields = fields;
    call->tries++;
    call->due = 0;
    error = p2p_http_fetch(call->order.http, call->scratch, &request, on_answer, call, NULL);
    if (error) give_up(call, 0, error);
}

/* The loop calls it: nobody is told from within p2p_refresh_call_begin. */
p2p_refresh_call_t *p2p_refresh_call_begin(const p2p_refresh_order_t *order, p2p_refresh_call_fn fn, void *baton)
{
    apr_pool_t *pool;
    p2p_refresh_call_t *call;

    apr_pool_create(&pool, NULL);
    call = apr_pcalloc(pool, sizeof *call);
    call->pool = pool;
    apr_pool_create(&call->scratch, pool);
    call->order = *order;
    call->order.owner = apr_pstrdup(pool, order->owner);
    call->order.endpoint = apr_pstrdup(pool, order->endpoint);
    call->form = p2p_token_form_refresh(pool, order->server, order->method, order->refresh_token);
    if (*order->server->client_secret)
        call->other = p2p_token_form_refresh(pool, order->server,
                                             order->method == P2P_CLIENT_SECRET_BASIC ? P2P_CLIENT_SECRET_POST
                                                                                      : P2P_CLIENT_SECRET_BASIC,
                                             order->refresh_token);
    call->order.refresh_token = NULL;
    call->order.server = NULL;
    call->refreshed.method = order->method;
    call->asked.endpoint = p2p_uri_public(pool, call->order.endpoint, call->order.endpoint);
    call->asked.names = apr_pstrdup(pool, order->server->custom_token_params);
    p2p_http_text(&call->text, call->form.body, strlen(call->form.body));
    call->began = order->clock->monotonic(order->clock->baton);
    call->fn = fn;
    call->baton = baton;
    order->http->after(order->http, 0, send_it, call);
    return call;
}

apr_time_t p2p_refresh_call_due(const p2p_refresh_call_t *call)
{
    return call->due;
}

void p2p_refresh_call_forget(p2p_refresh_call_t *call)
{
    call->fn = NULL;
}
