/* SPDX-License-Identifier: Apache-2.0 */
/* Faults on demand: rules, which requests meet them, and those that come before any work. */
#include <json-c/json.h>
#include "sandbox.h"

typedef struct sandbox_faults_t {
    apr_pool_t *pool;
    apr_array_header_t *rules; /* sandbox_rule_t * */
} sandbox_faults_t;

static const struct {
    const char *name;
    sandbox_do_t act;
} acts[] = {{"status", SANDBOX_DO_STATUS}, {"delay", SANDBOX_DO_DELAY}, {"cut", SANDBOX_DO_CUT},
            {"stall", SANDBOX_DO_STALL}, {"drop", SANDBOX_DO_DROP}, {"expired-token", SANDBOX_DO_EXPIRED},
            {"page-loop", SANDBOX_DO_LOOP}, {"not-json", SANDBOX_DO_NOT_JSON}, {"reject", SANDBOX_DO_REJECT},
            {"redirect", SANDBOX_DO_REDIRECT}, {"wrong-total", SANDBOX_DO_TOTAL}, {"endless", SANDBOX_DO_ENDLESS},
            {"xml-links", SANDBOX_DO_FORMAT}};

static const char *text_of(apr_pool_t *pool, json_object *rule, const char *name, const char *fallback)
{
    json_object *value;

    if (!json_object_object_get_ex(rule, name, &value) || !value) return fallback;
    return apr_pstrdup(pool, json_object_get_string(value));
}

static int number_of(json_object *rule, const char *name, int fallback)
{
    json_object *value;

    if (!json_object_object_get_ex(rule, name, &value)) return fallback;
    return json_object_get_int(value);
}

static int act_of(const char *name, sandbox_do_t *act)
{
    for (apr_size_t i = 0; name && i < sizeof(acts) / sizeof(acts[0]); i++) {
        if (strcmp(acts[i].name, name) != 0) continue;
        *act = acts[i].act;
        return 1;
    }
    return 0;
}

static void read_match(apr_pool_t *pool, sandbox_rule_t *rule, const char *match)
{
    const char *space = strchr(match, ' ');

    rule->substring = space ? space + 1 : match;
    if (space) rule->method = apr_pstrmemdup(pool, match, (apr_size_t)(space - match));
    if (rule->method && strcmp(rule->method, "*") == 0) rule->method = NULL;
    if (strcmp(rule->substring, "*") == 0 || !*rule->substring) rule->substring = NULL;
}

static int default_status(sandbox_do_t act)
{
    switch (act) {
    case SANDBOX_DO_REDIRECT: return HTTP_MOVED_TEMPORARILY;
    case SANDBOX_DO_REJECT: return HTTP_UNPROCESSABLE_ENTITY;
    default: return HTTP_SERVICE_UNAVAILABLE;
    }
}

static const char *read_rule(sandbox_faults_t *faults, json_object *object)
{
    apr_pool_t *pool = faults->pool;
    sandbox_rule_t *rule = apr_pcalloc(pool, sizeof(*rule));

    if (!json_object_is_type(object, json_type_object)) return "a rule must be an object";
    if (!act_of(text_of(pool, object, "do", NULL), &rule->act)) return "\"do\" names no fault";
    read_match(pool, rule, text_of(pool, object, "match", "*"));
    rule->nth = number_of(object, "nth", 1);
    rule->count = number_of(object, "count", rule->act != SANDBOX_DO_REJECT);
    rule->every = number_of(object, "every", 1);
    rule->status = number_of(object, "status", default_status(rule->act));
    rule->retry_after = number_of(object, "retryAfter", -1);
    rule->retry_date = number_of(object, "retryDate", 0);
    rule->ms = number_of(object, "ms", rule->act == SANDBOX_DO_STALL ? 600000 : 100);
    rule->to = number_of(object, "to", 0);
    rule->inside = number_of(object, "inside", 0);
    rule->after = number_of(object, "after", 0);
    rule->body = text_of(pool, object, "body", "outcome");
    rule->length = text_of(pool, object, "length", "right");
    rule->resource = text_of(pool, object, "resource", NULL);
    rule->contains = text_of(pool, object, "contains", NULL);
    rule->location = text_of(pool, object, "location", NULL);
    rule->text = text_of(pool, object, "text", NULL);
    if (rule->every < 1 || rule->nth < 1) return "\"nth\" and \"every\" count from 1";
    APR_ARRAY_PUSH(faults->rules, sandbox_rule_t *) = rule;
    return NULL;
}

