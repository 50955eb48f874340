/* SPDX-License-Identifier: Apache-2.0 */
/* Provenance into a Bundle that passes by: the scanner tells where its entries are, and the bytes go on with text between them. */
#include "fhir/injection.h"

#include <string.h>

#include <apr_strings.h>

#include "base/scan.h"
#include "fhir/injection_targets.h"

/* Depths: 0 the document, 1 its members, 2 an entry or link, 3 its members, 4 those of its resource or search, 5 those of meta. */
enum { DOCUMENT, TOP, ITEM, MEMBER, INNER, META, DEPTHS };

#define RAW_NAME_MAX 80                       /* a name as it is written; the longest that matters has 12 characters, 6 bytes each at most */
#define RAW_MAX (2 * P2P_INJECTION_NEXT_MAX) /* a value as it is written; a longer one counts as none */

typedef enum { M_OTHER, M_RESOURCE_TYPE, M_TYPE, M_ENTRY, M_LINK, M_FULL_URL, M_RESOURCE, M_SEARCH, M_ID, M_META, M_MODE, M_RELATION,
               M_URL, M_VERSION_ID } member_t;

struct p2p_injection_t {
    p2p_injection_result_t result;
    const p2p_injection_settings_t *settings;
    p2p_injection_write_fn write;
    void *baton;
    apr_pool_t *pool;
    apr_pool_t *item_pool; /* texts of the entry or link under way */
    apr_pool_t *name_pool; /* a name without its escapes */
    p2p_scan_t scan;
    p2p_error_t enough;    /* what ends the scan where nothing more is to be found */
    int scanning;
    p2p_buf_t held;        /* all bytes, until it is decided */
    p2p_buf_t carry;       /* the beginning of a token that goes on in the next piece */
    p2p_injection_targets_t targets;
    const char *piece;     /* being fed */
    apr_uint64_t piece_at; /* offset of its first byte */
    apr_size_t written;    /* of it */
    unsigned depth;        /* deeper tokens do not matter */
    member_t member[DEPTHS];
    unsigned seen[DEPTHS]; /* members of the object under way, a bit each */
    int is_bundle, is_searchset, in_item;
    p2p_injection_entry_t entry; /* under way */
    const char *mode, *relation, *url;
    int has_resource, odd;
};

static apr_status_t release(void *data)
{
    p2p_injection_t *injection = data;

    p2p_buf_free(&injection->held);
    p2p_buf_free(&injection->carry);
    p2p_injection_targets_free(&injection->targets);
    return APR_SUCCESS;
}

static p2p_error_t *on_token(void *baton, const p2p_scan_token_t *token);

p2p_injection_t *p2p_injection_make(apr_pool_t *p, const p2p_injection_settings_t *settings, p2p_injection_write_fn write, void *baton)
{
    p2p_injection_t *injection = apr_pcalloc(p, sizeof *injection);

    injection->settings = settings;
    injection->write = write;
    injection->baton = baton;
    injection->pool = p;
    apr_pool_create(&injection->item_pool, p);
    apr_pool_create(&injection->name_pool, p);
    p2p_scan_init(&injection->scan, on_token, injection, p);
    injection->scanning = 1;
    p2p_buf_init(&injection->held, P2P_INJECTION_HOLD);
    p2p_buf_init(&injection->carry, RAW_MAX);
    p2p_injection_targets_init(&injection->targets);
    injection->depth = TOP;
    apr_pool_cleanup_register(p, injection, release, apr_pool_cleanup_null);
    return injection;
}

/* ---- Writing ---- */

static void decide(p2p_injection_t *injection, p2p_injection_state_t state)
{
    injection->result.state = state;
    if (injection->held.len) injection->write(injection->baton, injection->held.data, injection->held.len, 1);
    p2p_buf_free(&injection->held);
}

/* Nothing more is looked for: the rest passes as it is. */
static p2p_error_t *stop(p2p_injection_t *injection, p2p_injection_why_t why)
{
    injection->scanning = 0;
    if (injection->result.state != P2P_INJECTION_PASSES) injection->result.why = why;
    if (injection->result.state == P2P_INJECTION_UNDECIDED) decide(injection, P2P_INJECTION_PASSES);
    return &injection->enough;
}

