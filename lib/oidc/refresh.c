/* SPDX-License-Identifier: Apache-2.0 */
/* The access token of a grant, for one job: what is in hand, what the database has, and a refresh where
 * neither will do. */
#include "oidc/refresh.h"
#include <apr_strings.h>
#include <string.h>
#include "oidc/refresh_call.h"
#include "oidc/token_endpoint.h"

#define LOOK_AGAIN_MIN (200 * 1000)        /* while another refreshes: 200 to 500 ms */
#define LOOK_AGAIN_SPREAD (300 * 1000)
#define LONGEST_WAIT apr_time_from_sec(90) /* for another's refresh; its mark holds for 60 s */
#define NEXT_TRY apr_time_from_sec(10)     /* at least, after a refresh that failed while the access token still lives */

typedef struct call_t call_t;
struct call_t {
    call_t *next;
    p2p_token_fn fn;
    void *baton;
    const char *refused; /* "" for none */
    apr_pool_t *pool;    /* of this call */
};

struct p2p_token_t {
    apr_pool_t *pool, *scratch; /* scratch: of one look at the grant */
    p2p_http_t *http;
    p2p_db_t *db;
    const p2p_keyring_t *keyring;
    const p2p_clock_t *clock;
    const p2p_log_t *log;
    const p2p_oidc_server_t *server;
    apr_int64_t grant_id;
    const char *owner;
    call_t *calls, **last;
    int at_work; /* callbacks may be on the stack */
    apr_pool_t *held;     /* what access and patient live in */
    const char *access;   /* "" before the first look */
    apr_time_t expires;   /* wall clock; 0: not known */
    apr_time_t refreshed; /* wall clock: when it was, by us or, as far as we saw, another; 0: it was not */
    apr_interval_time_t margin;
    const char *patient;  /* or NULL */
    const char *member;   /* who that has to be; NULL: not known */
    apr_time_t not_before; /* monotonic: no refresh before that, while the access token lives */
    apr_time_t quiet_until; /* monotonic: the endpoint wants to be left alone until then */
    apr_time_t waiting_since; /* monotonic; 0: not waiting for another's refresh */
    p2p_token_endpoint_t *endpoint;
    int is_searching;
    p2p_http_timer_t *timer;
    p2p_refresh_call_t *refresh;
};

static void step(p2p_token_t *token);

static apr_time_t wall(const p2p_token_t *token)
{
    return token->clock->now(token->clock->baton);
}

static apr_time_t monotonic(const p2p_token_t *token)
{
    return token->clock->monotonic(token->clock->baton);
}

/* What became of the job does not touch a refresh under way. */
static apr_status_t token_end(void *baton)
{
    p2p_token_t *token = baton;

    p2p_token_cancel(token);
    if (token->refresh) p2p_refresh_call_forget(token->refresh);
    return APR_SUCCESS;
}

p2p_token_t *p2p_token_make(apr_pool_t *p, p2p_http_t *http, p2p_db_t *db, const p2p_keyring_t *keyring,
                            const p2p_clock_t *clock, const p2p_log_t *log, const p2p_oidc_server_t *server,
                            apr_int64_t grant_id, const char *owner)
{
    p2p_token_t *token = apr_pcalloc(p, sizeof *token);

    token->pool = p;
    apr_pool_create(&token->scratch, p);
    apr_pool_create(&token->held, p);
    token->http = http;
    token->db = db;
    token->keyring = keyring;
    token->clock = clock;
    token->log = log;
    token->server = server;
    token->grant_id = grant_id;
    token->owner = owner;
    token->last = &token->calls;
    token->access = "";
    token->endpoint = p2p_token_endpoint_make(p, http, server);
    apr_pool_pre_cleanup_register(p, token, token_end);
    return token;
}

void p2p_token_set_member(p2p_token_t *token, const char *patient)
{
    token->member = apr_pstrdup(token->pool, patient);
}

/* The token in hand. */

static void hold(p2p_token_t *token, const char *access, apr_time_t expires, const char *patient)
{
    apr_time_t issued = 0, now = wall(token);
    apr_interval_time_t life;
    apr_pool_t *held;

    if (!strcmp(access, token->access)) return;
    if (*token->access) token->refreshed = now;
    apr_pool_create(&held, token->pool);
    token->access = apr_pstrdup(held, access);
    token->patient = patient ? apr_pstrdup(held, patient) : token->patient ? apr_pstrdup(held, token->patient) : NULL;
    token->expires = expires ? expires : p2p_token_jwt_expires(held, access, &issued);
    life = token->expires - (issued && issued < token->expires ? issued : now);
    token->margin = p2p_token_margin(life);
    apr_pool_destroy(token->held);
    token->held = held;
    token->not_before = 0;
}

