/* SPDX-License-Identifier: Apache-2.0 */
/* Landing: parts, new requests, rejected resources and the job's counts change together or not at all. */
#include "store/job_store.h"

#include <string.h>
#include <apr_strings.h>
#include "store/job_private.h"
#include "store/sealed.h"
#include "store/stat_store.h"

#define CHUNK (190 * 1024) /* bytes of a body in a row: sealed, a third longer, they stay below 256 KiB */

typedef struct note_t {
    const p2p_keyring_t *keyring;
    const p2p_job_t *job;
    const char *owner;
    const apr_array_header_t *parts, *requests, *rejected;
} note_t;

/* Inserts or updates the row; *changed is 0 where the part had landed before (its transaction is being
 * repeated). */
static p2p_error_t *note_part(p2p_db_t *db, apr_pool_t *p, const note_t *note, const p2p_part_t *part,
                              int *changed)
{
    apr_int64_t job = note->job->id;
    const char *url, *next;

    P2P_TRY(p2p_seal_column(p, note->keyring, "p2p_part",
                            p2p_column_below(p, "url", part->request, part->number), job,
                            part->url ? part->url : "", &url));
    P2P_TRY(p2p_seal_column(p, note->keyring, "p2p_part",
                            p2p_column_below(p, "next_url", part->request, part->number),
                            job, part->next_url ? part->next_url : "", &next));
    return p2p_db_exec(db, p, P2P_SQL_PART_NOTE, changed, job, (apr_int64_t)part->request,
                       (apr_int64_t)part->number,
                       url, next, (apr_int64_t)part->landed, (apr_int64_t)part->received, (apr_int64_t)part->mapped,
                       (apr_int64_t)part->landed_at, part->retrieved, part->written, part->duplicate, part->skipped,
                       part->rejected, part->bytes, part->sha256, part->held);
}

/* One chunk of a resource's body; the first carries everything else. */
static p2p_error_t *insert_chunk(p2p_db_t *db, apr_pool_t *p, const note_t *note, const p2p_rejected_t *r,
                                 int number,
                                 int chunk, apr_size_t length)
{
    const char *place = apr_psprintf(p, "/%d/%d/%d", r->request, r->part, number);
    const char *source_id = "", *detail = "", *body = "";
    p2p_seal_place_t at = {"p2p_rejected", apr_psprintf(p, "body%s/%d", place, chunk), note->job->id};

    if (length) P2P_TRY(p2p_seal(p, note->keyring, &at, r->body + (apr_size_t)chunk * CHUNK, length, &body));
    if (chunk == 0) {
        P2P_TRY(p2p_seal_column(p, note->keyring, "p2p_rejected", apr_pstrcat(p, "source_id", place, NULL),
                                note->job->id, r->source_id ? r->source_id : "", &source_id));
        P2P_TRY(p2p_seal_column(p, note->keyring, "p2p_rejected", apr_pstrcat(p, "detail", place, NULL),
                                note->job->id,
                                r->detail ? r->detail : "", &detail));
    }
    return p2p_db_exec(db, p, P2P_SQL_REJECTED_INSERT, NULL, note->job->id, (apr_int64_t)r->request,
                       (apr_int64_t)r->part, (apr_int64_t)number, (apr_int64_t)chunk, r->outcome, r->type, source_id,
                       r->code, detail, body);
}

static p2p_error_t *insert_rejected(p2p_db_t *db, apr_pool_t *p, const note_t *note, const p2p_rejected_t *r,
                                    int number)
{
    apr_size_t left = r->body ? r->body_len : 0;
    int chunk = 0;

    do {
        apr_size_t length = left < CHUNK ? left : CHUNK;

        P2P_TRY(insert_chunk(db, p, note, r, number, chunk++, length));
        left -= length;
    } while (left);
    return NULL;
}

