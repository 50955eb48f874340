/* SPDX-License-Identifier: Apache-2.0 */
/* One check of the Subscription: 1. found, by id or by its endpoint, else made; 2. as the configuration has it, else written; 3. active, else
 * waited for, switched on again, or made active; 4. alone. */
#include "runner/subscription_run.h"

#include <string.h>
#include <apr_strings.h>

#include "base/uri.h"
#include "exchange/retry.h"
#include "fhir/answer.h"
#include "fhir/subscription.h"
#include "runner/chore_run.h"
#include "store/chore_store.h"
#include "store/subscription_store.h"
#include "store/task_hint_store.h"

#define ANSWER_MAX (4 << 20)
#define EVERY apr_time_from_sec(600)    /* while all is well */
#define SOON apr_time_from_sec(60)      /* after it was switched on again */
#define REFUSED apr_time_from_sec(3600) /* where the target takes none */
#define AGAIN apr_time_from_sec(10)     /* after trouble, doubled each time up to EVERY */
#define OUTCOME_MAX 300                 /* bytes of the target's own words */
#define SURPLUS_MAX 20                  /* that are removed at a time */

/* Until it is active it is asked after so long, in seconds; then it is made active. */
static const int waits[] = {2, 4, 8, 8};

#define WAITS ((int)(sizeof waits / sizeof *waits))

typedef struct check_t {
    p2p_chore_run_t run; /* first */
    p2p_subscription_t *row;  /* as it was noted, */
    p2p_subscription_t found; /* and is noted at the end */
    apr_interval_time_t next;
    p2p_hook_subscription_t wanted;
    const char *id;           /* under which it is asked for; "" until it is known */
    int writes;               /* of its contents, in this check; once is enough */
    int creations, switches, waited, made_active, searched_again;
    const p2p_hook_subscription_t *surplus; /* SURPLUS_MAX at most, */
    int surplus_count, removed;             /* of them removed */
    p2p_http_timer_t *timer;
} check_t;

static void get(void *baton);
static void search(check_t *c, p2p_http_whole_fn done);
static void sweep(check_t *c);

/* ---- The end ---- */

/* Where the status has changed, whatever was not told meanwhile is searched for. */
static p2p_error_t *write_found(void *work, apr_pool_t *p)
{
    check_t *c = work;
    const p2p_exchange_context_t *context = c->run.context;
    const p2p_spec_t *spec = context->spec;

    if (!c->row && *c->found.fault)
        P2P_TRY(p2p_subscription_fault(context->db, p, spec->target, spec->hook_url, c->found.fault, EVERY));
    if (c->row) P2P_TRY(p2p_subscription_note(context->db, p, spec->target, spec->hook_url, &c->found, c->next));
    if (c->row && strcmp(c->row->status, c->found.status)) P2P_TRY(p2p_task_hint_search(context->db, p, spec->target));
    return p2p_chore_forget(context->db, p, c->run.chore, context->owner);
}

static void end(check_t *c, apr_interval_time_t next)
{
    c->next = next;
    p2p_chore_run_end(&c->run, write_found);
}

/* Said once, not at each attempt. */
static void say(check_t *c, p2p_log_level_t level, const char *fault)
{
    c->found.fault = apr_pstrdup(c->run.pool, fault);
    p2p_log(c->run.context->log, strcmp(c->row->fault, fault) ? level : P2P_LOG_DEBUG, "The Subscription at the target: %s", fault);
}

/* Doubled with each check in a row that did not find it well. */
static apr_interval_time_t longer(const check_t *c, apr_interval_time_t next)
{
    return p2p_chore_run_doubled(next, EVERY, c->row->attempts);
}

static void fail(check_t *c, const char *fault)
{
    c->found.attempts = c->row->attempts + 1;
    say(c, P2P_LOG_WARN, fault);
    end(c, longer(c, AGAIN));
}

/* Does a text repeat something of what was sent that nobody else should read? */
static int repeats(const check_t *c, const char *text)
{
    for (int i = 0; i < c->wanted.headers->nelts; i++) {
        const char *header = APR_ARRAY_IDX(c->wanted.headers, i, const char *), *value = strchr(header, ':');

        if (value && strstr(text, value + 1 + strspn(value + 1, " "))) return 1;
    }
    return strstr(text, c->row->secret) != NULL;
}

static const char *words_of(const check_t *c, const char *body, apr_size_t len)
{
    const char *text = len ? p2p_outcome_text(c->run.asking, body, len) : "";

    if (!*text || repeats(c, text)) return "";
    return apr_psprintf(c->run.asking, " (%.*s)", OUTCOME_MAX, text);
}

