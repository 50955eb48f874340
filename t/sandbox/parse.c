/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a Bundle or a resource in one pass: where its entries, ids, references and identifiers stand. */
#include "sandbox.h"
#include "base/scan.h"

typedef struct sandbox_parser_t {
    sandbox_doc_t *doc;
    const char *body;
    int as_bundle;
    unsigned rd;           /* depth of the member names of a resource */
    sandbox_entry_t *entry;
    sandbox_str_t pending; /* the name just read */
    sandbox_str_t root, part, top; /* last name at depth 1, in an entry, at the top of the resource */
    int in_resource, in_request, in_entries;
    unsigned unchecked_at; /* depth of the container in which references are not checked; 0: none */
    unsigned ident_depth;  /* depth of the names of an identifier; 0: not in one */
    sandbox_ident_t ident;
    const char *container; /* where the resource, or the search member, began */
} sandbox_parser_t;

static void *grow(apr_pool_t *pool, void *items, int count, int *cap, apr_size_t size)
{
    void *larger;

    if (count < *cap) return items;
    *cap = *cap ? *cap * 2 : 128;
    larger = apr_palloc(pool, (apr_size_t)*cap * size);
    if (count) memcpy(larger, items, (apr_size_t)count * size);
    return larger;
}

static sandbox_entry_t *new_entry(sandbox_parser_t *parser)
{
    sandbox_doc_t *doc = parser->doc;
    sandbox_entry_t *entry;

    doc->entries = grow(doc->pool, doc->entries, doc->entry_count, &doc->entry_cap, sizeof(*entry));
    entry = &doc->entries[doc->entry_count++];
    memset(entry, 0, sizeof(*entry));
    return entry;
}

static sandbox_str_t value_of(sandbox_parser_t *parser, const p2p_scan_token_t *token)
{
    const char *at = parser->body + token->begin;
    apr_size_t len = (apr_size_t)(token->end - token->begin);
    sandbox_str_t value = {at + 1, len - 2};

    if (memchr(at, '\\', len)) value.p = p2p_scan_unescape(parser->doc->pool, at, len, &value.n);
    return value;
}

static int is_member_name(sandbox_str_t name)
{
    switch (name.n) {
    case 3: return memcmp(name.p, "for", 3) == 0;
    case 7: return memcmp(name.p, "subject", 7) == 0 || memcmp(name.p, "patient", 7) == 0;
    case 11: return memcmp(name.p, "beneficiary", 11) == 0;
    default: return 0;
    }
}

static void add_ref(sandbox_parser_t *parser, const p2p_scan_token_t *token)
{
    sandbox_doc_t *doc = parser->doc;
    sandbox_ref_t *ref;

    doc->refs = grow(doc->pool, doc->refs, doc->ref_count, &doc->ref_cap, sizeof(*ref));
    ref = &doc->refs[doc->ref_count++];
    memset(ref, 0, sizeof(*ref));
    ref->text = value_of(parser, token);
    ref->at = parser->body + token->begin;
    ref->at_len = (apr_size_t)(token->end - token->begin);
    ref->path = parser->top;
    ref->is_member = token->depth == parser->rd + 1 && is_member_name(parser->top);
    ref->checked = !parser->unchecked_at;
    parser->entry->ref_count++;
}

static void add_ident(sandbox_parser_t *parser)
{
    sandbox_doc_t *doc = parser->doc;

    if (!parser->ident.value.p) return;
    doc->idents = grow(doc->pool, doc->idents, doc->ident_count, &doc->ident_cap, sizeof(*doc->idents));
    doc->idents[doc->ident_count++] = parser->ident;
    parser->entry->ident_count++;
}

/* As HAPI: what no search parameter leads to is not checked. */
static int opens_unchecked(const sandbox_parser_t *parser, unsigned depth)
{
    switch (parser->pending.n) {
    case 5: return depth == parser->rd && sandbox_is(parser->pending, "entry") &&
        sandbox_is(parser->entry->type, "Bundle");
    case 9: return memcmp(parser->pending.p, "extension", 9) == 0 ||
        memcmp(parser->pending.p, "contained", 9) == 0;
    case 17: return memcmp(parser->pending.p, "modifierExtension", 17) == 0;
    default: return 0;
    }
}

