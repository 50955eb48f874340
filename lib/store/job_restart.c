/* SPDX-License-Identifier: Apache-2.0 */
/* A job that ended too early goes on: what has landed stays, the rest is fetched, and what the target refused is tried again. */
#include "store/job_store.h"

#include <string.h>
#include <apr_strings.h>
#include "store/grant_private.h"
#include "store/hash_keys.h"
#include "store/job_private.h"
#include "store/sealed.h"

#define LETTERS_AT_A_TIME 16 /* rows, of 256 KiB at most */

typedef struct restart_t {
    const p2p_keyring_t *keyring;
    p2p_keyring_t *hashes;
    const p2p_job_restart_t *how;
    p2p_job_t **job;
    apr_int64_t grant_id, binding_id; /* taken beforehand */
} restart_t;

static p2p_error_t *too_late(apr_pool_t *p)
{
    return p2p_error_make(p, P2P_E_CONFLICT, "restart-too-late",
                          "What this job needs to go on is not kept any more (P2PRestartWithin): order a new exchange.");
}

static p2p_error_t *check(p2p_db_t *db, apr_pool_t *p, const restart_t *r)
{
    const p2p_job_t *job = *r->job;
    apr_time_t now;

    if (strcmp(job->kind, P2P_KIND_EXCHANGE))
        return p2p_error_make(p, P2P_E_CONFLICT, "not-an-exchange", "Only an exchange can go on where it ended: have a definition tested anew.");
    if (!p2p_job_ended(job->status))
        return p2p_error_make(p, P2P_E_CONFLICT, "job-active", "This job is %s: it has not ended yet.", p2p_job_status_name(job->status));
    if (job->status != P2P_JOB_FAILED && job->status != P2P_JOB_STOPPED)
        return p2p_error_make(p, P2P_E_CONFLICT, "job-completed", "This job is %s: order a new exchange.", p2p_job_status_name(job->status));
    P2P_TRY(p2p_db_now(db, p, &now));
    return job->end_time + r->how->within < now ? too_late(p) : NULL;
}

/* ---- Its member and its grant ---- */

static p2p_error_t *check_member(p2p_db_t *db, apr_pool_t *p, const restart_t *r)
{
    const p2p_job_t *job = *r->job;
    p2p_job_member_t member = {.keyring = r->keyring, .hashes = r->hashes, .target = job->target, .server_id = job->oidc_server_id,
                               .binding_id = r->binding_id};
    p2p_job_t *running = NULL;
    p2p_error_t *error;
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_JOB_ORDER, &rows, job->id));
    P2P_TRY(p2p_unseal_column(p, r->keyring, P2P_JOB_TABLE, "source_patient", job->id, rows.cell[0][1], &member.source_patient));
    P2P_TRY(p2p_unseal_column(p, r->keyring, P2P_JOB_TABLE, "target_patient", job->id, rows.cell[0][2], &member.target_patient));
    if (!*member.source_patient) return NULL; /* it never learnt it */
    P2P_TRY(p2p_job_bind(db, p, &member));
    error = p2p_job_check_running(db, p, &member, &running);
    if (running) *r->job = running;
    return error;
}

/* A refresh token leads to a grant, known or new; an access token alone goes to the one that the job has, where that is still good. */
static p2p_error_t *take_tokens(p2p_db_t *db, apr_pool_t *p, const restart_t *r, apr_int64_t *grant_id)
{
    const p2p_job_restart_t *how = r->how;
    const p2p_job_t *job = *r->job;
    p2p_grant_t *grant;

    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_GRANT_LOCK, NULL, job->grant_id));
    P2P_TRY(p2p_grant_get(db, p, r->keyring, job->grant_id, &grant));
    *grant_id = r->grant_id;
    if (*how->refresh_token || (grant->ended && *how->access_token))
        return p2p_job_take_grant(db, p, r->keyring, r->hashes, job->oidc_server_id, how->access_token, how->refresh_token, grant_id);
    *grant_id = job->grant_id;
    if (grant->ended)
        return p2p_error_make(p, P2P_E_INVALID, "grant-ended",
                              "This job's tokens are spent: the member has to authorise again; send the new tokens with the restart.");
    return *how->access_token ? p2p_grant_set_access(db, p, r->keyring, job->grant_id, how->access_token) : NULL;
}

/* ---- Dead letters ---- */

/* Those of one part become one part of the request number, which keeps the page's URL for its Provenance. */
static p2p_error_t *take_letters_of(p2p_db_t *db, apr_pool_t *p, const restart_t *r, const apr_int64_t from[3], const apr_int64_t to[2])
{
    apr_int64_t job = (*r->job)->id;
    p2p_rows_t rows;
    const char *url, *next = "";

    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_LETTERS_MARK, NULL, to[0], to[1], job, from[0], from[1]));
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_PART_TAKE_LETTERS, NULL, from[2], from[2], job, from[0], from[1]));
    P2P_TRY(p2p_db_select(db, p, P2P_SQL_PART_URL, &rows, job, from[0], from[1]));
    P2P_TRY(p2p_unseal_column(p, r->keyring, "p2p_part", p2p_column_below(p, "url", (int)from[0], (int)from[1]), job, rows.cell[0][0], &url));
    P2P_TRY(p2p_seal_column(p, r->keyring, "p2p_part", p2p_column_below(p, "url", (int)to[0], (int)to[1]), job, url, &url));
    return p2p_db_exec(db, p, P2P_SQL_PART_NOTE, NULL, job, to[0], to[1], url, next, (apr_int64_t)0, (apr_int64_t)0, (apr_int64_t)0,
                       (apr_int64_t)0, (apr_int64_t)0, (apr_int64_t)0, (apr_int64_t)0, (apr_int64_t)0, (apr_int64_t)0,
                       (apr_int64_t)0, "", "");
}