/* The target takes no Subscriptions, or not this one: Tasks are searched for. */
static void refuse(check_t *c, const char *what, int status, const char *body, apr_size_t len)
{
    c->found.status = P2P_SUBSCRIPTION_REFUSED;
    c->found.attempts = 0;
    say(c, P2P_LOG_WARN, apr_psprintf(c->run.asking, "%s is answered %d%s; Tasks are searched for every 10 seconds instead, and this is tried "
                                      "again every hour.", what, status, words_of(c, body, len)));
    end(c, REFUSED);
}

/* What says nothing about Subscriptions: the check is over then. */
static int is_trouble(check_t *c, const char *what, int status, const p2p_error_t *error)
{
    apr_pool_t *p = c->run.asking;

    if (error) fail(c, apr_psprintf(p, "%s: %s", what, error->sentence));
    else if (status == 401 || status == 403)
        fail(c, apr_psprintf(p, "%s is answered %d: what P2PTargetAuth names has to be allowed to read and write Subscriptions there.", what, status));
    else if (p2p_retry_status(status) || status < 200 || (status >= 300 && status < 400) || status == 409)
        fail(c, apr_psprintf(p, "%s is answered %d.", what, status));
    else return 0;
    return 1;
}

/* ---- Asking ---- */

static void ask(check_t *c, const char *method, const char *path, const char *body, apr_size_t len, const char *condition, p2p_http_whole_fn done)
{
    apr_pool_t *p = c->run.asking;
    apr_array_header_t *fields = apr_array_make(p, 4, sizeof(const char *));
    p2p_http_text_t *text = apr_pcalloc(p, sizeof *text);
    p2p_http_request_t request = {.method = method, .fields = fields, .max_bytes = ANSWER_MAX};

    request.url = apr_pstrcat(p, c->run.context->spec->target, "/Subscription", path, NULL);
    APR_ARRAY_PUSH(fields, const char *) = "Accept: application/fhir+json";
    APR_ARRAY_PUSH(fields, const char *) = body ? "Content-Type: application/fhir+json" : "Cache-Control: no-cache";
    if (condition) APR_ARRAY_PUSH(fields, const char *) = apr_pstrcat(p, "If-None-Exist: ", condition, NULL);
    if (body) p2p_http_text(text, body, len);
    if (body) request.body = &text->body;
    p2p_chore_run_ask(&c->run, &request, P2P_CHORE_ANSWER, done);
}

static void ask_one(check_t *c, const char *method, const char *id, p2p_http_whole_fn done)
{
    ask(c, method, apr_pstrcat(c->run.asking, "/", id, NULL), NULL, 0, NULL, done);
}

static const char *endpoint_query(const check_t *c)
{
    return apr_pstrcat(c->run.asking, "url=", p2p_uri_encode(c->run.asking, c->wanted.endpoint), NULL);
}

static const char *print(check_t *c, const char *id, const char *status, apr_size_t *len)
{
    c->wanted.id = id;
    c->wanted.status = status;
    return p2p_hook_subscription_print(c->run.asking, &c->wanted, len);
}

static void put(check_t *c, const char *status, p2p_http_whole_fn done)
{
    apr_size_t len;
    const char *body = print(c, c->id, status, &len);

    ask(c, "PUT", apr_pstrcat(c->run.asking, "/", c->id, NULL), body, len, NULL, done);
}

static apr_status_t cancel_timer(void *data)
{
    check_t *c = data;

    if (c->timer) c->run.http->cancel_timer(c->timer);
    c->timer = NULL;
    return APR_SUCCESS;
}

static void on_timer(void *baton)
{
    check_t *c = baton;

    c->timer = NULL;
    get(c);
}

/* ---- 3. Is it active? ---- */

/* Written, be it whole or its status: what the target made of it is looked at. */
static void on_written(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len, const p2p_error_t *error)
{
    check_t *c = baton;

    (void)fields;
    if (is_trouble(c, "PUT Subscription", status, error)) return;
    if (status == 404 || status == 410 || status == 412) fail(c, apr_psprintf(c->run.asking, "PUT Subscription is answered %d.", status));
    else if (status >= 400) refuse(c, "PUT Subscription", status, body, len);
    else get(c);
}

