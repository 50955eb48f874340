/* SPDX-License-Identifier: Apache-2.0 */
/* Key sets under any input: what an administrator may write an issuer may publish, nothing private gets in, and nothing of the text comes back
 * in a sentence. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <openssl/err.h>

#include "base/json.h"
#include "fuzz.h"
#include "oidc/jwk_private.h"

static apr_pool_t *pool;

static void require(int holds, const char *rule)
{
    if (holds) return;
    fprintf(stderr, "# broken: %s\n", rule);
    abort();
}

static int is_private(json_object *key)
{
    static const char *const names[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_object_is_type(key, json_type_object) && json_object_object_get_ex(key, names[i], NULL)) return 1;
    return 0;
}

/* Does json-c see anything private where keys are? */
static int has_private(const char *bytes, size_t size)
{
    json_object *doc, *keys;

    if (p2p_json_parse(pool, bytes, size, &doc)) return 0;
    if (is_private(doc)) return 1;
    keys = p2p_json_arr(doc, "keys");
    for (size_t i = 0; keys && i < json_object_array_length(keys); i++)
        if (is_private(json_object_array_get_idx(keys, i))) return 1;
    return 0;
}

/* The sentences are ours: letters, digits and the signs that they are written with. */
static void check_error(const p2p_error_t *e)
{
    require(e->kind == P2P_E_INVALID && !strcmp(e->code, "bad-keys"), "a bad set is told as one");
    require(strlen(e->sentence) < 250, "a sentence is short");
    require(strspn(e->sentence, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ,:;^\"-_") == strlen(e->sentence),
            "a sentence has no byte that we do not write");
}

static void check_keys(const p2p_jwk_set_t *set)
{
    static const char token[] = "eyJhbGciOiJSUzI1NiJ9.e30.AAAA";

    require(p2p_jwk_set_count(set) > 0 && p2p_jwk_set_count(set) <= P2P_JWK_SET_KEYS, "a set has keys, and not too many");
    for (int i = 0; i < p2p_jwk_set_count(set); i++) {
        const p2p_jwk_t *key = p2p_jwk_at(set, i);

        require(key->jose && key->key_id && key->signature >= 64 && key->signature <= 512, "a key is whole");
        require(!*key->algorithm || p2p_jwk_fits(key, key->algorithm), "its algorithm goes with it");
        require(!p2p_jwk_verifies(key, token, strlen(token)), "it verifies nothing that it did not sign");
    }
}

static p2p_jwk_set_t *read_as(const uint8_t *data, size_t size, p2p_jwk_source_t source)
{
    p2p_jwk_set_t *set;
    p2p_error_t *e = p2p_jwk_set_read(pool, (const char *)data, size, source, &set);

    require(!ERR_peek_error(), "OpenSSL has nothing left to tell");
    require(!e == !!set, "there is a set or an error");
    if (e) check_error(e);
    else check_keys(set);
    return set;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    p2p_jwk_set_t *published, *configured;

    if (!pool) {
        apr_initialize();
        apr_pool_create(&pool, NULL);
    }
    published = read_as(data, size, P2P_JWK_PUBLISHED);
    configured = read_as(data, size, P2P_JWK_CONFIGURED);
    if (configured)
        require(published && p2p_jwk_set_count(published) == p2p_jwk_set_count(configured), "what may be written may be published");
    if (has_private((const char *)data, size)) require(!published && !configured, "nothing private is taken");
    apr_pool_clear(pool);
    return 0;
}
