/* SPDX-License-Identifier: Apache-2.0 */
/* The audit: who did what to which definition or job, from where, with what outcome. Rows are added and, when they are old enough, removed;
 * nothing changes them. No secret, no body and no member's id goes in. */
#ifndef P2P_STORE_AUDIT_STORE_H
#define P2P_STORE_AUDIT_STORE_H

#include <apr_tables.h>
#include "store/db.h"

/* Texts are never NULL in what is read; NULL stands for "" in what is added. */
typedef struct p2p_audit_row_t {
    apr_int64_t id;      /* 0 in what is added: the next one is taken */
    apr_time_t time;     /* the database's, set when the row is added */
    const char *client;  /* whose call it was; "" where nobody has to say who he is */
    const char *role;    /* "administrator" or "portal" */
    const char *address; /* his; "local" for a command */
    const char *action;  /* "create", "start" … */
    const char *object;  /* "oidc_server/3", "batch_job/17"; the kind alone where there is no number yet */
    int status;          /* HTTP's */
    const char *code;    /* of the problem; "" where there was none */
} p2p_audit_row_t;

/* The next id, for a row that is added later: from a transaction it would be what others queue up for. */
p2p_error_t *p2p_audit_next_id(p2p_db_t *db, apr_pool_t *p, apr_int64_t *id);

/* Adds a row, in the open transaction or on its own. */
p2p_error_t *p2p_audit_add(p2p_db_t *db, apr_pool_t *p, const p2p_audit_row_t *row);

/* Rows newest first: at most limit, those with ids below before, of this object and this client (NULL: any). Array of p2p_audit_row_t. */
p2p_error_t *p2p_audit_list(p2p_db_t *db, apr_pool_t *p, const char *object, const char *client, apr_int64_t before, int limit,
                            apr_array_header_t **rows);

/* Retention: removes at most limit rows that are older than keep microseconds; *count tells how many. Where none is,
 * nothing is tried to be removed. */
p2p_error_t *p2p_audit_tidy(p2p_db_t *db, apr_pool_t *p, apr_interval_time_t keep, int limit, int *count);

#endif
