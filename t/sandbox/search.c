/* SPDX-License-Identifier: Apache-2.0 */
/* Searches and $everything: found once, remembered, given out page by page from the stored bytes. */
#include "sandbox.h"
#include "search.h"
#include "told.h"

typedef struct sandbox_filter_t {
    sandbox_str_t type;
    const char *id, *identifier;
    const sandbox_resource_t *member, *target;
    const char *told; /* the type, where sandbox_told_fits is to be asked, with args */
    const char *args;
    apr_pool_t *pool;
    int nobody; /* a member or target was asked for that nobody knows */
    apr_time_t after, before;
} sandbox_filter_t;

static const sandbox_resource_t *named(sandbox_call_t *call, const char *value, const char *type)
{
    const char *key = strchr(value, '/') ? value : apr_psprintf(call->r->pool, "%s/%s", type, value);

    return sandbox_find(call->store, key, strlen(key));
}

/* Z, or the minutes by which +01:00 is ahead. */
static int zone_minutes(const char *text)
{
    int hours = 0, minutes = 0;

    if ((*text != '+' && *text != '-') || sscanf(text + 1, "%2d:%2d", &hours, &minutes) != 2) return 0;
    return (*text == '-' ? -1 : 1) * (hours * 60 + minutes);
}

/* 2026-11-22T09:31:54.024Z and shorter: the instant, and how long the text leaves open what comes behind it. */
static int read_time(const char *text, apr_time_t *t, apr_time_t *span)
{
    apr_time_exp_t exp;
    int n, used = 0;

    memset(&exp, 0, sizeof(exp));
    exp.tm_mday = 1;
    n = sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &exp.tm_year, &exp.tm_mon, &exp.tm_mday, &exp.tm_hour, &exp.tm_min,
               &exp.tm_sec, &used);
    if (n < 3) return 0;
    exp.tm_year -= 1900;
    exp.tm_mon--;
    *span = apr_time_from_sec(n < 4 ? 86400 : n < 6 ? 60 : 1);
    text += used;
    if (used && *text == '.') {
        for (text++; apr_isdigit(*text) && *span > 1; text++, *span /= 10) exp.tm_usec += (*text - '0') * (int)(*span / 10);
        while (apr_isdigit(*text)) text++;
    }
    if (apr_time_exp_gmt_get(t, &exp) != APR_SUCCESS) return 0;
    *t -= apr_time_from_sec(zone_minutes(used ? text : "") * 60);
    return 1;
}

/* Every _lastUpdated counts: ge, gt, le, lt. */
static void read_bounds(sandbox_filter_t *filter, apr_pool_t *pool, const char *args)
{
    filter->before = APR_INT64_MAX;
    for (; args; args = strchr(args, '&') ? strchr(args, '&') + 1 : NULL) {
        const char *value = strncmp(args, "_lastUpdated=", 13) == 0 ? sandbox_param(pool, args, "_lastUpdated") : NULL;
        apr_time_t t, span;

        if (!value || strlen(value) < 3 || !read_time(value + 2, &t, &span)) continue;
        if (value[0] == 'g') filter->after = t + (value[1] == 't' ? span : 0);
        if (value[0] == 'l') filter->before = t + (value[1] == 'e' ? span : 0);
    }
}

static void read_filter(sandbox_call_t *call, const char *args, sandbox_str_t type, sandbox_filter_t *filter)
{
    apr_pool_t *pool = call->r->pool;
    const char *member = sandbox_param(pool, args, "patient"), *target = sandbox_param(pool, args, "target");

    memset(filter, 0, sizeof(*filter));
    filter->type = type;
    filter->id = sandbox_param(pool, args, "_id");
    filter->identifier = sandbox_param(pool, args, "identifier");
    if (!member) member = sandbox_param(pool, args, "subject");
    if (member) filter->nobody |= !(filter->member = named(call, member, "Patient"));
    if (target) filter->nobody |= !(filter->target = named(call, target, "Patient"));
    read_bounds(filter, pool, args);
    filter->args = args ? args : "";
    filter->pool = pool;
    if (sandbox_is(type, "Task")) filter->told = "Task";
    if (sandbox_is(type, "Subscription")) filter->told = "Subscription";
}

