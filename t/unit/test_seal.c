/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing: there and back, and nothing opens with another key, in another place or after a change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <openssl/err.h>

#include "base/seal.h"

static apr_pool_t *pool;
static const p2p_seal_place_t place = {"p2p_grant", "access_token", 7};
static const char key_a[] = "p2p-key 00112233 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
static const char key_b[] = "p2p-key aabbccdd Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=\n";

static p2p_keyring_t *ring_of(const char *first, const char *second)
{
    p2p_keyring_t *ring = p2p_keyring_make(pool);

    assert_null(p2p_keyring_add(ring, first));
    if (second) assert_null(p2p_keyring_add(ring, second));
    return ring;
}

static const char *sealed_with(const p2p_keyring_t *ring, const char *text, apr_size_t len)
{
    const char *sealed = NULL;

    assert_null(p2p_seal(pool, ring, &place, text, len, &sealed));
    return sealed;
}

static void expect_closed(const p2p_keyring_t *ring, const p2p_seal_place_t *where, const char *sealed,
                          const char *word)
{
    const char *plain = "untouched";
    p2p_error_t *e = p2p_unseal(pool, ring, where, sealed, &plain, NULL);

    if (!e) fail_msg("opened: %s", sealed);
    assert_int_equal(e->kind, P2P_E_INTERNAL);
    assert_string_equal(e->code, strstr(e->sentence, "missing") ? "key-missing" : "cannot-open");
    if (!strstr(e->sentence, word)) fail_msg("%s: %s", sealed, e->sentence);
    assert_string_equal(plain, "");
    assert_int_equal(ERR_peek_error(), 0);
}

static void there_and_back(void **state)
{
    p2p_keyring_t *ring = ring_of(key_a, NULL);
    char text[300];
    apr_size_t len, n;

    (void)state;
    memset(text, 'x', sizeof text);
    for (len = 1; len < sizeof text; len++) {
        const char *plain, *sealed = sealed_with(ring, text, len);

        assert_memory_equal(sealed, "v1.00112233.", 12);
        assert_int_equal(strspn(sealed + 12,
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
                         strlen(sealed + 12));
        assert_null(p2p_unseal(pool, ring, &place, sealed, &plain, &n));
        assert_int_equal(n, len);
        assert_memory_equal(plain, text, len);
        assert_int_equal(plain[len], 0);
    }
}

static void empty_and_binary(void **state)
{
    p2p_keyring_t *ring = ring_of(key_a, NULL);
    const char *plain;
    apr_size_t n = 9;

    (void)state;
    assert_string_equal(sealed_with(ring, "", 0), "");
    assert_null(p2p_unseal(pool, ring, &place, "", &plain, &n));
    assert_string_equal(plain, "");
    assert_int_equal(n, 0);
    assert_null(p2p_unseal(pool, ring, &place, sealed_with(ring, "a\0b", 3), &plain, &n));
    assert_int_equal(n, 3);
    assert_memory_equal(plain, "a\0b", 4);
    assert_string_not_equal(sealed_with(ring, "same", 4), sealed_with(ring, "same", 4));
}

static void rotation(void **state)
{
    const char *old = sealed_with(ring_of(key_a, NULL), "text", 4), *plain;
    p2p_keyring_t *both = ring_of(key_b, key_a);

    (void)state;
    assert_null(p2p_unseal(pool, both, &place, old, &plain, NULL));
    assert_string_equal(plain, "text");
    assert_memory_equal(sealed_with(both, "text", 4), "v1.aabbccdd.", 12);
    expect_closed(ring_of(key_b, NULL), &place, old, "00112233");
}

static void bound_to_its_place(void **state)
{
    p2p_keyring_t *ring = ring_of(key_a, key_b);
    const char *sealed = sealed_with(ring, "text", 4);
    const p2p_seal_place_t others[] = {
        {"p2p_job", "access_token", 7}, {"p2p_grant", "refresh_token", 7}, {"p2p_grant", "access_token", 8}};
    size_t i;

    (void)state;
    for (i = 0; i < 3; i++) expect_closed(ring, &others[i], sealed, "moved");
    expect_closed(ring, &place, apr_pstrcat(pool, "v1.aabbccdd.", sealed + 12, NULL), "changed");
}

static void every_change_shows(void **state)
{
    p2p_keyring_t *ring = ring_of(key_a, NULL);
    char *sealed = apr_pstrdup(pool, sealed_with(ring, "text", 4)); /* 32 bytes: 43 characters */
    apr_size_t i, len = strlen(sealed);

    (void)state;
    for (i = 0; i < len - 1; i++) {
        char was = sealed[i];

        sealed[i] = was == 'A' ? 'B' : 'A';
        expect_closed(ring, &place, sealed, "");
        sealed[i] = '%';
        expect_closed(ring, &place, sealed, "damaged");
        sealed[i] = was;
    }
    for (i = 1; i < len; i++) expect_closed(ring, &place, apr_pstrmemdup(pool, sealed, i), "");
    expect_closed(ring, &place, apr_pstrcat(pool, sealed, "=", NULL), "damaged");
    expect_closed(ring, &place, apr_pstrcat(pool, sealed, "AA", NULL), "");
    expect_closed(ring, &place, "v1.00112233.", "damaged");
    expect_closed(ring, &place, "v2.00112233.AAAA", "damaged");
    expect_closed(ring, &place, "plain text", "damaged");
}

static void no_key(void **state)
{
    p2p_keyring_t *ring = p2p_keyring_make(pool);
    const char *sealed;
    p2p_error_t *e = p2p_seal(pool, ring, &place, "x", 1, &sealed);

    (void)state;
    assert_non_null(e);
    assert_string_equal(e->code, "no-key");
    assert_string_equal(sealed, "");
    assert_int_equal(p2p_keyring_count(ring), 0);
    assert_null(p2p_keyring_text(pool, ring, 0));
}

static void keys(void **state)
{
    p2p_keyring_t *ring = ring_of(key_a, key_b), *copy = p2p_keyring_make(pool);
    const char *text, *plain;

    (void)state;
    assert_int_equal(p2p_keyring_count(ring), 2);
    assert_string_equal(p2p_keyring_text(pool, ring, 0), key_a);
    assert_string_equal(p2p_keyring_text(pool, ring, 1), key_b);
    assert_null(p2p_key_generate(pool, &text));
    assert_int_equal(strlen(text), 62);
    assert_null(p2p_keyring_add(copy, text));
    assert_string_equal(p2p_keyring_text(pool, copy, 0), text);
    assert_null(p2p_keyring_add(copy, apr_pstrcat(pool, key_a, "\r\n \n", NULL)));
    assert_null(p2p_unseal(pool, copy, &place, sealed_with(ring, "x", 1), &plain, NULL));
}

static void bad_keys(void **state)
{
    static const char *const bad[] = {
        "", "p2p-key", "p2p-key 00112233", "p2p-key 0011223 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "p2p-key 0011223G AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "P2P-key 00112233 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "p2p-key 00112233  AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "p2p-key 00112233 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "p2p-key 00112233 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==",
        "p2p-key 00112233 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gAAAA",
        "p2p-key 00112233 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBka-xwdHh8=",
        "p2p-key 00112233 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8= x"};
    p2p_keyring_t *ring = ring_of(key_b, NULL);
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        p2p_error_t *e = p2p_keyring_add(ring, bad[i]);

        if (!e) fail_msg("accepted: %s", bad[i]);
        assert_string_equal(e->code, "bad-key");
        assert_null(strstr(e->sentence, "AAEC"));
    }
    assert_string_equal(p2p_keyring_add(ring, key_b)->code, "bad-key");
    assert_int_equal(p2p_keyring_count(ring), 1);
}

