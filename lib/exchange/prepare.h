/* SPDX-License-Identifier: Apache-2.0 */
/* Before anything is retrieved: is the member at the target, are Organization and Task there, and is the source FHIR R4? */
#ifndef P2P_EXCHANGE_PREPARE_H
#define P2P_EXCHANGE_PREPARE_H

#include "exchange/exchange.h"
#include "exchange/ids.h"
#include "exchange/job_task.h"
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
    p2p_job_task_t *task;
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

/* Ends the preparation where it is under way; nobody is told. */
void p2p_prepare_end(p2p_prepare_t *prepare);

#endif
