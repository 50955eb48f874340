/* SPDX-License-Identifier: Apache-2.0 */
/* Reading answers in pieces: entries, next link and total of pages, single resources, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "fhir/bundle.h"

#define MAX 200000
#define PATIENT "{\"resourceType\":\"Patient\",\"id\":\"1\"}"
#define PAGE "\"resourceType\":\"Bundle\",\"type\":\"searchset\""
#define SELF "{\"relation\":\"self\",\"url\":\"https://h/self\"}"
#define NEXT "{\"relation\":\"next\",\"url\":\"https://h/2\"}"

static apr_pool_t *pool, *scratch;

/* What a reader told, as text: the entries, then next link and total, or the error's code. */
typedef struct heard_t {
    const char *text;
    int left; /* entries until the listener objects; below 0 never */
} heard_t;

static p2p_error_t *hear(void *baton, const p2p_bundle_entry_t *entry)
{
    heard_t *heard = baton;

    if (heard->left == 0) return p2p_error_make(scratch, P2P_E_CONFLICT, "enough", "Enough.");
    heard->left--;
    heard->text = apr_psprintf(scratch, "%s%s%.*s<%.*s> ", heard->text, entry->outcome ? "!" : "", (int)entry->len,
                               entry->resource, entry->full_url ? (int)entry->full_url_len : 1,
                               entry->full_url ? entry->full_url : "-");
    return NULL;
}

/* The answer in pieces of the given size, 0 = whole, each a block of its own. */
static const char *read_pieces(const char *text, size_t len, size_t size, int left)
{
    heard_t heard = {"", left};
    p2p_bundle_reader_t *reader = p2p_bundle_reader_make(scratch, MAX, hear, &heard);
    const p2p_bundle_t *bundle = p2p_bundle_reader_bundle(reader);
    p2p_error_t *e = NULL;
    size_t at, n;

    for (at = 0; at < len && !e; at += n) {
        char *piece;

        n = size && size < len - at ? size : len - at;
        piece = malloc(n);
        assert_non_null(piece);
        memcpy(piece, text + at, n);
        e = p2p_bundle_reader_feed(reader, piece, n);
        free(piece);
    }
    if (!e) e = p2p_bundle_reader_finish(reader);
    heard.text = apr_psprintf(scratch, "%s%s %s %" APR_INT64_T_FMT " %" APR_INT64_T_FMT, heard.text, e ? e->code : "ok",
                              bundle->next ? bundle->next : "-", bundle->total, bundle->entries);
    p2p_bundle_reader_close(reader);
    return heard.text;
}

/* How many of the entries are what was searched for. */
static int matches(const char *text)
{
    heard_t heard = {"", -1};
    p2p_bundle_reader_t *reader = p2p_bundle_reader_make(scratch, MAX, hear, &heard);
    int count;

    assert_null(p2p_bundle_reader_feed(reader, text, strlen(text)));
    assert_null(p2p_bundle_reader_finish(reader));
    count = (int)p2p_bundle_reader_bundle(reader)->matches;
    p2p_bundle_reader_close(reader);
    return count;
}

static void expect_with(const char *text, int left, const char *told)
{
    size_t len = strlen(text), size;

    for (size = 0; size <= len && size < 80; size++) {
        apr_pool_clear(scratch);
        assert_string_equal(read_pieces(text, len, size, left), told);
    }
}

static void expect(const char *text, const char *told)
{
    expect_with(text, -1, told);
}

static void counts_matches(void **state)
{
    (void)state;
    assert_int_equal(matches("{\"resourceType\":\"Bundle\",\"type\":\"searchset\"}"), 0);
    assert_int_equal(matches("{\"resourceType\":\"Bundle\",\"type\":\"searchset\",\"entry\":[{\"resource\":{\"a\":1}},"
                             "{\"resource\":{\"a\":2},\"search\":{\"mode\":\"match\"}},{\"resource\":{\"a\":3},\"search\":{\"mode\":\"include\"}},"
                             "{\"search\":{\"mode\":\"outcome\"},\"resource\":{\"a\":4}},{\"search\":{\"mode\":\"include\"},\"resource\":{\"a\":5}},"
                             "{\"search\":{\"score\":1},\"resource\":{\"search\":{\"mode\":\"include\"}}},{\"fullUrl\":\"x\"}]}"), 3);
}

