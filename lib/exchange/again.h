/* SPDX-License-Identifier: Apache-2.0 */
/* Writing again: pages with resources that were written open are fetched once more when all has been received, so that these get the
 * references that were logical until then. What is to be fetched is read from the parts' rows: it takes no memory, and a runner that
 * takes over finds it as well. */
#ifndef P2P_EXCHANGE_AGAIN_H
#define P2P_EXCHANGE_AGAIN_H

#include "exchange/land.h"
#include "exchange/plan.h"
#include "exchange/pull.h"

#define P2P_LEFT_OPEN "reference-left-open" /* code in the report: references stay logical though what they refer to came */

/* Requests of a pass (from 1) have numbers of their own, which follow from the requests whose pages they fetch: so has each page, and its
 * Provenance, whichever runner fetches it. Those that fetch all pages come behind the others. */
#define P2P_AGAIN_PASS 1000000
#define P2P_AGAIN_WHOLE (P2P_AGAIN_PASS / 2)

typedef struct p2p_again_t p2p_again_t;

typedef struct p2p_again_settings_t {
    p2p_db_t *db;
    const p2p_keyring_t *keyring;
    const p2p_job_t *job;
    const p2p_seen_t *seen;
    p2p_pull_t *pull;
    p2p_land_t *land;
    const p2p_planned_t *planned; /* what earlier runners have done */
} p2p_again_settings_t;

/* Makes one in p. */
p2p_again_t *p2p_again_make(apr_pool_t *p, const p2p_again_settings_t *settings);

/* Begins a pass over the parts, where anything is open. Returns 0 where nothing is to be done: nothing is open, or the passes so far were
 * enough or came to nothing; then what is left gets a row in the report. All parts have landed. */
int p2p_again_begin(p2p_again_t *again);

/* Is it the last pass, in which nothing is waited for any more? */
int p2p_again_is_last(const p2p_again_t *again);

/* Hands the next pages to pull while it has room, looking at some parts at a time. Errors: of the database. */
p2p_error_t *p2p_again_run(p2p_again_t *again);

/* Are there parts that it has not looked at in this pass? */
int p2p_again_has_more(const p2p_again_t *again);

/* The page of a request that p2p_again_run made cannot be had: returns whether all pages of the request it came from are fetched instead. */
int p2p_again_gone(p2p_again_t *again, int request);

#endif
