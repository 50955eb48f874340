/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the job store share, with others that write under a job's lease. */
#ifndef P2P_STORE_JOB_PRIVATE_H
#define P2P_STORE_JOB_PRIVATE_H

#include "store/job_store.h"

#define P2P_JOB_TABLE "p2p_job"

/* A row in the order of sql.c's JOB_COLUMNS, in p. */
p2p_job_t *p2p_job_from_row(apr_pool_t *p, const p2p_rows_t *rows, int row);

/* The requests of an order or those added later, in the open transaction. */
p2p_error_t *p2p_job_insert_request(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring,
                                    apr_int64_t job_id,
                                    int number, const char *kind, const char *url);

/* P2P_E_NOT_FOUND "no-such-job": of that definition, or of any where it is 0. */
p2p_error_t *p2p_job_missing(apr_pool_t *p, apr_int64_t server_id);

/* P2P_E_LOST "lease-lost". */
p2p_error_t *p2p_job_lost(apr_pool_t *p);

/* Begins a transaction that writes under a job's lease: holds its row, so that nobody can claim it before that is over. Errors: P2P_E_LOST. */
p2p_error_t *p2p_job_fence(p2p_db_t *db, apr_pool_t *p, const p2p_job_t *job, const char *owner);

/* Parts without held from the columns of sql.c's PART_COLUMNS; URLs opened. */
p2p_error_t *p2p_part_from_row(apr_pool_t *p, const p2p_keyring_t *keyring, apr_int64_t job_id,
                               const p2p_rows_t *rows,
                               int row, p2p_part_t *part);

/* A member at a source and at the target. */
typedef struct p2p_job_member_t {
    const p2p_keyring_t *keyring;
    p2p_keyring_t *hashes;     /* of store/hash_keys.h */
    const char *target;        /* URL */
    apr_int64_t server_id;
    const char *source_patient, *target_patient;
    apr_int64_t binding_id;    /* taken beforehand, for a new binding */
} p2p_job_member_t;

/* The keyed hash of a source patient; "" where it is not known. */
const char *p2p_job_source_hash(apr_pool_t *p, const p2p_job_member_t *member, int key);

/* The keyed hash of a patient of the target server. */
const char *p2p_job_patient_hash(apr_pool_t *p, const p2p_keyring_t *hashes, int key, const char *target, const char *patient);

/* Binds the source patient to the target patient, in the open transaction. Errors: P2P_E_CONFLICT "bound-to-another". */
p2p_error_t *p2p_job_bind(p2p_db_t *db, apr_pool_t *p, const p2p_job_member_t *member);

/* Errors: P2P_E_CONFLICT "already-running", *running is then that job. */
p2p_error_t *p2p_job_check_running(p2p_db_t *db, apr_pool_t *p, const p2p_job_member_t *member, p2p_job_t **running);

/* The grant that these tokens belong to, held until the end of the transaction: one that was there, or a new one of the id *grant_id.
 * Errors: P2P_E_INVALID "grant-ended". */
p2p_error_t *p2p_job_take_grant(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const p2p_keyring_t *hashes,
                                apr_int64_t server_id, const char *access_token, const char *refresh_token, apr_int64_t *grant_id);

/* Adds to a job's counts, inside a transaction that holds its row. */
p2p_error_t *p2p_job_add_counts(p2p_db_t *db, apr_pool_t *p, apr_int64_t job_id, const p2p_job_counts_t *sum);

#endif
