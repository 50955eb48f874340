/* SPDX-License-Identifier: Apache-2.0 */
/* Adding to the sums, and removing old ones. */
#include "store/stat_store.h"

#include <string.h>
#include <unistd.h>
#include <apr_strings.h>

const char *p2p_stat_payer(apr_pool_t *p, apr_int64_t server_id)
{
    return apr_psprintf(p, "oidc_server/%" APR_INT64_T_FMT, server_id);
}

/* The row of whoever has none among the runners: of httpd's children on a host, or of a runner whose own is gone (INSTANCE/SLOT then). */
static const char *stand_in(apr_pool_t *p, const char *owner)
{
    char host[256] = "";
    const char *end = owner ? strrchr(owner, '/') : NULL;

    if (owner) return end ? apr_pstrmemdup(p, owner, (apr_size_t)(end - owner)) : owner;
    if (gethostname(host, sizeof host - 1) || !*host) apr_cpystrn(host, "unknown", sizeof host);
    return apr_pstrcat(p, host, "/httpd", NULL);
}

p2p_error_t *p2p_stat_add(p2p_db_t *db, apr_pool_t *p, const char *target, const char *owner, const char *peer, const p2p_stat_t *add)
{
    return p2p_db_exec(db, p, P2P_SQL_STAT_ADD, NULL, target, owner ? owner : "", stand_in(p, owner), peer, add->completed, add->failed,
                       add->stopped, add->resources, add->bytes, add->errors);
}

p2p_error_t *p2p_stat_add_end(p2p_db_t *db, apr_pool_t *p, const p2p_job_t *job, const char *owner, p2p_job_status_t status)
{
    p2p_stat_t add = {.completed = status == P2P_JOB_COMPLETED, .failed = status == P2P_JOB_FAILED, .stopped = status == P2P_JOB_STOPPED};

    if (strcmp(job->kind, P2P_KIND_EXCHANGE)) return NULL;
    return p2p_stat_add(db, p, job->target, owner, p2p_stat_payer(p, job->oidc_server_id), &add);
}

p2p_error_t *p2p_stat_tidy(p2p_db_t *db, apr_pool_t *p, const char *target, apr_interval_time_t keep, int limit, int *count)
{
    return p2p_db_exec(db, p, P2P_SQL_STAT_TIDY, count, target, (apr_int64_t)keep, (apr_int64_t)limit);
}
