/* SPDX-License-Identifier: Apache-2.0 */
/* Reading Add Payer Tasks: what is of the wrong type is as if it were not there, and nothing is longer than a name may be. */
#include "fhir/add_payer.h"

#include <stddef.h>
#include <string.h>
#include <apr_strings.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/uri.h"
#include "fhir/bundle.h"
#include "fhir/reference.h"

#define STATUS_MAX 32    /* bytes; the longest that FHIR has is entered-in-error */
#define URL_MAX 8192
#define RESOURCE_MAX (16 << 20)

/* At most max bytes of a text, and no half character; "" for NULL. */
static const char *clip(apr_pool_t *p, const char *text, apr_size_t max)
{
    apr_size_t len = text ? strlen(text) : 0, n = len < max ? len : max;

    while (n && n < len && ((unsigned char)text[n] & 0xC0) == 0x80) n--;
    return n ? apr_pstrmemdup(p, text, n) : "";
}

static int is(const char *a, const char *b)
{
    return a && !strcmp(a, b);
}

/* Has a concept this code of ours, besides any others? */
static int has_code(json_object *concept, const char *code)
{
    json_object *codings = p2p_json_arr(concept, "coding");

    for (apr_size_t i = 0; codings && i < json_object_array_length(codings); i++) {
        json_object *coding = json_object_array_get_idx(codings, i);

        if (is(p2p_json_str(coding, "code"), code) && is(p2p_json_str(coding, "system"), P2P_CODE_SYSTEM)) return 1;
    }
    return 0;
}

/* A code of FHIR's, as Task.status is one. */
static const char *read_status(apr_pool_t *p, json_object *doc)
{
    const char *status = p2p_json_str(doc, "status");
    apr_size_t len = status ? strlen(status) : 0;

    if (!len || len > STATUS_MAX || strspn(status, "abcdefghijklmnopqrstuvwxyz-") != len) return "";
    return apr_pstrmemdup(p, status, len);
}

static const char *read_patient(apr_pool_t *p, json_object *doc, const char *target)
{
    const char *text = p2p_json_str(p2p_json_obj(doc, "requester"), "reference");
    p2p_bases_t bases = {.pool = p};
    p2p_reference_t ref;

    if (!text || strlen(text) > URL_MAX) return "";
    p2p_bases_add(&bases, target, strlen(target));
    ref = p2p_reference_parse(&bases, text, strlen(text));
    if (ref.kind != P2P_REF_RESOURCE || ref.type_len != 7 || memcmp(ref.type, "Patient", 7)) return "";
    return p2p_is_fhir_id(ref.id, ref.id_len) ? apr_pstrmemdup(p, ref.id, ref.id_len) : "";
}

static const struct input_t {
    const char *code;
    apr_size_t at; /* in p2p_add_payer_t */
} inputs[] = {
    {"requester-first-name", offsetof(p2p_add_payer_t, first_name)},
    {"requester-last-name", offsetof(p2p_add_payer_t, last_name)},
    {"new-payer-name", offsetof(p2p_add_payer_t, payer)},
    {"requester-email", offsetof(p2p_add_payer_t, email)},
    {"requester-phone", offsetof(p2p_add_payer_t, phone)},
};

#define INPUTS (sizeof inputs / sizeof *inputs)

static const char **place(p2p_add_payer_t *task, apr_size_t input)
{
    return (const char **)(void *)((char *)task + inputs[input].at);
}

/* Of one that is named twice the first counts. */
static void read_input(apr_pool_t *p, json_object *input, p2p_add_payer_t *task)
{
    json_object *type = p2p_json_obj(input, "type");
    const char *value = p2p_json_str(input, "valueString");

    for (apr_size_t i = 0; value && i < INPUTS; i++) {
        if (!*place(task, i) && has_code(type, inputs[i].code)) *place(task, i) = clip(p, value, P2P_ADD_PAYER_TEXT);
    }
}

static void read_inputs(apr_pool_t *p, json_object *doc, p2p_add_payer_t *task)
{
    json_object *list = p2p_json_arr(doc, "input");

    for (apr_size_t i = 0; list && i < json_object_array_length(list); i++) read_input(p, json_object_array_get_idx(list, i), task);
    for (apr_size_t i = 0; i < INPUTS; i++) {
        if (!*place(task, i)) *place(task, i) = "";
    }
}

static apr_time_t read_last_updated(json_object *doc)
{
    const char *text = p2p_json_str(p2p_json_obj(doc, "meta"), "lastUpdated");
    apr_time_t time;

    return text && p2p_time_parse(text, strlen(text), &time) ? time : 0;
}

