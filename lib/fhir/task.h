/* SPDX-License-Identifier: Apache-2.0 */
/* What an exchange leaves at the target beside the data: its Task (HRex data-request) and the source payer's Organization. */
#ifndef P2P_FHIR_TASK_H
#define P2P_FHIR_TASK_H

#include "model/job.h"
#include "model/oidc_server.h"

#define P2P_URI_SYSTEM "urn:ietf:rfc:3986"

typedef struct p2p_task_t {
    const char *id;              /* NULL: the target assigns it */
    const char *job_uuid;
    const char *status;          /* "in-progress", "completed", "failed", "on-hold" */
    const char *reason;          /* statusReason.text, or NULL */
    const char *progress;        /* businessStatus.text: numbers alone; or NULL */
    const char *based_on;        /* id of the Add Payer Task that asked for it, or NULL */
    const char *patient;         /* the member at the target */
    const char *owner;           /* id of the source payer's Organization at the target */
    const char *requester;       /* the target payer's own identifier */
    int requester_is_resource;   /* Organization/{requester} is there */
    apr_time_t authored, modified;
    const p2p_job_counts_t *counts; /* as output, or NULL */
} p2p_task_t;

/* The Task as JSON in p: a data request of the HRex profile, which binds status to some codes of FHIR's, wants a reason of a failed one and an
 * output of a completed one. */
const char *p2p_task_print(apr_pool_t *p, const p2p_task_t *task, apr_size_t *len);

/* How far an exchange has come, in words for progress, in p. */
const char *p2p_task_progress(apr_pool_t *p, const p2p_job_counts_t *counts);

/* What a job's Task says at the target; ids, "" where it does not tell them. */
typedef struct p2p_task_told_t {
    const char *id;
    const char *owner;     /* of an Organization */
    const char *requester; /* likewise */
    const char *based_on;  /* of a Task */
} p2p_task_told_t;

/* Reads a Task, or the first one of a searchset; NULL where there is none in it. In p. */
const p2p_task_told_t *p2p_task_read(apr_pool_t *p, const char *body, apr_size_t len);

/* The id of the source payer's Organization where ids are ours, in p. */
const char *p2p_payer_id(apr_pool_t *p, const p2p_oidc_server_t *server);

/* The source payer's Organization under id (NULL: the target assigns it), kept in step with its definition, as JSON in p. Its first
 * identifier is the id_namespace under P2P_URI_SYSTEM. */
const char *p2p_payer_print(apr_pool_t *p, const char *id, const p2p_oidc_server_t *server, apr_size_t *len);

#endif
