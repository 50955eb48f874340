/* SPDX-License-Identifier: Apache-2.0 */
/* Telling the forms of a FHIR reference apart. */
#include "fhir/reference.h"

#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

#define BASE_LEN_MAX 2048
#define SOURCE_ID_MAX 128

/* Printable ASCII without what has a meaning in URLs, references and JSON: " # % / ? and the backslash. */
static const unsigned char is_source_id_char[256] = {
    ['!'] = 1, ['$'] = 1, ['&' ... '.'] = 1, ['0' ... '>'] = 1, ['@' ... '['] = 1, [']' ... '~'] = 1};

int p2p_is_source_id(const char *text, apr_size_t len)
{
    apr_size_t i;

    if (len < 1 || len > SOURCE_ID_MAX) return 0;
    for (i = 0; i < len; i++) {
        if (!is_source_id_char[(unsigned char)text[i]]) return 0;
    }
    return 1;
}

int p2p_is_fhir_type(const char *text, apr_size_t len)
{
    apr_size_t i;

    if (len < 1 || len > 64 || !apr_isupper(text[0])) return 0;
    for (i = 1; i < len; i++) {
        if (!apr_isalpha(text[i])) return 0;
    }
    return 1;
}

static int starts_with(const char *text, apr_size_t len, const char *word)
{
    apr_size_t word_len = strlen(word);

    return len >= word_len && memcmp(text, word, word_len) == 0;
}

static int is_http(const char *text, apr_size_t len)
{
    return starts_with(text, len, "http://") || starts_with(text, len, "https://");
}

void p2p_bases_add(p2p_bases_t *bases, const char *text, apr_size_t len)
{
    int i;

    while (len && text[len - 1] == '/') len--;
    if (bases->count == P2P_BASES_MAX || len > BASE_LEN_MAX || !is_http(text, len)) return;
    for (i = 0; i < bases->count; i++) {
        if (bases->len[i] == len && memcmp(bases->base[i], text, len) == 0) return;
    }
    bases->base[bases->count] = apr_pstrmemdup(bases->pool, text, len);
    bases->len[bases->count++] = len;
}

void p2p_bases_learn(p2p_bases_t *bases, const char *full_url, apr_size_t len, const char *type, const char *id)
{
    apr_size_t type_len = strlen(type), id_len = strlen(id), tail = type_len + id_len + 2;
    const char *at;

    if (len <= tail) return;
    at = full_url + len - tail;
    if (at[0] != '/' || at[type_len + 1] != '/') return;
    if (memcmp(at + 1, type, type_len) != 0 || memcmp(at + type_len + 2, id, id_len) != 0) return;
    p2p_bases_add(bases, full_url, len - tail);
}

/* Reads Type/id or Type/id/_history/version, all of it. */
static int read_relative(const char *text, apr_size_t len, p2p_reference_t *ref)
{
    static const char history[] = "/_history/";
    const char *slash = memchr(text, '/', len), *end = text + len, *id, *next;

    if (!slash || !p2p_is_fhir_type(text, slash - text)) return 0;
    id = slash + 1;
    next = memchr(id, '/', end - id);
    if (next && (!starts_with(next, end - next, history)
                 || !p2p_is_source_id(next + sizeof history - 1, end - next - (sizeof history - 1)))) return 0;
    ref->type = text;
    ref->type_len = slash - text;
    ref->id = id;
    ref->id_len = (next ? next : end) - id;
    return p2p_is_source_id(ref->id, ref->id_len);
}

/* Something like …/Type/id at the end of a URL that is under none of the bases. */
static void read_tail(const char *text, apr_size_t len, p2p_reference_t *ref)
{
    apr_size_t at = len;
    int slashes = 0;

    while (at > 0 && slashes < 4) {
        if (text[--at] != '/') continue;
        if (++slashes >= 2 && read_relative(text + at + 1, len - at - 1, ref)) return;
    }
    ref->type = ref->id = NULL;
    ref->type_len = ref->id_len = 0;
}

static p2p_reference_t read_absolute(const p2p_bases_t *bases, const char *text, apr_size_t len)
{
    p2p_reference_t ref = {P2P_REF_RESOURCE, NULL, NULL, 0, 0};
    int i;

    for (i = 0; i < bases->count; i++) {
        apr_size_t base = bases->len[i];

        if (len > base + 1 && text[base] == '/' && memcmp(text, bases->base[i], base) == 0
            && read_relative(text + base + 1, len - base - 1, &ref)) return ref;
    }
    ref.kind = P2P_REF_EXTERNAL;
    read_tail(text, len, &ref);
    return ref;
}

p2p_reference_t p2p_reference_parse(const p2p_bases_t *bases, const char *text, apr_size_t len)
{
    static const p2p_reference_t nowhere = {P2P_REF_EXTERNAL, NULL, NULL, 0, 0};
    p2p_reference_t ref = {P2P_REF_OTHER, NULL, NULL, 0, 0};
    const char *question;

    if (len == 0 || text[0] == '#') return ref;
    if (is_http(text, len)) return read_absolute(bases, text, len);
    if (starts_with(text, len, "urn:uuid:") || starts_with(text, len, "urn:oid:")) {
        ref.kind = P2P_REF_URN;
        return ref;
    }
    question = memchr(text, '?', len);
    if (question && p2p_is_fhir_type(text, question - text)) ref.kind = P2P_REF_CONDITIONAL;
    else if (read_relative(text, len, &ref)) ref.kind = P2P_REF_RESOURCE;
    else return nowhere;
    return ref;
}