/* Not refused, and not at its end, bar the margin told. */
static int is_good(const p2p_token_t *token, const call_t *call, apr_interval_time_t margin)
{
    if (!*token->access || !strcmp(token->access, call->refused)) return 0;
    return !token->expires || wall(token) < token->expires - margin;
}

static int is_fresh(const p2p_token_t *token, const call_t *call)
{
    return is_good(token, call, monotonic(token) < token->not_before ? 0 : token->margin);
}

/* Calls. */

static void tell(p2p_token_t *token, const char *access, const p2p_error_t *error)
{
    call_t *call = token->calls;

    if (!error && token->patient && token->member && strcmp(token->patient, token->member))
        error = p2p_error_make(token->scratch, P2P_E_REFUSED, "token-of-another-patient",
                               "The source's token is for another patient than sourcePayer.patientId; authorise again.");
    token->calls = call->next;
    if (!token->calls) token->last = &token->calls;
    token->waiting_since = 0;
    call->fn(call->baton, error ? NULL : access, error ? NULL : token->patient, error);
    apr_pool_destroy(call->pool);
}

static const p2p_error_t *refused(p2p_token_t *token)
{
    return p2p_error_make(token->scratch, P2P_E_REFUSED, "token-refused",
                          "The source's authorization is not valid any more. The member has to authorise the exchange "
                          "again.");
}

/* Those that wait now, not those that their callbacks add. After an error, whoever can still use the token in
 * hand gets it. A new token is given however short it lives, else there would be no end; one that was refused
 * before is not. */
static void tell_all(p2p_token_t *token, const p2p_error_t *error)
{
    int n = 0;

    token->at_work++;
    for (const call_t *call = token->calls; call; call = call->next) n++;
    for (; n > 0 && token->calls; n--) {
        int good = error ? is_good(token, token->calls, 0) : strcmp(token->access, token->calls->refused) != 0;
        if (good) tell(token, token->access, NULL);
        else tell(token, NULL, error ? error : refused(token));
    }
    token->at_work--;
}

/* A refresh that failed may have been heard all the same: the access token is used to its end first. */
static void fail_refresh(p2p_token_t *token, const p2p_error_t *error)
{
    apr_interval_time_t left = token->expires - wall(token);

    token->not_before = monotonic(token) + (left > NEXT_TRY ? left : NEXT_TRY);
    tell_all(token, error);
    step(token);
}

/* Steps: each goes on from the loop or leads to step again. */

static void on_time(void *baton)
{
    p2p_token_t *token = baton;

    token->timer = NULL;
    step(token);
}

static void look_again(p2p_token_t *token)
{
    apr_uint32_t random = 0;
    p2p_error_t *no_jitter;

    if (!token->waiting_since) token->waiting_since = monotonic(token);
    if (monotonic(token) - token->waiting_since > LONGEST_WAIT) {
        tell_all(token, p2p_error_make(token->scratch, P2P_E_UNAVAILABLE, "token-endpoint-unreachable",
                                       "A refresh of the source's token by another job did not end. Try again later."));
        return;
    }
    no_jitter = p2p_random(token->scratch, &random, sizeof random);
    if (no_jitter) p2p_log_error(token->log, P2P_LOG_WARN, "Waiting for a token", no_jitter);
    token->timer = token->http->after(token->http, LOOK_AGAIN_MIN + (apr_interval_time_t)(random % LOOK_AGAIN_SPREAD),
                                      on_time, token);
}

static void on_refreshed(void *baton, const p2p_refreshed_t *refreshed, const p2p_error_t *error)
{
    p2p_token_t *token = baton;
    const p2p_token_answer_t *answer = &refreshed->tokens;

    token->refresh = NULL;
    if (!error) p2p_token_endpoint_set_method(token->endpoint, refreshed->method);
    if (error && error->kind == P2P_E_LOST) {
        look_again(token);
        return;
    }
    if (error) {
        if (refreshed->wait) token->quiet_until = monotonic(token) + refreshed->wait;
        fail_refresh(token, error);
        return;
    }
    hold(token, answer->access_token, refreshed->expires, answer->patient);
    token->refreshed = wall(token);
    tell_all(token, NULL);
    step(token);
}

static void on_endpoint(void *baton, const p2p_error_t *error)
{
    p2p_token_t *token = baton;

    token->is_searching = 0;
    if (error) fail_refresh(token, error);
    else step(token);
}

