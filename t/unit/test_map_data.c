/* SPDX-License-Identifier: Apache-2.0 */
/* Every published example and every resource of some synthetic members, mapped: but for what is documented to change, the tokens that
 * come out are those that went in, in their order. */
#include <dirent.h>
#include <stdio.h>
#include <zlib.h>

#include "exchange/map_scan.h"
#include "fhir/resource_type.h"
#include "map_fixture.h"

#define MEMBERS 8 /* Synthea files read */

typedef struct token_t {
    p2p_scan_kind_t kind;
    unsigned depth;
    const char *text;
    size_t len;
} token_t;

typedef struct tokens_t {
    token_t *list;
    size_t count, room;
    const char *text;
} tokens_t;

static int resources; /* mapped so far */

/* ---- Tokens ---- */

static void push_token(tokens_t *tokens, token_t token)
{
    if (tokens->count == tokens->room) {
        tokens->room = tokens->room ? tokens->room * 2 : 256;
        tokens->list = realloc(tokens->list, tokens->room * sizeof token);
        assert_non_null(tokens->list);
    }
    tokens->list[tokens->count++] = token;
}

static p2p_error_t *on_token(void *baton, const p2p_scan_token_t *t)
{
    tokens_t *tokens = baton;
    token_t token = {t->kind, t->depth, tokens->text + t->begin, (size_t)(t->end - t->begin)};

    if (t->kind > P2P_SCAN_ARRAY_END || t->kind == P2P_SCAN_OBJECT || t->kind == P2P_SCAN_ARRAY) push_token(tokens, token);
    else {
        token.text = "";
        token.len = 0;
        push_token(tokens, token);
    }
    return NULL;
}

static tokens_t tokens_of(const char *text, size_t len)
{
    tokens_t tokens = {NULL, 0, 0, text};

    assert_null(p2p_scan_all(text, len, on_token, &tokens, pool));
    return tokens;
}

static int is(const token_t *token, const char *word)
{
    return p2p_scan_is(token->text, token->len, word);
}

static int is_name(const token_t *token, const char *word)
{
    return token->kind == P2P_SCAN_NAME && is(token, word);
}

static int opens(const token_t *token)
{
    return token->kind == P2P_SCAN_OBJECT || token->kind == P2P_SCAN_ARRAY;
}

/* Behind the value at i. */
static size_t behind(const tokens_t *tokens, size_t i)
{
    unsigned depth = tokens->list[i].depth;

    if (!opens(&tokens->list[i])) return i + 1;
    for (i++; tokens->list[i].depth != depth; i++) continue;
    return i + 1;
}

static const char *plain(const token_t *token)
{
    return p2p_scan_unescape(pool, token->text, token->len, NULL);
}

/* ---- What is documented to change at the top ---- */

static void copy_tokens(tokens_t *to, const tokens_t *from, size_t begin, size_t end)
{
    for (; begin < end; begin++) push_token(to, from->list[begin]);
}

/* meta without what the source's server made; nothing where nothing is left. */
static void copy_meta(tokens_t *to, const tokens_t *from, size_t name, size_t end)
{
    static const char *const gone[] = {"source", "versionId", "lastUpdated", "_source", "_versionId", "_lastUpdated"};
    size_t begin = to->count, i = name + 2, next, j;

    copy_tokens(to, from, name, i);
    for (; i < end - 1; i = next) {
        int drop = 0;

        next = behind(from, i + 1);
        for (j = 0; j < 6; j++) drop |= is(&from->list[i], gone[j]);
        if (!drop) copy_tokens(to, from, i, next);
    }
    push_token(to, from->list[end - 1]);
    if (to->count == begin + 3) to->count = begin;
}

/* An array without the element that was added, which is its last; nothing where nothing is left. */
static void copy_array(tokens_t *to, const tokens_t *from, size_t name, size_t end, int drops_last)
{
    size_t begin = to->count, i = name + 2, next;

    copy_tokens(to, from, name, i);
    for (; i < end - 1; i = next) {
        next = behind(from, i);
        if (!drops_last || next < end - 1) copy_tokens(to, from, i, next);
    }
    push_token(to, from->list[end - 1]);
    if (to->count == begin + 3) to->count = begin;
}