/* Writes the piece up to an offset in the document. */
static void write_until(p2p_injection_t *injection, apr_uint64_t offset)
{
    apr_size_t end = (apr_size_t)(offset - injection->piece_at);

    if (end > injection->written) injection->write(injection->baton, injection->piece + injection->written, end - injection->written, 0);
    injection->written = end;
}

static void add_provenance(p2p_injection_t *injection, apr_uint64_t offset)
{
    unsigned count = injection->targets.count;

    write_until(injection, offset);
    injection->result.bytes_added += p2p_injection_targets_write(&injection->targets, injection->settings, injection->write, injection->baton);
    injection->result.targets += count;
    injection->result.provenances++;
}

/* ---- Reading ---- */

/* The bytes of a token, quotes included, wherever it began; NULL where they are too many. */
static const char *raw_text(p2p_injection_t *injection, const p2p_scan_token_t *token)
{
    apr_size_t len = (apr_size_t)(token->end - token->begin);

    if (token->end - token->begin > RAW_MAX) return NULL;
    if (token->begin >= injection->piece_at) return injection->piece + (token->begin - injection->piece_at);
    if (injection->carry.len < len)
        p2p_buf_add(&injection->carry, injection->piece, (apr_size_t)(token->end - injection->piece_at));
    return injection->carry.len == len ? injection->carry.data : NULL;
}

/* The value of a string in p, if it is one of at most max characters and no NUL; else NULL. */
static const char *value_of(p2p_injection_t *injection, apr_pool_t *p, const p2p_scan_token_t *token, apr_size_t max)
{
    const char *raw, *text;
    apr_size_t len;

    if (token->kind != P2P_SCAN_STRING && token->kind != P2P_SCAN_NAME) return NULL;
    raw = raw_text(injection, token);
    if (!raw) return NULL;
    text = p2p_scan_unescape(p, raw, (apr_size_t)(token->end - token->begin), &len);
    return len <= max && strlen(text) == len ? text : NULL;
}

/* Sorted by length; a name's length tells where to begin. */
static member_t member_named(const char *name, apr_size_t len)
{
    static const struct { const char *name; apr_size_t len; member_t member; } known[] = {
        {"id", 2, M_ID}, {"url", 3, M_URL}, {"meta", 4, M_META}, {"mode", 4, M_MODE}, {"type", 4, M_TYPE}, {"link", 4, M_LINK},
        {"entry", 5, M_ENTRY}, {"search", 6, M_SEARCH}, {"fullUrl", 7, M_FULL_URL}, {"resource", 8, M_RESOURCE},
        {"relation", 8, M_RELATION}, {"versionId", 9, M_VERSION_ID}, {"resourceType", 12, M_RESOURCE_TYPE}, {"", APR_SIZE_MAX, M_OTHER}};
    static const unsigned char first[] = {13, 13, 0, 1, 2, 6, 7, 8, 9, 11, 13, 13, 12};
    apr_size_t i = len < sizeof first ? first[len] : 13;

    for (; known[i].len == len; i++) {
        if (memcmp(known[i].name, name, len) == 0) return known[i].member;
    }
    return M_OTHER;
}

static member_t member_of(p2p_injection_t *injection, const p2p_scan_token_t *token)
{
    apr_size_t len = (apr_size_t)(token->end - token->begin);
    const char *raw = len <= RAW_NAME_MAX ? raw_text(injection, token) : NULL;
    member_t member;

    if (!raw) return M_OTHER;
    if (!memchr(raw, '\\', len)) return member_named(raw + 1, len - 2);
    raw = p2p_scan_unescape(injection->name_pool, raw, len, &len);
    member = member_named(raw, len);
    apr_pool_clear(injection->name_pool);
    return member;
}

/* A name of the object that is under way at a depth. Returns 0 where it is one that matters and came before: its values do not
 * count. */