/* HAPI activates what is requested within seconds; others leave that to whoever wrote it. */
static void wait_for_it(check_t *c)
{
    if (c->waited < WAITS) {
        c->timer = c->run.http->after(c->run.http, apr_time_from_sec(waits[c->waited++]), on_timer, c);
    } else if (!c->made_active) {
        c->made_active = 1;
        put(c, P2P_SUBSCRIPTION_ACTIVE, on_written);
    } else {
        c->found.status = "requested";
        fail(c, "it is there, but the target does not make it active, nor let us; Tasks are searched for every 10 seconds meanwhile.");
    }
}

/* The row's attempts count how often in a row it was found so: each time it is looked at again after longer. */
static void switch_on(check_t *c, const char *status)
{
    const p2p_log_t *log = c->run.context->log;

    c->found.status = apr_pstrdup(c->run.pool, status);
    if (c->switches++) {
        fail(c, apr_psprintf(c->run.asking, "the target has set it to %s again at once.", status));
        return;
    }
    p2p_log(log, P2P_LOG_WARN, "The Subscription at the target: it was found to be %s, and is switched on again.", status);
    put(c, "requested", on_written);
}

static void is_active(check_t *c)
{
    if (strcmp(c->row->status, P2P_SUBSCRIPTION_ACTIVE) || c->switches)
        p2p_log(c->run.context->log, P2P_LOG_NOTICE, "The Subscription at the target: it is active.");
    c->found.status = P2P_SUBSCRIPTION_ACTIVE;
    c->found.fault = "";
    c->found.attempts = c->switches ? c->row->attempts + 1 : 0;
    sweep(c);
}

static void look_at_status(check_t *c, const char *status)
{
    if (!strcmp(status, P2P_SUBSCRIPTION_ACTIVE)) is_active(c);
    else if (!strcmp(status, "requested")) wait_for_it(c);
    else switch_on(c, strcmp(status, "error") ? "off" : "error");
}

/* ---- 2. Is it as it should be? ---- */

/* A server that shows it otherwise than it was written (a header hidden, say) is known by its fingerprint: it is written again where either
 * has changed since. */
static void compare(check_t *c, const p2p_hook_subscription_t *there)
{
    apr_pool_t *p = c->run.asking;
    const char *prints = apr_pstrcat(p, p2p_hook_subscription_fingerprint(p, &c->wanted), " ", p2p_hook_subscription_fingerprint(p, there), NULL);

    c->found.id = c->id = apr_pstrdup(c->run.pool, there->id);
    if (!c->writes && !p2p_hook_subscription_same(p, &c->wanted, there) && strcmp(prints, c->row->written)) {
        c->writes++;
        p2p_log(c->run.context->log, P2P_LOG_NOTICE, "The Subscription at the target: it is brought up to date.");
        put(c, "requested", on_written);
        return;
    }
    c->found.written = apr_pstrdup(c->run.pool, prints);
    look_at_status(c, there->status);
}

/* ---- 1. Finding or making it ---- */

static void on_created(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len, const p2p_error_t *error);
static void on_searched(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len, const p2p_error_t *error);

/* Where one for our endpoint is there already, the target makes none. */
static void create(check_t *c)
{
    apr_size_t len;
    const char *body = print(c, "", "requested", &len);

    if (c->creations++) {
        fail(c, "it was created, but cannot be found.");
        return;
    }
    ask(c, "POST", "", body, len, endpoint_query(c), on_created);
}

/* The id in …/Subscription/{id}, with or without a version; NULL where there is none. */
static const char *id_in_location(apr_pool_t *p, const apr_table_t *fields)
{
    const char *location = fields ? apr_table_get(fields, "Location") : NULL, *at = NULL;
    apr_size_t len;

    for (const char *next = location; next && (next = strstr(next, "Subscription/")); next++) at = next + strlen("Subscription/");
    if (!at) return NULL;
    len = strcspn(at, "/?#");
    return p2p_is_fhir_id(at, len) ? apr_pstrmemdup(p, at, len) : NULL;
}

/* The id under which it was written, by Location or by what it brings; NULL where neither tells. */
static const char *id_in_answer(check_t *c, const apr_table_t *fields, const char *body, apr_size_t len)
{
    const char *id = id_in_location(c->run.pool, fields);
    p2p_hook_subscription_t *said = NULL;

    if (!id && !p2p_hook_subscription_read(c->run.pool, body, len, &said) && said) id = said->id;
    return id;
}

static void on_created(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len, const p2p_error_t *error)
{
    check_t *c = baton;
    const char *id;

    if (is_trouble(c, "POST Subscription", status, error)) return;
    if (status >= 400 && status != 412) {
        refuse(c, "POST Subscription", status, body, len);
        return;
    }
    id = id_in_answer(c, fields, body, len);
    if (status == 412 || !id) {
        search(c, on_searched);
        return;
    }
    if (status == 201) c->writes++;
    c->id = id;
    get(c);
}