static const char *read_rules(sandbox_faults_t *faults, json_object *json)
{
    const char *fault = NULL;

    if (!json) return "the rules are not JSON";
    if (!json_object_is_type(json, json_type_array)) return read_rule(faults, json);
    for (apr_size_t i = 0; i < json_object_array_length(json) && !fault; i++)
        fault = read_rule(faults, json_object_array_get_idx(json, i));
    return fault;
}

const char *sandbox_faults_add(sandbox_payer_t *payer, const char *text, apr_size_t len, int replace)
{
    struct json_tokener *tokener = json_tokener_new();
    json_object *json = json_tokener_parse_ex(tokener, text, (int)len);
    const char *fault;

    apr_thread_mutex_lock(payer->mutex);
    if (replace) apr_array_clear(payer->rules->rules);
    fault = read_rules(payer->rules, json);
    apr_thread_mutex_unlock(payer->mutex);
    json_object_put(json);
    json_tokener_free(tokener);
    return fault;
}

void sandbox_faults_make(sandbox_payer_t *payer, apr_pool_t *pool)
{
    payer->rules = apr_pcalloc(pool, sizeof(*payer->rules));
    apr_pool_create(&payer->rules->pool, pool);
    payer->rules->rules = apr_array_make(pool, 8, sizeof(sandbox_rule_t *));
    for (int i = 0; i < payer->faults->nelts; i++) {
        const char *text = APR_ARRAY_IDX(payer->faults, i, const char *);

        sandbox_faults_add(payer, text, strlen(text), 0);
    }
}

void sandbox_faults_clear(sandbox_payer_t *payer)
{
    apr_thread_mutex_lock(payer->mutex);
    apr_array_clear(payer->rules->rules);
    apr_thread_mutex_unlock(payer->mutex);
}

void sandbox_faults_show(sandbox_payer_t *payer, p2p_buf_t *buf)
{
    apr_thread_mutex_lock(payer->mutex);
    for (int i = 0; i < payer->rules->rules->nelts; i++) {
        const sandbox_rule_t *rule = APR_ARRAY_IDX(payer->rules->rules, i, sandbox_rule_t *);

        p2p_buf_printf(buf, "%s{\"do\":\"%s\",\"seen\":%" APR_INT64_T_FMT ",\"hits\":%" APR_INT64_T_FMT "}",
                       i ? "," : "[",
                       acts[rule->act].name, rule->seen, rule->hits);
    }
    p2p_buf_puts(buf, payer->rules->rules->nelts ? "]" : "[]");
    apr_thread_mutex_unlock(payer->mutex);
}

/* Of the requests it matches: those from nth on, each every-th of them, count of those (0: all). */
static int meets(sandbox_rule_t *rule, const request_rec *r)
{
    if (rule->method && strcmp(rule->method, r->method) != 0) return 0;
    if (rule->substring && !strstr(r->unparsed_uri, rule->substring)) return 0;
    rule->seen++;
    if (rule->seen < rule->nth || (rule->seen - rule->nth) % rule->every) return 0;
    if (rule->act == SANDBOX_DO_REJECT) return 1;
    if (rule->count && rule->hits >= rule->count) return 0;
    rule->hits++;
    return 1;
}

void sandbox_faults_meet(sandbox_call_t *call)
{
    sandbox_payer_t *payer = call->payer;

    if (!payer->rules->rules->nelts) return;
    apr_thread_mutex_lock(payer->mutex);
    for (int i = 0; i < payer->rules->rules->nelts && call->fired_count < SANDBOX_FIRED; i++) {
        sandbox_rule_t *rule = APR_ARRAY_IDX(payer->rules->rules, i, sandbox_rule_t *);

        if (meets(rule, call->r)) call->fired[call->fired_count++] = rule;
    }
    apr_thread_mutex_unlock(payer->mutex);
}

