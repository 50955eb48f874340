/* SPDX-License-Identifier: Apache-2.0 */
/* Provenance put into any bytes: without what was added they are the input's; JSON stays JSON; how the input is cut does not matter;
 * json-c agrees on what was added. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/scan.h"
#include "fhir/injection.h"
#include "fhir/injection_request.h"
#include "fuzz.h"

/* What one run wrote, and of it what it says it added. */
typedef struct story_t {
    p2p_buf_t text;
    p2p_buf_t rest; /* without what was added */
    const p2p_injection_result_t *result;
} story_t;

static apr_pool_t *pool;

static void require(int holds, const char *rule)
{
    if (holds) return;
    fprintf(stderr, "# broken: %s\n", rule);
    abort();
}

/* Held bytes and added ones are both the injection's own; the former come once, before all else. */
static void hear(void *baton, const char *bytes, apr_size_t len, int own)
{
    story_t *story = baton;

    p2p_buf_add(&story->text, bytes, len);
    if (!own || !story->rest.len) p2p_buf_add(&story->rest, bytes, len);
}

/* Pieces of longest bytes, 0 = all at once. */
static void inject(const uint8_t *data, size_t size, size_t longest, story_t *story)
{
    static const p2p_injection_settings_t settings = {"https://profile.example", "system|code", "Organization/1", 0};
    p2p_injection_t *injection = p2p_injection_make(pool, &settings, hear, story);
    size_t at, n;

    memset(story, 0, sizeof *story);
    p2p_buf_init(&story->text, 1 << 26);
    p2p_buf_init(&story->rest, 1 << 26);
    for (at = 0; at < size; at += n) {
        char *piece;

        n = longest && longest < size - at ? longest : size - at;
        piece = malloc(n);
        require(piece != NULL, "there is memory");
        memcpy(piece, data + at, n);
        p2p_injection_feed(injection, piece, n);
        free(piece);
    }
    p2p_injection_end(injection);
    story->result = p2p_injection_result(injection);
}

static int is_same(const p2p_buf_t *buf, const void *bytes, size_t len)
{
    return buf->len == len && (!len || !memcmp(buf->data, bytes, len));
}

static int is_json(const char *bytes, size_t len)
{
    return !p2p_scan_all(len ? bytes : "", len, NULL, NULL, pool);
}

/* One that comes out in a first run of bytes that is added needs no held bytes before it; so a document of one piece has none. */
static void require_whole(const uint8_t *data, size_t size, const story_t *whole)
{
    const p2p_injection_result_t *result = whole->result;

    require(result->state != P2P_INJECTION_UNDECIDED, "it is decided in the end");
    require(result->bytes_in == size && result->bytes_in + result->bytes_added == whole->text.len, "each byte is counted");
    require(result->state == P2P_INJECTION_INJECTS || !result->bytes_added, "what passes gets nothing added");
    require(!result->bytes_added == !result->provenances, "bytes are added where Provenance is");
    require(result->targets + result->left_out + result->unnamed <= result->entries, "no entry counts twice");
    if (result->why == P2P_INJECTION_FINE)
        require(result->targets + result->left_out + result->unnamed == result->entries, "each entry counts");
    require(is_same(&whole->rest, data, size), "without what was added it is the input");
    if (is_json((const char *)data, size)) require(is_json(whole->text.data, whole->text.len), "JSON stays JSON");
    else require(!is_json(whole->text.data, whole->text.len), "what is no JSON becomes none");
}

static void require_same(const story_t *a, const story_t *b)
{
    require(is_same(&a->text, b->text.data, b->text.len), "pieces give what the whole does");
    require(a->result->why == b->result->why, "pieces give the same reason");
    require(a->result->entries == b->result->entries && a->result->targets == b->result->targets, "pieces give the same counts");
    require(!a->result->next == !b->result->next, "pieces give a next link where the whole does");
    if (a->result->next) require(!strcmp(a->result->next, b->result->next), "pieces give the same next link");
}

/* ---- The same by json-c ---- */

/* Takes out of the document's entries what was added, and returns how many targets it had. */
static size_t take_added_out(json_object *doc)
{
    json_object *entries = p2p_json_arr(doc, "entry");
    size_t i, targets = 0;

    for (i = 0; entries && i < json_object_array_length(entries); i++) {
        json_object *entry = json_object_array_get_idx(entries, i);
        json_object *resource = json_object_is_type(entry, json_type_object) ? p2p_json_obj(entry, "resource") : NULL;
        const char *type = resource ? p2p_json_str(resource, "resourceType") : NULL;
        const char *url = resource ? p2p_json_str(entry, "fullUrl") : NULL, *id = resource ? p2p_json_str(resource, "id") : NULL;

        if (!type || strcmp(type, "Provenance") || !url || !id || strncmp(url, "urn:uuid:", 9) || strcmp(url + 9, id)) continue;
        targets += json_object_array_length(p2p_json_arr(resource, "target"));
        json_object_array_del_idx(entries, i--, 1);
    }
    return targets;
}

static void check_by_json_c(const uint8_t *data, size_t size, const story_t *whole)
{
    json_object *before, *after;

    if (whole->result->why != P2P_INJECTION_FINE || p2p_json_parse(pool, (const char *)data, size, &before)) return;
    if (p2p_json_parse(pool, whole->text.data, whole->text.len, &after)) return; /* beyond json's limit of objects */
    require(json_object_is_type(before, json_type_object), "what is injected into is an object");
    if (p2p_json_arr(before, "entry") && take_added_out(before)) return; /* looks like ours already */
    require(take_added_out(after) == whole->result->targets, "json-c counts the same targets");
    require(!strcmp(p2p_json_print(pool, before, NULL), p2p_json_print(pool, after, NULL)), "json-c finds the rest the same");
}

/* ---- The request ---- */

/* The same bytes as path, query and body: nothing is read beyond them. */
static void ask(const uint8_t *data, size_t size)
{
    static const char *const types[] = {"application/x-www-form-urlencoded", "application/fhir+json", NULL};
    char *text = malloc(size + 1), *body = malloc(size ? size : 1);
    size_t i;

    require(text && body, "there is memory");
    memcpy(text, data, size);
    text[size] = '\0';
    memcpy(body, data, size);
    for (i = 0; i < 3; i++) {
        p2p_injection_request_t request = {1, "/fhir/Patient/1/$everything", text, types[i], body, size};

        p2p_injection_asked(pool, &request);
        request.path = "/fhir/Patient/_search";
        p2p_injection_asked(pool, &request);
        request.path = text;
        require(p2p_injection_asked(pool, &request) <= p2p_injection_needs_body(&request), "a POST that asks has a path that says so");
    }
    free(text);
    free(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t longest[] = {1, 7, 100};
    story_t whole, story;
    size_t i;

    if (!pool) {
        apr_initialize();
        apr_pool_create(&pool, NULL);
    }
    if (size > 1 << 17) return 0;
    inject(data, size, 0, &whole);
    if (size && size <= P2P_INJECTION_HOLD) require_whole(data, size, &whole);
    for (i = 0; i < sizeof longest / sizeof *longest; i++) {
        inject(data, size, longest[i], &story);
        require_same(&whole, &story);
        p2p_buf_free(&story.text);
        p2p_buf_free(&story.rest);
    }
    check_by_json_c(data, size, &whole);
    p2p_buf_free(&whole.text);
    p2p_buf_free(&whole.rest);
    ask(data, size);
    apr_pool_clear(pool);
    return 0;
}