static void begin_refresh(p2p_token_t *token, const p2p_grant_t *grant, const char *endpoint)
{
    p2p_refresh_order_t order = {
        .http = token->http, .db = token->db, .keyring = token->keyring, .clock = token->clock, .log = token->log,
        .server = token->server, .grant_id = grant->id, .owner = token->owner, .endpoint = endpoint,
        .refresh_token = grant->refresh_token, .method = p2p_token_endpoint_method(token->endpoint),
        .can_wait = is_good(token, token->calls, 0)};
    int mine = 0;
    p2p_error_t *error;

    error = p2p_grant_begin_refresh(token->db, token->scratch, grant->id, grant->version, token->owner, &mine);
    if (error) tell_all(token, error);
    else if (mine) token->refresh = p2p_refresh_call_begin(&order, on_refreshed, token);
    else if (is_good(token, token->calls, 0)) tell(token, token->access, NULL);
    else look_again(token);
}

/* Where the endpoint is has to be known before the mark is made: looking for it takes its time. */
static void refresh(p2p_token_t *token, const p2p_grant_t *grant)
{
    const char *endpoint = p2p_token_endpoint_known(token->endpoint);

    if (monotonic(token) < token->quiet_until) {
        fail_refresh(token, p2p_error_make(token->scratch, P2P_E_UNAVAILABLE, "token-endpoint-unreachable",
                                           "The source's token endpoint asks to come again later."));
        return;
    }
    if (endpoint) {
        begin_refresh(token, grant, endpoint);
        return;
    }
    token->is_searching = 1;
    p2p_token_endpoint_find(token->endpoint, on_endpoint, token);
}

/* What is in hand will not do for the first call. */
static void look_at_grant(p2p_token_t *token)
{
    p2p_grant_t *grant;
    p2p_error_t *error;

    apr_pool_clear(token->scratch);
    error = p2p_grant_get(token->db, token->scratch, token->keyring, token->grant_id, &grant);
    if (error) {
        tell_all(token, error);
        return;
    }
    if (*grant->access_token) hold(token, grant->access_token, grant->access_expires, NULL);
    /* What became of a refresh in doubt is not known: the live access token is used to its end first. */
    if (is_fresh(token, token->calls) || (grant->in_doubt && is_good(token, token->calls, 0)))
        tell(token, token->access, NULL);
    else if (grant->ended || !*grant->refresh_token) tell_all(token, refused(token));
    else refresh(token, grant);
}

/* Callbacks may ask again: that only adds a call, which the loop here comes to. */
static void step(p2p_token_t *token)
{
    if (token->at_work) return;
    token->at_work++;
    while (token->calls && !token->refresh && !token->timer && !token->is_searching) {
        if (is_fresh(token, token->calls)) tell(token, token->access, NULL);
        else look_at_grant(token);
    }
    token->at_work--;
}

void p2p_token_get(p2p_token_t *token, const char *refused_token, p2p_token_fn fn, void *baton)
{
    apr_pool_t *pool;
    call_t *call;

    apr_pool_create(&pool, token->pool);
    call = apr_pcalloc(pool, sizeof *call);
    call->pool = pool;
    call->fn = fn;
    call->baton = baton;
    call->refused = refused_token ? apr_pstrdup(pool, refused_token) : "";
    *token->last = call;
    token->last = &call->next;
    step(token);
}

int p2p_token_is_over(const p2p_token_t *token, const char *access_token)
{
    return strcmp(token->access, access_token) != 0 || (token->expires && wall(token) >= token->expires - token->margin);
}

void p2p_token_cancel(p2p_token_t *token)
{
    call_t *call;

    while ((call = token->calls)) {
        token->calls = call->next;
        apr_pool_destroy(call->pool);
    }
    token->last = &token->calls;
    if (token->timer) token->http->cancel_timer(token->timer);
    token->timer = NULL;
    p2p_token_endpoint_cancel(token->endpoint);
    token->is_searching = 0;
    token->waiting_since = 0;
}

int p2p_token_busy(const p2p_token_t *token)
{
    return token->refresh != NULL;
}

apr_time_t p2p_token_refreshed(const p2p_token_t *token)
{
    return token->refreshed;
}

p2p_token_wait_t p2p_token_waits(const p2p_token_t *token, apr_time_t *until)
{
    *until = token->refresh ? p2p_refresh_call_due(token->refresh) : 0;
    if (!token->calls) return P2P_TOKEN_NOT_WANTED;
    if (*until) return P2P_TOKEN_COMES_AGAIN;
    return token->refresh || token->is_searching ? P2P_TOKEN_ASKED_FOR : P2P_TOKEN_ELSEWHERE;
}
