/* SPDX-License-Identifier: Apache-2.0 */
/* Order and push before a target that is no network: it records Bundles, checks what each refers to, and answers as told. */
#ifndef P2P_T_PUSH_FIXTURE_H
#define P2P_T_PUSH_FIXTURE_H

#include <apr_hash.h>

#include "base/json.h"
#include "base/log.h"
#include "exchange/sequence.h"
#include "map_fixture.h"

#define IN_FLIGHT_MAX 16

typedef struct sent_t {
    p2p_http_request_t request; /* its callbacks; method NULL: free */
    char *text;
    json_object *entries;
    int count;
} sent_t;

/* What the target answers to one Bundle. */
typedef struct verdict_t {
    int status;
    const char *code;        /* of an error instead of an answer */
    const char *retry_after; /* or NULL */
    const char *body;        /* or NULL: made for the status */
    const char *entry;       /* source id of an entry that gets entry_status within the 200; or NULL */
    int entry_status;
} verdict_t;

typedef struct world_t {
    p2p_http_t http;
    apr_pool_t *p;
    p2p_clock_t clock;
    p2p_log_t log;
    p2p_seen_t seen;
    p2p_trouble_t trouble; /* with a few attempts at each thing */
    p2p_push_t *push;
    p2p_sequence_t *order;
    p2p_push_settings_t push_settings;
    p2p_sequence_settings_t order_settings;
    sent_t sent[IN_FLIGHT_MAX];
    int in_flight, most_in_flight, most_entries;
    int others_first;        /* requests stay in line until the test lets them begin */
    int told_of_room;
    struct { void (*fn)(void *baton); void *baton; apr_interval_time_t delay; } timers[IN_FLIGHT_MAX];
    int timer_count;
    verdict_t (*target)(struct world_t *world, const sent_t *sent);
    apr_hash_t *sources;     /* id at the target to "Type/id" */
    apr_hash_t *stored;      /* ids at the target, and what is stored there */
    apr_hash_t *given;       /* texts by id: what the source has */
    int left_open;           /* written open, and not written again */
    int firsts;              /* copies that opened a circle */
    int received, written, opened, refused, skipped, bundles, writes, dangling, left_out;
    const char *story;       /* ids refused, and delays of timers */
    const char *failed;      /* code of what ended it */
    const char *lately;      /* source ids of the last Bundle sent */
    unsigned seed;
    int batch;               /* the target takes no order from a Bundle: what is referred to has to be there before */
    int number;              /* for the target's own use */
} world_t;

static inline unsigned next_random(world_t *world)
{
    world->seed = world->seed * 1664525u + 1013904223u;
    return world->seed >> 16;
}

static inline const char *source_of(const world_t *world, json_object *entry)
{
    const char *url = p2p_json_str(p2p_json_obj(entry, "request"), "url");
    const char *source = url && strchr(url, '/') ? apr_hash_get(world->sources, strchr(url, '/') + 1, APR_HASH_KEY_STRING) : NULL;

    if (!source) fail_msg("an entry that nobody gave: %s", url);
    return source;
}

static inline int holds(const world_t *world, const sent_t *sent, const char *source)
{
    int i;

    for (i = 0; i < sent->count; i++) {
        if (strcmp(source_of(world, json_object_array_get_idx(sent->entries, i)), source) == 0) return 1;
    }
    return 0;
}

/* ---- The target's check of references ---- */

static inline void check_reference(world_t *world, apr_hash_t *present, const char *text)
{
    const char *slash = strchr(text, '/');

    if (strcmp(text, "Patient/" TARGET) == 0 || !strncmp(text, "urn:", 4)) return;
    if (slash && apr_hash_get(present, slash + 1, APR_HASH_KEY_STRING)) return;
    if (slash && apr_hash_get(world->stored, slash + 1, APR_HASH_KEY_STRING)) return;
    world->dangling++;
}

