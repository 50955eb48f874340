/* SPDX-License-Identifier: Apache-2.0 */
/* Deliveries under any input: what comes of one are a few FHIR ids, each once, or the wish for a search. The first line of an input is the path. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "base/uri.h"
#include "fhir/delivery.h"
#include "fuzz.h"

static apr_pool_t *pool;

static void require(int holds, const char *rule)
{
    if (holds) return;
    fprintf(stderr, "# broken: %s\n", rule);
    abort();
}

static void check(const p2p_delivery_t *delivery)
{
    int count = delivery->ids->nelts;

    require(count >= 1 && count <= P2P_DELIVERY_IDS + 1, "there is something to look at, and not too much");
    for (int i = 0; i < count; i++) {
        const char *id = APR_ARRAY_IDX(delivery->ids, i, const char *);

        require(*id ? p2p_is_fhir_id(id, strlen(id)) : i == count - 1, "an id is a FHIR id; the search comes last");
        for (int k = 0; k < i; k++) require(strcmp(id, APR_ARRAY_IDX(delivery->ids, k, const char *)) != 0, "each stands once");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data, *end = size ? memchr(text, '\n', size) : NULL, *path = "";
    p2p_delivery_t delivery;

    if (!pool) {
        apr_initialize();
        apr_pool_create(&pool, NULL);
    }
    if (end) {
        path = apr_pstrmemdup(pool, text, (apr_size_t)(end - text));
        size -= (size_t)(end + 1 - text);
        text = end + 1;
    }
    for (int is_cut = 0; is_cut < 2; is_cut++) {
        p2p_delivery_read(pool, path, NULL, text, size, is_cut, &delivery);
        check(&delivery);
        p2p_delivery_read(pool, "", path, text, size, is_cut, &delivery);
        check(&delivery);
    }
    apr_pool_clear(pool);
    return 0;
}
