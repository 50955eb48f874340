/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a transaction's answer with the scanner, and an OperationOutcome with json-c. */
#include "fhir/answer.h"

#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/scan.h"
#include "fhir/reference.h"

#define OUTCOME_TEXT_MAX 2000
#define FOREIGN_TEXT_MAX 200
#define OUTCOME_BODY_MAX (256 << 10)
#define FOREIGN_READ_MAX (8 << 10) /* of which the beginning is told, without tokens: of these none is told in part */
#define TOKEN_MIN 16               /* bytes; what is shorter is a word */

/* Depths: 1 the answer's members, 2 an entry, 3 its members, 4 those of its response. */
typedef struct reader_t {
    const char *body;
    apr_pool_t *pool;
    apr_array_header_t *entries;
    int in_entries, in_response, in_resource, is_bundle;
    const char *name; /* of the member under way at depth 1, 3 or 4, with quotes */
    apr_size_t name_len;
    apr_uint64_t outcome_begin;
} reader_t;

static int named(const reader_t *reader, const char *name)
{
    return p2p_scan_is(reader->name, reader->name_len, name);
}

static p2p_answer_entry_t *last(const reader_t *reader)
{
    return &APR_ARRAY_IDX(reader->entries, reader->entries->nelts - 1, p2p_answer_entry_t);
}

/* The version that text ends in, be it …/_history/3, W/"3", "3" or 3 (JSON's escapes still in it); "" where that is no FHIR id. */
static const char *version_of(const reader_t *reader, const char *text, apr_size_t len)
{
    apr_size_t end = len, begin;

    while (end > 0 && (text[end - 1] == '"' || text[end - 1] == '\\')) end--;
    for (begin = end; begin > 0 && text[begin - 1] != '/' && text[begin - 1] != '"';) begin--;
    if (!p2p_is_fhir_id(text + begin, end - begin)) return "";
    return end - begin == 1 && text[begin] == '1' ? "1" : apr_pstrmemdup(reader->pool, text + begin, end - begin);
}

/* The id in Type/id, .../Type/id or either of them with /_history/n behind it. */
static void take_id(p2p_answer_entry_t *entry, const char *text, apr_size_t len)
{
    const char *history = memmem(text, len, "/_history", 9);
    apr_size_t end = history ? (apr_size_t)(history - text) : len, begin;

    for (begin = end; begin > 0 && text[begin - 1] != '/';) begin--;
    if (!begin || !p2p_is_fhir_id(text + begin, end - begin)) return;
    entry->id = text + begin;
    entry->id_len = end - begin;
}

static int has(const char *text, apr_size_t len, const char *part)
{
    return memmem(text, len, part, strlen(part)) != NULL;
}