static void resource_open(sandbox_parser_t *parser, const p2p_scan_token_t *token)
{
    if (parser->pending.n) {
        if (!parser->unchecked_at && opens_unchecked(parser, token->depth))
            parser->unchecked_at = token->depth;
        if (token->depth == parser->rd && sandbox_is(parser->pending, "identifier"))
            parser->ident_depth = parser->rd + (token->kind == P2P_SCAN_OBJECT ? 1 : 2);
        parser->pending.n = 0;
    }
    if (token->kind == P2P_SCAN_OBJECT && parser->ident_depth && token->depth == parser->ident_depth - 1)
        memset(&parser->ident, 0, sizeof(parser->ident));
}

static void resource_close(sandbox_parser_t *parser, const p2p_scan_token_t *token)
{
    if (parser->unchecked_at == token->depth) parser->unchecked_at = 0;
    if (!parser->ident_depth) return;
    if (token->kind == P2P_SCAN_OBJECT_END && token->depth == parser->ident_depth - 1) add_ident(parser);
    if (token->depth == parser->rd) parser->ident_depth = 0;
}

static void resource_string(sandbox_parser_t *parser, const p2p_scan_token_t *token)
{
    sandbox_str_t name = parser->pending;

    parser->pending.n = 0;
    if (name.n == 9 && token->depth > parser->rd && memcmp(name.p, "reference", 9) == 0) {
        add_ref(parser, token);
    } else if (token->depth == parser->rd) {
        if (sandbox_is(name, "id")) parser->entry->id = value_of(parser, token);
        if (sandbox_is(name, "resourceType")) parser->entry->type = value_of(parser, token);
    } else if (token->depth == parser->ident_depth) {
        if (sandbox_is(name, "system")) parser->ident.system = value_of(parser, token);
        if (sandbox_is(name, "value")) parser->ident.value = value_of(parser, token);
    }
}

static void resource_token(sandbox_parser_t *parser, const p2p_scan_token_t *token)
{
    switch (token->kind) {
    case P2P_SCAN_NAME:
        parser->pending.p = parser->body + token->begin + 1;
        parser->pending.n = (apr_size_t)(token->end - token->begin) - 2;
        if (token->depth == parser->rd) parser->top = parser->pending;
        break;
    case P2P_SCAN_STRING:
        if (parser->pending.n) resource_string(parser, token);
        break;
    case P2P_SCAN_OBJECT:
    case P2P_SCAN_ARRAY:
        resource_open(parser, token);
        break;
    case P2P_SCAN_OBJECT_END:
    case P2P_SCAN_ARRAY_END:
        resource_close(parser, token);
        break;
    default:
        parser->pending.n = 0;
    }
}

static void begin_resource(sandbox_parser_t *parser, const p2p_scan_token_t *token)
{
    parser->in_resource = 1;
    parser->container = parser->body + token->begin;
    parser->entry->first_ref = parser->doc->ref_count;
    parser->entry->first_ident = parser->doc->ident_count;
    parser->entry->ref_count = parser->entry->ident_count = 0;
    parser->unchecked_at = parser->ident_depth = 0;
    parser->pending.n = parser->top.n = 0;
}

static void end_resource(sandbox_parser_t *parser, const p2p_scan_token_t *token)
{
    parser->in_resource = 0;
    parser->entry->bytes.p = parser->container;
    parser->entry->bytes.n = (apr_size_t)(parser->body + token->end - parser->container);
}

static void request_string(sandbox_parser_t *parser, const p2p_scan_token_t *token)
{
    sandbox_entry_t *entry = parser->entry;

    if (sandbox_is(parser->pending, "method")) entry->method = value_of(parser, token);
    if (sandbox_is(parser->pending, "url")) entry->url = value_of(parser, token);
    if (sandbox_is(parser->pending, "ifMatch")) entry->if_match = value_of(parser, token);
    if (sandbox_is(parser->pending, "ifNoneExist")) entry->if_none_exist = value_of(parser, token);
}

