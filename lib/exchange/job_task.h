/* SPDX-License-Identifier: Apache-2.0 */
/* A job's Task at the target, from its beginning to its end: there is one, however often the job is taken over or begun again. Whatever goes
 * wrong with it, the exchange goes on. */
#ifndef P2P_EXCHANGE_JOB_TASK_H
#define P2P_EXCHANGE_JOB_TASK_H

#include "exchange/exchange.h"
#include "exchange/ids.h"
#include "exchange/retry.h"

typedef struct p2p_job_task_t p2p_job_task_t;

typedef struct p2p_job_task_settings_t {
    p2p_exchange_context_t *context;
    const p2p_job_t *job;
    const p2p_job_order_t *order;
    const p2p_oidc_server_t *server;
    const p2p_log_t *log;
    p2p_ids_t *ids;           /* the target assigns ids; NULL: we do */
    p2p_trouble_t *trouble;   /* with the target */
} p2p_job_task_settings_t;

/* Makes one in p; with p all that is asked is cancelled. */
p2p_job_task_t *p2p_job_task_make(apr_pool_t *p, const p2p_job_task_settings_t *settings);

/* Learns what the Task is based on: what it says itself, where an earlier runner made it, else the Add Payer Task that asks for this payer. Then
 * done. Of these calls one is under way at a time. */
void p2p_job_task_look(p2p_job_task_t *task, void (*done)(void *baton), void *baton);

/* Makes it, or writes it once more, as in-progress; the ids at the target of the source payer's Organization and, where requester_is_resource, of the
 * target payer's are known. done is told an error that ends the job: the database's, but for one that may pass. */
void p2p_job_task_begin(p2p_job_task_t *task, const char *organization, int requester_is_resource,
                        void (*done)(void *baton, const p2p_error_t *error), void *baton);

/* To be called about once a second, when the lease has just been confirmed. How far the exchange has come is written after 10 s, then at intervals that
 * double up to 5 min, beside all other requests, one at a time; that it fails is no trouble. */
void p2p_job_task_tick(p2p_job_task_t *task, const p2p_job_counts_t *counts);

/* Ends look and begin where they are under way, and brings the Task to its last status; done is called when that is settled, however it ended (at once
 * where the target has none). reason may be NULL. */
void p2p_job_task_end(p2p_job_task_t *task, const char *status, const char *reason, const p2p_job_counts_t *counts, void (*done)(void *baton),
                      void *baton);

/* Notes id and fault in the job, where that is not done; where the database was away it is to be called again. Errors: those of p2p_job_set_task, made
 * in p. */
p2p_error_t *p2p_job_task_save(p2p_job_task_t *task, apr_pool_t *p);

/* Its id, "" where the target has none; and the requester-email of the Task that it is based on, "" where that is not known. */
const char *p2p_job_task_id(const p2p_job_task_t *task);
const char *p2p_job_task_email(const p2p_job_task_t *task);

#endif
