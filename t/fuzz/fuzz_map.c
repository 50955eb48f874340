/* SPDX-License-Identifier: Apache-2.0 */
/* Mapping of any input: what comes out is JSON of the length told, under the derived id, and when nothing that it refers to is there it
 * names no resource of the target but the member's Patient. The input is a resource; a first line may give its fullUrl. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "base/json.h"
#include "exchange/map.h"
#include "fuzz.h"

#define ENDPOINT "https://payer.example/fhir"

static apr_pool_t *pool;

static void require(int holds, const char *rule)
{
    if (holds) return;
    fprintf(stderr, "# broken: %s\n", rule);
    abort();
}

/* ---- What comes out ---- */

static char *render(const p2p_resource_t *resource)
{
    apr_uint64_t length = p2p_resource_length(resource), at = 0;
    char *text;
    unsigned i;

    require(length < (apr_uint64_t)1 << 28, "the length is no accident");
    text = malloc((size_t)length + 1);
    require(text != NULL, "there is memory");
    for (i = 0; i < 2 * resource->splice_count + 1; i++) {
        apr_size_t len;
        const char *piece = p2p_resource_piece(resource, i, &len);

        require(len <= length - at, "pieces are no longer than the whole");
        if (len) memcpy(text + at, piece, len);
        at += len;
    }
    require(at == length, "pieces are as long as the whole");
    text[at] = '\0';
    require(!p2p_scan_all(text, (apr_size_t)length, NULL, NULL, pool), "what comes out is JSON");
    return text;
}

static void check_splices(const p2p_resource_t *resource)
{
    apr_size_t end = 0;
    unsigned i;

    for (i = 0; i < resource->splice_count; i++) {
        const p2p_splice_t *splice = &resource->splices[i];

        require(splice->at >= end && splice->at <= resource->len && splice->cut <= resource->len - splice->at,
                "splices are in order and do not overlap");
        end = splice->at + splice->cut;
    }
    for (i = 0; i < resource->link_count; i++) {
        const p2p_link_t *link = &resource->links[i];

        require(link->splice < resource->splice_count, "a link has a splice");
        require(link->member <= link->value && link->value < link->value_end && link->value_end <= link->member_end
                && link->member_end <= resource->len, "a link lies within its member");
        require(link->key ? !link->hopeless && !link->is_external : link->hopeless || link->is_external || link->settled,
                "a link has a key, or leads elsewhere, or is given up");
    }
}

/* Could this be a member of a Reference? */
static int of_reference(const char *name)
{
    static const char *const names[] = {"id", "extension", "reference", "type", "identifier", "display"};
    int i;

    if (name[0] == '_' && name[1]) name++;
    for (i = 0; i < 6; i++) {
        if (!strcmp(name, names[i])) return 1;
    }
    return 0;
}

static void check_object(json_object *object)
{
    const char *reference = p2p_json_str(object, "reference");

    if (!reference) return;
    json_object_object_foreach(object, name, value) {
        (void)value;
        if (!of_reference(name)) return;
    }
    require(!*reference || *reference == '#' || !strcmp(reference, "Patient/target"), "no reference leads to the target's own");
}

static void check_value(json_object *value, int top)
{
    size_t i;

    if (json_object_is_type(value, json_type_array)) {
        for (i = 0; i < json_object_array_length(value); i++) check_value(json_object_array_get_idx(value, i), 0);
    } else if (json_object_is_type(value, json_type_object)) {
        if (!top) check_object(value);
        json_object_object_foreach(value, name, inner) {
            if (strcmp(name, "resource")) check_value(inner, 0); /* within a nested one references may be its own */
        }
    }
}

static void check_logical(const p2p_resource_t *resource, int was_good)
{
    char *text = render(resource), id[P2P_RESOURCE_ID_LEN + 1];
    json_object *doc;
    p2p_error_t *error = p2p_json_parse(pool, text, strlen(text), &doc);

    require(!was_good || !error, "what comes out is as good as what went in");
    if (!error) {
        const char *source = p2p_json_str(p2p_json_obj(doc, "meta"), "source");

        p2p_id_text(resource->digest, id);
        require(p2p_json_str(doc, "id") && !strcmp(p2p_json_str(doc, "id"), id), "it has the derived id");
        require(source && !strncmp(source, ENDPOINT "/", sizeof ENDPOINT), "it says where it comes from");
        check_value(doc, 1);
    }
    free(text);
}

/* ---- One input ---- */

static void settle(const p2p_mapper_t *mapper, p2p_resource_t *resource, int keep)
{
    unsigned i;

    for (i = 0; i < resource->link_count; i++) p2p_map_unresolved(mapper, resource, &resource->links[i], keep);
    check_splices(resource);
}

static void name_urns(p2p_mapper_t *mapper, p2p_resource_t *resource)
{
    p2p_named_t named = {7, (unsigned)p2p_mapper_type_number(mapper, "Group", 5), ""};
    unsigned i;

    memset(named.target_id, 'x', P2P_RESOURCE_ID_LEN);
    for (i = 0; i < resource->link_count; i += 2) {
        if (resource->links[i].is_urn) p2p_map_resolve_urn(mapper, resource, &resource->links[i], &named);
    }
}

static void check_resource(p2p_mapper_t *mapper, p2p_resource_t *resource, int was_good)
{
    char *kept, *again;

    check_splices(resource);
    free(render(resource));
    name_urns(mapper, resource);
    free(render(resource));
    settle(mapper, resource, 1);
    kept = render(resource);
    settle(mapper, resource, 0);
    check_logical(resource, was_good);
    settle(mapper, resource, 1);
    again = render(resource);
    require(!strcmp(kept, again), "what is kept is as it was, whatever was tried before");
    free(kept);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const p2p_map_settings_t settings = {"https://payer.example/issuer", ENDPOINT, "member", "target", 0};
    p2p_mapper_t *mapper;
    const char *text, *line;
    p2p_bundle_entry_t entry = {0};
    p2p_resource_t *resource;
    json_object *doc;

    if (!pool) {
        apr_initialize();
        apr_pool_create(&pool, NULL);
    }
    if (size > 1 << 17) return 0;
    mapper = p2p_mapper_make(pool, &settings);
    text = apr_pstrmemdup(pool, (const char *)data, size);
    line = memchr(text, '\n', size);
    if (line && (!strncmp(text, "\"http", 5) || !strncmp(text, "\"urn:", 5)) && line[-1] == '"' && line > text + 1) {
        entry.full_url = text + 1;
        entry.full_url_len = (apr_size_t)(line - text) - 2;
    } else line = text - 1;
    entry.resource = line + 1;
    entry.len = size - (apr_size_t)(line + 1 - text);
    if (!p2p_map(mapper, pool, &entry, &resource)) {
        check_resource(mapper, resource, !p2p_json_parse(pool, entry.resource, entry.len, &doc));
        p2p_resource_free(resource);
    }
    apr_pool_clear(pool);
    return 0;
}