/* Names and strings of the Bundle itself: its own, an entry's and an entry's request's. */
static void bundle_text(sandbox_parser_t *parser, const p2p_scan_token_t *token)
{
    if (token->kind == P2P_SCAN_NAME) {
        parser->pending = value_of(parser, token);
        if (token->depth == 1) parser->root = parser->pending;
        if (token->depth == 3) parser->part = parser->pending;
        return;
    }
    if (token->depth == 1 && sandbox_is(parser->pending, "type"))
        parser->doc->bundle_type = value_of(parser, token);
    if (token->depth == 1 && sandbox_is(parser->pending, "resourceType"))
        parser->doc->type = value_of(parser, token);
    if (token->depth == 3 && parser->in_entries && sandbox_is(parser->pending, "fullUrl"))
        parser->entry->full_url = value_of(parser, token);
    if (token->depth == 4 && parser->in_request) request_string(parser, token);
    parser->pending.n = 0;
}

static void bundle_open(sandbox_parser_t *parser, const p2p_scan_token_t *token)
{
    if (token->depth == 1)
        parser->in_entries = token->kind == P2P_SCAN_ARRAY && sandbox_is(parser->root, "entry");
    if (token->depth == 2 && parser->in_entries && token->kind == P2P_SCAN_OBJECT)
        parser->entry = new_entry(parser);
    if (token->depth == 3 && parser->in_entries && parser->entry && token->kind == P2P_SCAN_OBJECT) {
        if (sandbox_is(parser->part, "resource")) begin_resource(parser, token);
        parser->in_request = sandbox_is(parser->part, "request");
        if (sandbox_is(parser->part, "search")) parser->container = parser->body + token->begin;
    }
    parser->pending.n = 0;
}

static void bundle_close(sandbox_parser_t *parser, const p2p_scan_token_t *token)
{
    if (token->depth == 1) parser->in_entries = 0;
    if (token->depth != 3 || !parser->in_entries) return;
    parser->in_request = 0;
    if (!sandbox_is(parser->part, "search") || token->kind != P2P_SCAN_OBJECT_END) return;
    parser->entry->search.p = parser->container;
    parser->entry->search.n = (apr_size_t)(parser->body + token->end - parser->container);
}

static void bundle_token(sandbox_parser_t *parser, const p2p_scan_token_t *token)
{
    switch (token->kind) {
    case P2P_SCAN_NAME:
    case P2P_SCAN_STRING:
        bundle_text(parser, token);
        break;
    case P2P_SCAN_OBJECT:
    case P2P_SCAN_ARRAY:
        bundle_open(parser, token);
        break;
    case P2P_SCAN_OBJECT_END:
    case P2P_SCAN_ARRAY_END:
        bundle_close(parser, token);
        break;
    default:
        parser->pending.n = 0;
    }
}

static p2p_error_t *on_token(void *baton, const p2p_scan_token_t *token)
{
    sandbox_parser_t *parser = baton;

    if (parser->in_resource) {
        if (token->depth == parser->rd - 1 && token->kind == P2P_SCAN_OBJECT_END) end_resource(parser, token);
        else resource_token(parser, token);
    } else if (parser->as_bundle) {
        bundle_token(parser, token);
    } else if (token->depth == 0 && token->kind == P2P_SCAN_OBJECT) {
        parser->entry = new_entry(parser);
        begin_resource(parser, token);
    }
    return NULL;
}

const char *sandbox_parse(sandbox_doc_t *doc, apr_pool_t *pool, const char *body, apr_size_t len,
                          int as_bundle)
{
    sandbox_parser_t parser = {.doc = doc, .body = body, .as_bundle = as_bundle, .rd = as_bundle ? 4 : 1};
    p2p_error_t *error;

    memset(doc, 0, sizeof(*doc));
    doc->pool = pool;
    error = p2p_scan_all(body, len, on_token, &parser, pool);
    if (error) return error->sentence;
    if (!as_bundle) {
        if (!doc->entry_count) return "HAPI-0450: a JSON object was expected";
        doc->type = doc->entries[0].type;
    }
    return NULL;
}
