/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a resource of our own (the payer's Organization, the job's Task) to a target that assigns ids. */
#ifndef P2P_EXCHANGE_OWN_H
#define P2P_EXCHANGE_OWN_H

#include "exchange/ask.h"

/* What it is at the target, once it is there: its id, status 200; else what p2p_answer_fn tells, and id NULL. */
typedef void (*p2p_own_fn)(void *baton, const char *id, int status, const char *body, apr_size_t len, const p2p_error_t *error);

typedef struct p2p_own_t {
    p2p_ask_t ask;      /* with whom and how; method, url and body are filled in here */
    const char *target; /* base URL */
    int batch;          /* P2PBundleType batch */
    const char *type;
    const char *id;     /* at the target; NULL: not known */
    const char *query;  /* that finds it where its id is not known, percent-encoded */
    int create;         /* not known, it is created where nothing is found, and else left as it is; 0: what is found is updated */
    /* Its text with this id, or without one where that is NULL, in p. */
    const char *(*print)(void *baton, apr_pool_t *p, const char *id, apr_size_t *len);
    p2p_own_fn fn;
    void *baton;
} p2p_own_t;

/* Writes it: to its id where that is known, unless nothing is there any more; else through a Bundle of one entry, whose answer tells the id.
 * fn is called once from the loop, unless p is destroyed before. */
void p2p_own_write(apr_pool_t *p, const p2p_own_t *own);

#endif
