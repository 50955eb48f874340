/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 in pieces: NIST's vectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/sha256.h"

static void vectors(void **state)
{
    char hex[P2P_SHA256_HEX + 1];
    p2p_sha256_t *sha256 = p2p_sha256_begin();

    (void)state;
    p2p_sha256_end(sha256, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256 = p2p_sha256_begin();
    p2p_sha256_add(sha256, "a", 1);
    p2p_sha256_add(sha256, "", 0);
    p2p_sha256_add(sha256, "bc", 2);
    p2p_sha256_end(sha256, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void one_that_is_dropped(void **state)
{
    (void)state;
    p2p_sha256_drop(p2p_sha256_begin());
    p2p_sha256_drop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(vectors), cmocka_unit_test(one_that_is_dropped)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
