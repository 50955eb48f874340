/* SPDX-License-Identifier: Apache-2.0 */
/* What the handlers of jobs share: /api, where jobs belong to definitions, and /admin, where all are together, do the same with them. */
#ifndef P2P_MOD_JOB_REPLY_H
#define P2P_MOD_JOB_REPLY_H

#include <httpd.h>

#include "base/error.h"
#include "model/job.h"
#include "store/job_store.h"

/* How the caller came to a job, or to a list of jobs. */
typedef struct p2p_job_way_t {
    apr_int64_t server_id; /* of the definition in the path; 0: across definitions */
    apr_int64_t id;        /* of the job in the path; 0: there is none */
    int administration;
} p2p_job_way_t;

/* What he sees there: under /api exchanges alone. */
p2p_viewer_t p2p_job_viewer(request_rec *r, const p2p_job_way_t *way);

/* The handlers, one for both ways. */
int p2p_job_show(request_rec *r, const p2p_job_way_t *way);
int p2p_job_show_list(request_rec *r, const p2p_job_way_t *way);
int p2p_job_show_report(request_rec *r, const p2p_job_way_t *way);
int p2p_job_do_stop(request_rec *r, const p2p_job_way_t *way);
int p2p_job_do_restart(request_rec *r, const p2p_job_way_t *way);

/* Answers with a job and its ETag; with one that has just been queued: 202, Location and Retry-After. */
int p2p_reply_job(request_rec *r, const p2p_job_way_t *way, int status, const p2p_job_t *job);
int p2p_reply_queued(request_rec *r, const p2p_job_way_t *way, const p2p_job_t *job);

/* The problem that error is; a conflict with a running job tells where that one is, if the caller sees it (else running is NULL). */
int p2p_refuse_job(request_rec *r, const p2p_job_way_t *way, const p2p_error_t *error, const p2p_job_t *running);

/* Within the work that got error: *running is NULL from now on where the caller does not see it. Returns error. */
p2p_error_t *p2p_job_hide_running(p2p_db_t *db, request_rec *r, const p2p_job_way_t *way, p2p_error_t *error, p2p_job_t **running);

#endif