static void copy_top_member(tokens_t *to, const tokens_t *from, size_t i, size_t end, const char *type, int is_output)
{
    p2p_identifier_kind_t kind = p2p_identifier_kind(type);
    const token_t *token = &from->list[i];

    if (is(token, "id")) return;
    if (is(token, "meta")) copy_meta(to, from, i, end);
    else if (is(token, "identifier") && kind == P2P_IDENTIFIER_MANY) copy_array(to, from, i, end, is_output);
    else if (is(token, "link") && strcmp(type, "Patient") == 0)
        copy_array(to, from, i, end, is_output && end > i + 8 && is(&from->list[end - 3], "seealso"));
    else if (!is(token, "identifier") || kind != P2P_IDENTIFIER_ONE || !is_output || !is(&from->list[i + 3], ENDPOINT))
        copy_tokens(to, from, i, end);
}

/* The tokens without what may differ at the top. */
static tokens_t without_top(const tokens_t *from, const char *type, int is_output)
{
    tokens_t to = {NULL, 0, 0, from->text};
    size_t i, end;

    for (i = 1; i + 1 < from->count; i = end) {
        end = behind(from, i + 1);
        copy_top_member(&to, from, i, end, type, is_output);
    }
    return to;
}

/* ---- What is documented to change within ---- */

/* Does text name the same type of resource as the source did, under an id of the target's? */
static int is_rewritten(const token_t *source, const token_t *output)
{
    const char *from = plain(source), *to = plain(output), *slash = strchr(to, '/');
    const char *type = slash ? apr_pstrmemdup(pool, to, (apr_size_t)(slash - to)) : "";

    if (!slash || !strstr(from, apr_pstrcat(pool, type, "/", NULL))) return 0;
    return strcmp(to, "Patient/" TARGET) == 0 || (strncmp(slash, "/p2p-", 5) == 0 && strlen(slash) == P2P_RESOURCE_ID_LEN + 1);
}

static int is_same(const token_t *a, const token_t *b)
{
    return a->kind == b->kind && a->len == b->len && !memcmp(a->text, b->text, a->len);
}

/* The tokens of a reference that became an identifier; 0 where there are none. */
static size_t logical(const token_t *source, const token_t *output, size_t left)
{
    const char *value, *from = plain(source + 1);

    if (left < 7 || !is_name(output, "identifier") || !is_name(&output[2], "system")) return 0;
    if (!is(&output[3], "urn:ietf:rfc:3986") || !is_name(&output[4], "value")) return 0;
    value = plain(&output[5]);
    return strlen(value) >= strlen(from) && !strcmp(value + strlen(value) - strlen(from), from) ? 7 : 0;
}

static void compare(const tokens_t *source, const tokens_t *output, const char *what)
{
    size_t i = 0, j = 0, n;

    while (i < source->count && j < output->count) {
        const token_t *s = &source->list[i], *o = &output->list[j];

        if (is_same(s, o)) {
            i++;
            j++;
        } else if (i && s->kind == P2P_SCAN_STRING && o->kind == P2P_SCAN_STRING
                   && (is_name(s - 1, "reference") || is_name(s - 1, "url")) && is_rewritten(s, o)) {
            i++;
            j++;
        } else if (is_name(s, "reference")) {
            n = logical(s, o, output->count - j); /* or it is dropped */
            i += 2;
            j += n;
        } else fail_msg("%s: %.*s became %.*s", what, (int)s->len, s->text, (int)o->len, o->text);
    }
    if (i != source->count || j != output->count) fail_msg("%s: %zu tokens are left over", what, source->count - i + output->count - j);
}

static void check_output(const tokens_t *source, const p2p_resource_t *resource, const char *what)
{
    char *text = render(resource);
    const char *type = p2p_mapper_type(mapper, resource->type);
    tokens_t output = tokens_of(text, strlen(text)), in = without_top(source, type, 0), out = without_top(&output, type, 1);

    compare(&in, &out, what);
    free(output.list);
    free(in.list);
    free(out.list);
    free(text);
}

static void check_resource(const char *text, size_t len, const char *full_url, const char *what)
{
    tokens_t source = tokens_of(text, len);
    p2p_resource_t *resource = NULL;
    int keep;
    unsigned i;
    p2p_error_t *error = map_text(text, len, full_url, &resource);

    if (error) fail_msg("%s: %s", what, error->sentence);
    check_output(&source, resource, what);
    for (keep = 0; keep < 2; keep++) {
        for (i = 0; i < resource->link_count; i++) p2p_map_unresolved(mapper, resource, &resource->links[i], keep);
        check_output(&source, resource, what);
    }
    resources++;
    p2p_resource_free(resource);
    free(source.list);
}

/* ---- Files ---- */

