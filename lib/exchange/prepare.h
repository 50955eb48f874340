/* SPDX-License-Identifier: Apache-2.0 */
/* Before anything is retrieved: is the member at the target, is the source FHIR R4, and are Organization and Task at the target? And at
 * the end: what became of the Task. */
#ifndef P2P_EXCHANGE_PREPARE_H
#define P2P_EXCHANGE_PREPARE_H

#include "exchange/exchange.h"
#include "exchange/ids.h"
#include "exchange/map.h"
#include "exchange/retry.h"
#include "oidc/refresh.h"

typedef struct p2p_prepare_t p2p_prepare_t;

typedef struct p2p_prepare_settings_t {
    p2p_exchange_context_t *context;
    const p2p_job_t *job;
    const p2p_job_order_t *order;
    const p2p_oidc_server_t *server;
    const p2p_log_t *log;
    p2p_token_t *token;
    p2p_mapper_t *mapper; /* learns the source's bases, and the target Patient's identifier for MDM */
    p2p_ids_t *ids;       /* the target assigns ids; NULL: we do */
    p2p_trouble_t *source_trouble, *target_trouble;
    /* The order names no source patient, and this is what the token answer names. An error ends the job. */
    p2p_error_t *(*member)(void *baton, const char *patient);
    /* Told once: everything is there, or the error that ends the job. */
    void (*done)(void *baton, const p2p_error_t *error);
    void *baton;
} p2p_prepare_settings_t;

/* Makes one in p and begins; with p it is cancelled. */
p2p_prepare_t *p2p_prepare_begin(apr_pool_t *p, const p2p_prepare_settings_t *settings);

/* The id at the target of the source payer's Organization. */
const char *p2p_prepare_organization(const p2p_prepare_t *prepare);

/* Notes the Task's id in the job, unless that is done; where the database was away it is to be called again. Errors: those of
 * p2p_job_set_task, made in p. */
p2p_error_t *p2p_prepare_save_task(p2p_prepare_t *prepare, apr_pool_t *p);

/* Ends the preparation where it is under way, and brings the Task to its last status; done is called when that is settled, however it
 * ended (at once where the target has no Task). counts may be NULL. */
void p2p_prepare_end_task(p2p_prepare_t *prepare, const char *status, const char *reason, const p2p_job_counts_t *counts,
                          void (*done)(void *baton), void *baton);

#endif
