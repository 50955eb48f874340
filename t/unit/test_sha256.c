/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 in pieces: NIST's vectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <apr_general.h>

#include "base/sha256.h"

static void vectors(void **state)
{
    apr_pool_t *p;
    p2p_sha256_t *sha256 = p2p_sha256_begin();

    (void)state;
    apr_pool_create(&p, NULL);
    assert_string_equal(p2p_sha256_end(p, sha256), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256 = p2p_sha256_begin();
    p2p_sha256_add(sha256, "a", 1);
    p2p_sha256_add(sha256, "", 0);
    p2p_sha256_add(sha256, "bc", 2);
    assert_string_equal(p2p_sha256_end(p, sha256), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    apr_pool_destroy(p);
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

    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
