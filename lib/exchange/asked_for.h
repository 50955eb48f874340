/* SPDX-License-Identifier: Apache-2.0 */
/* Did the member ask for this payer? His open Add Payer Tasks at the target tell. */
#ifndef P2P_EXCHANGE_ASKED_FOR_H
#define P2P_EXCHANGE_ASKED_FOR_H

#include "fhir/add_payer.h"
#include "model/oidc_server.h"
#include "net/http.h"

typedef struct p2p_asked_for_t {
    p2p_http_t *http;         /* to the target, with its credentials */
    const char *target;       /* base URL */
    int connections;
    apr_uint64_t turn;        /* the job's */
    const char *patient;      /* the member at the target */
    const p2p_oidc_server_t *server;
    /* Told once, from the loop: the newest that is open and names the payer as the definition does, by its name or organization id
     * (base/fold.h); NULL where there is none, or the target did not answer as a search does. */
    void (*fn)(void *baton, const p2p_add_payer_t *task);
    void *baton;
} p2p_asked_for_t;

/* Searches; with p it is cancelled. At most P2P_ASKED_FOR_PAGES pages are read, each has some seconds and one more attempt. */
#define P2P_ASKED_FOR_PAGES 10
void p2p_asked_for_find(apr_pool_t *p, const p2p_asked_for_t *search);

#endif
