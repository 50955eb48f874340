/* SPDX-License-Identifier: Apache-2.0 */
/* Feeding a document to an injection in pieces, and keeping what comes out. */
#ifndef P2P_INJECTION_FIXTURE_H
#define P2P_INJECTION_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "base/buf.h"
#include "fhir/injection.h"

#define PAGE "\"resourceType\":\"Bundle\",\"type\":\"searchset\""
#define ENTRY(n) "{\"fullUrl\":\"https://h/Patient/" n "\",\"resource\":{\"resourceType\":\"Patient\",\"id\":\"" n "\"}}"
#define LINK(url) "\"link\":[{\"relation\":\"self\",\"url\":\"https://h/1\"},{\"relation\":\"next\",\"url\":\"" url "\"}]"

static apr_pool_t *pool, *scratch;
static const p2p_injection_settings_t plain = {.agent_who = "Organization/1", .recorded = 1000000};

/* What came out, and where it came from. */
typedef struct heard_t {
    p2p_buf_t text;
    const char *piece; /* being fed, and its length */
    size_t len;
    int last; /* of the kinds: the injection's own bytes or not */
    p2p_injection_result_t result;
} heard_t;

static void hear(void *baton, const char *bytes, apr_size_t len, int own)
{
    heard_t *heard = baton;

    assert_true(len > 0);
    if (!own) assert_true(bytes >= heard->piece && bytes + len <= heard->piece + heard->len);
    heard->last = own;
    p2p_buf_add(&heard->text, bytes, len);
}

/* Feeds a copy of the piece, which is gone afterwards. */
static void feed(p2p_injection_t *injection, heard_t *heard, const char *bytes, size_t len)
{
    char *piece = malloc(len ? len : 1);

    assert_non_null(piece);
    memcpy(piece, bytes, len);
    heard->piece = piece;
    heard->len = len;
    p2p_injection_feed(injection, piece, len);
    heard->piece = NULL;
    heard->len = 0;
    free(piece);
}

static p2p_injection_t *begin(heard_t *heard, const p2p_injection_settings_t *settings)
{
    memset(heard, 0, sizeof *heard);
    p2p_buf_init(&heard->text, APR_SIZE_MAX);
    return p2p_injection_make(scratch, settings, hear, heard);
}

static void finish(heard_t *heard, p2p_injection_t *injection)
{
    p2p_injection_end(injection);
    heard->result = *p2p_injection_result(injection);
    assert_int_equal(heard->result.bytes_in + heard->result.bytes_added, heard->text.len);
    assert_true(heard->result.state != P2P_INJECTION_UNDECIDED);
}

/* Fed up to first, then in pieces of size (0: the rest at once). */
static void run(heard_t *heard, const p2p_injection_settings_t *settings, const char *text, size_t len, size_t first, size_t size)
{
    p2p_injection_t *injection = begin(heard, settings);
    size_t at, n;

    feed(injection, heard, text, first);
    for (at = first; at < len; at += n) {
        n = size && size < len - at ? size : len - at;
        feed(injection, heard, text + at, n);
    }
    finish(heard, injection);
}

static int set_up(void **state)
{
    (void)state;
    apr_initialize();
    apr_pool_create(&pool, NULL);
    apr_pool_create(&scratch, pool);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    apr_terminate();
    return 0;
}

#endif