static int id_listed(const char *list, const char *id)
{
    apr_size_t len = strlen(id);

    for (; list; list = strchr(list, ',') ? strchr(list, ',') + 1 : NULL)
        if (strncmp(list, id, len) == 0 && (list[len] == ',' || !list[len])) return 1;
    return 0;
}

static int has_identifier(const sandbox_store_t *store, const sandbox_resource_t *res, const char *token)
{
    const char *bar = strchr(token, '|');
    sandbox_str_t system = {bar ? token : NULL, bar ? (apr_size_t)(bar - token) : 0}, value;

    value.p = bar ? bar + 1 : token;
    value.n = strlen(value.p);
    return sandbox_res_has_ident(store, res, system, value);
}

static int refers(const sandbox_resource_t *res, const sandbox_resource_t *to)
{
    for (apr_uint32_t i = 0; i < res->ref_count; i++)
        if (res->refs[i] == to) return 1;
    return 0;
}

static int fits(const sandbox_store_t *store, const sandbox_resource_t *res, const sandbox_filter_t *filter)
{
    if (!sandbox_lives(res) || res->type_len != filter->type.n) return 0;
    if (memcmp(res->key, filter->type.p, filter->type.n) != 0) return 0;
    if (filter->id && !id_listed(filter->id, res->key + res->type_len + 1)) return 0;
    if (filter->member && sandbox_home(res) != filter->member) return 0;
    if (filter->target && !refers(res, filter->target)) return 0;
    if (res->now->at < filter->after || res->now->at >= filter->before) return 0;
    if (filter->identifier && !has_identifier(store, res, filter->identifier)) return 0;
    return !filter->told || sandbox_told_fits(filter->pool, filter->told, res->now, filter->args);
}

static void find(sandbox_call_t *call, const char *args, sandbox_str_t type, sandbox_list_t *list)
{
    sandbox_store_t *store = call->store;
    sandbox_filter_t filter;

    read_filter(call, args, type, &filter);
    if (filter.nobody) return;
    for (apr_size_t i = 0; i < store->all.count; i++)
        if (fits(store, store->all.items[i], &filter)) sandbox_list_add(list, store->all.items[i]);
}

int sandbox_order_read(const char *text, sandbox_order_t *order, apr_uint64_t *seed)
{
    if (strcmp(text, "file") == 0) *order = SANDBOX_BY_FILE;
    else if (strcmp(text, "type") == 0) *order = SANDBOX_BY_TYPE;
    else if (strcmp(text, "reverse-type") == 0) *order = SANDBOX_BY_TYPE_DOWN;
    else if (strncmp(text, "shuffled", 8) == 0) {
        *order = SANDBOX_SHUFFLED;
        *seed = (apr_uint64_t)apr_atoi64(text[8] ? text + 9 : "1");
    } else return 0;
    return 1;
}

/* As HAPI: within a minute the same search has the same answer, unless the client says no-cache. */
static int may_be_stale(sandbox_call_t *call, const sandbox_search_t *search)
{
    const char *control = apr_table_get(call->r->headers_in, "Cache-Control");

    if (control && strstr(control, "no-cache")) return 0;
    return apr_time_now() - search->made < apr_time_from_sec(call->payer->stale_s);
}

static const sandbox_search_t *remembered(sandbox_call_t *call, const char *key)
{
    const sandbox_store_t *store = call->store;

    for (int i = 0; i < SANDBOX_SEARCHES; i++) {
        const sandbox_search_t *search = store->searches[i];

        if (!search || strcmp(search->key, key) != 0) continue;
        if (search->change == store->change || may_be_stale(call, search)) return search;
    }
    return NULL;
}