static p2p_error_t *take_letters(p2p_db_t *db, apr_pool_t *p, const restart_t *r)
{
    apr_int64_t job = (*r->job)->id, to[2];
    p2p_rows_t parts, rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_LETTERS_PARTS, &parts, job));
    if (!parts.count) return NULL;
    P2P_TRY(p2p_db_select(db, p, P2P_SQL_REQUEST_NEXT, &rows, job));
    to[0] = p2p_rows_int(&rows, 0, 0);
    P2P_TRY(p2p_job_insert_request(db, p, r->keyring, job, (int)to[0], P2P_REQUEST_LETTERS, ""));
    for (int i = 0; i < parts.count; i++) {
        const apr_int64_t from[3] = {p2p_rows_int(&parts, i, 0), p2p_rows_int(&parts, i, 1), p2p_rows_int(&parts, i, 2)};

        to[1] = i;
        P2P_TRY(take_letters_of(db, p, r, from, to));
    }
    return NULL;
}

static p2p_error_t *set_parts_back(p2p_db_t *db, apr_pool_t *p, const restart_t *r)
{
    apr_int64_t job = (*r->job)->id;

    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_PART_REOPEN, NULL, job));
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_REJECTED_REOPENED, NULL, job));
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_PART_UNCOUNT, NULL, job));
    P2P_TRY(take_letters(db, p, r));
    return p2p_db_exec(db, p, P2P_SQL_JOB_RECOUNT, NULL, job);
}

/* ---- The restart ---- */

static p2p_error_t *restart(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    const restart_t *r = baton;
    apr_int64_t id = (*r->job)->id, server = (*r->job)->oidc_server_id, old = (*r->job)->grant_id, grant;
    apr_int64_t version = r->how->exact ? (*r->job)->version : 0;
    int changed;

    P2P_TRY(take_tokens(db, p, r, &grant));
    P2P_TRY(check_member(db, p, r));
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_JOB_RESTART, &changed, grant, id, version, version));
    if (!changed) return p2p_error_make(p, P2P_E_CONFLICT, "changed", "The job has changed meanwhile: read it again.");
    P2P_TRY(set_parts_back(db, p, r));
    if (grant != old) P2P_TRY(p2p_db_exec(db, p, P2P_SQL_GRANT_ERASE, NULL, old));
    return p2p_job_get(db, p, server, id, r->job);
}

p2p_error_t *p2p_job_restart(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const p2p_job_restart_t *how, p2p_job_t **job)
{
    restart_t r = {.keyring = keyring, .how = how, .job = job};
    p2p_error_t *error;

    P2P_TRY(check(db, p, &r));
    P2P_TRY(p2p_hash_keys(db, p, keyring, &r.hashes));
    P2P_TRY(p2p_db_next_id(db, p, "grant", &r.grant_id));
    P2P_TRY(p2p_db_next_id(db, p, "binding", &r.binding_id));
    error = p2p_db_transaction(db, p, restart, &r);
    /* The unique index refuses a second job for the member that came in between: then it is seen. */
    if (error && error->kind == P2P_E_INTERNAL) error = p2p_db_transaction(db, p, restart, &r);
    return error;
}

p2p_error_t *p2p_job_letters(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, apr_int64_t job_id, int request, int part,
                             int number, int chunk, apr_array_header_t **letters)
{
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_LETTERS_READ, &rows, job_id, (apr_int64_t)request, (apr_int64_t)part,
                          (apr_int64_t)number, (apr_int64_t)chunk, (apr_int64_t)LETTERS_AT_A_TIME));
    *letters = apr_array_make(p, rows.count + 1, sizeof(p2p_letter_t));
    for (int i = 0; i < rows.count; i++) {
        const char **cell = rows.cell[i], *place = apr_pstrcat(p, "/", cell[0], "/", cell[1], "/", cell[2], NULL);
        p2p_seal_place_t body = {"p2p_rejected", apr_pstrcat(p, "body", place, "/", cell[3], NULL), job_id};
        p2p_letter_t *letter = apr_array_push(*letters);

        letter->number = (int)p2p_rows_int(&rows, i, 2);
        letter->chunk = (int)p2p_rows_int(&rows, i, 3);
        P2P_TRY(p2p_unseal(p, keyring, &body, cell[5], &letter->body, &letter->len));
        P2P_TRY(p2p_unseal_column(p, keyring, "p2p_rejected", apr_pstrcat(p, "source_id", place, NULL), job_id, cell[4],
                                  &letter->source_id));
    }
    return NULL;
}