static void pages(void **state)
{
    (void)state;
    expect("{" PAGE ",\"total\":2,\"link\":[" SELF "," NEXT "],\"entry\":[{\"fullUrl\":\"https://h/Patient/1\",\"resource\":" PATIENT
           ",\"search\":{\"mode\":\"match\"}},{\"resource\":{\"a\":[{}]}}]}",
           PATIENT "<https://h/Patient/1> {\"a\":[{}]}<-> ok https://h/2 2 2");
    expect(" {\n " PAGE " ,\n \"entry\" : [ { \"resource\" :\n" PATIENT "\n } ] , \"link\" : [ " NEXT " ] , \"total\" : 7 } \n",
           PATIENT "<-> ok https://h/2 7 1");
    expect("{" PAGE "}", "ok - -1 0");
    expect("{" PAGE ",\"entry\":[]}", "ok - -1 0");
    expect("{\"resourceType\":\"Bundle\"}", "ok - -1 0");
    expect("{\"resourceType\":\"Bundle\",\"entry\":[{\"resource\":{}}]}", "{}<-> ok - -1 1");
    expect("{" PAGE ",\"entry\":[{\"search\":{\"mode\":\"outcome\"},\"resource\":{\"x\":1}},{\"resource\":{\"x\":2}}]}",
           "!{\"x\":1}<-> {\"x\":2}<-> ok - -1 2");
    expect("{\"resourceType\":\"Bundle\",\"type\":\"collection\",\"entry\":[{\"resource\":" PATIENT "}]}", PATIENT "<-> ok - -1 1");
}

static void any_order(void **state)
{
    (void)state;
    expect("{\"entry\":[{\"resource\":" PATIENT ",\"fullUrl\":\"u\"}],\"link\":[" NEXT "],\"type\":\"searchset\",\"total\":1,"
           "\"resourceType\":\"Bundle\"}", PATIENT "<u> ok https://h/2 1 1");
    expect("{\"link\":[" NEXT "],\"type\":\"searchset\",\"entry\":[{\"resource\":" PATIENT "}],\"resourceType\":\"Bundle\"}",
           PATIENT "<-> ok https://h/2 -1 1");
    expect("{\"link\":[" NEXT "],\"resourceType\":\"Bundle\"}", "ok https://h/2 -1 0");
    expect("{\"type\":\"searchset\",\"resourceType\":\"Bundle\",\"link\":[" NEXT "]}", "ok https://h/2 -1 0");
}

static void links(void **state)
{
    (void)state;
    expect("{" PAGE ",\"link\":[{\"url\":\"https:\\/\\/h\\/\\u0032?a=\\\"\",\"relation\":\"next\"}]}", "ok https://h/2?a=\" -1 0");
    expect("{" PAGE ",\"link\":[{\"relation\":\"next\"},{\"url\":\"x\"},{\"relation\":\"previous\",\"url\":\"p\"}," NEXT
           ",{\"relation\":\"next\",\"url\":\"https://h/3\"}]}", "ok https://h/2 -1 0");
    expect("{" PAGE ",\"link\":[{\"relation\":\"next\",\"url\":null}]}", "ok - -1 0");
    expect("{" PAGE ",\"link\":{\"relation\":\"next\",\"url\":\"x\"}}", "ok - -1 0");
    expect("{" PAGE ",\"link\":[[" NEXT "]],\"signature\":{\"link\":[" NEXT "]}}", "ok - -1 0");
    expect("{" PAGE ",\"entry\":[{\"link\":[" NEXT "],\"relation\":\"next\",\"url\":\"x\",\"resource\":{\"link\":[" NEXT "]}}]}",
           "{\"link\":[" NEXT "]}<-> ok - -1 1");
    expect("{" PAGE ",\"link\":[null,1,\"x\",{\"extension\":[" NEXT "]}]}", "ok - -1 0");
}

