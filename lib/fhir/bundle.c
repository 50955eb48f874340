/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting a page of results into entries while it arrives. */
#include "fhir/bundle.h"

#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#define LARGE (256 << 10) /* a resource that is worth being handed over */
#define SLICE 65536 /* fed to the scanner at once: the buffer never holds more than a resource and a slice */

typedef enum { UNDECIDED, PAGE, SINGLE } answer_form_t;
typedef enum { M_OTHER, M_RESOURCE_TYPE, M_TYPE, M_TOTAL, M_LINK, M_ENTRY, M_FULL_URL, M_RESOURCE, M_SEARCH, M_MODE,
               M_RELATION, M_URL } member_t;

typedef struct span_t {
    apr_uint64_t begin, end;
} span_t;

struct p2p_bundle_reader_t {
    p2p_bundle_t bundle;
    p2p_bundle_entry_fn entry;
    void *baton;
    apr_pool_t *pool;
    p2p_scan_t scan;
    p2p_buf_t buf;
    apr_uint64_t buf_offset; /* offset in the document of buf's first byte */
    apr_size_t max;
    answer_form_t form, form_by_type; /* what it is; what Bundle.type says, which may come before resourceType */
    const char *next;                 /* told in bundle once this is known to be a page */
    int is_bundle, has_type, ended;
    member_t top, member, inner; /* member under way at depth 1, 3 (of an entry or link) and 4 (of search) */
    int in_entry;
    int in_resource;             /* of an entry, with somebody who is told its tokens */
    p2p_bundle_token_fn token;   /* or NULL */
    void *told;
    span_t doc, object, full_url, resource, relation, url;
    int outcome, included;
};

p2p_bundle_reader_t *p2p_bundle_reader_make(apr_pool_t *p, apr_size_t max, p2p_bundle_entry_fn entry, void *baton)
{
    p2p_bundle_reader_t *reader = apr_pcalloc(p, sizeof *reader);

    reader->bundle.total = -1;
    reader->entry = entry;
    reader->baton = baton;
    reader->pool = p;
    reader->max = max;
    p2p_buf_init(&reader->buf, max + SLICE);
    return reader;
}

void p2p_bundle_reader_tokens(p2p_bundle_reader_t *reader, p2p_bundle_token_fn token, void *told)
{
    reader->token = token;
    reader->told = told;
}

static const char *text_at(const p2p_bundle_reader_t *reader, span_t span)
{
    return reader->buf.data + (span.begin - reader->buf_offset);
}

static apr_size_t span_len(span_t span)
{
    return (apr_size_t)(span.end - span.begin);
}

static int span_is(const p2p_bundle_reader_t *reader, span_t span, const char *word)
{
    return span.end && p2p_scan_is(text_at(reader, span), span_len(span), word);
}

static span_t span_of(const p2p_scan_token_t *token)
{
    span_t span = {token->begin, token->end};

    return span;
}

static member_t member_of(const p2p_bundle_reader_t *reader, const p2p_scan_token_t *token)
{
    static const struct { const char *name; apr_size_t len; member_t member; } known[] = {
        {"resource", 8, M_RESOURCE}, {"fullUrl", 7, M_FULL_URL}, {"search", 6, M_SEARCH}, {"mode", 4, M_MODE},
        {"resourceType", 12, M_RESOURCE_TYPE}, {"type", 4, M_TYPE}, {"total", 5, M_TOTAL}, {"link", 4, M_LINK},
        {"entry", 5, M_ENTRY}, {"relation", 8, M_RELATION}, {"url", 3, M_URL}};
    apr_size_t i, len = (apr_size_t)(token->end - token->begin) - 2;
    const char *name = text_at(reader, span_of(token)) + 1;

    for (i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].len == len && memcmp(known[i].name, name, len) == 0) return known[i].member;
    }
    return M_OTHER;
}

static p2p_error_t *not_fhir(p2p_bundle_reader_t *reader, const char *why)
{
    return p2p_error_make(reader->pool, P2P_E_INVALID, "not-fhir", "the answer is not FHIR: %s", why);
}