const sandbox_rule_t *sandbox_fired(const sandbox_call_t *call, sandbox_do_t act)
{
    for (int i = 0; i < call->fired_count; i++)
        if (call->fired[i]->act == act) return call->fired[i];
    return NULL;
}

static int answer_status(sandbox_call_t *call, const sandbox_rule_t *rule)
{
    apr_pool_t *pool = call->r->pool;

    if (rule->retry_after >= 0) {
        apr_time_t when = apr_time_now() + apr_time_from_sec(rule->retry_after);

        apr_table_setn(call->r->err_headers_out, "Retry-After",
                       rule->retry_date ? sandbox_http_date(pool, when) : apr_itoa(pool, rule->retry_after));
    }
    if (strcmp(rule->body, "html") == 0)
        return sandbox_text(call, rule->status, "text/html",
                            "<html><body><h1>Something is wrong</h1></body></html>");
    if (strcmp(rule->body, "empty") == 0) return sandbox_text(call, rule->status, SANDBOX_FHIR_JSON, "");
    if (strcmp(rule->body, "outcome") != 0)
        return sandbox_text(call, rule->status, SANDBOX_FHIR_JSON, rule->body);
    return sandbox_outcome(call, rule->status, rule->text ? rule->text : "the sandbox was told to answer so");
}

static int answer_redirect(sandbox_call_t *call, const sandbox_rule_t *rule)
{
    apr_table_setn(call->r->headers_out, "Location",
                   rule->location ? rule->location : sandbox_base_url(call));
    return sandbox_text(call, rule->status, "text/plain", "elsewhere");
}

int sandbox_faults_before(sandbox_call_t *call, int *rv)
{
    const sandbox_rule_t *rule = sandbox_fired(call, SANDBOX_DO_DELAY);

    if (rule) sandbox_sleep(call->r, rule->ms);
    if (sandbox_fired(call, SANDBOX_DO_DROP)) {
        *rv = sandbox_hang_up(call);
    } else if ((rule = sandbox_fired(call, SANDBOX_DO_STATUS))) {
        *rv = answer_status(call, rule);
    } else if ((rule = sandbox_fired(call, SANDBOX_DO_REDIRECT))) {
        *rv = answer_redirect(call, rule);
    } else if (sandbox_fired(call, SANDBOX_DO_EXPIRED)) {
        apr_table_setn(call->r->err_headers_out, "WWW-Authenticate",
                       "Bearer realm=\"sandbox\", error=\"invalid_token\"");
        *rv = sandbox_outcome(call, HTTP_UNAUTHORIZED, "the access token expired");
    } else {
        return 0;
    }
    return 1;
}

static int contains(sandbox_str_t bytes, const char *text)
{
    return bytes.n && memmem(bytes.p, bytes.n, text, strlen(text)) != NULL;
}

static int names(const sandbox_rule_t *rule, const sandbox_op_t *op)
{
    const char *slash = strchr(rule->resource, '/');

    if (!slash) return sandbox_is(op->type, rule->resource);
    return op->res && strcmp(op->res->key, rule->resource) == 0;
}

/* Unlike other faults a refusal counts resources: count of them (0: all). */
const sandbox_rule_t *sandbox_rejects(const sandbox_call_t *call, const sandbox_op_t *op)
{
    for (int i = 0; i < call->fired_count; i++) {
        sandbox_rule_t *rule = call->fired[i];

        if (rule->act != SANDBOX_DO_REJECT || (rule->count && rule->hits >= rule->count)) continue;
        if (rule->resource && !names(rule, op)) continue;
        if (rule->contains && !contains(op->entry->bytes, rule->contains)) continue;
        rule->hits++;
        return rule;
    }
    return NULL;
}