/* What stands deeper, or beside, is not taken for an entry's own. */
static void look_alikes(void **state)
{
    (void)state;
    expect("{" PAGE ",\"x\":{\"entry\":[{\"resource\":{}}],\"total\":9},\"entry\":[{\"request\":{\"resource\":{},\"fullUrl\":\"x\"},"
           "\"response\":{\"outcome\":{},\"search\":{\"mode\":\"outcome\"}},\"resource\":{\"fullUrl\":\"y\",\"search\":{\"mode\":\"outcome\"}}},"
           "{\"fullUrl\":\"z\"},{}]}", "{\"fullUrl\":\"y\",\"search\":{\"mode\":\"outcome\"}}<-> ok - -1 1");
    expect("{" PAGE ",\"entry\":[{\"resource\":{},\"search\":{\"x\":\"outcome\"}},{\"resource\":{},\"search\":[\"outcome\"]},"
           "{\"resource\":{},\"search\":{\"mode\":[\"outcome\"]}}]}", "{}<-> {}<-> {}<-> ok - -1 3");
    expect("{" PAGE ",\"entry\":[{\"search\":{\"mode\":\"outcome\"},\"resource\":{}},{\"search\":[\"outcome\"],\"resource\":{}}]}",
           "!{}<-> {}<-> ok - -1 2");
    expect("{" PAGE ",\"entry\":[{\"resource\":null},{\"fullUrl\":null,\"resource\":{}}],\"total\":\"5\"}", "{}<-> ok - -1 1");
    expect("{" PAGE ",\"entry\":[{\"resource\":{\"resourceType\":\"Bundle\",\"entry\":[{\"resource\":{}}]}}],\"total\":-3}",
           "{\"resourceType\":\"Bundle\",\"entry\":[{\"resource\":{}}]}<-> ok - -3 1");
}

static void expect_single(const char *text)
{
    expect(text, apr_pstrcat(pool, text, "<-> ok - -1 1", NULL));
}

static void singles(void **state)
{
    (void)state;
    expect_single(PATIENT);
    expect_single("{\"id\":\"1\",\"resourceType\":\"Patient\"}");
    expect_single("{\"resourceType\":\"Patient\",\"link\":[" NEXT "]}");
    expect_single("{\"link\":[" NEXT "],\"resourceType\":\"Patient\"}");
    expect_single("{\"resourceType\":\"OperationOutcome\",\"issue\":[{}]}");
    expect_single("{\"resourceType\":\"List\",\"id\":\"1\",\"entry\":[{\"item\":{\"reference\":\"Patient/1\"}}]}");
    expect_single("{\"entry\":[{\"item\":{\"reference\":\"Patient/1\"}}],\"id\":\"1\",\"resourceType\":\"List\"}");
    expect_single("{\"resourceType\":\"List\",\"entry\":[null,1]}");
    expect_single("{\"resourceType\":\"Bundle\",\"type\":\"document\",\"link\":[" NEXT "],\"entry\":[{\"resource\":" PATIENT "}]}");
    expect_single("{\"link\":[" NEXT "],\"type\":\"document\",\"resourceType\":\"Bundle\",\"entry\":[{\"resource\":" PATIENT "}]}");
    expect_single("{\"type\":\"document\",\"entry\":[{\"resource\":" PATIENT "}],\"resourceType\":\"Bundle\"}");
    expect_single("{\"resourceType\":\"Bundle\",\"type\":\"message\",\"entry\":[]}");
    expect_single("{\"resourceType\":\"Basic\",\"type\":\"searchset\"}");
    expect(" " PATIENT "\n", PATIENT "<-> ok - -1 1");
}

