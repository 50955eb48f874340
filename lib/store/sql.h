/* SPDX-License-Identifier: Apache-2.0 */
/* Every SQL statement of the product, once, in one table. */
#ifndef P2P_STORE_SQL_H
#define P2P_STORE_SQL_H

#include <apr_pools.h>

/* The statements, in the order of sql.c. BEGIN, COMMIT and ROLLBACK are never prepared (PostgreSQL cannot).
 */
typedef enum {
    P2P_SQL_NOW,
    P2P_SQL_BEGIN,
    P2P_SQL_COMMIT,
    P2P_SQL_ROLLBACK,
    P2P_SQL_COUNTER_ADD,
    P2P_SQL_TABLE_EXISTS,
    P2P_SQL_SCHEMA_VERSION,
    P2P_SQL_RUNNER_ALIVE,
    P2P_SQL_HASH_KEY_LIST,
    P2P_SQL_HASH_KEY_INSERT,
    P2P_SQL_HASH_KEY_EARLIER,

    P2P_SQL_SERVER_LIST,
    P2P_SQL_SERVER_GET,
    P2P_SQL_SERVER_BY_ISSUER,
    P2P_SQL_SERVER_INSERT,
    P2P_SQL_SERVER_UPDATE,
    P2P_SQL_SERVER_SEARCH,
    P2P_SQL_SERVER_LOCK,
    P2P_SQL_SERVER_HOLD,
    P2P_SQL_SERVER_REMOVE,
    P2P_SQL_SERVER_ARCHIVE,

    P2P_SQL_GRANT_GET,
    P2P_SQL_GRANT_LOCK,
    P2P_SQL_GRANT_INSERT,
    P2P_SQL_GRANT_SET_ACCESS,
    P2P_SQL_GRANT_BEGIN_REFRESH,
    P2P_SQL_GRANT_END_REFRESH,
    P2P_SQL_GRANT_ABANDON_REFRESH,
    P2P_SQL_GRANT_END,
    P2P_SQL_GRANT_ERASE,
    P2P_SQL_ALIAS_GET,
    P2P_SQL_ALIAS_INSERT,

    P2P_SQL_BINDING_GET,
    P2P_SQL_BINDING_LOCK,
    P2P_SQL_BINDING_DELETE,
    P2P_SQL_BINDING_INSERT,
    P2P_SQL_BINDING_RELEASE,

    P2P_SQL_JOB_GET,
    P2P_SQL_JOB_ACTIVE,
    P2P_SQL_JOB_INSERT,
    P2P_SQL_JOB_ORDER,
    P2P_SQL_JOB_PAYERS,
    P2P_SQL_JOB_CLAIM,
    P2P_SQL_JOB_TAKE_STOPPING,
    P2P_SQL_JOB_TAKE_OVER,
    P2P_SQL_JOB_WAKE,
    P2P_SQL_JOB_ORPHANS,
    P2P_SQL_JOB_STOP_ORPHAN,
    P2P_SQL_JOB_FENCE,
    P2P_SQL_JOB_ADD_COUNTS,
    P2P_SQL_JOB_PROGRESS,
    P2P_SQL_JOB_SET_TASK,
    P2P_SQL_JOB_SET_PATIENT,
    P2P_SQL_JOB_FINISH,
    P2P_SQL_JOB_RELEASE,
    P2P_SQL_JOB_REST,
    P2P_SQL_JOB_TROUBLE,

    P2P_SQL_REQUEST_LIST,
    P2P_SQL_REQUEST_INSERT,
    P2P_SQL_PART_LIST,
    P2P_SQL_PART_NEXT_LANDED,
    P2P_SQL_PART_NOTE,
    P2P_SQL_PART_FORGET_HELD,
    P2P_SQL_PART_REPORT,
    P2P_SQL_REJECTED_INSERT,
    P2P_SQL_REJECTED_REPORT,

    P2P_SQL_ID_MAP_FIND,
    P2P_SQL_ID_MAP_NOTE,
    P2P_SQL_ID_MAP_FORGET,
    P2P_SQL_JOB_LIST,
    P2P_SQL_JOB_LIST_STATUS,
    P2P_SQL_JOB_STOP,
    P2P_SQL_JOB_RESTART,
    P2P_SQL_JOB_RECOUNT,
    P2P_SQL_REQUEST_NEXT,
    P2P_SQL_REQUEST_REPORT,
    P2P_SQL_PART_UNCOUNT,
    P2P_SQL_PART_REOPEN,
    P2P_SQL_PART_URL,
    P2P_SQL_PART_TAKE_LETTERS,
    P2P_SQL_PART_SUM,
    P2P_SQL_REJECTED_REOPENED,
    P2P_SQL_LETTERS_PARTS,
    P2P_SQL_LETTERS_MARK,
    P2P_SQL_LETTERS_READ,
    P2P_SQL_LETTERS_DONE,
    P2P_SQL_IDEMPOTENCY_GET,
    P2P_SQL_IDEMPOTENCY_INSERT,

    P2P_SQL_TIDY_SLOT,
    P2P_SQL_TIDY_SETTLE,
    P2P_SQL_TIDY_OLD,
    P2P_SQL_JOB_SETTLE,
    P2P_SQL_JOB_DELETE,
    P2P_SQL_IDEMPOTENCY_DELETE,
    P2P_SQL_ALIAS_DELETE,
    P2P_SQL_GRANT_DELETE,

    P2P_SQL_AUDIT_INSERT,
    P2P_SQL_AUDIT_LIST,
    P2P_SQL_AUDIT_LIST_OBJECT,
    P2P_SQL_AUDIT_LIST_CLIENT,
    P2P_SQL_AUDIT_LIST_BOTH,
    P2P_SQL_AUDIT_TIDY,

    P2P_SQL_RUNNER_RELEASE_JOBS,
    P2P_SQL_RUNNER_REPLACE,
    P2P_SQL_RUNNER_INSERT,
    P2P_SQL_RUNNER_HEARTBEAT,
    P2P_SQL_RUNNER_DELETE,
    P2P_SQL_STATUS_RUNNERS,
    P2P_SQL_STATUS_JOBS,
    P2P_SQL_STATUS_QUEUED,
    P2P_SQL_STATUS_RESTING,
    P2P_SQL_STATUS_UNSERVED,
    P2P_SQL_COUNT
} p2p_sql_t;

typedef struct p2p_sql_statement_t {
    const char *label; /* [a-z0-9_] */
    const char *text;  /* with %s for text, %lld for a number, and fragments: {now}, {begin} and others (see sql.c) */
    const char *types; /* a letter an argument: 's' text, 'i' 64-bit integer */
    int columns;       /* of the result; 0: none */
} p2p_sql_statement_t;

const p2p_sql_statement_t *p2p_sql(p2p_sql_t statement);

/* The text of a statement for one driver, in p: fragments replaced, each %lld as CAST(%lld AS BIGINT), since
 * SQLite's driver binds every argument as text. */
const char *p2p_sql_text(apr_pool_t *p, p2p_sql_t statement, int pgsql);

/* The same for a text that is not in the table. */
const char *p2p_sql_for(apr_pool_t *p, const char *text, int pgsql);

#endif
