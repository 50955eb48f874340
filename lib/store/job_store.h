/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs: enqueued by httpd, claimed and kept under lease by a runner, ended with their grant. */
#ifndef P2P_STORE_JOB_STORE_H
#define P2P_STORE_JOB_STORE_H

#include "base/seal.h"
#include "model/grant.h"
#include "model/job.h"
#include "model/job_order.h"
#include "model/part.h"
#include "model/task_event.h"
#include "store/db.h"

/* Enqueues an exchange: binding, grant (found again by its refresh token, else new), job, requests; one
 * transaction. Errors: P2P_E_CONFLICT "bound-to-another" (the source patient is bound to another target
 * patient) or "already-running" (same member and source; *job is then the running one); P2P_E_INVALID
 * "grant-ended" (authorise again). */
p2p_error_t *p2p_job_enqueue(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const char *target,
                             const p2p_oidc_server_t *server, const p2p_job_order_t *order, const char *client,
                             p2p_job_t **job);

/* The same, once for a key (Idempotency-Key) of this client and definition, "" for none: where there is a job of that key it is *job, and
 * *again is 1; nothing is enqueued then. Errors: P2P_E_INVALID "idempotency-key-reused" where that job's order was another, tokens aside. */
p2p_error_t *p2p_job_enqueue_once(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const char *target,
                                  const p2p_oidc_server_t *server, const p2p_job_order_t *order, const char *client,
                                  const char *key, p2p_job_t **job, int *again);

/* Removes the binding of a source patient: the next exchange binds it anew, to whomever it names. Errors: P2P_E_NOT_FOUND "no-such-binding",
 * P2P_E_CONFLICT "already-running" (*running is then that job). */
p2p_error_t *p2p_job_unbind(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const char *target, apr_int64_t server_id,
                            const char *source_patient, p2p_job_t **running);

/* Who looks at jobs: an administrator sees everybody's, anybody else those that he made; somebody who is limited to one member sees that
 * member's alone, whoever he is. */
typedef struct p2p_viewer_t {
    const char *client;
    const char *patient;  /* the only target patient whose jobs he sees; NULL: any */
    const char *target;   /* URL of the server where that is his id; may be NULL without patient */
    const p2p_keyring_t *keyring;
    const char *kind;     /* of the jobs that are shown; NULL: any */
    int administrator;
} p2p_viewer_t;

/* Does he see this job? Not to be asked from within a transaction. */
p2p_error_t *p2p_job_seen(p2p_db_t *db, apr_pool_t *p, const p2p_viewer_t *viewer, const p2p_job_t *job, int *seen);

/* One job of a definition (server_id 0: of any) that viewer sees. Errors: P2P_E_NOT_FOUND "no-such-job", also for one that he does not see. */
p2p_error_t *p2p_job_find(p2p_db_t *db, apr_pool_t *p, const p2p_viewer_t *viewer, apr_int64_t server_id, apr_int64_t id, p2p_job_t **job);

/* Which jobs. */
typedef struct p2p_job_filter_t {
    apr_int64_t server_id;   /* of this definition; 0: of any, for administrators */
    p2p_job_status_t status; /* P2P_JOB_UNKNOWN: any */
    apr_int64_t before;      /* ids below it */
    int limit;
} p2p_job_filter_t;

/* Those that viewer sees, newest first. Array of p2p_job_t *. */
p2p_error_t *p2p_job_list(p2p_db_t *db, apr_pool_t *p, const p2p_viewer_t *viewer, const p2p_job_filter_t *filter, apr_array_header_t **jobs);

/* What administrators are told of a FAILED job's error: its detail, opened; "" where there is none. */
p2p_error_t *p2p_job_error_detail(apr_pool_t *p, const p2p_keyring_t *keyring, const p2p_job_t *job, const char **detail);

/* Stops a job: STOPPED at once where no runner has it and the target no Task of it, else STOPPING until its runner, or whoever takes it over,
 * has ended it. One that
 * is STOPPING or STOPPED stays as it is. With exact it has to be at job->version still. *job is what became of it. Errors: P2P_E_CONFLICT
 * "job-ended" (COMPLETED, FAILED, ABANDONED) or "changed" (exact). */
p2p_error_t *p2p_job_stop(p2p_db_t *db, apr_pool_t *p, int exact, p2p_job_t **job);

