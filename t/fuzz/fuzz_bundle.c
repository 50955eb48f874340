/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of answers under any input: pieces make no difference, entries are JSON objects, memory is bounded, json-c finds the same
 * entries, next link and form, and mapping makes the same of an entry whether it was told the tokens or scans it itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "base/json.h"
#include "exchange/map.h"
#include "exchange/map_scan.h"
#include "fhir/bundle.h"
#include "fuzz.h"

#define ENTRY_MAX 20000
#define HELD_MAX (ENTRY_MAX + 65536)

/* What one reading told. */
typedef struct story_t {
    p2p_buf_t text;
    const p2p_bundle_t *bundle;
    p2p_error_t *error;
    p2p_mapper_t *mapper;
} story_t;

static apr_pool_t *pool;

static void require(int holds, const char *rule)
{
    if (holds) return;
    fprintf(stderr, "# broken: %s\n", rule);
    abort();
}

/* Adds what mapping makes of an entry. */
static void add_mapped(p2p_mapper_t *mapper, const p2p_bundle_entry_t *entry, p2p_buf_t *out)
{
    p2p_resource_t *resource;
    p2p_error_t *error = p2p_map(mapper, pool, entry, &resource);
    unsigned i;

    if (error) {
        p2p_buf_puts(out, error->sentence);
        return;
    }
    for (i = 0; i < 2 * resource->splice_count + 1; i++) {
        apr_size_t len;
        const char *piece = p2p_resource_piece(resource, i, &len);

        if (len) p2p_buf_add(out, piece, len);
    }
    p2p_buf_printf(out, " %u %d", resource->link_count, resource->other_patient);
    p2p_resource_free(resource);
}

static void map_both_ways(story_t *story, const p2p_bundle_entry_t *entry)
{
    p2p_bundle_entry_t untold = *entry;
    apr_size_t begin = story->text.len, middle;

    add_mapped(story->mapper, entry, &story->text);
    middle = story->text.len;
    untold.told = NULL;
    add_mapped(story->mapper, &untold, &story->text);
    require(story->text.len - middle == middle - begin, "told or not, mapping gives as much");
    require(!memcmp(story->text.data + begin, story->text.data + middle, middle - begin), "told or not, mapping gives the same");
}

static p2p_error_t *on_entry(void *baton, const p2p_bundle_entry_t *entry)
{
    story_t *story = baton;

    require(entry->len >= 2 && entry->len <= ENTRY_MAX, "an entry is no larger than was said");
    require(entry->resource[0] == '{' && entry->resource[entry->len - 1] == '}', "an entry's resource is an object");
    require(!p2p_scan_all(entry->resource, entry->len, NULL, NULL, pool), "an entry's resource is JSON");
    p2p_buf_printf(&story->text, "%d<", entry->outcome);
    p2p_buf_add(&story->text, entry->resource, entry->len);
    p2p_buf_puts(&story->text, entry->full_url ? "><" : ">");
    if (entry->full_url) p2p_buf_add(&story->text, entry->full_url, entry->full_url_len);
    map_both_ways(story, entry);
    return NULL;
}

/* A small generator, so that the input alone says where it is cut. */
static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 16;
}

/* Pieces of 1 to longest bytes, each a block of its own; 0 = all at once. */
static void read_pieces(const uint8_t *data, size_t size, size_t longest, story_t *story)
{
    static const p2p_map_settings_t settings = {"https://payer.example/issuer", "https://payer.example/fhir", "member", "target", 0};
    uint32_t seed = (uint32_t)size;
    p2p_bundle_reader_t *reader = p2p_bundle_reader_make(pool, ENTRY_MAX, on_entry, story);
    size_t at, n;

    memset(story, 0, sizeof *story);
    p2p_buf_init(&story->text, 1 << 24);
    story->mapper = p2p_mapper_make(pool, &settings);
    p2p_bundle_reader_tokens(reader, p2p_map_scanner_token, p2p_map_scanner_make(pool));
    story->bundle = p2p_bundle_reader_bundle(reader);
    for (at = 0; at < size && !story->error; at += n) {
        char *piece;

        n = longest ? 1 + next_random(&seed) % longest : size;
        if (n > size - at) n = size - at;
        piece = malloc(n);
        require(piece != NULL, "there is memory");
        memcpy(piece, data + at, n);
        story->error = p2p_bundle_reader_feed(reader, piece, n);
        free(piece);
        require(p2p_bundle_reader_held(reader) <= HELD_MAX, "what is held is bounded");
    }
    if (!story->error) story->error = p2p_bundle_reader_finish(reader);
    p2p_bundle_reader_close(reader);
}

