/* SPDX-License-Identifier: Apache-2.0 */
/* One job from claim to end: plan ▸ pull ▸ map ▸ push ▸ land. Everything happens in callbacks of the loop. */
#ifndef P2P_EXCHANGE_EXCHANGE_H
#define P2P_EXCHANGE_EXCHANGE_H

#include "base/clock.h"
#include "exchange/reading.h"
#include "exchange/spool.h"
#include "model/spec.h"
#include "net/http.h"
#include "store/job_store.h"

/* What all exchanges of a runner share. */
typedef struct p2p_exchange_context_t {
    const p2p_spec_t *spec;
    const p2p_clock_t *clock;
    const p2p_log_t *log;        /* not NULL */
    p2p_http_t *http;            /* the loop, and what talks to sources */
    p2p_http_t *target_http;     /* the same loop, for the target: it brings P2PTargetAuth's credentials along */
    struct p2p_smtp_t *smtp;     /* the same loop, for the mail server (net/smtp.h); NULL: nothing is mailed */
    p2p_db_t *db;
    const char *owner;           /* this runner, as in its leases */
    p2p_spool_t *spool;          /* for what waits; NULL: it has to stay in memory */
    apr_int64_t memory_used;     /* bytes held by all exchanges, of spec->memory */
    p2p_reading_t *reading;      /* what has not come whole, which counts as well */
    struct p2p_peers_t *peers;   /* through which sources are asked (exchange/peers.h); NULL: nobody counts */
    int ending;                  /* SIGTERM has come: nothing further is to be begun */
} p2p_exchange_context_t;

typedef struct p2p_exchange_t p2p_exchange_t;

/* Begins a claimed job. ended(baton) is called once from the loop when it is over, however it ended: its row is written (unless the
 * lease was lost), nothing of it is under way; then the caller calls p2p_exchange_destroy. Never fails: what goes wrong ends the job. */
p2p_exchange_t *p2p_exchange_begin(p2p_exchange_context_t *context, const p2p_job_t *job, void (*ended)(void *baton),
                                   void *baton);

/* Frees it; one that is still under way is abandoned: transfers cancelled, nothing written to the database. */
void p2p_exchange_destroy(p2p_exchange_t *exchange);

/* Called about once a second: notes progress, looks whether somebody wants the job stopped. */
void p2p_exchange_tick(p2p_exchange_t *exchange);

/* Is a token refresh in flight, that SIGTERM should wait for? */
int p2p_exchange_busy(const p2p_exchange_t *exchange);

#endif