static void refused(void **state)
{
    (void)state;
    expect("", "json-cut-short - -1 0");
    expect("{", "json-cut-short - -1 0");
    expect("{" PAGE ",\"entry\":[{\"resource\":{}}", "{}<-> json-cut-short - -1 1");
    expect("<html>", "not-json - -1 0");
    expect("{" PAGE "}}", "not-json - -1 0");
    expect("[]", "not-fhir - -1 0");
    expect("[" PATIENT "]", "not-fhir - -1 0");
    expect("\"Bundle\"", "not-fhir - -1 0");
    expect("12", "not-fhir - -1 0");
    expect("{}", "not-fhir - -1 0");
    expect("{\"entry\":[{\"resource\":{}}]}", "{}<-> not-fhir - -1 1");
    expect("{\"entry\":[{\"resource\":{}}],\"resourceType\":\"List\"}", "{}<-> not-fhir - -1 1");
    expect("{" PAGE ",\"resourceType\":\"Patient\"}", "not-fhir - -1 0");
    expect("{\"resourceType\":7}", "not-fhir - -1 0");
    expect("{" PAGE ",\"entry\":[null]}", "not-fhir - -1 0");
    expect("{" PAGE ",\"entry\":[[]]}", "not-fhir - -1 0");
    expect("{" PAGE ",\"entry\":{\"resource\":{}}}", "not-fhir - -1 0");
    expect("{" PAGE ",\"entry\":[{\"resource\":[]}]}", "not-fhir - -1 0");
    expect("{" PAGE ",\"entry\":[{\"resource\":\"x\"}]}", "not-fhir - -1 0");
    expect_with("{" PAGE ",\"entry\":[{\"resource\":{}},{\"resource\":{}}]}", 1, "{}<-> enough - -1 2");
}

/* A page of count resources whose texts are of so many bytes. */
static char *large_page(int count, size_t bytes, size_t *len)
{
    char *text = apr_palloc(scratch, count * (bytes + 64) + 200), *to = text;
    int i;

    to += apr_snprintf(to, 100, "{" PAGE ",\"entry\":[");
    for (i = 0; i < count; i++) {
        to += apr_snprintf(to, 64, "%s{\"resource\":{\"t\":\"", i ? "," : "");
        memset(to, 'x', bytes);
        to += bytes;
        to += apr_snprintf(to, 16, "\"}}");
    }
    to += apr_snprintf(to, 16, "]}");
    *len = to - text;
    return text;
}

static p2p_error_t *count_entry(void *baton, const p2p_bundle_entry_t *entry)
{
    (void)entry;
    ++*(int *)baton;
    return NULL;
}

static void memory_stays_flat(void **state)
{
    size_t len, at, n, most = 0;
    char *text = large_page(200, 20000, &len);
    int count = 0;
    p2p_bundle_reader_t *reader = p2p_bundle_reader_make(scratch, MAX, count_entry, &count);

    (void)state;
    for (at = 0; at < len; at += n) {
        n = len - at < 16384 ? len - at : 16384;
        assert_null(p2p_bundle_reader_feed(reader, text + at, n));
        if (p2p_bundle_reader_held(reader) > most) most = p2p_bundle_reader_held(reader);
    }
    assert_null(p2p_bundle_reader_finish(reader));
    assert_int_equal(count, 200);
    assert_true(most < 40000);
    p2p_bundle_reader_close(reader);
    apr_pool_clear(scratch);
}

static const char *read_large(size_t bytes, size_t piece)
{
    size_t len;
    const char *text = large_page(1, bytes, &len), *told = read_pieces(text, len, piece, -1);

    return strrchr(told, '>') ? strrchr(told, '>') + 2 : told;
}

static void limits(void **state)
{
    size_t len = 300000;
    char *text = apr_palloc(pool, len + 100);

    (void)state;
    assert_string_equal(read_large(MAX - 8, 10000), "ok - -1 1");
    assert_string_equal(read_large(MAX - 8, 0), "ok - -1 1");
    assert_string_equal(read_large(MAX - 7, 10000), "too-large - -1 0");
    assert_string_equal(read_large(MAX * 3, 10000), "too-large - -1 0");
    assert_string_equal(read_large(MAX * 3, 0), "too-large - -1 0");
    memset(text, ' ', len);
    memcpy(text, "{\"resourceType\":\"Patient\"", 25);
    text[len] = '}';
    assert_string_equal(read_pieces(text, len + 1, 5000, -1), "too-large - -1 0");
    text[MAX] = '}';
    assert_string_equal(read_pieces(text, MAX + 1, 5000, -1), "too-large - -1 0");
    memcpy(text, "{" PAGE ",", 42);
    assert_non_null(strstr(read_pieces(text, MAX - 1, 5000, -1), "json-cut-short"));
    apr_pool_clear(scratch);
}

static int set_up(void **state)
{
    (void)state;
    apr_initialize();
    return apr_pool_create(&pool, NULL) || apr_pool_create(&scratch, pool);
}