static int on_name(p2p_injection_t *injection, const p2p_scan_token_t *token)
{
    member_t member = member_of(injection, token);
    int twice = member != M_OTHER && (injection->seen[token->depth] & 1u << member);

    injection->seen[token->depth] |= 1u << member;
    injection->member[token->depth] = twice ? M_OTHER : member;
    return !twice;
}

static void begin_object(p2p_injection_t *injection, unsigned inside)
{
    injection->member[inside] = M_OTHER;
    injection->seen[inside] = 0;
    injection->depth = inside;
}

/* ---- An entry, or a link ---- */

static void begin_item(p2p_injection_t *injection)
{
    static const p2p_injection_entry_t none = {NULL, NULL, NULL};

    apr_pool_clear(injection->item_pool);
    begin_object(injection, MEMBER);
    injection->in_item = 1;
    injection->entry = none;
    injection->mode = injection->relation = injection->url = NULL;
    injection->has_resource = injection->odd = 0;
}

static int is(const char *text, const char *word)
{
    return text && strcmp(text, word) == 0;
}

static void end_entry(p2p_injection_t *injection, apr_uint64_t offset)
{
    const p2p_injection_entry_t *entry = &injection->entry;

    if (is(injection->mode, "outcome") || is(entry->type, "OperationOutcome") || is(entry->type, "Provenance"))
        injection->result.left_out++;
    else if (injection->odd || !injection->has_resource || !p2p_injection_targets_add(&injection->targets, entry))
        injection->result.unnamed++;
    else if (p2p_injection_targets_full(&injection->targets)) add_provenance(injection, offset);
}

static void end_item(p2p_injection_t *injection, const p2p_scan_token_t *token)
{
    injection->in_item = 0;
    if (injection->member[TOP] == M_ENTRY) end_entry(injection, token->end);
    else if (!injection->result.next && !injection->odd && is(injection->relation, "next") && injection->url)
        injection->result.next = apr_pstrdup(injection->pool, injection->url);
}

/* Something stands in the array of entries, or links. */
static void on_item(p2p_injection_t *injection, const p2p_scan_token_t *token)
{
    if (token->kind == P2P_SCAN_OBJECT_END) {
        end_item(injection, token);
        return;
    }
    if (token->kind == P2P_SCAN_ARRAY_END) return;
    if (injection->member[TOP] == M_ENTRY) {
        if (injection->result.state == P2P_INJECTION_UNDECIDED) decide(injection, P2P_INJECTION_INJECTS);
        injection->result.entries++;
        injection->result.unnamed += token->kind != P2P_SCAN_OBJECT;
    }
    if (token->kind == P2P_SCAN_OBJECT) begin_item(injection);
}

static void on_entry_value(p2p_injection_t *injection, const p2p_scan_token_t *token)
{
    member_t member = injection->member[MEMBER];

    if (member == M_FULL_URL) {
        injection->entry.full_url = value_of(injection, injection->item_pool, token, P2P_INJECTION_URL_MAX);
        injection->odd |= token->kind == P2P_SCAN_STRING && !injection->entry.full_url;
    } else if (member == M_RESOURCE || member == M_SEARCH) {
        if (token->kind == P2P_SCAN_OBJECT) begin_object(injection, INNER);
        else if (token->kind == P2P_SCAN_OBJECT_END) injection->depth = MEMBER;
        injection->has_resource |= member == M_RESOURCE && token->kind == P2P_SCAN_OBJECT;
    }
}

static void on_member(p2p_injection_t *injection, const p2p_scan_token_t *token)
{
    if (!injection->in_item) return; /* an array within the array */
    if (token->kind == P2P_SCAN_NAME) injection->odd |= !on_name(injection, token);
    else if (injection->member[TOP] == M_ENTRY) on_entry_value(injection, token);
    else if (injection->member[MEMBER] == M_RELATION) injection->relation = value_of(injection, injection->item_pool, token, 16);
    else if (injection->member[MEMBER] == M_URL) injection->url = value_of(injection, injection->item_pool, token, P2P_INJECTION_NEXT_MAX);
}

