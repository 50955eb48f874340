/* SPDX-License-Identifier: Apache-2.0 */
/* The scanner under any input: pieces make no difference, a naive checker agrees on what is JSON and where
 * it is not, json-c takes what the scanner takes, and strings unescape to what json-c makes of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <json-c/json.h>

#include "base/scan.h"
#include "fuzz.h"
#include "naive_json.h"

#define STRINGS_MAX 200 /* strings of one input that are compared with json-c */

/* What one scan told. */
typedef struct story_t {
    p2p_scan_token_t *tokens;
    size_t count, room;
    p2p_error_t *error;
} story_t;

static apr_pool_t *pool;

static void require(int holds, const char *rule)
{
    if (holds) return;
    fprintf(stderr, "# broken: %s\n", rule);
    abort();
}

static p2p_error_t *keep(void *baton, const p2p_scan_token_t *token)
{
    story_t *story = baton;

    if (story->count == story->room) {
        story->room = story->room ? story->room * 2 : 64;
        story->tokens = realloc(story->tokens, story->room * sizeof *token);
        require(story->tokens != NULL, "there is memory");
    }
    story->tokens[story->count++] = *token;
    return NULL;
}

/* A small generator, so that the input alone says where it is cut. */
static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 16;
}

static uint32_t seed_of(const uint8_t *data, size_t size)
{
    uint32_t seed = 2166136261u;
    size_t i;

    for (i = 0; i < size; i++) seed = (seed ^ data[i]) * 16777619u;
    return seed;
}

/* Feeds pieces of 1 to longest bytes; 0 = all at once. Each piece is a block of its own. */
static void scan_pieces(const uint8_t *data, size_t size, size_t longest, story_t *story)
{
    uint32_t seed = seed_of(data, size);
    p2p_scan_t scan;
    size_t at, n;

    memset(story, 0, sizeof *story);
    p2p_scan_init(&scan, keep, story, pool);
    for (at = 0; at < size && !story->error; at += n) {
        char *piece;

        n = longest ? 1 + next_random(&seed) % longest : size;
        if (n > size - at) n = size - at;
        piece = malloc(n);
        require(piece != NULL, "there is memory");
        memcpy(piece, data + at, n);
        story->error = p2p_scan_feed(&scan, piece, n);
        free(piece);
    }
    if (!story->error) story->error = p2p_scan_finish(&scan);
}

static void require_same(const story_t *a, const story_t *b)
{
    size_t i;

    require(a->count == b->count, "pieces give as many tokens as the whole");
    for (i = 0; i < a->count; i++) {
        const p2p_scan_token_t *x = &a->tokens[i], *y = &b->tokens[i];

        require(x->kind == y->kind && x->depth == y->depth && x->begin == y->begin && x->end == y->end,
                "pieces give the tokens of the whole");
    }
    require(!a->error == !b->error, "pieces end as the whole does");
    if (a->error) require(!strcmp(a->error->sentence, b->error->sentence),
                          "pieces give the error of the whole");
}

static void check_pieces(const uint8_t *data, size_t size, const story_t *whole)
{
    static const size_t longest[] = {1, 3, 20, 100};
    size_t i;

    for (i = 0; i < sizeof longest / sizeof *longest; i++) {
        story_t story;

        scan_pieces(data, size, longest[i], &story);
        require_same(whole, &story);
        free(story.tokens);
    }
}

static void check_verdict(const uint8_t *data, size_t size, const p2p_error_t *error)
{
    size_t at;
    naive_t verdict = naive_json(data, size, P2P_SCAN_DEPTH, &at);
    const char *place;

    require((verdict == NAIVE_GOOD) == !error, "both checkers agree on what is JSON");
    if (!error) return;
    require((verdict == NAIVE_CUT) == !strcmp(error->code, "json-cut-short"),
            "both agree on what is cut short");
    if (verdict == NAIVE_CUT) return;
    place = strstr(error->sentence, "at byte ");
    require(place && strtoull(place + 8, NULL, 10) == at, "both agree on the first wrong byte");
}

/* The value of one JSON text as json-c sees it; fails where json-c does not take it. */
static json_object *by_json_c(const char *text, size_t size)
{
    json_tokener *tok = json_tokener_new_ex(P2P_SCAN_DEPTH + 2);
    json_object *obj;

    while (size && strchr(" \t\r\n", text[size - 1])) size--; /* "trailing data" to json-c */
    json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    obj = json_tokener_parse_ex(tok, text, (int)size);
    if (json_tokener_get_error(tok) == json_tokener_continue) obj = json_tokener_parse_ex(tok, "", 1);
    require(json_tokener_get_error(tok) == json_tokener_success, "json-c takes what the scanner takes");
    json_tokener_free(tok);
    return obj;
}

static void check_string(const char *text, size_t len)
{
    json_object *obj = by_json_c(text, len);
    apr_size_t n;
    char *plain = p2p_scan_unescape(pool, text, len, &n);

    require(n == (size_t)json_object_get_string_len(obj), "json-c's string is as long");
    require(!memcmp(plain, json_object_get_string(obj), n) && !plain[n], "json-c's string is the same");
    json_object_put(obj);
}

static void check_strings(const uint8_t *data, const story_t *story)
{
    size_t i;

    for (i = 0; i < story->count && i < STRINGS_MAX; i++) {
        const p2p_scan_token_t *t = &story->tokens[i];

        if (t->kind != P2P_SCAN_NAME && t->kind != P2P_SCAN_STRING) continue;
        check_string((const char *)data + t->begin, (size_t)(t->end - t->begin));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    story_t whole;

    if (!pool) {
        apr_initialize();
        apr_pool_create(&pool, NULL);
    }
    if (size > 1 << 20) return 0;
    scan_pieces(data, size, 0, &whole);
    check_verdict(data, size, whole.error);
    check_pieces(data, size, &whole);
    check_strings(data, &whole);
    if (!whole.error) json_object_put(by_json_c((const char *)data, size));
    free(whole.tokens);
    apr_pool_clear(pool);
    return 0;
}