static inline void check_value(world_t *world, apr_hash_t *present, json_object *value)
{
    size_t i;

    if (json_object_is_type(value, json_type_array)) {
        for (i = 0; i < json_object_array_length(value); i++) check_value(world, present, json_object_array_get_idx(value, i));
    } else if (json_object_is_type(value, json_type_object)) {
        json_object_object_foreach(value, name, inner) {
            if (strcmp(name, "reference") == 0) check_reference(world, present, json_object_get_string(inner));
            else check_value(world, present, inner);
        }
    }
}

static inline void check_bundle(world_t *world, const sent_t *sent, apr_pool_t *p)
{
    apr_hash_t *present = apr_hash_make(p), *seen = apr_hash_make(p);
    int i;

    world->lately = "";
    for (i = 0; i < sent->count; i++) {
        json_object *entry = json_object_array_get_idx(sent->entries, i);
        const char *id = p2p_json_str(p2p_json_obj(entry, "resource"), "id");

        assert_string_equal(strchr(p2p_json_str(p2p_json_obj(entry, "request"), "url"), '/') + 1, id);
        assert_string_equal(p2p_json_str(p2p_json_obj(entry, "request"), "method"), "PUT");
        if (apr_hash_get(seen, id, APR_HASH_KEY_STRING)) fail_msg("twice in one Bundle: %s", id);
        apr_hash_set(seen, id, APR_HASH_KEY_STRING, id);
        if (!world->batch) apr_hash_set(present, id, APR_HASH_KEY_STRING, id);
        if (sent->count < 20) world->lately = apr_pstrcat(world->p, world->lately, source_of(world, entry), " ", NULL);
    }
    for (i = 0; i < sent->count; i++) {
        json_object *entry = json_object_array_get_idx(sent->entries, i);
        const char *id = p2p_json_str(p2p_json_obj(entry, "resource"), "id");

        if (world->batch) apr_hash_set(present, id, APR_HASH_KEY_STRING, id); /* itself alone */
        check_value(world, present, entry);
        if (world->batch) apr_hash_set(present, id, APR_HASH_KEY_STRING, NULL);
    }
}

/* ---- The loop that is none ---- */

static inline char *read_body(world_t *world, const p2p_http_body_t *body)
{
    char *text = malloc((size_t)body->length + 1);
    apr_uint64_t at = 0;
    apr_size_t n;

    assert_non_null(text);
    if (next_random(world) % 4 == 0) body->read(body->baton, 0, text, (apr_size_t)body->length / 2); /* a connection made anew */
    while ((n = body->read(body->baton, at, text + at, (apr_size_t)(body->length - at < 777 ? body->length - at : 777))) > 0) {
        at += n;
        if (at == body->length) break;
    }
    assert_true(at == body->length);
    assert_int_equal(body->read(body->baton, at, text, 10), 0);
    text[at] = '\0';
    return text;
}

static inline p2p_error_t *start(p2p_http_t *http, const p2p_http_request_t *request, p2p_http_transfer_t **transfer)
{
    world_t *world = (world_t *)(void *)http;
    sent_t *sent = world->sent;
    json_object *doc;
    apr_pool_t *p;

    while (sent->request.method) sent++;
    assert_true(sent < world->sent + IN_FLIGHT_MAX);
    memset(sent, 0, sizeof *sent);
    sent->request = *request;
    sent->text = read_body(world, request->body);
    apr_pool_create(&p, world->p);
    assert_null(p2p_json_parse(p, sent->text, strlen(sent->text), &doc));
    if (!world->batch) assert_string_equal(p2p_json_str(doc, "type"), "transaction");
    sent->entries = json_object_get(p2p_json_arr(doc, "entry"));
    sent->count = (int)json_object_array_length(sent->entries);
    check_bundle(world, sent, p);
    apr_pool_destroy(p);
    world->bundles++;
    if (sent->count > world->most_entries) world->most_entries = sent->count;
    if (++world->in_flight > world->most_in_flight) world->most_in_flight = world->in_flight;
    *transfer = (p2p_http_transfer_t *)(void *)sent;
    if (!world->others_first) request->begun(request->baton);
    return NULL;
}