static sandbox_search_t *new_search(sandbox_store_t *store, const char *key)
{
    sandbox_search_t **slot = &store->searches[store->next_search % SANDBOX_SEARCHES], *search = *slot;

    if (search) {
        free(search->key);
        free(search->list.items);
    } else {
        *slot = search = malloc(sizeof(*search));
        if (!search) abort();
    }
    memset(search, 0, sizeof(*search));
    search->key = strdup(key);
    search->change = store->change;
    search->number = store->next_search++;
    search->made = apr_time_now();
    return search;
}

static int by_time(const void *a, const void *b)
{
    const sandbox_resource_t *left = *(sandbox_resource_t *const *)a, *right = *(sandbox_resource_t *const *)b;

    if (left->now->at != right->now->at) return left->now->at < right->now->at ? -1 : 1;
    return left->order < right->order ? -1 : left->order > right->order;
}

static int by_time_down(const void *a, const void *b)
{
    return by_time(b, a);
}

/* _lastUpdated or -_lastUpdated; another _sort is not looked at. */
static void sort_by_time(sandbox_list_t *list, const char *sort)
{
    if (!sort || list->count < 2 || strcmp(sort + (*sort == '-'), "_lastUpdated") != 0) return;
    qsort(list->items, list->count, sizeof(*list->items), *sort == '-' ? by_time_down : by_time);
}

/* The number of the search; patient: $everything of it. */
static apr_uint32_t search(sandbox_call_t *call, const char *args, sandbox_str_t type,
                           sandbox_resource_t *patient)
{
    const char *wanted = apr_table_get(call->r->headers_in, "X-Sandbox-Order");
    sandbox_order_t order = call->payer->order;
    apr_uint64_t seed = call->payer->seed;
    const sandbox_search_t *known;
    sandbox_search_t *made;
    const char *key;
    apr_uint32_t number;

    if (wanted) sandbox_order_read(wanted, &order, &seed);
    key = apr_psprintf(call->r->pool, "%s?%s#%d.%" APR_UINT64_T_FMT, call->path, args ? args : "", (int)order,
                       seed);
    apr_thread_rwlock_rdlock(call->store->lock);
    known = remembered(call, key);
    number = known ? known->number : 0;
    apr_thread_rwlock_unlock(call->store->lock);
    if (number) return number;
    apr_thread_rwlock_wrlock(call->store->lock);
    made = new_search(call->store, key);
    number = made->number;
    if (patient) sandbox_everything(call->payer, call->store, patient, &made->list);
    else find(call, args, type, &made->list);
    sandbox_sort(&made->list, order, seed);
    sort_by_time(&made->list, sandbox_param(call->r->pool, args, "_sort"));
    apr_thread_rwlock_unlock(call->store->lock);
    return number;
}

static int page_size(sandbox_call_t *call, const char *args)
{
    const char *text = sandbox_param(call->r->pool, args, "_count");
    int count = text ? atoi(text) : call->payer->page_size;

    if (count < 1) count = call->payer->page_size;
    return count > call->payer->page_max ? call->payer->page_max : count;
}

/* $everything, or a search of a type. */
static int start_search(sandbox_call_t *call, const char *args, sandbox_str_t type,
                        sandbox_resource_t *patient)
{
    const char *summary = sandbox_param(call->r->pool, args, "_summary");
    apr_uint32_t number = search(call, args, type, patient);

    if (summary && strcmp(summary, "count") == 0) return sandbox_page_count(call, number);
    return sandbox_page(call, number, 0, page_size(call, args));
}

static int next_page(sandbox_call_t *call, const char *token)
{
    const char *args = call->r->args, *offset = sandbox_param(call->r->pool, args, "_getpagesoffset");

    return sandbox_page(call, (apr_uint32_t)strtoul(token, NULL, 16), offset ? strtoul(offset, NULL, 10) : 0,
                        page_size(call, args));
}