/* NULL where it is another Task, or nobody could say which. */
static p2p_add_payer_t *read_task(apr_pool_t *p, json_object *doc, const char *target)
{
    const char *id = p2p_json_str(doc, "id");
    p2p_add_payer_t *task;

    if (!is(p2p_json_str(doc, "resourceType"), "Task") || !has_code(p2p_json_obj(doc, "code"), P2P_ADD_PAYER_CODE)) return NULL;
    if (!id || !p2p_is_fhir_id(id, strlen(id))) return NULL;
    task = apr_pcalloc(p, sizeof *task);
    task->id = apr_pstrdup(p, id);
    task->status = read_status(p, doc);
    task->last_updated = read_last_updated(doc);
    task->patient = read_patient(p, doc, target);
    read_inputs(p, doc, task);
    return task;
}

/* What json-c makes of it goes at once; the Task stays in p. */
static p2p_error_t *read_document(apr_pool_t *p, const char *body, apr_size_t len, const char *target, p2p_add_payer_t **task,
                                  apr_time_t *last_updated)
{
    apr_pool_t *own;
    json_object *doc;
    p2p_error_t *error;

    *task = NULL;
    *last_updated = 0;
    apr_pool_create(&own, p);
    error = p2p_error_copy(p, p2p_json_parse(own, body, len, &doc));
    if (!error) *task = read_task(p, doc, target);
    if (!error && is(p2p_json_str(doc, "resourceType"), "Task")) *last_updated = read_last_updated(doc);
    apr_pool_destroy(own);
    return error;
}

p2p_error_t *p2p_add_payer_read(apr_pool_t *p, const char *body, apr_size_t len, const char *target, p2p_add_payer_t **task)
{
    apr_time_t last_updated;

    return read_document(p, body, len, target, task, &last_updated);
}

typedef struct page_reader_t {
    apr_pool_t *pool;
    const char *target;
    p2p_add_payer_page_t *page;
} page_reader_t;

/* One that is JSON but goes beyond json-c's bounds is nobody's request: it holds up no other. */
static p2p_error_t *on_entry(void *baton, const p2p_bundle_entry_t *entry)
{
    const page_reader_t *reader = baton;
    p2p_add_payer_t *task;
    apr_time_t last_updated;

    if (entry->alone) return p2p_error_make(reader->pool, P2P_E_INVALID, "not-fhir", "The answer is no Bundle.");
    if (entry->outcome || read_document(reader->pool, entry->resource, entry->len, reader->target, &task, &last_updated)) return NULL;
    if (last_updated > reader->page->latest) reader->page->latest = last_updated;
    if (task) APR_ARRAY_PUSH(reader->page->tasks, p2p_add_payer_t) = *task;
    return NULL;
}

p2p_error_t *p2p_add_payer_read_page(apr_pool_t *p, const char *body, apr_size_t len, const char *target, p2p_add_payer_page_t *page)
{
    page_reader_t own = {p, target, page};
    p2p_bundle_reader_t *reader = p2p_bundle_reader_make(p, RESOURCE_MAX, on_entry, &own);
    const char *next = NULL;
    p2p_error_t *error;

    *page = (p2p_add_payer_page_t){apr_array_make(p, 16, sizeof(p2p_add_payer_t)), "", 0};
    error = p2p_bundle_reader_feed(reader, body, len);
    if (!error) error = p2p_bundle_reader_finish(reader);
    if (!error) next = p2p_bundle_reader_bundle(reader)->next;
    if (next) page->next = next;
    p2p_bundle_reader_close(reader);
    return error;
}

static int ends_in_task(const char *path)
{
    apr_size_t len = strlen(path), task = strlen("/Task");

    return len >= task && !strcmp(path + len - task, "/Task");
}

const char *p2p_add_payer_next(apr_pool_t *p, const char *target, const char *at, const char *link)
{
    p2p_uri_t endpoint, next;
    int is_ours;

    if (p2p_uri_parse(p, target, &endpoint) || p2p_uri_resolve(p, at, link, &next)) return NULL;
    is_ours = p2p_uri_same_origin(&endpoint, &next);
    next.scheme = endpoint.scheme;
    next.host = endpoint.host;
    next.port = endpoint.port;
    if (!is_ours && !p2p_uri_is_under(&endpoint, &next))
        next.path = ends_in_task(next.path) ? apr_pstrcat(p, p2p_uri_trim(p, endpoint.path), "/Task", NULL) : endpoint.path;
    return p2p_uri_text(p, &next);
}

int p2p_add_payer_is_open(const p2p_add_payer_t *task)
{
    static const char *const final[] = {"", "completed", "cancelled", "failed", "rejected", "entered-in-error"};

    for (apr_size_t i = 0; i < sizeof final / sizeof *final; i++) {
        if (!strcmp(task->status, final[i])) return 0;
    }
    return 1;
}