static void keyed_hash(void **state)
{
    p2p_keyring_t *ring = ring_of(key_a, key_b);
    const char *h = p2p_keyed_hash(pool, ring, 0, "refresh", "token");

    (void)state;
    /* computed with Python's hmac: HKDF-SHA256 (RFC 5869) and HMAC-SHA256 */
    assert_string_equal(h, "1dba355196ec3bb6f5f173a251b678463fcef70e0344b4872f3f534012556f92");
    assert_string_equal(h, p2p_keyed_hash(pool, ring, 0, "refresh", "token"));
    assert_string_not_equal(h, p2p_keyed_hash(pool, ring, 1, "refresh", "token"));
    assert_string_not_equal(h, p2p_keyed_hash(pool, ring, 0, "other", "token"));
    assert_string_not_equal(h, p2p_keyed_hash(pool, ring, 0, "refresh", "tokem"));
    assert_int_equal(strlen(p2p_keyed_hash(pool, ring, 0, "", "")), 64);
}

static void uuids(void **state)
{
    const char *a, *b;
    unsigned char bytes[16] = {0}, none[16] = {0};
    int i;

    (void)state;
    for (i = 0; i < 50; i++) {
        assert_null(p2p_uuid4(pool, &a));
        assert_null(p2p_uuid4(pool, &b));
        assert_int_equal(strlen(a), 36);
        assert_int_equal(strspn(a, "0123456789abcdef-"), 36);
        assert_true(a[8] == '-' && a[13] == '-' && a[18] == '-' && a[23] == '-');
        assert_int_equal(a[14], '4');
        assert_non_null(strchr("89ab", a[19]));
        assert_string_not_equal(a, b);
    }
    assert_null(p2p_random(pool, bytes, sizeof bytes));
    assert_memory_not_equal(bytes, none, sizeof bytes);
}

static int set_up(void **state)
{
    (void)state;
    apr_initialize();
    return apr_pool_create(&pool, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    apr_terminate();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back), cmocka_unit_test(empty_and_binary), cmocka_unit_test(rotation),
        cmocka_unit_test(bound_to_its_place), cmocka_unit_test(every_change_shows), cmocka_unit_test(no_key),
        cmocka_unit_test(keys), cmocka_unit_test(bad_keys), cmocka_unit_test(keyed_hash),
        cmocka_unit_test(uuids)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