static int everything(sandbox_call_t *call, sandbox_str_t key)
{
    sandbox_resource_t *patient;
    int lives, known;

    apr_thread_rwlock_rdlock(call->store->lock);
    patient = sandbox_find(call->store, key.p, key.n);
    lives = sandbox_lives(patient);
    known = patient && patient->now;
    apr_thread_rwlock_unlock(call->store->lock);
    if (!lives)
        return sandbox_outcome(call, known ? HTTP_GONE : HTTP_NOT_FOUND,
                               apr_psprintf(call->r->pool, "HAPI-2001: Resource %.*s is not known",
                                            (int)key.n, key.p));
    return start_search(call, call->r->args, (sandbox_str_t){"Patient", 7}, patient);
}

static int answer_version(sandbox_call_t *call, const sandbox_resource_t *res, const sandbox_version_t *version, const char *key)
{
    request_rec *r = call->r;
    sandbox_out_t out;

    if (!version)
        return sandbox_outcome(call, HTTP_NOT_FOUND,
                               apr_psprintf(r->pool, "HAPI-2001: Resource %s is not known", key));
    if (!version->bytes)
        return sandbox_outcome(call, HTTP_GONE, apr_psprintf(r->pool, "HAPI-2049: Resource %s was deleted",
                                                             key));
    apr_table_setn(r->headers_out, "ETag", apr_psprintf(r->pool, "W/\"%u\"", version->number));
    apr_table_setn(r->headers_out, "Last-Modified", sandbox_http_date(r->pool, version->at));
    sandbox_out_init(&out, call, version->len);
    sandbox_out_version(&out, res, version);
    return sandbox_out_send(&out, HTTP_OK, SANDBOX_FHIR_JSON);
}

static int read_one(sandbox_call_t *call, sandbox_str_t key, const char *rest)
{
    const char *name = apr_pstrmemdup(call->r->pool, key.p, key.n);
    const sandbox_version_t *version;
    const sandbox_resource_t *res;
    apr_uint32_t number;

    if (*rest && strncmp(rest, "/_history/", 10) != 0)
        return sandbox_outcome(call, HTTP_NOT_FOUND, "HAPI-0302: Unknown resource path");
    apr_thread_rwlock_rdlock(call->store->lock);
    res = sandbox_find(call->store, key.p, key.n);
    version = res ? res->now : NULL;
    apr_thread_rwlock_unlock(call->store->lock);
    if (*rest) {
        number = (apr_uint32_t)strtoul(rest + 10, NULL, 10);
        while (version && version->number != number) version = version->prev;
    }
    return answer_version(call, res, version, name);
}

static int get_type(sandbox_call_t *call, const char *type)
{
    for (const char *at = type; *at; at++)
        if (!apr_isalpha(*at))
            return sandbox_outcome(call, HTTP_NOT_FOUND, "HAPI-0302: Unknown resource path");
    if (!apr_isupper(*type)) return sandbox_outcome(call, HTTP_NOT_FOUND, "HAPI-0302: Unknown resource path");
    return start_search(call, call->r->args, (sandbox_str_t){type, strlen(type)}, NULL);
}

int sandbox_get(sandbox_call_t *call)
{
    const char *path = call->path, *token = sandbox_param(call->r->pool, call->r->args, "_getpages");
    sandbox_str_t key;
    int refused;

    if (token) return next_page(call, token);
    if (*path == '/' && (refused = sandbox_refuses(call->payer, (sandbox_str_t){path + 1, strcspn(path + 1, "/")})))
        return sandbox_outcome(call, refused, "HAPI-0302: Unknown resource type, or one that is not served here");
    if (strcmp(path, "/metadata") == 0) return sandbox_metadata(call);
    if (strcmp(path, "/.well-known/smart-configuration") == 0) return sandbox_well_known(call, 1);
    if (*path != '/') return sandbox_outcome(call, HTTP_BAD_REQUEST, "HAPI-0446: nothing to be read here");
    path++;
    key = sandbox_relative_key((sandbox_str_t){path, strlen(path)});
    if (!key.n) return get_type(call, path);
    if (strcmp(key.p + key.n, "/$everything") == 0 && strncmp(path, "Patient/", 8) == 0)
        return everything(call, key);
    return read_one(call, key, key.p + key.n);
}
