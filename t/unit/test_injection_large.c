/* SPDX-License-Identifier: Apache-2.0 */
/* Provenance put into long Bundles: one for each thousand entries, limits, and memory that stays flat. */
#include "injection_fixture.h"

#include <stdio.h>
#include <sys/resource.h>

#include "base/json.h"

/* ---- Many entries, compared by json-c ---- */

static void add_entries(p2p_buf_t *text, int from, int count, size_t filling)
{
    int i;

    for (i = from; i < from + count; i++) {
        p2p_buf_printf(text, "%s{\"fullUrl\":\"https://h/fhir/Observation/%d\",\"resource\":{\"resourceType\":\"Observation\",\"id\":\"%d\","
                       "\"meta\":{\"versionId\":\"%d\"},\"value\":%d.50,\"note\":\"", i ? ",\n  " : "", i, i, i % 7 + 1, i);
        for (size_t n = 0; n < filling; n += 16) p2p_buf_puts(text, "0123456789 \\\"\xC3\xBC ");
        p2p_buf_puts(text, "\"},\"search\":{\"mode\":\"match\"}}");
    }
}

static const char *target_of(json_object *provenance, size_t i)
{
    json_object *target = json_object_array_get_idx(p2p_json_arr(provenance, "target"), i);

    return p2p_json_str(target, "reference");
}

/* Takes the entries that were added out of the document, and looks at what they name: each entry once, in order. */
static int take_added_out(json_object *doc)
{
    json_object *entries = p2p_json_arr(doc, "entry");
    size_t i, named = 0, own = 0;
    int added = 0;

    for (i = 0; i < json_object_array_length(entries); i++) {
        json_object *entry = json_object_array_get_idx(entries, i), *resource = p2p_json_obj(entry, "resource");
        size_t k, count;

        if (strcmp(p2p_json_str(resource, "resourceType"), "Provenance") != 0) {
            own++;
            continue;
        }
        assert_string_equal(p2p_json_str(p2p_json_obj(entry, "search"), "mode"), "include");
        count = json_object_array_length(p2p_json_arr(resource, "target"));
        assert_true(count <= P2P_INJECTION_TARGETS_MAX);
        for (k = 0; k < count; k++, named++)
            assert_string_equal(target_of(resource, k),
                                apr_psprintf(scratch, "https://h/fhir/Observation/%d/_history/%d", (int)named, (int)named % 7 + 1));
        assert_int_equal(named, own);
        json_object_array_del_idx(entries, i--, 1);
        added++;
    }
    return added;
}

static void check_many(int count, int added, size_t piece)
{
    p2p_buf_t text;
    heard_t heard;
    json_object *before, *after;

    apr_pool_clear(scratch);
    p2p_buf_init(&text, APR_SIZE_MAX);
    p2p_buf_puts(&text, "{" PAGE ",\"total\":3,\"entry\":[\n");
    add_entries(&text, 0, count, 100);
    p2p_buf_puts(&text, "\n]}\n");
    run(&heard, &plain, text.data, text.len, 0, piece);
    assert_int_equal(heard.result.provenances, added);
    assert_int_equal(heard.result.entries, count);
    assert_int_equal(heard.result.targets, count);
    json_tokener *tokener = json_tokener_new_ex(64);
    after = p2p_json_own(scratch, json_tokener_parse_ex(tokener, heard.text.data, (int)heard.text.len));
    json_tokener_reset(tokener);
    before = p2p_json_own(scratch, json_tokener_parse_ex(tokener, text.data, (int)text.len));
    json_tokener_free(tokener);
    assert_non_null(after);
    assert_int_equal(take_added_out(after), added);
    assert_string_equal(p2p_json_print(scratch, before, NULL), p2p_json_print(scratch, after, NULL));
    p2p_buf_free(&heard.text);
    p2p_buf_free(&text);
}

static void many_entries(void **state)
{
    (void)state;
    check_many(999, 1, 0);
    check_many(1000, 1, 8000);
    check_many(1001, 2, 333);
    check_many(2500, 3, 0);
    check_many(2500, 3, 1);
}

/* ---- Limits ---- */

/* What is not decided within the limit passes; up to it, it need not. */
static void hold_limit(void **state)
{
    static const char tail[] = ",\"entry\":[" ENTRY("1") "]}";
    static const size_t pieces[] = {0, 1, 1000, P2P_INJECTION_HOLD, P2P_INJECTION_HOLD + 1};
    char *text = malloc(2 * P2P_INJECTION_HOLD);
    size_t over, i;

    (void)state;
    assert_non_null(text);
    for (over = 0; over < 2; over++) {
        for (i = 0; i < sizeof pieces / sizeof *pieces; i++) {
            heard_t heard;
            size_t head = P2P_INJECTION_HOLD + over, filler = head - (sizeof "{\"x\":\"\"," PAGE - 1);

            apr_pool_clear(scratch);
            memcpy(text, "{\"x\":\"", 6);
            memset(text + 6, 'x', filler);
            memcpy(text + 6 + filler, "\"," PAGE, sizeof "\"," PAGE - 1);
            memcpy(text + head, tail, sizeof tail);
            run(&heard, &plain, text, head + sizeof tail - 1, 0, pieces[i]);
            assert_int_equal(heard.result.provenances, !over);
            assert_int_equal(heard.result.why, over ? P2P_INJECTION_TOO_LATE : P2P_INJECTION_FINE);
            assert_memory_equal(heard.text.data, text, head + sizeof tail - 3);
            p2p_buf_free(&heard.text);
        }
    }
    free(text);
}

