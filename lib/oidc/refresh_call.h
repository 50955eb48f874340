/* SPDX-License-Identifier: Apache-2.0 */
/* One refresh, from the mark in the database to the stored answer. It lives on its own: whoever began it may
 * go away. */
#ifndef P2P_OIDC_REFRESH_CALL_H
#define P2P_OIDC_REFRESH_CALL_H

#include "base/clock.h"
#include "net/http.h"
#include "oidc/token_answer.h"
#include "oidc/token_form.h"
#include "store/grant_store.h"

typedef struct p2p_refresh_call_t p2p_refresh_call_t;

/* What it works with. The five objects must live as long as the loop; the rest is copied. */
typedef struct p2p_refresh_order_t {
    p2p_http_t *http;
    p2p_db_t *db;
    const p2p_keyring_t *keyring;
    const p2p_clock_t *clock;
    const p2p_log_t *log;
    const p2p_oidc_server_t *server;
    apr_int64_t grant_id;
    const char *owner;
    const char *endpoint;
    const char *refresh_token;
    p2p_client_method_t method; /* where it is refused as invalid_client, the other one is tried */
    int can_wait; /* the access token still lives: where the fate of a request is unknown, it is not sent again */
} p2p_refresh_order_t;

/* What a refresh brought: the tokens, which are stored by then, the time they end (0: not told), and how the
 * client was known. */
typedef struct p2p_refreshed_t {
    p2p_token_answer_t tokens;
    apr_time_t expires;
    p2p_client_method_t method;
    apr_interval_time_t wait; /* after an error: how long the endpoint wants to be left alone; 0: it does not say */
} p2p_refreshed_t;

/* Told once, from the loop: what it brought, and NULL or the error (then only wait is to be looked at), as for p2p_token_fn, or P2P_E_LOST
 * where somebody else has refreshed meanwhile. Everything is gone when it returns. */
typedef void (*p2p_refresh_call_fn)(void *baton, const p2p_refreshed_t *refreshed, const p2p_error_t *error);

/* Begins one for a grant that was marked (p2p_grant_begin_refresh). */
p2p_refresh_call_t *p2p_refresh_call_begin(const p2p_refresh_order_t *order, p2p_refresh_call_fn fn, void *baton);

/* When it is sent again (monotonic), where the last request came to nothing; else 0. */
apr_time_t p2p_refresh_call_due(const p2p_refresh_call_t *call);

/* Whoever began it does not want to be told any more; it goes on. */
void p2p_refresh_call_forget(p2p_refresh_call_t *call);

#endif