/* Where something is too large, how soon that is seen depends on the pieces. */
static void require_same(const story_t *a, const story_t *b)
{
    if ((a->error && !strcmp(a->error->code, "too-large")) || (b->error && !strcmp(b->error->code, "too-large"))) return;
    require(!a->error == !b->error, "pieces end as the whole does");
    if (a->error) require(!strcmp(a->error->sentence, b->error->sentence), "pieces give the error of the whole");
    require(a->text.len == b->text.len, "pieces give as many entries");
    require(!a->text.len || !memcmp(a->text.data, b->text.data, a->text.len), "pieces give the same entries");
    require(!a->bundle->next == !b->bundle->next, "pieces give a next link where the whole does");
    if (a->bundle->next) require(!strcmp(a->bundle->next, b->bundle->next), "pieces give the same next link");
    require(a->bundle->entries == b->bundle->entries, "pieces give the same count");
    if (!a->error) require(a->bundle->total == b->bundle->total, "pieces give the same total");
}

/* ---- The same by json-c ---- */

static int is_page_type(const char *type)
{
    return !strcmp(type, "searchset") || !strcmp(type, "collection") || !strcmp(type, "batch-response") || !strcmp(type, "history");
}

/* Is the Bundle one of results? Where entries come before the type they decide. */
static int is_page(json_object *doc)
{
    json_object_object_foreach(doc, name, value) {
        if (!strcmp(name, "entry") && json_object_is_type(value, json_type_array)) return 1;
        if (!strcmp(name, "type") && json_object_is_type(value, json_type_string)) return is_page_type(json_object_get_string(value));
    }
    return 1;
}

static int entries_of(json_object *doc)
{
    json_object *entries = p2p_json_arr(doc, "entry");
    int count = 0;
    size_t i;

    for (i = 0; entries && i < json_object_array_length(entries); i++)
        count += p2p_json_obj(json_object_array_get_idx(entries, i), "resource") != NULL;
    return count;
}

static const char *next_of(json_object *doc)
{
    json_object *links = p2p_json_arr(doc, "link");
    size_t i;

    for (i = 0; links && i < json_object_array_length(links); i++) {
        json_object *link = json_object_array_get_idx(links, i);
        const char *relation, *url;

        if (!json_object_is_type(link, json_type_object)) continue;
        relation = p2p_json_str(link, "relation");
        url = p2p_json_str(link, "url");
        if (relation && url && !strcmp(relation, "next")) return url;
    }
    return NULL;
}

static void check_by_json_c(const uint8_t *data, size_t size, const story_t *story)
{
    json_object *doc;
    const char *type, *next;

    if (memchr(data, '\\', size) || p2p_json_parse(pool, (const char *)data, size, &doc)) return;
    require(json_object_is_type(doc, json_type_object), "an answer is an object");
    type = p2p_json_str(doc, "resourceType");
    require(type != NULL, "an answer has a resourceType");
    if (strcmp(type, "Bundle") || !is_page(doc)) {
        require(story->bundle->entries == 1 && !story->bundle->next, "what is no page is one resource");
        return;
    }
    require(story->bundle->entries == entries_of(doc), "each entry with a resource is told");
    next = next_of(doc);
    require(!next == !story->bundle->next, "the next link is found where there is one");
    if (next) require(!strcmp(next, story->bundle->next), "the next link is the first that is called so");
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
    read_pieces(data, size, 0, &whole);
    for (i = 0; i < sizeof longest / sizeof *longest; i++) {
        read_pieces(data, size, longest[i], &story);
        require_same(&whole, &story);
        p2p_buf_free(&story.text);
    }
    if (!whole.error) check_by_json_c(data, size, &whole);
    p2p_buf_free(&whole.text);
    apr_pool_clear(pool);
    return 0;
}