static inline void forget(sent_t *sent)
{
    free(sent->text);
    json_object_put(sent->entries);
    memset(sent, 0, sizeof *sent);
}

static inline void cancel(p2p_http_transfer_t *transfer)
{
    forget((sent_t *)(void *)transfer);
}

static inline p2p_http_timer_t *after(p2p_http_t *http, apr_interval_time_t delay, void (*fn)(void *baton), void *baton)
{
    world_t *world = (world_t *)(void *)http;

    assert_true(world->timer_count < IN_FLIGHT_MAX);
    world->timers[world->timer_count].fn = fn;
    world->timers[world->timer_count].baton = baton;
    world->timers[world->timer_count++].delay = delay;
    return (p2p_http_timer_t *)baton;
}

static inline void cancel_timer(p2p_http_timer_t *timer)
{
    (void)timer; /* the world ends with it */
}

/* ---- Answers ---- */

static inline const char *answer_text(world_t *world, const sent_t *sent, const verdict_t *verdict)
{
    p2p_buf_t text;
    char *copy;
    int i;

    p2p_buf_init(&text, 1 << 24);
    p2p_buf_puts(&text, "{\"resourceType\":\"Bundle\",\"type\":\"transaction-response\",\"entry\":[");
    for (i = 0; i < sent->count; i++) {
        json_object *entry = json_object_array_get_idx(sent->entries, i);
        const char *url = p2p_json_str(p2p_json_obj(entry, "request"), "url"), *source = source_of(world, entry);

        if (i) p2p_buf_puts(&text, ",");
        if (verdict->entry && strcmp(verdict->entry, source) == 0) {
            p2p_buf_printf(&text, "{\"response\":{\"status\":\"%d\",\"outcome\":{\"issue\":[{\"code\":\"x\"}]}}}", verdict->entry_status);
            continue;
        }
        p2p_buf_printf(&text, "{\"response\":{\"status\":\"201 Created\",\"location\":\"%s/_history/3\"}}", url);
        apr_hash_set(world->stored, apr_pstrdup(world->p, strchr(url, '/') + 1), APR_HASH_KEY_STRING,
                     apr_pstrdup(world->p, json_object_to_json_string(p2p_json_obj(entry, "resource"))));
        world->writes++;
    }
    p2p_buf_puts(&text, "]}");
    copy = apr_pstrmemdup(world->p, text.data, text.len);
    p2p_buf_free(&text);
    return copy;
}

/* Answers the i-th of those in flight. */
static inline void answer(world_t *world, int i)
{
    sent_t *sent = world->sent, copy;
    verdict_t verdict = {200, NULL, NULL, NULL, NULL, 0};
    p2p_http_head_t head;
    const char *text;

    for (;; sent++) {
        if (sent->request.method && i-- == 0) break;
    }
    if (world->target) verdict = world->target(world, sent);
    head.status = verdict.status;
    head.fields = apr_table_make(world->p, 1);
    if (verdict.retry_after) apr_table_set(head.fields, "Retry-After", verdict.retry_after);
    text = verdict.body || verdict.code ? verdict.body : verdict.status == 200 ? answer_text(world, sent, &verdict)
           : "{\"resourceType\":\"OperationOutcome\",\"issue\":[{\"severity\":\"error\",\"code\":\"invalid\"}]}";
    copy = *sent;
    sent->request.method = NULL;
    world->in_flight--;
    if (verdict.code) {
        copy.request.done(copy.request.baton, 0, p2p_error_make(world->p, P2P_E_UNAVAILABLE, verdict.code, "Not now."));
    } else {
        copy.request.head(copy.request.baton, &head);
        copy.request.data(copy.request.baton, text, strlen(text));
        copy.request.done(copy.request.baton, verdict.status, NULL);
    }
    forget(&copy);
}

