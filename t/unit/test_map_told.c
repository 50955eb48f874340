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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(told_like_alone)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
