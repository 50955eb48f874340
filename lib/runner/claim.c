/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs from the queue into work, and back. */
#include "runner/claim.h"
#include <malloc.h>
#include "runner/work.h"
#include "store/chore_store.h"

#define CHORES_AT_A_TIME 4 /* besides the exchanges: they are short, and somebody waits for each */

typedef struct claim_t claim_t;
struct claim_t {
    claim_t *next;
    apr_pool_t *pool; /* its own, the job in it */
    p2p_chore_t *job; /* with more than its row's where it is an exchange's */
    const p2p_work_kind_t *kind;
    void *work;
    int ended;
};

struct p2p_claims_t {
    apr_pool_t *pool;
    p2p_exchange_context_t *context;
    claim_t *first;
    int count, exchanges; /* exchanges: of count */
    int db_away; /* leases cannot be given back */
};

p2p_claims_t *p2p_claims_make(apr_pool_t *p, p2p_exchange_context_t *context)
{
    p2p_claims_t *claims = apr_pcalloc(p, sizeof *claims);

    claims->pool = p;
    claims->context = context;
    return claims;
}

int p2p_claims_count(const p2p_claims_t *claims)
{
    return claims->count;
}

/* The work is still on the stack: it is put away later. */
static void on_ended(void *baton)
{
    claim_t *claim = baton;

    claim->ended = 1;
}

static void begin(p2p_claims_t *claims, apr_pool_t *pool, p2p_chore_t *job, const p2p_work_kind_t *kind)
{
    claim_t *claim = apr_pcalloc(pool, sizeof *claim);

    claim->pool = pool;
    claim->job = job;
    claim->kind = kind;
    claim->next = claims->first;
    claims->first = claim;
    claims->count++;
    if (kind == &p2p_work_exchange) claims->exchanges++;
    claims->db_away = 0;
    p2p_log(claims->context->log, P2P_LOG_INFO, "job %" APR_INT64_T_FMT " begins (%s, attempt %" APR_INT64_T_FMT ", lease %"
            APR_INT64_T_FMT ")", job->job.id, kind->name, job->job.attempt, job->job.epoch);
    claim->work = kind->begin(claims->context, job, on_ended, claim);
}

/* *job is NULL where there is none. */
typedef p2p_error_t *(*claim_fn)(const p2p_exchange_context_t *context, apr_pool_t *p, p2p_chore_t **job);

static p2p_error_t *claim_exchange(const p2p_exchange_context_t *context, apr_pool_t *p, p2p_chore_t **job)
{
    p2p_job_t *exchange;

    P2P_TRY(p2p_job_claim(context->db, p, context->spec->target, context->owner, &exchange));
    if (!exchange) return NULL;
    *job = apr_pcalloc(p, sizeof **job);
    **job = (p2p_chore_t){*exchange, "", ""};
    return NULL;
}

static p2p_error_t *claim_chore(const p2p_exchange_context_t *context, apr_pool_t *p, p2p_chore_t **job)
{
    return p2p_chore_claim(context->db, p, context->spec->target, context->owner, job);
}

static p2p_error_t *take_one(p2p_claims_t *claims, apr_pool_t *p, claim_fn claim, int *taken)
{
    const p2p_work_kind_t *kind = NULL;
    p2p_chore_t *job = NULL;
    apr_pool_t *pool;
    p2p_error_t *error;

    apr_pool_create(&pool, claims->pool);
    error = claim(claims->context, pool, &job);
    if (!error && job) kind = p2p_work_kind(job->job.kind);
    *taken = kind != NULL;
    if (kind) {
        begin(claims, pool, job, kind);
        return NULL;
    }
    error = p2p_error_copy(p, error);
    apr_pool_destroy(pool);
    return error;
}

p2p_error_t *p2p_claims_take(p2p_claims_t *claims, apr_pool_t *p)
{
    int most = claims->context->spec->jobs_per_runner, taken = 1;

    while (taken && claims->count - claims->exchanges < CHORES_AT_A_TIME) P2P_TRY(take_one(claims, p, claim_chore, &taken));
    taken = 1;
    while (taken && claims->exchanges < (most > 0 ? most : 1)) P2P_TRY(take_one(claims, p, claim_exchange, &taken));
    return NULL;
}

void p2p_claims_tick(p2p_claims_t *claims)
{
    for (claim_t *claim = claims->first; claim; claim = claim->next)
        if (!claim->ended) claim->kind->tick(claim->work);
}

/* Takes the claim at *at out of the list and frees it. */
static void put_away(p2p_claims_t *claims, claim_t **at)
{
    claim_t *claim = *at;

    *at = claim->next;
    claims->count--;
    if (claim->kind == &p2p_work_exchange) claims->exchanges--;
    if (claim->work) claim->kind->destroy(claim->work);
    apr_pool_destroy(claim->pool);
}

int p2p_claims_reap(p2p_claims_t *claims)
{
    claim_t **at = &claims->first;
    int n = 0;

    while (*at) {
        if (!(*at)->ended) {
            at = &(*at)->next;
            continue;
        }
        p2p_log(claims->context->log, P2P_LOG_INFO, "job %" APR_INT64_T_FMT " is over here", (*at)->job->job.id);
        put_away(claims, at);
        n++;
    }
#ifdef __GLIBC__
    if (n) malloc_trim(0); /* else what one large job took stays with the process, in pieces */
#endif
    return n;
}

void p2p_claims_drop(p2p_claims_t *claims)
{
    while (claims->first) put_away(claims, &claims->first);
}

static void release_lease(p2p_claims_t *claims, apr_pool_t *p, const p2p_job_t *job)
{
    p2p_error_t *error;

    if (claims->db_away) return;
    error = p2p_job_release(claims->context->db, p, job, claims->context->owner);
    if (!error || error->kind == P2P_E_LOST) return;
    claims->db_away = error->kind == P2P_E_UNAVAILABLE;
    p2p_log_error(claims->context->log, P2P_LOG_WARN, "A job's lease was not given back and runs out by itself", error);
}

int p2p_claims_db_away(const p2p_claims_t *claims)
{
    return claims->db_away;
}

int p2p_claims_release(p2p_claims_t *claims, apr_pool_t *p, int even_busy)
{
    claim_t **at = &claims->first;

    while (*at) {
        claim_t *claim = *at;
        if (!claim->ended && !even_busy && claim->kind->busy(claim->work)) {
            at = &claim->next;
            continue;
        }
        claim->kind->destroy(claim->work); /* before somebody else may have the job */
        claim->work = NULL;
        if (!claim->ended) release_lease(claims, p, &claim->job->job);
        put_away(claims, at);
    }
    return claims->count;
}
