/* SPDX-License-Identifier: Apache-2.0 */
/* The insides of one job, shared by exchange.c and stages.c. */
#ifndef P2P_EXCHANGE_STAGES_H
#define P2P_EXCHANGE_STAGES_H

#include "exchange/again.h"
#include "exchange/exchange.h"
#include "exchange/land.h"
#include "exchange/letters.h"
#include "exchange/plan.h"
#include "exchange/prepare.h"
#include "exchange/pull.h"
#include "exchange/push.h"
#include "exchange/receive.h"
#include "exchange/sequence.h"
#include "exchange/waits.h"

typedef enum { PREPARING, RUNNING, DRAINING, ENDING, ENDED } phase_t;

struct p2p_exchange_t {
    p2p_exchange_context_t *context;
    p2p_job_t job;
    apr_pool_t *pool, *stages; /* stages dies first: transfers are cancelled with it */
    void (*ended)(void *baton);
    void *baton;
    phase_t phase;
    p2p_oidc_server_t *server;
    p2p_job_order_t order;
    apr_array_header_t *requests;
    p2p_planned_t planned;     /* and how many resources were fetched because something refers to them */
    p2p_trouble_t source_trouble, target_trouble;
    p2p_token_t *token;
    p2p_mapper_t *mapper;
    p2p_ids_t *ids;            /* NULL: we choose the ids */
    p2p_seen_t seen;
    p2p_prepare_t *prepare;
    p2p_job_task_t *task;      /* NULL: the job has not been loaded */
    p2p_push_t *push;
    p2p_sequence_t *sequence;
    p2p_land_t *land;
    p2p_receive_t *receive;
    p2p_pull_t *pull;
    p2p_letters_t *letters;
    p2p_again_t *again;
    p2p_http_timer_t *kick;
    int kicked_now;            /* kick comes without delay */
    p2p_job_counts_t partial;  /* of parts that have not landed when the job ends */
    apr_time_t drain_until;    /* monotonic */
    apr_interval_time_t rest;  /* it gives its slot back for so long; 0: it comes to its end, */
    const char *rest_code;     /* for this reason */
    apr_time_t told_until;     /* what was told last of when it is tried again */
    apr_time_t landed_since;   /* monotonic; 0: nothing to be noted */
    const p2p_error_t *error;  /* what ends the job */
    int stopping, closed;
    int writing_again; /* what was written open: a pass over the parts is under way */
    int is_closed; /* while draining: the open parts have got their Provenance */
    int has_run;   /* something may have been written */
    apr_int64_t memory, moved; /* what this job adds to context->memory_used, and to what moves to the target */
    p2p_log_t log;             /* context's, with the job's number before each line */
};

/* Makes the stages, from push to letters, each told of the next one. */
void p2p_stages_make(p2p_exchange_t *x);

/* Makes again, when it is planned what is to be fetched. */
void p2p_stages_make_again(p2p_exchange_t *x);

/* Brings what this job has in memory up to date in context->memory_used, and what of it moves to the target in context->reading. */
void p2p_stages_measure(p2p_exchange_t *x);

/* exchange.c's part: baton is the p2p_exchange_t. Looks from the loop what can go on; ends the job with an error. */
void p2p_exchange_kick(void *baton);
void p2p_exchange_fail(void *baton, const p2p_error_t *error);

#endif