/* The rejected resources of a part that lands now, numbered as they come. */
static p2p_error_t *insert_rejected_of(p2p_db_t *db, apr_pool_t *p, const note_t *note,
                                       const p2p_part_t *part)
{
    int number = 0;

    for (int i = 0; note->rejected && i < note->rejected->nelts; i++) {
        const p2p_rejected_t *r = APR_ARRAY_IDX(note->rejected, i, const p2p_rejected_t *);

        if (r->request != part->request || r->part != part->number) continue;
        P2P_TRY(insert_rejected(db, p, note, r, number++));
    }
    return NULL;
}

p2p_error_t *p2p_job_add_counts(p2p_db_t *db, apr_pool_t *p, apr_int64_t job_id, const p2p_job_counts_t *sum)
{
    if (!sum->parts && !sum->retrieved) return NULL;
    return p2p_db_exec(db, p, P2P_SQL_JOB_ADD_COUNTS, NULL, sum->parts, sum->retrieved, sum->written, sum->duplicate,
                       sum->skipped, sum->rejected, sum->bytes, sum->retrieved, sum->retrieved, job_id);
}

static p2p_error_t *note_requests(p2p_db_t *db, apr_pool_t *p, const note_t *note)
{
    for (int i = 0; note->requests && i < note->requests->nelts; i++) {
        const p2p_request_t *request = APR_ARRAY_IDX(note->requests, i, const p2p_request_t *);

        P2P_TRY(p2p_job_insert_request(db, p, note->keyring, note->job->id, request->number, request->kind,
                                       request->url));
    }
    return NULL;
}

/* What has landed, once: a part that had landed before is in neither. */
static p2p_error_t *note_sums(p2p_db_t *db, apr_pool_t *p, const note_t *note, const p2p_job_counts_t *sum)
{
    p2p_stat_t add = {.resources = sum->retrieved, .bytes = sum->bytes};

    if (!sum->parts) return NULL;
    return p2p_stat_add(db, p, note->job->target, note->owner, p2p_stat_payer(p, note->job->oidc_server_id), &add);
}

static p2p_error_t *note_all(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    const note_t *note = baton;
    p2p_job_counts_t sum = {0};
    apr_pool_t *row;
    int changed;

    P2P_TRY(p2p_job_fence(db, p, note->job, note->owner));
    P2P_TRY(note_requests(db, p, note));
    apr_pool_create(&row, p);
    for (int i = 0; i < note->parts->nelts; i++) {
        const p2p_part_t *part = APR_ARRAY_IDX(note->parts, i, const p2p_part_t *);

        apr_pool_clear(row);
        P2P_TRY(note_part(db, row, note, part, &changed));
        if (!changed || !part->landed) continue;
        p2p_part_count_landed(&sum, part);
        if (part->letters)
            P2P_TRY(p2p_db_exec(db, row, P2P_SQL_LETTERS_DONE, NULL, note->job->id, (apr_int64_t)part->request,
                                (apr_int64_t)part->number));
        P2P_TRY(insert_rejected_of(db, row, note, part));
    }
    P2P_TRY(p2p_job_add_counts(db, p, note->job->id, &sum));
    return note_sums(db, p, note, &sum);
}

p2p_error_t *p2p_job_next_landed(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const p2p_job_t *job, int request,
                                 int number, p2p_part_t *part, int *found)
{
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_PART_NEXT_LANDED, &rows, job->id, (apr_int64_t)request, (apr_int64_t)request,
                          (apr_int64_t)number));
    *found = rows.count > 0;
    if (!*found) return NULL;
    P2P_TRY(p2p_part_from_row(p, keyring, job->id, &rows, 0, part));
    part->held = rows.cell[0][15];
    return NULL;
}

p2p_error_t *p2p_job_note_parts(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring,
                                const p2p_job_t *job,
                                const char *owner, const apr_array_header_t *parts, const apr_array_header_t *requests,
                                const apr_array_header_t *rejected)
{
    note_t note = {keyring, job, owner, parts, requests, rejected};

    return p2p_db_transaction(db, p, note_all, &note);
}