static char *path_of(const char *folder, const char *name)
{
    const char *top = getenv("P2P_SRCDIR");

    return apr_pstrcat(pool, top ? top : ".", "/t/data/", folder, "/", name, NULL);
}

/* A file, unpacked where it is packed. */
static char *read_whole(const char *path, size_t *len)
{
    gzFile file = gzopen(path, "rb");
    size_t room = 1 << 20;
    char *text = malloc(room);
    int n;

    assert_non_null(file);
    for (*len = 0; (n = gzread(file, text + *len, (unsigned)(room - *len))) > 0;) {
        *len += (size_t)n;
        if (*len == room) text = realloc(text, room *= 2);
        assert_non_null(text);
    }
    gzclose(file);
    assert_int_equal(n, 0);
    return text;
}

static void use_member(const char *id)
{
    p2p_map_settings_t settings = {ISSUER, ENDPOINT, id, TARGET, 0};

    mapper = p2p_mapper_make(pool, &settings);
}

static void check_folder(const char *folder, const char *member)
{
    struct dirent **entries;
    int n = scandir(path_of(folder, ""), &entries, NULL, alphasort), i;

    assert_true(n > 2);
    use_member(member);
    for (i = 0; i < n; i++) {
        if (strstr(entries[i]->d_name, ".json")) {
            size_t len;
            char *text = read_whole(path_of(folder, entries[i]->d_name), &len);

            check_resource(text, len, NULL, entries[i]->d_name);
            free(text);
        }
        free(entries[i]);
    }
    free(entries);
}

static void examples(void **state)
{
    (void)state;
    resources = 0;
    check_folder("us-core-examples", "example");
    check_folder("carin-bb-2.0.0-examples", "Patient1");
    check_folder("pdex-2.2.0-examples", "1");
    assert_true(resources > 150);
}

/* Mapping that was told the tokens makes the same of an entry as mapping that scans it. */
static void check_told(const p2p_bundle_entry_t *entry)
{
    p2p_bundle_entry_t untold = *entry;
    p2p_resource_t *a, *b;
    char *x, *y;

    untold.told = NULL;
    assert_non_null(entry->told);
    assert_null(p2p_map(mapper, pool, entry, &a));
    assert_null(p2p_map(mapper, pool, &untold, &b));
    x = render(a);
    y = render(b);
    assert_string_equal(x, y);
    assert_int_equal(a->link_count, b->link_count);
    free(x);
    free(y);
    p2p_resource_free(a);
    p2p_resource_free(b);
}

static p2p_error_t *on_entry(void *baton, const p2p_bundle_entry_t *entry)
{
    const char *url = apr_pstrmemdup(pool, entry->full_url, entry->full_url_len);

    check_told(entry);
    check_resource(entry->resource, entry->len, url, apr_pstrcat(pool, baton, " ", url, NULL));
    return NULL;
}

static void check_member(const char *name)
{
    size_t len, at, n;
    char *text = read_whole(path_of("synthea-r4", name), &len), *type = strstr(text, "\"transaction\"");
    apr_pool_t *p;
    p2p_bundle_reader_t *reader;

    assert_non_null(type);
    memcpy(type, "\"searchset\"  ", 13);
    apr_pool_create(&p, pool);
    reader = p2p_bundle_reader_make(p, 1 << 24, on_entry, (void *)name);
    p2p_bundle_reader_tokens(reader, p2p_map_scanner_token, p2p_map_scanner_make(p));
    for (at = 0; at < len; at += n) {
        n = len - at < 16384 ? len - at : 16384;
        assert_null(p2p_bundle_reader_feed(reader, text + at, n));
    }
    assert_null(p2p_bundle_reader_finish(reader));
    p2p_bundle_reader_close(reader);
    apr_pool_destroy(p);
    free(text);
}

static void members(void **state)
{
    struct dirent **entries;
    int n = scandir(path_of("synthea-r4", ""), &entries, NULL, alphasort), i, read = 0;

    (void)state;
    assert_true(n > 2);
    resources = 0;
    for (i = 0; i < n; i++) {
        char *name = entries[i]->d_name, *id = strrchr(name, '_'), *end = strstr(name, ".json.gz");

        if (id && end && i % 5 == 0 && read < MEMBERS) {
            read++;
            use_member(apr_pstrmemdup(pool, id + 1, (apr_size_t)(end - id - 1)));
            check_member(name);
        }
        free(entries[i]);
    }
    free(entries);
    assert_int_equal(read, MEMBERS);
    assert_true(resources > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(examples), cmocka_unit_test(members)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
