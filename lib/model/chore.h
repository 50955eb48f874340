/* SPDX-License-Identifier: Apache-2.0 */
/* A chore: a job of the one queue that is no exchange, short and without a member. */
#ifndef P2P_MODEL_CHORE_H
#define P2P_MODEL_CHORE_H

#include "model/job.h"

#define P2P_KIND_TEST "definition-test"  /* tries what a definition names; its result is kept like an ended job */
#define P2P_KIND_REFRESH "jwks-refresh"  /* fetches what an issuer publishes; its row is gone when it is done */

#define P2P_KIND_SUBSCRIPTION "subscription" /* seeds the target's Subscription, or looks whether it is still active */
#define P2P_KIND_TASKS "task-look"       /* reads Tasks of the target: those that were hinted at, and what a search finds */
#define P2P_KIND_MAIL "mail"             /* sends what is due in the outbox */

/* Text fields are never NULL. */
typedef struct p2p_chore_t {
    p2p_job_t job;       /* without grant, patient, Task and counts; oidc_server_id is 0 where it is about no definition */
    const char *subject; /* of a jwks-refresh: the issuer; else "" */
    const char *result;  /* what came of it, as JSON; "" until it is COMPLETED */
} p2p_chore_t;

/* What administrators see of a definition's test: testId, status, times, result (null until it is there), error where it FAILED. Owned by p. */
json_object *p2p_chore_public(apr_pool_t *p, const p2p_chore_t *chore);

#endif
