/* SPDX-License-Identifier: Apache-2.0 */
/* A batch job: one exchange of one member's record, its state and its counts. */
#ifndef P2P_MODEL_JOB_H
#define P2P_MODEL_JOB_H

#include <apr_time.h>
#include "base/json.h"

typedef enum {
    P2P_JOB_STARTING, P2P_JOB_STARTED, P2P_JOB_STOPPING, P2P_JOB_STOPPED, P2P_JOB_COMPLETED, P2P_JOB_FAILED,
    P2P_JOB_ABANDONED, P2P_JOB_UNKNOWN
} p2p_job_status_t;

/* retrieved = written + duplicate + skipped + rejected + waiting, always; waiting is 0 at the end. */
typedef struct p2p_job_counts_t {
    apr_int64_t parts;     /* landed */
    apr_int64_t retrieved; /* resources received, those of parts that have not landed included */
    apr_int64_t written, duplicate, skipped, rejected;
    apr_int64_t waiting;   /* received, their part not landed yet */
    apr_int64_t bytes;     /* of landed parts, as decoded */
} p2p_job_counts_t;

#define P2P_KIND_EXCHANGE "p2p-exchange"

/* Why a job does not go on at this moment. What its runner notes: */
#define P2P_WAIT_SOURCE_ASKS "source-asks"         /* the source told when to come again */
#define P2P_WAIT_SOURCE_FAILS "source-fails"       /* it is away, or fails: we come again by our own rule */
#define P2P_WAIT_TARGET_ASKS "target-asks"
#define P2P_WAIT_TARGET_FAILS "target-fails"
#define P2P_WAIT_TOKEN_ENDPOINT "token-endpoint"   /* the token endpoint gives no access token for now */
#define P2P_WAIT_TOKEN_REFRESH "token-refresh"     /* one is asked for */
#define P2P_WAIT_TOKEN_ELSEWHERE "token-elsewhere" /* another job, or runner, asks for it */
#define P2P_WAIT_MEMORY "memory"
#define P2P_WAIT_CONNECTION "connection"           /* to the target */
#define P2P_WAIT_KEY "key-missing"                 /* a sealing key that its runner has not got */
/* What its row tells by itself: */
#define P2P_WAIT_QUEUED "queued"
#define P2P_WAIT_SLOT "slot"                       /* it has begun, and no runner has it in hand */

/* A job as its row tells it; times are 0 where they have not come yet; text fields never NULL. Secrets are
 * not here but in p2p_grant_t and p2p_job_order_t. */
typedef struct p2p_job_t {
    apr_int64_t id, version;
    const char *uuid;
    const char *kind;   /* P2P_KIND_EXCHANGE, or a chore's (model/chore.h) */
    const char *target; /* URL of the target FHIR server it was made for */
    apr_int64_t oidc_server_id;
    apr_int64_t grant_id;
    p2p_job_status_t status;
    apr_time_t create_time, start_time, end_time, last_updated;
    apr_int64_t attempt;     /* from 1 */
    const char *task_id;     /* "" until the Task exists */
    const char *task_fault;  /* why it does not, or is not as it should be: a sentence for everyone; "" */
    const char *error_code, *error_sentence; /* "" unless FAILED */
    const char *error_detail; /* sealed */
    const char *client;       /* who asked for it: r->user */
    p2p_job_counts_t counts;
    apr_int64_t epoch;        /* of the lease, as claimed */
    int is_owned;             /* a runner has it in hand, or died while it had */
    const char *wait_code;    /* as its runner noted it; "" */
    apr_time_t wait_until;    /* then it is looked at again; 0: not known */
    apr_time_t token_time;    /* when its access token was last refreshed */
} p2p_job_t;

/* "STARTING" … and back (P2P_JOB_UNKNOWN for anything else). */
const char *p2p_job_status_name(p2p_job_status_t status);
p2p_job_status_t p2p_job_status_parse(const char *name);

/* Has it come to its end: STOPPED, COMPLETED, FAILED or ABANDONED? */
int p2p_job_ended(p2p_job_status_t status);

/* "code" and "message" of a FAILED one; the caller's to release. */
json_object *p2p_job_failure(const p2p_job_t *job);

/* The guide's answer (batchJobId, batchStatus, startTime, createTime, endTime, lastUpdated,
 * jobConfigurationName, taskId), then progress, and error where it FAILED. Owned by p. */
json_object *p2p_job_public(apr_pool_t *p, const p2p_job_t *job);

/* Why it does not go on at this moment, as a P2P_WAIT_...; NULL where it does, or has ended. */
const char *p2p_job_waits(const p2p_job_t *job);

/* The sentence for people about that, without the moment (wait_until), which stands beside it. In p. */
const char *p2p_job_wait_sentence(apr_pool_t *p, const p2p_job_t *job);

/* The same for an administrator, with oidcServerId, client, attempt, target, kind, waits (code, sentence and until, or null) and tokenRefreshed; and, where it FAILED and detail is not NULL, that of the
 * error, opened. Owned by p. */
json_object *p2p_job_administered(apr_pool_t *p, const p2p_job_t *job, const char *detail);

#endif