static int is_ours(const check_t *c, const p2p_hook_subscription_t *one)
{
    return !strcmp(one->endpoint, c->wanted.endpoint) && !strcmp(one->reason, P2P_HOOK_REASON);
}

/* Of several the one that each host chooses: ours before one that somebody made by hand, then by id. */
static const p2p_hook_subscription_t *choose(const check_t *c, const apr_array_header_t *all)
{
    const p2p_hook_subscription_t *best = NULL;

    for (int i = 0; i < all->nelts; i++) {
        const p2p_hook_subscription_t *one = &APR_ARRAY_IDX(all, i, p2p_hook_subscription_t);
        int better = !best || is_ours(c, one) > is_ours(c, best) || (is_ours(c, one) == is_ours(c, best) && strcmp(one->id, best->id) < 0);

        if (!strcmp(one->endpoint, c->wanted.endpoint) && better) best = one;
    }
    return best;
}

/* A server that cannot search for them takes If-None-Exist no better; it is asked to make one all the same. */
static void on_searched(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len, const p2p_error_t *error)
{
    check_t *c = baton;
    const p2p_hook_subscription_t *best = NULL;
    apr_array_header_t *all;

    (void)fields;
    if (is_trouble(c, "GET Subscription?url=", status, error)) return;
    if (status == 200 && !p2p_hook_subscription_read_page(c->run.asking, body, len, &all)) best = choose(c, all);
    if (!best) {
        if (c->searched_again) fail(c, "it has gone away while it was looked at.");
        else create(c);
        return;
    }
    c->id = best->id;
    compare(c, best);
}

static void search(check_t *c, p2p_http_whole_fn done)
{
    ask(c, "GET", apr_pstrcat(c->run.asking, "?", endpoint_query(c), "&_count=50", NULL), NULL, 0, NULL, done);
}

/* Who may not choose an id is told so by 404 or 405, or by a 400; what he may do is seen when it is created. Some take it and choose one all the
 * same. */
static void on_put_new(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len, const p2p_error_t *error)
{
    check_t *c = baton;

    if (is_trouble(c, "PUT Subscription", status, error)) return;
    c->writes = status < 400;
    if (c->writes) {
        const char *id = id_in_answer(c, fields, body, len);

        if (id) c->id = id;
        get(c);
    } else {
        search(c, on_searched);
    }
}

static void missing(check_t *c)
{
    const p2p_spec_t *spec = c->run.context->spec;

    if (c->writes && !c->switches && !c->made_active && !c->searched_again) {
        c->searched_again = 1;
        search(c, on_searched);
        return;
    }
    if (c->writes || c->switches || c->made_active) {
        fail(c, "it has gone away while it was looked at.");
        return;
    }
    if (spec->conditional_ids) {
        search(c, on_searched);
        return;
    }
    c->id = p2p_hook_subscription_id(c->run.pool, spec->hook_url);
    put(c, "requested", on_put_new);
}

static void on_got(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len, const p2p_error_t *error)
{
    check_t *c = baton;
    p2p_hook_subscription_t *said = NULL;

    (void)fields;
    if (is_trouble(c, "GET Subscription", status, error)) return;
    if (status == 404 || status == 410) missing(c);
    else if (status >= 400) refuse(c, "GET Subscription", status, body, len);
    else if (p2p_hook_subscription_read(c->run.asking, body, len, &said) || !said) fail(c, "GET Subscription brings no Subscription.");
    else compare(c, said);
}

static void get(void *baton)
{
    check_t *c = baton;

    ask_one(c, "GET", c->id, on_got);
}

/* ---- 4. Is it the only one? ---- */

static void remove_next(check_t *c);

static void on_removed(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len, const p2p_error_t *error)
{
    check_t *c = baton;

    (void)fields, (void)body, (void)len;
    if (!error && (status < 300 || status == 404 || status == 410))
        p2p_log(c->run.context->log, P2P_LOG_NOTICE, "The Subscription at the target: a second one of ours for the same endpoint was removed.");
    remove_next(c);
}

static void remove_next(check_t *c)
{
    if (c->removed < c->surplus_count) ask_one(c, "DELETE", c->surplus[c->removed++].id, on_removed);
    else end(c, c->switches ? longer(c, SOON) : EVERY);
}