static inline void fire_timer(world_t *world, int i)
{
    void (*fn)(void *baton) = world->timers[i].fn;
    void *baton = world->timers[i].baton;

    world->timers[i] = world->timers[--world->timer_count];
    fn(baton);
}

/* ---- What push and order tell ---- */

static inline void on_written(void *baton, p2p_resource_t *resource, const char *version)
{
    world_t *world = baton;
    p2p_seen_state_t state = p2p_seen_state(&world->seen, resource->key);

    assert_string_equal(version, "3");
    assert_true(state == P2P_SEEN_SENT || state == P2P_SEEN_AGAIN);
    if (resource->first) assert_true(resource->open && state == P2P_SEEN_SENT);
    if (resource->open) world->opened++;
    world->left_open += resource->open;
    world->left_open -= state == P2P_SEEN_AGAIN;
    if (resource->first) world->firsts++;
    else world->written++;
    p2p_seen_set(&world->seen, resource->key, resource->open ? P2P_SEEN_OPEN : P2P_SEEN_WRITTEN);
    p2p_sequence_settled(world->order, resource->key);
    p2p_resource_free(resource);
}

static inline void on_refused(void *baton, p2p_resource_t *resource, int status, const char *outcome)
{
    world_t *world = baton;

    assert_non_null(outcome);
    world->refused += !resource->first;
    world->left_open -= p2p_seen_state(&world->seen, resource->key) == P2P_SEEN_AGAIN;
    world->story = apr_psprintf(world->p, "%s%s/%d ", world->story, resource->source_id, status);
    p2p_seen_set(&world->seen, resource->key, P2P_SEEN_GONE);
    p2p_sequence_settled(world->order, resource->key);
    p2p_resource_free(resource);
}

static inline void on_skipped(void *baton, p2p_resource_t *resource)
{
    world_t *world = baton;

    world->skipped++;
    p2p_resource_free(resource);
}

static inline void on_failed(void *baton, const p2p_error_t *error)
{
    world_t *world = baton;

    assert_null(world->failed);
    world->failed = error->code;
}

static inline void on_room(void *baton)
{
    ((world_t *)baton)->told_of_room++;
}

/* ---- The world ---- */

static inline void silent(void *baton, p2p_log_level_t level, const char *text)
{
    (void)baton;
    (void)level;
    (void)text;
}

/* Sets out with these limits; further settings may be changed before begin_world. */
static inline void make_world(world_t *world, int bundle_size, int connections)
{
    p2p_push_settings_t push = {&world->http, &world->clock, "https://target.example/fhir", connections, bundle_size, 8 << 20, 0,
                                mapper, &world->seen, &world->trouble, on_written, on_refused, on_failed, on_room, world, 0, NULL, 0};
    p2p_sequence_settings_t order = {mapper, &world->seen, NULL, 0, 0, NULL, 1 << 30, NULL, 0, &world->log, on_failed, on_skipped, world};

    memset(world, 0, sizeof *world);
    apr_pool_create(&world->p, pool);
    world->clock = p2p_clock_system();
    world->trouble.clock = &world->clock;
    world->log.level = P2P_LOG_ERROR;
    world->log.write = silent;
    world->http.start = start;
    world->http.cancel = cancel;
    world->http.after = after;
    world->http.cancel_timer = cancel_timer;
    world->push_settings = push;
    world->order_settings = order;
    world->sources = apr_hash_make(world->p);
    world->given = apr_hash_make(world->p);
    world->stored = apr_hash_make(world->p);
    world->story = world->lately = "";
    world->seed = 1;
}

static inline void begin_world(world_t *world)
{
    world->push = p2p_push_make(world->p, &world->push_settings);
    world->order_settings.push = world->push;
    world->order = p2p_sequence_make(world->p, &world->order_settings);
}

static inline void end_world(world_t *world)
{
    apr_pool_destroy(world->p);
    p2p_seen_free(&world->seen);
}