static void on_response_string(const reader_t *reader, const char *text, apr_size_t len)
{
    p2p_answer_entry_t *entry = last(reader);

    if (named(reader, "status") && len >= 3) {
        entry->status = apr_isdigit(text[0]) && apr_isdigit(text[1]) && apr_isdigit(text[2]) && (len == 3 || !apr_isdigit(text[3]))
                        ? (text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0') : 0;
    } else if (named(reader, "location")) {
        take_id(entry, text, len);
        if (has(text, len, "/_history")) entry->version = version_of(reader, text, len);
    } else if (named(reader, "etag") && !*entry->version) entry->version = version_of(reader, text, len);
}

static void on_top(reader_t *reader, const p2p_scan_token_t *token)
{
    if (token->kind == P2P_SCAN_STRING && named(reader, "resourceType"))
        reader->is_bundle = p2p_scan_is(reader->body + token->begin, (apr_size_t)(token->end - token->begin), "Bundle");
    reader->in_entries = token->kind == P2P_SCAN_ARRAY && named(reader, "entry");
}

static void on_response(reader_t *reader, const p2p_scan_token_t *token)
{
    const char *text = reader->body + token->begin;

    if (token->kind == P2P_SCAN_STRING) on_response_string(reader, text + 1, (apr_size_t)(token->end - token->begin) - 2);
    else if (token->kind == P2P_SCAN_OBJECT && named(reader, "outcome")) reader->outcome_begin = token->begin;
    else if (token->kind == P2P_SCAN_OBJECT_END && named(reader, "outcome")) {
        last(reader)->outcome = reader->body + reader->outcome_begin;
        last(reader)->outcome_len = (apr_size_t)(token->end - reader->outcome_begin);
    }
}

static void on_entry_member(reader_t *reader, const p2p_scan_token_t *token)
{
    reader->in_response = token->kind == P2P_SCAN_OBJECT && named(reader, "response");
    reader->in_resource = token->kind == P2P_SCAN_OBJECT && named(reader, "resource");
}

static void on_resource(const reader_t *reader, const p2p_scan_token_t *token)
{
    const char *text = reader->body + token->begin + 1;
    apr_size_t len = (apr_size_t)(token->end - token->begin) - 2;
    p2p_answer_entry_t *entry = last(reader);

    if (token->kind != P2P_SCAN_STRING || !named(reader, "id") || entry->id || !p2p_is_fhir_id(text, len)) return;
    entry->id = text;
    entry->id_len = len;
}

static p2p_error_t *on_token(void *baton, const p2p_scan_token_t *token)
{
    reader_t *reader = baton;

    if (token->depth > 4 || token->depth == 0) return NULL;
    if (token->kind == P2P_SCAN_NAME && token->depth != 2) {
        reader->name = reader->body + token->begin;
        reader->name_len = (apr_size_t)(token->end - token->begin);
    } else if (token->depth == 1) on_top(reader, token);
    else if (!reader->in_entries) return NULL;
    else if (token->depth == 2 && token->kind == P2P_SCAN_OBJECT)
        APR_ARRAY_PUSH(reader->entries, p2p_answer_entry_t) = (p2p_answer_entry_t){.version = ""};
    else if (token->depth == 3) on_entry_member(reader, token);
    else if (token->depth == 4 && reader->in_resource) on_resource(reader, token);
    else if (token->depth == 4 && reader->in_response) on_response(reader, token);
    return NULL;
}

p2p_error_t *p2p_answer_read(apr_pool_t *p, const char *body, apr_size_t len, p2p_answer_entry_t **entries, int *count)
{
    reader_t reader = {0};

    reader.body = body;
    reader.pool = p;
    reader.entries = apr_array_make(p, 128, sizeof(p2p_answer_entry_t));
    P2P_TRY(p2p_scan_all(body, len, on_token, &reader, p));
    if (!reader.is_bundle) return p2p_error_make(p, P2P_E_INVALID, "not-fhir", "the answer is no Bundle");
    *entries = (p2p_answer_entry_t *)(void *)reader.entries->elts;
    *count = reader.entries->nelts;
    return NULL;
}

/* ---- OperationOutcome ---- */

/* Does the text that ends at `at` end with a word that announces what opens a door? */
static int announces(const char *text, apr_size_t at)
{
    static const char *const words[] = {"bearer", "basic", "token", "secret", "password", "assertion"};
    apr_size_t i, len;

    while (at && strchr(" =:\"'\\\t", text[at - 1])) at--;
    for (i = 0; i < sizeof words / sizeof *words; i++) {
        len = strlen(words[i]);
        if (at >= len && !strncasecmp(text + at - len, words[i], len)) return 1;
    }
    return 0;
}

/* How long is the token (RFC 6750, section 2.1; or of a form) that begins here? */
static apr_size_t token_length(const char *text, apr_size_t len)
{
    apr_size_t n = 0;

    while (n < len && (apr_isalnum(text[n]) || (text[n] && strchr("-._~+/%", text[n])))) n++;
    while (n && n < len && text[n] == '=') n++;
    return n;
}

/* Some servers repeat what they were asked, tokens included: these are taken out, in place. The new length. */
static apr_size_t hide_tokens(char *text, apr_size_t len)
{
    apr_size_t at = 0, to = 0, n;

    while (at < len) {
        n = token_length(text + at, len - at);
        if (n >= TOKEN_MIN && announces(text, to)) {
            memcpy(text + to, "***", 3);
            to += 3;
            at += n;
            continue;
        }
        if (!n) n = 1;
        memmove(text + to, text + at, n);
        to += n;
        at += n;
    }
    return to;
}

static const char *foreign_text(apr_pool_t *p, const char *body, apr_size_t len)
{
    char *text = apr_pstrmemdup(p, body, len < FOREIGN_READ_MAX ? len : FOREIGN_READ_MAX), *c;
    apr_size_t n = hide_tokens(text, strlen(text));

    text[n < FOREIGN_TEXT_MAX ? n : FOREIGN_TEXT_MAX] = '\0';
    for (c = text; *c; c++) {
        if (!apr_isprint(*c)) *c = ' ';
    }
    return text;
}

static void add_issue(p2p_buf_t *text, json_object *issue)
{
    const char *diagnostics = p2p_json_str(issue, "diagnostics");
    const char *details = p2p_json_str(p2p_json_obj(issue, "details"), "text");
    const char *code = p2p_json_str(issue, "code");

    if (text->len) p2p_buf_puts(text, "; ");
    p2p_buf_puts(text, code ? code : "issue");
    if (details) p2p_buf_printf(text, ": %s", details);
    if (diagnostics) p2p_buf_printf(text, ": %s", diagnostics);
}

const char *p2p_outcome_text(apr_pool_t *p, const char *body, apr_size_t len)
{
    json_object *doc, *issues;
    p2p_buf_t text;
    const char *copy;
    apr_size_t i, n;

    if (len > OUTCOME_BODY_MAX || p2p_json_parse(p, body, len, &doc) || !(issues = p2p_json_arr(doc, "issue")))
        return foreign_text(p, body, len);
    p2p_buf_init(&text, OUTCOME_BODY_MAX);
    for (i = 0; i < json_object_array_length(issues); i++) add_issue(&text, json_object_array_get_idx(issues, i));
    text.len = text.len ? hide_tokens(text.data, text.len) : 0;
    for (n = text.len; n > OUTCOME_TEXT_MAX || (n < text.len && (text.data[n] & 0xC0) == 0x80);) n--; /* no half character */
    copy = apr_pstrmemdup(p, text.data ? text.data : "", n);
    p2p_buf_free(&text);
    return copy;
}