/* How a job is begun again. */
typedef struct p2p_job_restart_t {
    const char *access_token, *refresh_token; /* a new grant for the same member; "" for the one it had */
    apr_interval_time_t within;               /* P2PRestartWithin, in microseconds */
    int exact;                                /* as at p2p_job_stop */
} p2p_job_restart_t;

/* Queues a FAILED or STOPPED job again: the same id, the next attempt. Parts that have landed stay; resources that were rejected become
 * parts of a request "dead-letters", but for those whose bodies were not kept: their parts are fetched again. *job is what became of it, or
 * with "already-running" the other one. Errors: P2P_E_CONFLICT "not-an-exchange", "job-active", "job-completed", "restart-too-late",
 * "already-running", "bound-to-another", "changed"; P2P_E_INVALID "grant-ended". */
p2p_error_t *p2p_job_restart(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const p2p_job_restart_t *how, p2p_job_t **job);

/* Dead letters of one part of a request "dead-letters", some at a time, in chunks of a body: array of p2p_letter_t behind (number, chunk),
 * which begin with (-1, 0). Empty: there are no more. */
typedef struct p2p_letter_t {
    int number, chunk;
    const char *source_id; /* of chunk 0 */
    const char *body;      /* this chunk */
    apr_size_t len;
} p2p_letter_t;
p2p_error_t *p2p_job_letters(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, apr_int64_t job_id, int request, int part,
                             int number, int chunk, apr_array_header_t **letters);

/* Retention, a few jobs of a target at a time: what FAILED and STOPPED jobs keep for a restart (refresh token, hashes) goes when they
 * ended restart_within microseconds ago, ended jobs with all that is theirs when they ended keep microseconds ago. *count tells how many
 * were seen to; at most 2 * limit. */
p2p_error_t *p2p_job_tidy(p2p_db_t *db, apr_pool_t *p, const char *target, apr_interval_time_t restart_within,
                          apr_interval_time_t keep, int limit, int *count);

/* Is it this caller's turn to tidy up? One a minute among all runners of a target. */
p2p_error_t *p2p_job_tidy_turn(p2p_db_t *db, apr_pool_t *p, const char *target, int *mine);

/* One job of a definition (server_id 0: of any), whosever. Errors: P2P_E_NOT_FOUND "no-such-job". */
p2p_error_t *p2p_job_get(p2p_db_t *db, apr_pool_t *p, apr_int64_t server_id, apr_int64_t id, p2p_job_t **job);

/* Takes the next exchange for this target: one that is queued (of the source payer with the fewest running the
 * oldest), or one whose owner's lease ran out. *job is NULL where there is none. One in STOPPING whose owner is gone is taken to be
 * ended; a chore in STOPPING becomes STOPPED here. Chores are claimed with p2p_chore_claim. */
p2p_error_t *p2p_job_claim(p2p_db_t *db, apr_pool_t *p, const char *target, const char *owner,
                           p2p_job_t **job);

/* What a claimed job works with, opened: the order (without URLs), and its requests with all parts known so
 * far (array of p2p_request_t). Landed parts come with held. */
p2p_error_t *p2p_job_load(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const p2p_job_t *job,
                          p2p_job_order_t *order, apr_array_header_t **requests);

/* From here every call repeats the lease: P2P_E_LOST "lease-lost" where owner and job->epoch are not the
 * row's any more, and then nothing was changed. */

/* A job that came without the source patient's id has learnt it from the source's token answer: binds and
 * stores it. Errors: P2P_E_CONFLICT "bound-to-another" or "already-running", as at p2p_job_enqueue. */
p2p_error_t *p2p_job_bind_patient(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const p2p_job_t *job,
                                  const char *owner, const p2p_oidc_server_t *server, const p2p_job_order_t *order);

/* Notes parts in one transaction: part rows (inserted or updated by job, request and number), new requests
 * ("read"), rejected rows, and adds the parts' counts to the job's where a part landed. parts is of
 * p2p_part_t *, requests of p2p_request_t * that are new (or NULL), rejected of p2p_rejected_t * (or NULL),
 * of parts that land in this call. Parts that are noted before they landed have landed = 0. A part that has
 * landed never changes again: the same call once more (after a COMMIT that may have been lost) changes
 * nothing. */
p2p_error_t *p2p_job_note_parts(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring,
                                const p2p_job_t *job,
                                const char *owner, const apr_array_header_t *parts, const apr_array_header_t *requests,
                                const apr_array_header_t *rejected);