static void on_inner(p2p_injection_t *injection, const p2p_scan_token_t *token)
{
    int in_resource = injection->member[MEMBER] == M_RESOURCE;
    member_t member = injection->member[INNER];

    if (token->kind == P2P_SCAN_NAME) injection->odd |= !on_name(injection, token);
    else if (!in_resource && member == M_MODE) injection->mode = value_of(injection, injection->item_pool, token, 16);
    else if (in_resource && member == M_RESOURCE_TYPE) injection->entry.type = value_of(injection, injection->item_pool, token, 64);
    else if (in_resource && member == M_META && token->kind == P2P_SCAN_OBJECT) begin_object(injection, META);
    else if (in_resource && member == M_META && token->kind == P2P_SCAN_OBJECT_END) injection->depth = INNER;
}

static void on_meta(p2p_injection_t *injection, const p2p_scan_token_t *token)
{
    if (token->kind == P2P_SCAN_NAME) injection->odd |= !on_name(injection, token);
    else if (injection->member[META] == M_VERSION_ID) injection->entry.version = value_of(injection, injection->item_pool, token, 64);
}

/* ---- The Bundle ---- */

static p2p_error_t *on_top_name(p2p_injection_t *injection, const p2p_scan_token_t *token)
{
    if (!on_name(injection, token)) return stop(injection, P2P_INJECTION_ODD);
    if (injection->member[TOP] == M_ENTRY && !(injection->is_bundle && injection->is_searchset))
        return stop(injection, P2P_INJECTION_ENTRY_FIRST);
    return NULL;
}

/* The array's end: the last Provenance, or none where it had nothing in it. */
static void end_entries(p2p_injection_t *injection, apr_uint64_t offset)
{
    if (injection->targets.count) add_provenance(injection, offset);
    if (injection->result.state != P2P_INJECTION_UNDECIDED) return;
    injection->result.why = P2P_INJECTION_NO_ENTRY;
    decide(injection, P2P_INJECTION_PASSES);
}

static p2p_error_t *on_list(p2p_injection_t *injection, const p2p_scan_token_t *token)
{
    int entries = injection->member[TOP] == M_ENTRY;

    if (token->kind == P2P_SCAN_ARRAY) injection->depth = MEMBER;
    else if (token->kind == P2P_SCAN_ARRAY_END) {
        injection->depth = TOP;
        if (entries) end_entries(injection, token->begin);
    } else if (entries) return stop(injection, P2P_INJECTION_ODD);
    return NULL;
}

static p2p_error_t *on_top(p2p_injection_t *injection, const p2p_scan_token_t *token)
{
    apr_pool_t *p = injection->item_pool;

    if (token->kind == P2P_SCAN_NAME) return on_top_name(injection, token);
    switch (injection->member[TOP]) {
    case M_ENTRY: case M_LINK:
        return on_list(injection, token);
    case M_RESOURCE_TYPE:
        injection->is_bundle = is(value_of(injection, p, token, 64), "Bundle");
        return injection->is_bundle ? NULL : stop(injection, P2P_INJECTION_NOT_BUNDLE);
    case M_TYPE:
        injection->is_searchset = is(value_of(injection, p, token, 64), "searchset");
        return injection->is_searchset ? NULL : stop(injection, P2P_INJECTION_NOT_SEARCHSET);
    default:
        return NULL;
    }
}

/* By far the most tokens are deeper than what is looked at. */
static p2p_error_t *on_token(void *baton, const p2p_scan_token_t *token)
{
    p2p_injection_t *injection = baton;

    if (token->depth > injection->depth) return NULL;
    switch (token->depth) {
    case DOCUMENT:
        return token->kind == P2P_SCAN_OBJECT || token->kind == P2P_SCAN_OBJECT_END ? NULL : stop(injection, P2P_INJECTION_NOT_BUNDLE);
    case TOP:
        return on_top(injection, token);
    case ITEM:
        on_item(injection, token);
        break;
    case MEMBER:
        on_member(injection, token);
        break;
    case INNER:
        on_inner(injection, token);
        break;
    default:
        on_meta(injection, token);
    }
    return NULL;
}

