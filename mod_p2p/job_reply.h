/* SPDX-License-Identifier: Apache-2.0 */
/* What the handlers of jobs share. */
#ifndef P2P_MOD_JOB_REPLY_H
#define P2P_MOD_JOB_REPLY_H

#include <httpd.h>

#include "base/error.h"
#include "model/job.h"

/* The absolute path of a job, as the caller reaches it. */
const char *p2p_job_path(request_rec *r, const p2p_job_t *job);

/* Answers with a job and its ETag; with one that has just been queued: 202, Location and Retry-After. */
int p2p_reply_job(request_rec *r, int status, const p2p_job_t *job);
int p2p_reply_queued(request_rec *r, const p2p_job_t *job);

/* The problem that error is; a conflict with a running job tells where that one is. */
int p2p_refuse_job(request_rec *r, const p2p_error_t *error, const p2p_job_t *running);

#endif