/* Receives one resource, as exchange/receive does. */
static inline p2p_resource_t *mapped(world_t *world, const char *text, const char *full_url)
{
    p2p_resource_t *resource = NULL;
    p2p_error_t *error = map_text(text, strlen(text), full_url, &resource);
    char id[P2P_RESOURCE_ID_LEN + 1];

    if (error) fail_msg("%s: %s", error->sentence, text);
    p2p_id_text(resource->digest, id);
    apr_hash_set(world->sources, apr_pstrdup(world->p, id), APR_HASH_KEY_STRING, apr_pstrdup(world->p, resource->source_id));
    return resource;
}

static inline void receive(world_t *world, const char *text, const char *full_url)
{
    p2p_resource_t *resource = mapped(world, text, full_url);
    p2p_named_t named = {resource->key, resource->type, ""};

    apr_hash_set(world->given, apr_pmemdup(world->p, &resource->key, sizeof resource->key), sizeof resource->key,
                 apr_pstrdup(world->p, text));
    p2p_seen_add(&world->seen, resource->key)->state = P2P_SEEN_HELD;
    p2p_id_text(resource->digest, named.target_id);
    if (resource->urn) p2p_sequence_name(world->order, resource->urn, &named);
    p2p_sequence_take(world->order, resource);
    world->received++;
}

/* A Basic with this id that refers to those Basics (ids parted by blanks). */
static inline const char *basic(const char *id, const char *refers)
{
    const char *text = apr_psprintf(pool, "{\"resourceType\":\"Basic\",\"id\":\"%s\",\"x\":[0", id);
    char *last, *rest = apr_pstrdup(pool, refers), *word;

    for (word = apr_strtok(rest, " ", &last); word; word = apr_strtok(NULL, " ", &last))
        text = apr_psprintf(pool, "%s,{\"reference\":\"Basic/%s\"}", text, word);
    return apr_pstrcat(pool, text, "]}", NULL);
}

static inline void receive_basic(world_t *world, const char *id, const char *refers)
{
    receive(world, basic(id, refers), NULL);
}

/* Goes on as far as it can without an answer. */
static inline void run_order(world_t *world)
{
    p2p_sequence_run(world->order);
    if (!p2p_sequence_has_work(world->order)) p2p_push_flush(world->push);
}

/* Goes on until nothing is under way any more; what waits for what never came stays. */
static inline void run_world(world_t *world)
{
    run_order(world);
    while ((world->in_flight || world->timer_count) && !world->failed) {
        if (world->in_flight) answer(world, (int)(next_random(world) % (unsigned)world->in_flight));
        else fire_timer(world, 0);
        run_order(world);
    }
}

/* Gives what was written open once more, as the second pass of an exchange does. */
static inline void give_again(world_t *world)
{
    apr_hash_index_t *at;

    for (at = apr_hash_first(world->p, world->given); at; at = apr_hash_next(at)) {
        const void *key;
        void *text;
        p2p_seen_slot_t *slot;

        apr_hash_this(at, &key, NULL, &text);
        slot = p2p_seen_find(&world->seen, *(const apr_uint64_t *)key);
        if (slot->state != P2P_SEEN_OPEN) continue;
        slot->state = P2P_SEEN_AGAIN;
        p2p_sequence_take(world->order, mapped(world, text, NULL));
        world->received++;
    }
    run_world(world);
}

/* Nothing more comes: goes on to the end, and asserts that each resource came to exactly one. */
static inline void finish_world(world_t *world)
{
    run_world(world);
    p2p_sequence_close(world->order);
    run_world(world);
    assert_null(world->failed);
    assert_true(p2p_sequence_is_empty(world->order));
    assert_true(p2p_push_is_idle(world->push));
    assert_int_equal(p2p_sequence_backlog(world->order), 0);
    assert_int_equal(p2p_sequence_waiting(world->order), 0);
    assert_true(p2p_push_bytes(world->push) == 0);
    assert_int_equal(world->written + world->refused + world->skipped, world->received);
    assert_int_equal(world->writes, world->written + world->firsts);
    assert_int_equal(world->dangling, 0);
}

#endif