/* ---- Feeding ---- */

/* Keeps the beginning of a token that goes on in the next piece, if it matters. One that is too long is not kept whole. */
static void keep_token(p2p_injection_t *injection, apr_size_t len)
{
    const p2p_scan_t *scan = &injection->scan;
    apr_size_t from = 0;

    if (!p2p_scan_within(scan) || scan->depth > injection->depth) {
        p2p_buf_clear(&injection->carry);
        return;
    }
    if (scan->token_begin >= injection->piece_at) {
        p2p_buf_clear(&injection->carry);
        from = (apr_size_t)(scan->token_begin - injection->piece_at);
    }
    p2p_buf_add(&injection->carry, injection->piece + from, len - from);
}

static void scan_piece(p2p_injection_t *injection, apr_size_t len)
{
    p2p_error_t *error = p2p_scan_feed(&injection->scan, injection->piece, len);

    if (error && error != &injection->enough)
        stop(injection, injection->result.state == P2P_INJECTION_UNDECIDED ? P2P_INJECTION_NOT_JSON : P2P_INJECTION_BROKEN);
    if (injection->scanning) keep_token(injection, len);
}

/* So much was held that it has to be decided now. */
static void settle(p2p_injection_t *injection)
{
    if (injection->is_bundle && injection->is_searchset) decide(injection, P2P_INJECTION_INJECTS);
    else stop(injection, P2P_INJECTION_TOO_LATE);
}

static void feed_piece(p2p_injection_t *injection, const char *bytes, apr_size_t len)
{
    injection->piece = bytes;
    injection->piece_at = injection->result.bytes_in;
    injection->written = 0;
    if (injection->scanning) scan_piece(injection, len);
    injection->result.bytes_in += len;
    if (injection->result.state == P2P_INJECTION_UNDECIDED) p2p_buf_add(&injection->held, bytes, len);
    else write_until(injection, injection->result.bytes_in);
    if (injection->result.state == P2P_INJECTION_UNDECIDED && injection->held.len == P2P_INJECTION_HOLD) settle(injection);
}

/* Until it is decided, a piece ends where no more is held, so that it never matters how the document is cut. */
void p2p_injection_feed(p2p_injection_t *injection, const char *bytes, apr_size_t len)
{
    while (len > 0) {
        apr_size_t room = P2P_INJECTION_HOLD - injection->held.len;
        apr_size_t n = injection->result.state == P2P_INJECTION_UNDECIDED && room < len ? room : len;

        feed_piece(injection, bytes, n);
        bytes += n;
        len -= n;
    }
}

static p2p_injection_why_t why_undecided(const p2p_injection_t *injection, const p2p_error_t *error)
{
    if (error) return P2P_INJECTION_NOT_JSON;
    if (!injection->is_bundle) return P2P_INJECTION_NOT_BUNDLE;
    return injection->is_searchset ? P2P_INJECTION_NO_ENTRY : P2P_INJECTION_NOT_SEARCHSET;
}

void p2p_injection_end(p2p_injection_t *injection)
{
    p2p_injection_result_t *result = &injection->result;
    p2p_error_t *error = injection->scanning ? p2p_scan_finish(&injection->scan) : NULL;

    if (result->state == P2P_INJECTION_UNDECIDED) stop(injection, why_undecided(injection, error));
    else if (error && error != &injection->enough) stop(injection, P2P_INJECTION_BROKEN);
    else if (result->why == P2P_INJECTION_FINE && !result->provenances) result->why = P2P_INJECTION_NO_TARGET;
    injection->scanning = 0;
    release(injection);
}

const p2p_injection_result_t *p2p_injection_result(const p2p_injection_t *injection)
{
    return &injection->result;
}

const char *p2p_injection_why_word(p2p_injection_why_t why)
{
    static const char *const words[] = {"injected", "not-json", "not-bundle", "not-searchset", "entry-first", "too-late", "odd", "no-entry",
                                        "no-target", "broken"};

    return words[why];
}
