/* SPDX-License-Identifier: Apache-2.0 */
/* A small request with a small answer, tried again while the trouble may pass. */
#ifndef P2P_EXCHANGE_ASK_H
#define P2P_EXCHANGE_ASK_H

#include "exchange/retry.h"
#include "net/http.h"

typedef struct p2p_ask_t {
    p2p_http_t *http;
    const p2p_clock_t *clock;
    const char *method, *url;
    const char *field;             /* one more header field, "Name: value", or NULL */
    const char *body;              /* JSON, or NULL */
    apr_size_t body_len;
    const p2p_http_auth_t *auth;   /* or NULL: http has it already */
    int connections;
    apr_uint64_t turn;             /* the job's */
    p2p_trouble_t *trouble;        /* with this peer; NULL: P2P_ATTEMPTS attempts, no more */
} p2p_ask_t;

/* The answer, whatever its status, or the error that remained (status 0). body is valid during the call. */
typedef void (*p2p_answer_fn)(void *baton, int status, const char *body, apr_size_t len, const p2p_error_t *error);

/* Asks; fn is called once from the loop, unless p is destroyed before. Strings must live as long as p. */
void p2p_ask(apr_pool_t *p, const p2p_ask_t *ask, p2p_answer_fn fn, void *baton);

#endif
