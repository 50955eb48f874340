/* SPDX-License-Identifier: Apache-2.0 */
/* Runners' rows, and what status shows of them. */
#include "store/runner_store.h"

#include "model/job.h"

typedef struct registration_t {
    const char *owner, *instance, *host, *target;
    int slot;
    apr_int64_t pid;
} registration_t;

static p2p_error_t *register_runner(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    const registration_t *r = baton;

    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_RUNNER_REPLACE, NULL, r->owner, r->instance, (apr_int64_t)r->slot));
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_RUNNER_INSERT, NULL, r->owner, r->instance, (apr_int64_t)r->slot,
                        r->host, r->pid,
                        r->target, (apr_int64_t)P2P_LEASE));
    /* A runner that registers anew has dropped its jobs. */
    return p2p_db_exec(db, p, P2P_SQL_RUNNER_RELEASE_JOBS, NULL, r->target, r->owner);
}

p2p_error_t *p2p_runner_register(p2p_db_t *db, apr_pool_t *p, const char *owner, const char *instance,
                                 int slot,
                                 const char *host, apr_int64_t pid, const char *target)
{
    registration_t registration = {owner, instance, host, target, slot, pid};

    return p2p_db_transaction(db, p, register_runner, &registration);
}

p2p_error_t *p2p_runner_heartbeat(p2p_db_t *db, apr_pool_t *p, const char *owner)
{
    int changed;

    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_RUNNER_HEARTBEAT, &changed, (apr_int64_t)P2P_LEASE, owner));
    if (changed) return NULL;
    return p2p_error_make(p, P2P_E_LOST, "lease-lost", "This runner's lease ran out; its jobs are anyone's.");
}

p2p_error_t *p2p_runner_unregister(p2p_db_t *db, apr_pool_t *p, const char *owner)
{
    return p2p_db_exec(db, p, P2P_SQL_RUNNER_DELETE, NULL, owner);
}

static p2p_error_t *add_runners(p2p_db_t *db, apr_pool_t *p, json_object *status)
{
    json_object *list = json_object_new_array();
    p2p_rows_t rows;

    json_object_object_add(status, "runners", list);
    P2P_TRY(p2p_db_select(db, p, P2P_SQL_STATUS_RUNNERS, &rows));
    for (int i = 0; i < rows.count; i++) {
        json_object *runner = json_object_new_object();

        p2p_json_add_str(runner, "host", rows.cell[i][0]);
        p2p_json_add_int(runner, "pid", p2p_rows_int(&rows, i, 1));
        p2p_json_add_int(runner, "slot", p2p_rows_int(&rows, i, 2));
        p2p_json_add_str(runner, "target", rows.cell[i][3]);
        p2p_json_add_time(runner, "startTime", p2p_rows_int(&rows, i, 4));
        p2p_json_add_time(runner, "leaseUntil", p2p_rows_int(&rows, i, 5));
        json_object_array_add(list, runner);
    }
    return NULL;
}

static p2p_error_t *oldest_queued(p2p_db_t *db, apr_pool_t *p, const char *target, apr_time_t *oldest)
{
    p2p_rows_t rows;
    apr_time_t t;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_STATUS_QUEUED, &rows, target));
    t = p2p_rows_int(&rows, 0, 0);
    if (t && (!*oldest || t < *oldest)) *oldest = t;
    return NULL;
}

/* Rows come by target: one object each, with the number of jobs by status. */
static p2p_error_t *add_jobs(p2p_db_t *db, apr_pool_t *p, json_object *status)
{
    json_object *jobs = json_object_new_object(), *target;
    apr_time_t oldest = 0;
    p2p_rows_t rows;

    json_object_object_add(status, "jobs", jobs);
    P2P_TRY(p2p_db_select(db, p, P2P_SQL_STATUS_JOBS, &rows));
    for (int i = 0; i < rows.count; i++) {
        if (!json_object_object_get_ex(jobs, rows.cell[i][0], &target)) {
            target = json_object_new_object();
            json_object_object_add(jobs, rows.cell[i][0], target);
        }
        p2p_json_add_int(target, rows.cell[i][1], p2p_rows_int(&rows, i, 2));
        if (p2p_job_status_parse(rows.cell[i][1]) == P2P_JOB_STARTING) {
            P2P_TRY(oldest_queued(db, p, rows.cell[i][0], &oldest));
        }
    }
    p2p_json_add_time(status, "oldestQueued", oldest);
    return NULL;
}

/* Jobs that wait for trouble to pass without a runner, and those, by target, that no runner alive is for. */
static p2p_error_t *add_waiting(p2p_db_t *db, apr_pool_t *p, json_object *status)
{
    json_object *unserved = json_object_new_object();
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_STATUS_RESTING, &rows));
    p2p_json_add_int(status, "resting", p2p_rows_int(&rows, 0, 0));
    json_object_object_add(status, "unserved", unserved);
    P2P_TRY(p2p_db_select(db, p, P2P_SQL_STATUS_UNSERVED, &rows));
    for (int i = 0; i < rows.count; i++) p2p_json_add_int(unserved, rows.cell[i][0], p2p_rows_int(&rows, i, 1));
    return NULL;
}

/* What was fetched of trusted issuers, and when. */
static p2p_error_t *add_issuers(p2p_db_t *db, apr_pool_t *p, json_object *status)
{
    json_object *issuers = json_object_new_object();
    p2p_rows_t rows;

    json_object_object_add(status, "issuers", issuers);
    P2P_TRY(p2p_db_select(db, p, P2P_SQL_JWKS_STATUS, &rows));
    for (int i = 0; i < rows.count; i++) {
        json_object *issuer = json_object_new_object();

        json_object_object_add(issuers, rows.cell[i][0], issuer);
        p2p_json_add_time(issuer, "fetched", p2p_rows_int(&rows, i, 1));
        p2p_json_add_str(issuer, "fault", *rows.cell[i][2] ? rows.cell[i][2] : NULL);
    }
    return NULL;
}

p2p_error_t *p2p_runner_status(p2p_db_t *db, apr_pool_t *p, json_object **status)
{
    *status = p2p_json_own(p, json_object_new_object());
    P2P_TRY(add_runners(db, p, *status));
    P2P_TRY(add_jobs(db, p, *status));
    P2P_TRY(add_waiting(db, p, *status));
    return add_issuers(db, p, *status);
}
