/* SPDX-License-Identifier: Apache-2.0 */
/* Planning: which pages of a job are to be fetched, after what an earlier runner landed. */
#ifndef P2P_EXCHANGE_PLAN_H
#define P2P_EXCHANGE_PLAN_H

#include "exchange/land.h"
#include "exchange/letters.h"
#include "exchange/pull.h"
#include "exchange/sequence.h"

typedef struct p2p_plan_settings_t {
    p2p_pull_t *pull;
    p2p_letters_t *letters;
    p2p_land_t *land;
    p2p_sequence_t *sequence;
    const char *source_patient; /* for URLs that were ordered before it was known */
} p2p_plan_settings_t;

/* A part that was fetched again. */
typedef struct p2p_again_part_t {
    int request, number; /* number -1: all parts of the request */
} p2p_again_part_t;

/* What came of it. */
typedef struct p2p_planned_t {
    int followed;              /* how many requests were made for a reference */
    apr_array_header_t *again; /* of p2p_again_part_t: what was fetched again (exchange/again.h) and has landed */
} p2p_planned_t;

/* Hands the pages to be fetched to pull, dead letters to letters: of each request (array of p2p_request_t) exactly those without a landed
 * row, and what is behind its last part; but pages that are fetched again are left to exchange/again, bar what they held. What the landed
 * parts held goes to land, names of urns to sequence. URLs are made in p, which has to live as long as pull. */
p2p_planned_t p2p_plan(apr_pool_t *p, const p2p_plan_settings_t *settings, const apr_array_header_t *requests);

#endif
