/* SPDX-License-Identifier: Apache-2.0 */
/* Runners as the database sees them: a row each, whose lease_until the heartbeat moves on. */
#ifndef P2P_STORE_RUNNER_STORE_H
#define P2P_STORE_RUNNER_STORE_H

#include <apr_time.h>
#include "base/json.h"
#include "store/db.h"

#define P2P_LEASE apr_time_from_sec(15) /* a runner is taken for dead when its heartbeat is older */

/* Registers a runner (owner: instance, slot and a random part) and ends the leases of earlier runners in the
 * same slot of the same httpd: the parent starts a slot's runner only when its predecessor is gone. */
p2p_error_t *p2p_runner_register(p2p_db_t *db, apr_pool_t *p, const char *owner, const char *instance,
                                 int slot,
                                 const char *host, apr_int64_t pid, const char *target);

/* Moves the lease on. Errors: P2P_E_LOST "lease-lost" where the row is gone or its lease ended (then register
 * anew, after dropping all jobs). */
p2p_error_t *p2p_runner_heartbeat(p2p_db_t *db, apr_pool_t *p, const char *owner);

/* Takes the row away at a regular end. */
p2p_error_t *p2p_runner_unregister(p2p_db_t *db, apr_pool_t *p, const char *owner);

/* What p2p-runner status shows: runners alive, jobs by target and status, the oldest queued, how many rest (wait for trouble to pass, without
 * a runner), by target those that no runner alive is for, and of issuers whose keys are fetched when that was and what went wrong last. Owned
 * by p. */
p2p_error_t *p2p_runner_status(p2p_db_t *db, apr_pool_t *p, json_object **status);

#endif