static p2p_error_t *too_large(p2p_bundle_reader_t *reader)
{
    return p2p_error_make(reader->pool, P2P_E_INVALID, "too-large", "a resource is larger than %" APR_SIZE_T_FMT " bytes",
                          reader->max);
}

/* Bundles that are results are pages; a document or message is a resource like any other. */
static int is_page_type(const p2p_bundle_reader_t *reader, span_t type)
{
    return span_is(reader, type, "searchset") || span_is(reader, type, "collection")
           || span_is(reader, type, "batch-response") || span_is(reader, type, "history");
}

static void decide(p2p_bundle_reader_t *reader, answer_form_t form)
{
    reader->form = form;
    if (form == PAGE) reader->bundle.next = reader->next;
}

/* Entries may have been taken for a Bundle's before resourceType came; a List has entries, too, but no resources in them. */
static p2p_error_t *on_resource_type(p2p_bundle_reader_t *reader, span_t type)
{
    int known_page = reader->form == PAGE && (reader->has_type || reader->bundle.entries > 0);

    reader->has_type = 1;
    reader->is_bundle = span_is(reader, type, "Bundle");
    if (!reader->is_bundle && known_page) return not_fhir(reader, "it has entries but is no Bundle");
    if (!reader->is_bundle) decide(reader, SINGLE);
    else if (reader->form == UNDECIDED) decide(reader, reader->form_by_type);
    return NULL;
}

static p2p_error_t *on_top_value(p2p_bundle_reader_t *reader, const p2p_scan_token_t *token)
{
    span_t span = span_of(token);

    if (reader->top == M_RESOURCE_TYPE && token->kind == P2P_SCAN_STRING) return on_resource_type(reader, span);
    if (reader->top == M_TYPE && token->kind == P2P_SCAN_STRING && reader->form == UNDECIDED) {
        reader->form_by_type = is_page_type(reader, span) ? PAGE : SINGLE;
        if (reader->is_bundle) decide(reader, reader->form_by_type);
    } else if (reader->top == M_ENTRY && token->kind == P2P_SCAN_ARRAY && reader->form == UNDECIDED) {
        decide(reader, reader->form_by_type == SINGLE ? SINGLE : PAGE);
    } else if (reader->top == M_TOTAL && token->kind == P2P_SCAN_NUMBER) {
        reader->bundle.total = apr_atoi64(text_at(reader, span));
    }
    return NULL;
}

static void begin_object(p2p_bundle_reader_t *reader, const p2p_scan_token_t *token)
{
    static const span_t none = {0, 0};

    reader->object.begin = token->begin;
    reader->full_url = reader->resource = reader->relation = reader->url = none;
    reader->outcome = reader->included = 0;
    reader->member = reader->inner = M_OTHER;
    reader->in_entry = reader->top == M_ENTRY;
}

static p2p_error_t *end_entry(p2p_bundle_reader_t *reader)
{
    p2p_bundle_entry_t entry = {0};

    reader->in_entry = 0;
    if (!reader->resource.end) return NULL;
    if (span_len(reader->resource) > reader->max) return too_large(reader);
    entry.resource = text_at(reader, reader->resource);
    entry.len = span_len(reader->resource);
    if (reader->full_url.end) {
        entry.full_url = text_at(reader, reader->full_url) + 1;
        entry.full_url_len = span_len(reader->full_url) - 2;
    }
    entry.outcome = reader->outcome;
    entry.included = reader->included;
    entry.told = reader->told;
    entry.reader = reader;
    reader->bundle.entries++;
    if (!entry.outcome && !entry.included) reader->bundle.matches++;
    return reader->entry(reader->baton, &entry);
}

