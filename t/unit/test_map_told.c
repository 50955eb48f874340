/* SPDX-License-Identifier: Apache-2.0 */
/* A resource whose tokens were told as its page arrived is mapped like one that is scanned by itself. */
#include "map_fixture.h"

#include "exchange/map_scan.h"
#include "fhir/bundle.h"

static const char *const resources[] = {
    "{\"resourceType\":\"Observation\",\"id\":\"o1\",\"meta\":{\"versionId\":\"3\",\"tag\":[{\"code\":\"x\"}]},\"subject\":"
    "{\"reference\":\"Patient/123\",\"display\":\"\\u00e4\\\"\"},\"encounter\":{\"reference\":\"Encounter/e1\"},\"valueQuantity\":{\"value\":1.50}}",
    "{ \"id\" : \"c1\" , \"resourceType\" : \"Claim\" , \"contained\" : [ { \"resourceType\" : \"Coverage\" , \"id\" : \"v\" } ] , "
    "\"insurance\" : [ { \"coverage\" : { \"reference\" : \"#v\" } } ] , \"provider\" : { \"reference\" : \"Organization/g\xC3\xA4\" } }",
    "{\"resourceType\":\"DocumentReference\",\"id\":\"d\",\"content\":[{\"attachment\":{\"contentType\":\"text/plain\",\"url\":\"Binary/b\"}}]}",
    "{\"resourceType\":\"Bundle\",\"id\":\"n\",\"type\":\"document\",\"entry\":[{\"resource\":{\"resourceType\":\"Condition\",\"id\":\"k\","
    "\"evidence\":[{\"detail\":[{\"reference\":\"Condition/k\"},{\"reference\":\"Condition/l\"}]}]}}]}",
    "{\"resourceType\":\"Goal\",\"id\":\"g1\",\"id\":\"g2\"}",
    "{\"id\":\"no-type\"}",
};

#define COUNT (sizeof resources / sizeof *resources)

static size_t seen;

static p2p_error_t *on_entry(void *baton, const p2p_bundle_entry_t *entry)
{
    p2p_resource_t *told = NULL, *alone = NULL;
    p2p_error_t *told_error, *alone_error;
    p2p_bundle_entry_t plain = *entry;

    (void)baton;
    plain.told = NULL;
    plain.reader = NULL;
    assert_non_null(entry->told);
    assert_int_equal(entry->len, strlen(resources[seen]));
    alone_error = p2p_map(mapper, pool, &plain, &alone);
    told_error = p2p_map(mapper, pool, entry, &told);
    assert_int_equal(!told_error, !alone_error);
    if (told_error) {
        assert_string_equal(told_error->code, alone_error->code);
        assert_string_equal(told_error->sentence, alone_error->sentence);
    } else {
        char *expected = render(alone), *text = render(told);

        assert_string_equal(text, expected);
        free(expected);
        free(text);
        p2p_resource_free(told);
        p2p_resource_free(alone);
    }
    seen++;
    return NULL;
}

static char *make_page(void)
{
    char *text = "{\"resourceType\":\"Bundle\",\"type\":\"searchset\",\"entry\":[{}";
    size_t i;

    for (i = 0; i < COUNT; i++)
        text = apr_pstrcat(pool, text, ",{\"search\":{\"mode\":\"match\"},\"resource\":", resources[i], "}", NULL);
    return apr_pstrcat(pool, text, "]}", NULL);
}

static void told_like_alone(void **state)
{
    const char *page = make_page();
    size_t len = strlen(page), piece, at;

    (void)state;
    for (piece = 1; piece <= len; piece = piece < 70 ? piece + 1 : piece * 2) {
        p2p_map_scanner_t *scanner = p2p_map_scanner_make(pool);
        p2p_bundle_reader_t *reader = p2p_bundle_reader_make(pool, 1 << 20, on_entry, NULL);

        p2p_bundle_reader_tokens(reader, p2p_map_scanner_token, scanner);
        seen = 0;
        for (at = 0; at < len; at += piece)
            assert_null(p2p_bundle_reader_feed(reader, page + at, piece < len - at ? piece : len - at));
        assert_null(p2p_bundle_reader_finish(reader));
        assert_int_equal(seen, COUNT);
        p2p_bundle_reader_close(reader);
    }
}

/* A large one takes the reader's block along, whether splices make it longer or what lay before it in the block is more than they are;
 * what it becomes is the same. */
static p2p_error_t *on_large(void *baton, const p2p_bundle_entry_t *entry)
{
    p2p_bundle_entry_t plain = *entry;
    p2p_resource_t *taken, *copied;
    char *expected, *text;

    (void)baton;
    plain.reader = NULL;
    plain.told = NULL;
    assert_null(p2p_map(mapper, pool, &plain, &copied));
    assert_null(p2p_map(mapper, pool, entry, &taken));
    expected = render(copied);
    text = render(taken);
    assert_string_equal(text, expected);
    assert_string_equal(taken->source_id, copied->source_id);
    assert_int_equal(taken->size, copied->size);
    assert_int_equal(taken->link_count, copied->link_count);
    free(expected);
    free(text);
    p2p_resource_free(taken);
    p2p_resource_free(copied);
    seen++;
    return NULL;
}

static void taken_like_copied(void **state)
{
    static const size_t before[] = {1, 200, 5000, 100000};
    char *data = apr_palloc(pool, 300001), *pad = apr_palloc(pool, 100001);
    size_t i, len;

    (void)state;
    memset(data, 'A', 300000);
    data[300000] = '\0';
    seen = 0;
    for (i = 0; i < sizeof before / sizeof *before; i++) {
        p2p_bundle_reader_t *reader = p2p_bundle_reader_make(pool, 1 << 20, on_large, NULL);
        const char *large, *page;

        memset(pad, 'x', before[i]);
        pad[before[i]] = '\0';
        large = apr_pstrcat(pool, "{\"x\":\"", pad, "\",\"resource\":{\"resourceType\":\"DocumentReference\",\"id\":\"d\",\"subject\":{\"reference\":"
                            "\"Patient/123\"},\"content\":[{\"attachment\":{\"data\":\"", data, "\"}}],\"context\":{\"encounter\":[{\"reference\":"
                            "\"Encounter/e1\"}]}},\"search\":{\"mode\":\"match\"}}", NULL);
        page = apr_pstrcat(pool, "{\"resourceType\":\"Bundle\",\"type\":\"searchset\",\"entry\":[", large, ",", large, "]}", NULL);
        len = strlen(page);
        p2p_bundle_reader_tokens(reader, p2p_map_scanner_token, p2p_map_scanner_make(pool));
        assert_null(p2p_bundle_reader_feed(reader, page, len));
        assert_null(p2p_bundle_reader_finish(reader));
        p2p_bundle_reader_close(reader);
    }
    assert_int_equal(seen, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(told_like_alone), cmocka_unit_test(taken_like_copied)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