/* Decided as soon as can be, and from then on nothing is held. */
static void early(void **state)
{
    heard_t heard;
    p2p_injection_t *injection = begin(&heard, &plain);

    (void)state;
    feed(injection, &heard, "{" PAGE ",\"entry\":[", strlen("{" PAGE ",\"entry\":["));
    assert_int_equal(heard.text.len, 0);
    assert_int_equal(p2p_injection_result(injection)->state, P2P_INJECTION_UNDECIDED);
    feed(injection, &heard, "{", 1);
    assert_string_equal(heard.text.data, "{" PAGE ",\"entry\":[{");
    assert_int_equal(p2p_injection_result(injection)->state, P2P_INJECTION_INJECTS);
    feed(injection, &heard, "\"f", 2);
    assert_string_equal(heard.text.data, "{" PAGE ",\"entry\":[{\"f");
    finish(&heard, injection);
    p2p_buf_free(&heard.text);
    injection = begin(&heard, &plain);
    feed(injection, &heard, "{\"resourceType\":\"Patient", 24);
    assert_int_equal(heard.text.len, 0);
    feed(injection, &heard, "\"", 1);
    assert_int_equal(heard.text.len, 25);
    assert_int_equal(p2p_injection_result(injection)->state, P2P_INJECTION_PASSES);
    finish(&heard, injection);
    p2p_buf_free(&heard.text);
}

/* Texts of any length: too long ones are not named, and the others still are. */
static void long_texts(void **state)
{
    size_t lens[] = {P2P_INJECTION_URL_MAX, P2P_INJECTION_URL_MAX + 1, 4 * P2P_INJECTION_NEXT_MAX, 1 << 20}, i, piece;

    (void)state;
    for (i = 0; i < sizeof lens / sizeof *lens; i++) {
        for (piece = 0; piece < 2; piece++) {
            p2p_buf_t text;
            heard_t heard;
            char *url = malloc(lens[i] + 1);

            apr_pool_clear(scratch);
            assert_non_null(url);
            memset(url, 'u', lens[i]);
            memcpy(url, "https://h/", 10);
            url[lens[i]] = '\0';
            p2p_buf_init(&text, APR_SIZE_MAX);
            p2p_buf_cat(&text, "{" PAGE ",\"entry\":[{\"fullUrl\":\"", url, "\",\"resource\":{\"id\":\"1\",\"resourceType\":\"Patient\",\"", url,
                        "\":\"", url, "\"}}," ENTRY("2") "],\"link\":[{\"relation\":\"next\",\"url\":\"", url, "\"}]}", NULL);
            run(&heard, &plain, text.data, text.len, 0, piece * 4096);
            assert_int_equal(heard.result.targets, 1 + (lens[i] <= P2P_INJECTION_URL_MAX));
            assert_int_equal(heard.result.unnamed, lens[i] > P2P_INJECTION_URL_MAX);
            assert_int_equal(heard.result.next != NULL, lens[i] <= P2P_INJECTION_NEXT_MAX);
            free(url);
            p2p_buf_free(&heard.text);
            p2p_buf_free(&text);
        }
    }
}

/* Very long references: a Provenance names fewer of them, so that what is held stays bounded. */
static void heavy_references(void **state)
{
    p2p_buf_t text;
    heard_t heard;
    int i;

    (void)state;
    apr_pool_clear(scratch);
    p2p_buf_init(&text, APR_SIZE_MAX);
    p2p_buf_puts(&text, "{" PAGE ",\"entry\":[");
    for (i = 0; i < 1000; i++)
        p2p_buf_printf(&text, "%s{\"fullUrl\":\"https://h/%02000d\",\"resource\":{}}", i ? "," : "", i);
    p2p_buf_puts(&text, "]}");
    run(&heard, &plain, text.data, text.len, 0, 5000);
    assert_int_equal(heard.result.targets, 1000);
    assert_int_equal(heard.result.provenances, 4);
    p2p_buf_free(&heard.text);
    p2p_buf_free(&text);
}

static void count_bytes(void *baton, const char *bytes, apr_size_t len, int own)
{
    (void)bytes;
    (void)own;
    *(apr_uint64_t *)baton += len;
}

static long peak_kib(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* The same thousand entries over and over, before any other test has needed more memory; P2P_LARGE makes it 1 GB. */
static void memory_stays_flat(void **state)
{
    apr_uint64_t want = getenv("P2P_LARGE") ? APR_UINT64_C(1) << 30 : 32 << 20, fed = 0, out = 0;
    p2p_injection_t *injection = p2p_injection_make(scratch, &plain, count_bytes, &out);
    p2p_buf_t text;
    size_t at, n, rounds = 0;
    long before;

    (void)state;
    p2p_buf_init(&text, APR_SIZE_MAX);
    add_entries(&text, 1, 1000, 200);
    p2p_injection_feed(injection, "{" PAGE ",\"entry\":[null", strlen("{" PAGE ",\"entry\":[null"));
    before = peak_kib();
    for (; fed < want; fed += text.len, rounds++) {
        for (at = 0; at < text.len; at += n) {
            n = text.len - at < 8000 ? text.len - at : 8000;
            p2p_injection_feed(injection, text.data + at, n);
        }
    }
    p2p_injection_feed(injection, "]}", 2);
    p2p_injection_end(injection);
    assert_true(peak_kib() - before < 8 << 10);
    assert_int_equal(p2p_injection_result(injection)->provenances, rounds);
    assert_int_equal(p2p_injection_result(injection)->why, P2P_INJECTION_FINE);
    assert_int_equal(out, p2p_injection_result(injection)->bytes_in + p2p_injection_result(injection)->bytes_added);
    p2p_buf_free(&text);
    apr_pool_clear(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_stays_flat), cmocka_unit_test(many_entries), cmocka_unit_test(hold_limit), cmocka_unit_test(early), cmocka_unit_test(long_texts),
        cmocka_unit_test(heavy_references)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
