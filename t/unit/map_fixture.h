/* SPDX-License-Identifier: Apache-2.0 */
/* Mapping one resource and comparing what comes out, for tests of lib/exchange. */
#ifndef P2P_T_MAP_FIXTURE_H
#define P2P_T_MAP_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "base/scan.h"
#include "exchange/map.h"

#define ISSUER "https://payer-a.example/issuer"
#define ENDPOINT "https://payer.example/fhir"
#define MEMBER "m1" /* the member's Patient at the source */
#define TARGET "t1" /* and at the target */

static apr_pool_t *pool;
static p2p_id_deriver_t *deriver;
static p2p_mapper_t *mapper;

/* Forgets what was made, and begins anew. */
static void renew(void)
{
    p2p_map_settings_t settings = {ISSUER, ENDPOINT, MEMBER, TARGET, 0};

    apr_pool_clear(pool);
    deriver = p2p_id_deriver_make(pool, ISSUER);
    mapper = p2p_mapper_make(pool, &settings);
}

static int set_up(void **state)
{
    (void)state;
    apr_initialize();
    if (apr_pool_create(&pool, NULL)) return -1;
    renew();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    apr_terminate();
    return 0;
}

/* text with each @Type/id@ replaced by the id at the target. */
static char *with_ids(const char *text)
{
    char *copy = apr_pstrdup(pool, text), *result = "", *at, *end, *slash;

    for (; (at = strchr(copy, '@')) != NULL; copy = end + 1) {
        *at = '\0';
        end = strchr(at + 1, '@');
        slash = strchr(at + 1, '/');
        assert_true(end && slash && slash < end);
        *end = *slash = '\0';
        result = apr_pstrcat(pool, result, copy, p2p_id_derive(pool, deriver, at + 1, slash + 1), NULL);
    }
    return apr_pstrcat(pool, result, copy, NULL);
}

static p2p_error_t *map_text(const char *text, size_t len, const char *full_url, p2p_resource_t **resource)
{
    char *copy = malloc(len ? len : 1), *url = full_url ? apr_pstrcat(pool, "\"", full_url, "\"", NULL) : NULL;
    p2p_bundle_entry_t entry = {copy, len, url ? url + 1 : NULL, full_url ? strlen(full_url) : 0, 0, 0, 0, NULL, NULL};
    p2p_error_t *error;

    assert_non_null(copy);
    memcpy(copy, text, len);
    error = p2p_map(mapper, pool, &entry, resource);
    free(copy);
    return error;
}

/* A resource's bytes at the target; asserts that they are as long as was told, and JSON. */
static char *render(const p2p_resource_t *resource)
{
    apr_uint64_t length = p2p_resource_length(resource);
    char *text, *to;
    unsigned i;

    assert_true(length < (apr_uint64_t)1 << 30);
    text = to = malloc((size_t)length + 1);
    assert_non_null(text);
    for (i = 0; i < 2 * resource->splice_count + 1; i++) {
        apr_size_t len;
        const char *piece = p2p_resource_piece(resource, i, &len);

        assert_true(len <= length - (apr_uint64_t)(to - text));
        if (len) memcpy(to, piece, len);
        to += len;
    }
    assert_true((apr_uint64_t)(to - text) == length);
    *to = '\0';
    assert_null(p2p_scan_all(text, (apr_size_t)length, NULL, NULL, pool));
    return text;
}

static void expect_render(const p2p_resource_t *resource, const char *expected)
{
    char *text = render(resource);

    assert_string_equal(text, with_ids(expected));
    free(text);
}

/* Maps and compares; the resource is the caller's. */
static inline p2p_resource_t *map_as(const char *text, const char *full_url, const char *expected)
{
    p2p_resource_t *resource = NULL;
    p2p_error_t *error = map_text(text, strlen(text), full_url, &resource);

    if (error) fail_msg("%s: %s", error->code, error->sentence);
    expect_render(resource, expected);
    return resource;
}

#endif