static int tear_down(void **state)
{
    (void)state;
    apr_terminate();
    return 0;
}

/* A listener that takes large resources over; small ones it is refused. */
typedef struct taker_t {
    apr_size_t taken, refused;
    int bad;
} taker_t;

static p2p_error_t *take(void *baton, const p2p_bundle_entry_t *entry)
{
    taker_t *taker = baton;
    apr_size_t offset, i, last = entry->len - 2;
    char *block = p2p_bundle_reader_take(entry->reader, entry, &offset);

    if (!block) {
        taker->refused++;
        return NULL;
    }
    taker->taken++;
    taker->bad |= entry->resource != block + offset || memcmp(block + offset, "{\"a\":\"", 6) != 0 || block[offset + last] != '"';
    for (i = 6; i < last; i++) taker->bad |= block[offset + i] != 'x';
    free(block);
    return NULL;
}

static char *page_of_large(apr_size_t size, int count)
{
    char *text = malloc((size + 200) * (size_t)count + 1000), *to = text;
    int i;

    to += sprintf(to, "{" PAGE ",\"entry\":[{\"resource\":" PATIENT "}");
    for (i = 0; i < count; i++) {
        to += sprintf(to, ",{\"fullUrl\":\"https://h/Basic/%d\",\"resource\":{\"a\":\"", i);
        memset(to, 'x', size);
        to += size;
        to += sprintf(to, "\"},\"search\":{\"mode\":\"match\"}}");
    }
    sprintf(to, ",{\"resource\":" PATIENT "}],\"link\":[" NEXT "]}");
    return text;
}

/* What follows a resource that was taken over is read as ever, and the reader has not kept its memory. */
static void taken_over(void **state)
{
    static const size_t pieces[] = {1000003, 65536, 16384, 777};
    char *text = page_of_large(1 << 20, 3);
    size_t i, at, len = strlen(text);

    (void)state;
    for (i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        taker_t taker = {0, 0, 0};
        p2p_bundle_reader_t *reader;

        apr_pool_clear(scratch);
        reader = p2p_bundle_reader_make(scratch, 2 << 20, take, &taker);
        for (at = 0; at < len; at += pieces[i])
            assert_null(p2p_bundle_reader_feed(reader, text + at, len - at < pieces[i] ? len - at : pieces[i]));
        assert_null(p2p_bundle_reader_finish(reader));
        assert_int_equal(taker.taken, 3);
        assert_int_equal(taker.refused, 2);
        assert_false(taker.bad);
        assert_string_equal(p2p_bundle_reader_bundle(reader)->next, "https://h/2");
        assert_true(p2p_bundle_reader_held(reader) < 1000);
        p2p_bundle_reader_close(reader);
    }
    free(text);
}

/* One resource that is the whole answer is handed over, too. */
static void taken_alone(void **state)
{
    size_t len = 300000;
    char *text = malloc(len);
    taker_t taker = {0, 0, 0};
    p2p_bundle_reader_t *reader = p2p_bundle_reader_make(scratch, 2 << 20, take, &taker);

    (void)state;
    memset(text, 'x', len);
    memcpy(text, "{\"a\":\"", 6);
    memcpy(text + len - 2, "\"}", 2);
    assert_null(p2p_bundle_reader_feed(reader, text, len));
    assert_string_equal(p2p_bundle_reader_finish(reader)->code, "not-fhir"); /* it has no type */
    p2p_bundle_reader_close(reader);
    reader = p2p_bundle_reader_make(scratch, 2 << 20, take, &taker);
    assert_null(p2p_bundle_reader_feed(reader, text, len - 2));
    assert_null(p2p_bundle_reader_feed(reader, "\",\"resourceType\":\"Binary\"}", 26));
    assert_null(p2p_bundle_reader_finish(reader));
    assert_int_equal(taker.taken, 1);
    p2p_bundle_reader_close(reader);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_matches), cmocka_unit_test(pages), cmocka_unit_test(any_order), cmocka_unit_test(links), cmocka_unit_test(look_alikes),
        cmocka_unit_test(singles), cmocka_unit_test(refused), cmocka_unit_test(memory_stays_flat), cmocka_unit_test(limits),
        cmocka_unit_test(taken_over), cmocka_unit_test(taken_alone)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
