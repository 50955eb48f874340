/* SPDX-License-Identifier: Apache-2.0 */
/* The access token of a grant: kept, refreshed ahead of expiry or when the source says 401, rotated durably
 * (RFC 6749 section 6). */
#ifndef P2P_OIDC_REFRESH_H
#define P2P_OIDC_REFRESH_H

#include "base/clock.h"
#include "model/oidc_server.h"
#include "net/http.h"
#include "store/grant_store.h"

/* The token source of one job. */
typedef struct p2p_token_t p2p_token_t;

/* Told once for each p2p_token_get: the access token (valid until the next call for this token source), or
 * the error: P2P_E_REFUSED "token-refused" (the grant is worth nothing: the member has to authorise again),
 * P2P_E_UNAVAILABLE "token-endpoint-unreachable", P2P_E_INVALID "token-answer-unusable". patient is the
 * member id that the answer named (customTokenParams' bare name, else SMART's "patient"), or NULL. */
typedef void (*p2p_token_fn)(void *baton, const char *access_token, const char *patient, const p2p_error_t *error);

/* Makes one in p for a grant of the definition. All arguments must outlive it. */
p2p_token_t *p2p_token_make(apr_pool_t *p, p2p_http_t *http, p2p_db_t *db, const p2p_keyring_t *keyring,
                            const p2p_clock_t *clock, const p2p_log_t *log, const p2p_oidc_server_t *server,
                            apr_int64_t grant_id, const char *owner);

/* Whose record it has to open (an id at the source, copied): from now on a token whose answer names somebody
 * else is P2P_E_REFUSED "token-of-another-patient". */
void p2p_token_set_member(p2p_token_t *token, const char *patient);

/* Asks for an access token. refused is one that the source answered 401 to (NULL: none): it is not given
 * again, a refresh is made, by us or by whoever is at it. Without a refresh token an expired or refused
 * access token is "token-refused". fn is called from the loop, or at once where the token is there. Several
 * calls may be open; they share one refresh. */
void p2p_token_get(p2p_token_t *token, const char *refused, p2p_token_fn fn, void *baton);

/* Is it known that this access token's time is over, or has another come in its place? Then a 401 to it says
 * nothing about the member's access. */
int p2p_token_is_over(const p2p_token_t *token, const char *access_token);

/* Forgets open calls (fn is not called any more). A refresh in flight goes on for as long as the loop does.
 */
void p2p_token_cancel(p2p_token_t *token);

/* Is a refresh of ours under way (then the program waits up to two seconds for it at SIGTERM)? */
int p2p_token_busy(const p2p_token_t *token);

/* When the token in hand was refreshed (the clock's time); 0: it has not been since this source was made. */
apr_time_t p2p_token_refreshed(const p2p_token_t *token);

/* Does anybody wait for an access token, and for what? */
typedef enum {
    P2P_TOKEN_NOT_WANTED,
    P2P_TOKEN_ASKED_FOR,   /* a refresh, or a search for the endpoint, is under way */
    P2P_TOKEN_COMES_AGAIN, /* a refresh came to nothing for now: *until (monotonic) it is tried again */
    P2P_TOKEN_ELSEWHERE    /* another job or runner refreshes the same grant */
} p2p_token_wait_t;
p2p_token_wait_t p2p_token_waits(const p2p_token_t *token, apr_time_t *until);

#endif
