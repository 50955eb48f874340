/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of bodies in chunks become entries, as if they had come in a page. */
#include "exchange/letters.h"

#include <string.h>

#include <apr_strings.h>

#include "base/sha256.h"

typedef struct batch_t batch_t;
struct batch_t {
    batch_t *next;
    int request, part;
    const char *url;
    p2p_landing_t *landing; /* made when its first letter is read */
    int number, chunk;      /* of the last row that was read */
    p2p_sha256_t *sha256;
    apr_int64_t bytes;
};

struct p2p_letters_t {
    p2p_letters_settings_t set;
    apr_pool_t *pool;
    batch_t *first, **end;
    p2p_buf_t body;         /* of the letter under way */
    const char *source_id;  /* its own */
};

static apr_status_t free_letters(void *data)
{
    p2p_letters_t *letters = data;

    if (letters->first) p2p_sha256_drop(letters->first->sha256);
    p2p_buf_free(&letters->body);
    return APR_SUCCESS;
}

p2p_letters_t *p2p_letters_make(apr_pool_t *p, const p2p_letters_settings_t *settings)
{
    p2p_letters_t *letters = apr_pcalloc(p, sizeof *letters);

    letters->set = *settings;
    letters->pool = p;
    letters->end = &letters->first;
    letters->source_id = "";
    p2p_buf_init(&letters->body, P2P_RESOURCE_MAX);
    apr_pool_cleanup_register(p, letters, free_letters, apr_pool_cleanup_null);
    return letters;
}

void p2p_letters_add(p2p_letters_t *letters, int request, int part, const char *url)
{
    batch_t *batch = apr_pcalloc(letters->pool, sizeof *batch);

    batch->request = request;
    batch->part = part;
    batch->url = apr_pstrdup(letters->pool, url);
    batch->number = -1;
    *letters->end = batch;
    letters->end = &batch->next;
}

int p2p_letters_is_idle(const p2p_letters_t *letters)
{
    return !letters->first;
}

/* A letter is complete. One without an id of its own had that of its urn. */
static p2p_error_t *tell(p2p_letters_t *letters, batch_t *batch, apr_pool_t *p)
{
    p2p_bundle_entry_t entry = {.resource = letters->body.data, .len = letters->body.len};
    p2p_error_t *error;

    if (!letters->body.len) return NULL;
    if (*letters->source_id) {
        entry.full_url = apr_pstrcat(p, "urn:uuid:", letters->source_id, NULL);
        entry.full_url_len = strlen(entry.full_url);
    }
    p2p_sha256_add(batch->sha256, letters->body.data, letters->body.len);
    batch->bytes += (apr_int64_t)letters->body.len;
    error = p2p_receive_letter(letters->set.receive, batch->landing, &entry);
    p2p_buf_clear(&letters->body);
    return error;
}

static p2p_error_t *take(p2p_letters_t *letters, batch_t *batch, const p2p_letter_t *letter, apr_pool_t *p)
{
    if (letter->chunk == 0) {
        P2P_TRY(tell(letters, batch, p));
        letters->source_id = apr_pstrdup(letters->pool, letter->source_id);
    }
    p2p_buf_add(&letters->body, letter->body, letter->len);
    batch->number = letter->number;
    batch->chunk = letter->chunk;
    return NULL;
}

static void begin(p2p_letters_t *letters, batch_t *batch)
{
    if (batch->landing) return;
    batch->landing = p2p_land_begin(letters->set.land, batch->request, batch->part, batch->url, NULL);
    p2p_land_letters(batch->landing);
    batch->sha256 = p2p_sha256_begin();
}

/* The part has been read whole. */
static void end(p2p_letters_t *letters, batch_t *batch)
{
    const char *hex = p2p_sha256_end(letters->pool, batch->sha256);

    letters->first = batch->next;
    if (!letters->first) letters->end = &letters->first;
    p2p_land_complete(batch->landing, "", hex, batch->bytes);
}

p2p_error_t *p2p_letters_run(p2p_letters_t *letters, apr_pool_t *p, int *told)
{
    batch_t *batch = letters->first;
    apr_array_header_t *rows;
    int i;

    *told = 0;
    if (!batch || letters->set.is_full(letters->set.baton)) return NULL;
    P2P_TRY(p2p_job_letters(letters->set.db, p, letters->set.keyring, letters->set.job_id, batch->request, batch->part,
                            batch->number, batch->chunk, &rows));
    *told = 1;
    begin(letters, batch);
    for (i = 0; i < rows->nelts; i++) P2P_TRY(take(letters, batch, &APR_ARRAY_IDX(rows, i, p2p_letter_t), p));
    if (rows->nelts) return NULL;
    P2P_TRY(tell(letters, batch, p));
    end(letters, batch);
    return NULL;
}
