/* SPDX-License-Identifier: Apache-2.0 */
/* Job rows, and the short writes of a running job. */
#include "store/job_store.h"

#include <string.h>
#include "store/job_private.h"
#include "store/sealed.h"

p2p_job_t *p2p_job_from_row(apr_pool_t *p, const p2p_rows_t *rows, int row)
{
    p2p_job_t *job = apr_pcalloc(p, sizeof *job);
    const char **cell = rows->cell[row];

    job->id = p2p_rows_int(rows, row, 0);
    job->version = p2p_rows_int(rows, row, 1);
    job->uuid = cell[2];
    job->kind = cell[3];
    job->target = cell[4];
    job->oidc_server_id = p2p_rows_int(rows, row, 5);
    job->grant_id = p2p_rows_int(rows, row, 6);
    job->status = p2p_job_status_parse(cell[7]);
    job->create_time = p2p_rows_int(rows, row, 8);
    job->start_time = p2p_rows_int(rows, row, 9);
    job->end_time = p2p_rows_int(rows, row, 10);
    job->last_updated = p2p_rows_int(rows, row, 11);
    job->attempt = p2p_rows_int(rows, row, 12);
    job->task_id = cell[13];
    job->error_code = cell[14];
    job->error_sentence = cell[15];
    job->error_detail = cell[16];
    job->client = cell[17];
    job->counts.parts = p2p_rows_int(rows, row, 18);
    job->counts.waiting = p2p_rows_int(rows, row, 24);
    job->counts.retrieved = p2p_rows_int(rows, row, 19) + job->counts.waiting;
    job->counts.written = p2p_rows_int(rows, row, 20);
    job->counts.duplicate = p2p_rows_int(rows, row, 21);
    job->counts.skipped = p2p_rows_int(rows, row, 22);
    job->counts.rejected = p2p_rows_int(rows, row, 23);
    job->counts.bytes = p2p_rows_int(rows, row, 25);
    job->epoch = p2p_rows_int(rows, row, 26);
    job->task_fault = cell[27];
    job->wait_code = cell[28];
    job->wait_until = p2p_rows_int(rows, row, 29);
    job->token_time = p2p_rows_int(rows, row, 30);
    job->is_owned = p2p_rows_int(rows, row, 31) != 0;
    return job;
}

p2p_error_t *p2p_job_lost(apr_pool_t *p)
{
    return p2p_error_make(p, P2P_E_LOST, "lease-lost", "This job is not this runner's any more.");
}

p2p_error_t *p2p_job_fence(p2p_db_t *db, apr_pool_t *p, const p2p_job_t *job, const char *owner)
{
    int changed;

    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_JOB_FENCE, &changed, job->id, owner, job->epoch));
    return changed ? NULL : p2p_job_lost(p);
}

p2p_error_t *p2p_job_missing(apr_pool_t *p, apr_int64_t server_id)
{
    return p2p_error_make(p, P2P_E_NOT_FOUND, "no-such-job",
                          server_id ? "This definition has no batch job of this number." : "There is no batch job of this number.");
}

p2p_error_t *p2p_job_get(p2p_db_t *db, apr_pool_t *p, apr_int64_t server_id, apr_int64_t id, p2p_job_t **job)
{
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_JOB_GET, &rows, id, server_id, server_id));
    if (!rows.count) return p2p_job_missing(p, server_id);
    *job = p2p_job_from_row(p, &rows, 0);
    return NULL;
}

p2p_error_t *p2p_job_insert_request(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring,
                                    apr_int64_t job_id,
                                    int number, const char *kind, const char *url)
{
    const char *sealed;

    P2P_TRY(p2p_seal_column(p, keyring, "p2p_request", p2p_column_below(p, "url", number, -1), job_id, url,
                            &sealed));
    return p2p_db_exec(db, p, P2P_SQL_REQUEST_INSERT, NULL, job_id, (apr_int64_t)number, kind, sealed);
}

p2p_error_t *p2p_part_from_row(apr_pool_t *p, const p2p_keyring_t *keyring, apr_int64_t job_id,
                               const p2p_rows_t *rows,
                               int row, p2p_part_t *part)
{
    const char **cell = rows->cell[row];

    memset(part, 0, sizeof *part);
    part->request = (int)p2p_rows_int(rows, row, 0);
    part->number = (int)p2p_rows_int(rows, row, 1);
    P2P_TRY(p2p_unseal_column(p, keyring, "p2p_part",
                              p2p_column_below(p, "url", part->request, part->number), job_id,
                              cell[2], &part->url));
    P2P_TRY(p2p_unseal_column(p, keyring, "p2p_part",
                              p2p_column_below(p, "next_url", part->request, part->number),
                              job_id, cell[3], &part->next_url));
    part->landed = p2p_rows_int(rows, row, 4) != 0;
    part->received = p2p_rows_int(rows, row, 5);
    part->mapped = p2p_rows_int(rows, row, 6);
    part->landed_at = p2p_rows_int(rows, row, 7);
    part->retrieved = p2p_rows_int(rows, row, 8);
    part->written = p2p_rows_int(rows, row, 9);
    part->duplicate = p2p_rows_int(rows, row, 10);
    part->skipped = p2p_rows_int(rows, row, 11);
    part->rejected = p2p_rows_int(rows, row, 12);
    part->bytes = p2p_rows_int(rows, row, 13);
    part->sha256 = cell[14];
    part->held = "";
    return NULL;
}

p2p_error_t *p2p_job_progress(p2p_db_t *db, apr_pool_t *p, const p2p_job_t *job, const char *owner,
                              const p2p_job_state_t *state, int *stopping)
{
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_JOB_PROGRESS, &rows, state->waiting, state->wait_code, (apr_int64_t)state->wait_until,
                          (apr_int64_t)state->token_time, (apr_int64_t)state->token_time, job->id, owner, job->epoch));
    if (!rows.count) return p2p_job_lost(p);
    *stopping = p2p_job_status_parse(rows.cell[0][0]) == P2P_JOB_STOPPING;
    return NULL;
}

p2p_error_t *p2p_job_set_task(p2p_db_t *db, apr_pool_t *p, const p2p_job_t *job, const char *owner,
                              const char *task_id, const char *fault)
{
    int changed;

    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_JOB_SET_TASK, &changed, task_id, fault, job->id, owner, job->epoch));
    return changed ? NULL : p2p_job_lost(p);
}

p2p_error_t *p2p_job_release(p2p_db_t *db, apr_pool_t *p, const p2p_job_t *job, const char *owner)
{
    int changed;

    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_JOB_RELEASE, &changed, job->id, owner, job->epoch));
    return changed ? NULL : p2p_job_lost(p);
}

p2p_error_t *p2p_job_rest(p2p_db_t *db, apr_pool_t *p, const p2p_job_t *job, const char *owner, const p2p_job_pause_t *pause)
{
    int changed;

    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_JOB_REST, &changed, pause->delay, pause->lasting, pause->wait_code, pause->delay, (apr_int64_t)pause->token_time,
                        (apr_int64_t)pause->token_time, job->id, owner, job->epoch));
    return changed ? NULL : p2p_job_lost(p);
}

p2p_error_t *p2p_job_trouble(p2p_db_t *db, apr_pool_t *p, const p2p_job_t *job, apr_interval_time_t *lasting)
{
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_JOB_TROUBLE, &rows, job->id));
    *lasting = rows.count ? p2p_rows_int(&rows, 0, 0) : 0;
    return NULL;
}