static p2p_error_t *end_object(p2p_bundle_reader_t *reader)
{
    if (reader->top == M_ENTRY) return end_entry(reader);
    if (!reader->next && reader->url.end && span_is(reader, reader->relation, "next"))
        reader->next = p2p_scan_unescape(reader->pool, text_at(reader, reader->url), span_len(reader->url), NULL);
    if (reader->form == PAGE) reader->bundle.next = reader->next;
    return NULL;
}

#define RESOURCE_DEPTH 3 /* an entry's resource stands there */

static inline void tell_token(const p2p_bundle_reader_t *reader, const p2p_scan_token_t *token)
{
    reader->token(reader->told, token, token->depth - RESOURCE_DEPTH, reader->resource.begin, text_at(reader, reader->resource));
}

static void begin_resource(p2p_bundle_reader_t *reader, const p2p_scan_token_t *token)
{
    reader->resource.begin = token->begin;
    if (!reader->token || reader->top != M_ENTRY) return;
    reader->in_resource = 1;
    tell_token(reader, token);
}

/* A value of an entry or link: its span, if it is one that matters. */
static p2p_error_t *on_member_value(p2p_bundle_reader_t *reader, const p2p_scan_token_t *token)
{
    int is_string = token->kind == P2P_SCAN_STRING;

    if (reader->member == M_RESOURCE && token->kind == P2P_SCAN_OBJECT) begin_resource(reader, token);
    else if (reader->member == M_RESOURCE && token->kind == P2P_SCAN_OBJECT_END) reader->resource.end = token->end;
    else if (reader->member == M_RESOURCE && token->kind != P2P_SCAN_NULL && reader->top == M_ENTRY)
        return not_fhir(reader, "an entry's resource is no object");
    else if (reader->member == M_FULL_URL && is_string) reader->full_url = span_of(token);
    else if (reader->member == M_RELATION && is_string) reader->relation = span_of(token);
    else if (reader->member == M_URL && is_string) reader->url = span_of(token);
    return NULL;
}

/* Depths: 0 the answer, 1 its members, 2 an entry or link, 3 its members, 4 those of search. */
static p2p_error_t *on_page_token(p2p_bundle_reader_t *reader, const p2p_scan_token_t *token)
{
    if (token->depth == 2 && token->kind == P2P_SCAN_OBJECT) begin_object(reader, token);
    else if (token->depth == 2 && token->kind == P2P_SCAN_OBJECT_END) return end_object(reader);
    else if (token->depth == 2 && reader->top == M_ENTRY) return not_fhir(reader, "an entry is no object");
    else if (token->depth == 3 && token->kind == P2P_SCAN_NAME) reader->member = member_of(reader, token);
    else if (token->depth == 3) return on_member_value(reader, token);
    else if (token->depth == 4 && reader->member == M_SEARCH && token->kind == P2P_SCAN_NAME)
        reader->inner = member_of(reader, token);
    else if (token->depth == 4 && reader->member == M_SEARCH && reader->inner == M_MODE) {
        reader->outcome = span_is(reader, span_of(token), "outcome");
        reader->included = span_is(reader, span_of(token), "include");
    }
    return NULL;
}

static p2p_error_t *on_document(p2p_bundle_reader_t *reader, const p2p_scan_token_t *token)
{
    if (token->kind == P2P_SCAN_OBJECT) reader->doc.begin = token->begin;
    else if (token->kind == P2P_SCAN_OBJECT_END) {
        reader->doc.end = token->end;
        reader->ended = 1;
    } else return not_fhir(reader, "it is no JSON object");
    return NULL;
}

static p2p_error_t *on_own_token(p2p_bundle_reader_t *reader, const p2p_scan_token_t *token)
{
    if (token->depth > 4) return NULL;
    if (token->depth == 0) return on_document(reader, token);
    if (token->depth == 1 && token->kind == P2P_SCAN_NAME) {
        reader->top = member_of(reader, token);
        return NULL;
    }
    if (token->depth == 1) return on_top_value(reader, token);
    if (reader->form == SINGLE || (reader->top != M_ENTRY && reader->top != M_LINK)) return NULL;
    return on_page_token(reader, token);
}

