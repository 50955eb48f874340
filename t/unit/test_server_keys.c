/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of a definition: which files are read, and what of them is told. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "oidc/jwk.h"
#include "oidc/server_keys.h"

#define EC "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"YAeTl-zY4qoejhEayycL2kdYzl8np-CCAgI49OCziJY\"," \
    "\"y\":\"9E2uwTWP_0UfqDmBsj4exxVvT4T4AWHDA5ByqQq4dF8\""

static apr_pool_t *pool;
static char dir[] = "/tmp/p2p-keys-XXXXXX";

static const char *path_of(const char *name)
{
    return apr_pstrcat(pool, dir, "/", name, NULL);
}

static void write_file(const char *name, const char *text, size_t len)
{
    FILE *file = fopen(path_of(name), "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

/* What is wrong with the file, or "". */
static const char *fault_of(const char *name)
{
    const char *text = NULL;
    apr_size_t len = 0;
    p2p_error_t *error = p2p_key_file_read(pool, dir, name, &text, &len);

    if (!error) assert_int_equal(text[len], 0);
    return error ? error->sentence : "";
}

static void files(void **state)
{
    char *longest = apr_pcalloc(pool, P2P_JWK_SET_BYTES + 1);

    (void)state;
    write_file("good", "{" EC "}", strlen("{" EC "}"));
    write_file("empty", "", 0);
    write_file("longest", longest, P2P_JWK_SET_BYTES);
    write_file("longer", longest, P2P_JWK_SET_BYTES + 1);
    assert_int_equal(symlink(path_of("good"), path_of("link")), 0);
    assert_int_equal(mkfifo(path_of("pipe"), 0600), 0);
    assert_int_equal(mkdir(path_of("folder"), 0700), 0);
    write_file("folder/good", "{" EC "}", strlen("{" EC "}"));
    assert_string_equal(fault_of("good"), "");
    assert_string_equal(fault_of("empty"), "");
    assert_string_equal(fault_of("longest"), "");
    assert_string_equal(fault_of("longer"), "names a file that is over 64 KiB long");
    assert_string_equal(fault_of("link"), "names a file that is a symbolic link: P2PKeyDir has to hold the file itself");
    assert_string_equal(fault_of("pipe"), "names a file that is no file");
    assert_string_equal(fault_of("folder"), "names a file that is no file");
    assert_string_equal(fault_of("folder/good"), "names a file that is not in P2PKeyDir");
    assert_string_equal(fault_of("../etc/passwd"), "names a file that is not in P2PKeyDir");
    assert_string_equal(fault_of(".."), "names a file that is no file");
    assert_string_equal(fault_of("missing"), "names a file that is not in P2PKeyDir");
}

/* The faults of a definition with these keys, "POINTER sentence" a line. */
static const char *faults(const char *text, const char *file, const char *in)
{
    p2p_oidc_server_t server = {.key_text = text, .key_file = file};
    apr_array_header_t *errors = p2p_field_errors(pool);
    const char *all = "";

    p2p_oidc_server_check_keys(pool, &server, in, "/2", errors);
    for (int i = 0; i < errors->nelts; i++) {
        const p2p_field_error_t *e = &APR_ARRAY_IDX(errors, i, p2p_field_error_t);

        all = apr_pstrcat(pool, all, e->pointer, " ", e->detail, "\n", NULL);
    }
    return all;
}

static void keys(void **state)
{
    (void)state;
    write_file("private", "{" EC ",\"d\":\"planted\"}", strlen("{" EC ",\"d\":\"planted\"}"));
    assert_string_equal(faults("", "", NULL), "");
    assert_string_equal(faults("{" EC "}", "good", dir), "");
    assert_string_equal(faults("", "good", NULL), "/2/keyFile cannot be used: P2PKeyDir is not set\n");
    assert_string_equal(faults("", "good", "/nonexistent"), "/2/keyFile names a file that is not in P2PKeyDir\n");
    assert_non_null(strstr(faults("x", "", dir), "/2/keyText must "));
    assert_non_null(strstr(faults("", "empty", dir), "/2/keyFile names a file that must "));
    assert_non_null(strstr(faults("", "private", dir), "/2/keyFile names a file that has a private key"));
    assert_null(strstr(faults("{\"kty\":\"oct\",\"k\":\"planted\"}", "private", dir), "planted"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(files), cmocka_unit_test(keys)};
    static const char *const made[] = {"good", "empty", "longest", "longer", "link", "pipe", "folder/good", "private"};
    int failures;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    if (!mkdtemp(dir)) return 1;
    failures = cmocka_run_group_tests_name("server_keys", tests, NULL, NULL);
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) unlink(path_of(made[i]));
    rmdir(path_of("folder"));
    rmdir(dir);
    apr_pool_destroy(pool);
    apr_terminate();
    return failures;
}
