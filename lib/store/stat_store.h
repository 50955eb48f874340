/* SPDX-License-Identifier: Apache-2.0 */
/* The table p2p_stat: sums of an hour, which runners keep. */
#ifndef P2P_STORE_STAT_STORE_H
#define P2P_STORE_STAT_STORE_H

#include "model/job.h"
#include "store/db.h"

#define P2P_STAT_TARGET "target" /* the peer that is the target; source payers are "oidc_server/ID" */

/* What is added to an hour. */
typedef struct p2p_stat_t {
    apr_int64_t completed, failed, stopped; /* exchanges that ended */
    apr_int64_t resources, bytes;           /* of parts that landed */
    apr_int64_t errors;                     /* answers, and answers that did not come, that kept us waiting */
} p2p_stat_t;

/* The peer of an exchange, in p. */
const char *p2p_stat_payer(apr_pool_t *p, apr_int64_t server_id);

/* Adds to the sums of the hour that it is at the database, in the row of this runner and peer; within the transaction that does what is counted it
 * is the last write, since others that stop jobs may wait for that row. owner: the runner's, as in its leases; NULL: a caller of httpd's, whose row is
 * HOST/httpd. */
p2p_error_t *p2p_stat_add(p2p_db_t *db, apr_pool_t *p, const char *target, const char *owner, const char *peer, const p2p_stat_t *add);

/* The same for an exchange that has ended as status; nothing for a job of another kind. */
p2p_error_t *p2p_stat_add_end(p2p_db_t *db, apr_pool_t *p, const p2p_job_t *job, const char *owner, p2p_job_status_t status);

/* Retention: removes rows of hours that ended keep microseconds ago, at most limit. *count tells how many. */
p2p_error_t *p2p_stat_tidy(p2p_db_t *db, apr_pool_t *p, const char *target, apr_interval_time_t keep, int limit, int *count);

#endif