/* Most tokens by far are those of the entries' resources. */
static p2p_error_t *on_token(void *baton, const p2p_scan_token_t *token)
{
    p2p_bundle_reader_t *reader = baton;

    if (!reader->in_resource) return on_own_token(reader, token);
    tell_token(reader, token);
    if (token->depth > RESOURCE_DEPTH) return NULL;
    reader->in_resource = 0;
    return on_own_token(reader, token);
}

/* Drops what no token under way needs any more. */
static void forget_done(p2p_bundle_reader_t *reader)
{
    apr_uint64_t keep = reader->scan.token_begin;

    int sure = reader->form == PAGE && (reader->has_type || reader->bundle.entries > 0);

    if (!sure) keep = reader->doc.begin;
    else if (reader->in_entry || reader->top == M_LINK) keep = reader->object.begin;
    if (keep > reader->buf_offset) {
        p2p_buf_consume(&reader->buf, (apr_size_t)(keep - reader->buf_offset));
        reader->buf_offset = keep;
    }
}

static p2p_error_t *feed_slice(p2p_bundle_reader_t *reader, const char *bytes, apr_size_t len)
{
    p2p_buf_add(&reader->buf, bytes, len);
    if (reader->buf.overflow) return too_large(reader);
    P2P_TRY(p2p_scan_feed(&reader->scan, bytes, len));
    forget_done(reader);
    p2p_buf_trim(&reader->buf); /* one large resource does not make all that follow cost as much */
    return NULL;
}

p2p_error_t *p2p_bundle_reader_feed(p2p_bundle_reader_t *reader, const char *bytes, apr_size_t len)
{
    if (!reader->scan.event) p2p_scan_init(&reader->scan, on_token, reader, reader->pool);
    while (len > 0) {
        apr_size_t slice = len < SLICE ? len : SLICE;

        P2P_TRY(feed_slice(reader, bytes, slice));
        bytes += slice;
        len -= slice;
    }
    return NULL;
}

p2p_error_t *p2p_bundle_reader_finish(p2p_bundle_reader_t *reader)
{
    p2p_bundle_entry_t entry = {0};

    if (!reader->scan.event) p2p_scan_init(&reader->scan, on_token, reader, reader->pool);
    P2P_TRY(p2p_scan_finish(&reader->scan));
    if (!reader->has_type) return not_fhir(reader, "it has no resourceType");
    if (reader->is_bundle && reader->form != SINGLE) {
        decide(reader, PAGE);
        return NULL;
    }
    if (span_len(reader->doc) > reader->max) return too_large(reader);
    entry.resource = text_at(reader, reader->doc);
    entry.len = span_len(reader->doc);
    entry.alone = 1;
    entry.reader = reader;
    reader->bundle.entries++;
    return reader->entry(reader->baton, &entry);
}

/* What lies behind the resource stays with the reader, whose scan goes on there. */
char *p2p_bundle_reader_take(p2p_bundle_reader_t *reader, const p2p_bundle_entry_t *entry, apr_size_t *offset)
{
    apr_size_t begin = (apr_size_t)(entry->resource - reader->buf.data), end = begin + entry->len;
    p2p_buf_t rest;
    char *block;

    if (entry->len < LARGE || entry->len < reader->buf.len / 2) return NULL;
    p2p_buf_init(&rest, reader->buf.max);
    p2p_buf_add(&rest, reader->buf.data + end, reader->buf.len - end);
    block = p2p_buf_take(&reader->buf);
    reader->buf = rest;
    reader->buf_offset += end;
    *offset = begin;
    return block;
}

const p2p_bundle_t *p2p_bundle_reader_bundle(const p2p_bundle_reader_t *reader)
{
    return &reader->bundle;
}

apr_size_t p2p_bundle_reader_held(const p2p_bundle_reader_t *reader)
{
    return reader->buf.len;
}

void p2p_bundle_reader_close(p2p_bundle_reader_t *reader)
{
    p2p_buf_free(&reader->buf);
}