/* That more than one delivers does no harm: where the search fails, the next check has another. */
static void on_swept(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len, const p2p_error_t *error)
{
    check_t *c = baton;
    apr_array_header_t *all = NULL;
    p2p_hook_subscription_t *surplus = apr_pcalloc(c->run.asking, SURPLUS_MAX * sizeof *surplus);

    (void)fields;
    if (error || status != 200 || p2p_hook_subscription_read_page(c->run.asking, body, len, &all)) all = NULL;
    for (int i = 0; all && i < all->nelts && c->surplus_count < SURPLUS_MAX; i++) {
        const p2p_hook_subscription_t *one = &APR_ARRAY_IDX(all, i, p2p_hook_subscription_t);

        if (is_ours(c, one) && strcmp(one->id, c->id)) surplus[c->surplus_count++] = *one;
    }
    c->surplus = surplus;
    remove_next(c);
}

static void sweep(check_t *c)
{
    search(c, on_swept);
}

/* ---- The beginning ---- */

static const apr_array_header_t *wanted_headers(apr_pool_t *p, const p2p_spec_t *spec, const char *secret)
{
    apr_array_header_t *headers = apr_array_make(p, 2, sizeof(const char *));
    char *state, *line, *copy = apr_pstrdup(p, spec->subscription_headers);

    APR_ARRAY_PUSH(headers, const char *) = apr_pstrcat(p, "Authorization: Bearer ", secret, NULL);
    for (line = apr_strtok(copy, "\n", &state); line; line = apr_strtok(NULL, "\n", &state)) APR_ARRAY_PUSH(headers, const char *) = line;
    return headers;
}

static void start(void *work)
{
    check_t *c = work;
    const p2p_exchange_context_t *context = c->run.context;
    const p2p_spec_t *spec = context->spec;
    apr_pool_t *p = c->run.pool;
    p2p_error_t *error = NULL;

    if (spec->hook_url) error = p2p_subscription_seed(context->db, p, spec->keyring, spec->target, spec->hook_url, &c->row);
    if (error) p2p_log_error(context->log, P2P_LOG_ERROR, "The Subscription at the target is not looked at now", error);
    c->found.fault = error && error->kind != P2P_E_UNAVAILABLE ? error->sentence : "";
    if (error) c->row = NULL;
    if (!c->row) { /* or it was asked for by another configuration */
        end(c, 0);
        return;
    }
    apr_pool_pre_cleanup_register(c->run.asking, c, cancel_timer);
    c->found = *c->row;
    c->wanted = (p2p_hook_subscription_t){.criteria = spec->subscription_criteria, .type = "rest-hook", .endpoint = spec->hook_url,
        .payload = strcmp(spec->subscription_payload, "none") ? spec->subscription_payload : "", .headers = wanted_headers(p, spec, c->row->secret)};
    c->id = *c->row->id ? c->row->id : spec->conditional_ids ? "" : p2p_hook_subscription_id(p, spec->hook_url);
    if (*c->id) get(c);
    else search(c, on_searched);
}

static void *begin(p2p_exchange_context_t *context, const p2p_chore_t *job, void (*ended)(void *baton), void *baton)
{
    check_t *c = p2p_chore_run_make(sizeof(check_t), context, job, start, ended, baton);

    c->run.http = context->target_http;
    return c;
}

const p2p_work_kind_t p2p_work_subscription = {P2P_KIND_SUBSCRIPTION, begin, p2p_chore_run_tick, p2p_chore_run_busy, p2p_chore_run_destroy};

/* ---- When ---- */

p2p_error_t *p2p_subscription_ask(const p2p_exchange_context_t *context, apr_pool_t *p, int *asked)
{
    p2p_chore_order_t order = {.kind = P2P_KIND_SUBSCRIPTION, .target = context->spec->target, .subject = "", .client = ""};
    p2p_chore_t *chore;
    int again;

    *asked = 0;
    if (!context->spec->hook_url) return NULL;
    P2P_TRY(p2p_chore_enqueue(context->db, p, &order, &chore, &again));
    *asked = !again;
    return NULL;
}

p2p_error_t *p2p_subscription_ask_due(const p2p_exchange_context_t *context, apr_pool_t *p, int *asked)
{
    const p2p_spec_t *spec = context->spec;
    int due;

    *asked = 0;
    if (!spec->hook_url) return NULL;
    P2P_TRY(p2p_subscription_due(context->db, p, spec->target, spec->hook_url, &due));
    return due ? p2p_subscription_ask(context, p, asked) : NULL;
}
