/* SPDX-License-Identifier: Apache-2.0 */
/* A Task, or a page of them, under any input: what is taken of it has no more than its bounds, ids that may stand in a URL, and a status that is a
 * code. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>

#include "base/uri.h"
#include "fhir/add_payer.h"
#include "fuzz.h"

#define TARGET "https://target.example:8443/fhir"

static apr_pool_t *pool;

static void require(int holds, const char *rule)
{
    if (holds) return;
    fprintf(stderr, "# broken: %s\n", rule);
    abort();
}

static int is_id(const char *text)
{
    return p2p_is_fhir_id(text, strlen(text));
}

/* Whole characters: what follows a lead byte is there. */
static int is_utf8(const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c;) {
        int more = *c < 0x80 ? 0 : *c >= 0xF0 ? 3 : *c >= 0xE0 ? 2 : 1;

        if ((*c & 0xC0) == 0x80) return 0;
        for (c++; more; more--, c++) {
            if ((*c & 0xC0) != 0x80) return 0;
        }
    }
    return 1;
}

static void check_text(const char *text)
{
    require(text && strlen(text) <= P2P_ADD_PAYER_TEXT, "a text is there and not too long");
    require(is_utf8(text), "a text ends with a whole character");
}

static void check_task(const p2p_add_payer_t *task)
{
    require(is_id(task->id), "an id is a FHIR id");
    require(!*task->patient || is_id(task->patient), "a patient's id is a FHIR id");
    require(strlen(task->status) <= 32 && strspn(task->status, "abcdefghijklmnopqrstuvwxyz-") == strlen(task->status), "a status is a code");
    check_text(task->payer);
    check_text(task->first_name);
    check_text(task->last_name);
    check_text(task->email);
    check_text(task->phone);
    p2p_add_payer_is_open(task);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    p2p_add_payer_page_t page;
    p2p_add_payer_t *task;

    if (!pool) {
        apr_initialize();
        apr_pool_create(&pool, NULL);
    }
    if (size > 1 << 17) return 0;
    if (!p2p_add_payer_read(pool, (const char *)data, size, TARGET, &task) && task) check_task(task);
    if (!p2p_add_payer_read_page(pool, (const char *)data, size, TARGET, &page)) {
        require(page.next && page.latest >= 0, "a page is whole");
        for (int i = 0; i < page.tasks->nelts; i++) check_task(&APR_ARRAY_IDX(page.tasks, i, p2p_add_payer_t));
    }
    apr_pool_clear(pool);
    return 0;
}