/* The first part behind that one (by request and number) that has landed and held something, with held; *found is 0 where there is
 * none. No lease is looked at. */
p2p_error_t *p2p_job_next_landed(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const p2p_job_t *job, int request,
                                 int number, p2p_part_t *part, int *found);

/* How a job stands, as its runner knows it. */
typedef struct p2p_job_state_t {
    apr_int64_t waiting;   /* resources received whose part has not landed */
    const char *wait_code; /* why it does not go on at this moment: a P2P_WAIT_...; "" where it does */
    apr_time_t wait_until; /* the database's time; 0: not known */
    apr_time_t token_time; /* when its token was last refreshed; 0: not since it was claimed */
} p2p_job_state_t;

/* Live progress, at most once a second. *stopping tells whether somebody wants the job stopped. */
p2p_error_t *p2p_job_progress(p2p_db_t *db, apr_pool_t *p, const p2p_job_t *job, const char *owner,
                              const p2p_job_state_t *state, int *stopping);

/* The id of the job's Task at the target, "" for none, and why that is not as it should be (a sentence for everyone), "" where it is. */
p2p_error_t *p2p_job_set_task(p2p_db_t *db, apr_pool_t *p, const p2p_job_t *job, const char *owner,
                              const char *task_id, const char *fault);

/* How a job ends. */
typedef struct p2p_job_ending_t {
    p2p_job_status_t status;         /* COMPLETED, FAILED or STOPPED */
    const p2p_error_t *error;        /* of a FAILED one */
    int untouched;                   /* nothing can have been written */
    apr_time_t token_time;           /* as in p2p_job_state_t */
    const p2p_task_event_t *event;   /* NULL: nobody is told */
    const apr_array_header_t *mails; /* that it leads to: of p2p_mail_order_t, or NULL */
} p2p_job_ending_t;

/* Ends the job: waiting 0, counts the sums of its parts', the error's detail sealed; of a COMPLETED one parts' hashes are deleted; the
 * grant's tokens are erased where no other job holds it, bar the refresh token of a FAILED or STOPPED job; the member is bound no longer
 * where this job was untouched and no other has moved anything. Its event is noted with its mails, as p2p_task_event_note does, in the same
 * transaction. */
p2p_error_t *p2p_job_finish(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const p2p_job_t *job,
                            const char *owner, const p2p_job_ending_t *ending);

/* Gives the lease back, the job is to be claimed again by anyone at once. */
p2p_error_t *p2p_job_release(p2p_db_t *db, apr_pool_t *p, const p2p_job_t *job, const char *owner);

/* How a job rests. */
typedef struct p2p_job_pause_t {
    apr_interval_time_t delay;   /* nobody is to claim it for so many microseconds */
    apr_interval_time_t lasting; /* there has been trouble for so many, which is remembered until a part lands */
    const char *wait_code;       /* as in p2p_job_state_t, as is: */
    apr_time_t token_time;
} p2p_job_pause_t;

/* Gives the lease back for a while; a stop makes it STOPPED meanwhile. */
p2p_error_t *p2p_job_rest(p2p_db_t *db, apr_pool_t *p, const p2p_job_t *job, const char *owner, const p2p_job_pause_t *pause);

/* How long there has been trouble, as p2p_job_rest noted it, in microseconds; 0 where there was none. */
p2p_error_t *p2p_job_trouble(p2p_db_t *db, apr_pool_t *p, const p2p_job_t *job, apr_interval_time_t *lasting);

/* Where a page of the report begins: behind these rows. */
typedef struct p2p_report_at_t {
    apr_int64_t request;                        /* -1: from the first */
    apr_int64_t part_request, part;
    apr_int64_t resource_request, resource_part, resource;
} p2p_report_at_t;

/* A page of the report, arrays in p: p2p_request_t (without parts), p2p_part_t (without held), p2p_rejected_t (without body), at most
 * limit of each, sealed members opened; and the sums of all parts. */
typedef struct p2p_report_t {
    apr_array_header_t *requests, *parts, *resources;
    p2p_job_counts_t sum; /* parts, waiting and bytes are not set */
} p2p_report_t;

p2p_error_t *p2p_job_report(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, apr_int64_t job_id,
                            const p2p_report_at_t *at, int limit, p2p_report_t *report);

#endif
