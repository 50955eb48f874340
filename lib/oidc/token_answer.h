/* SPDX-License-Identifier: Apache-2.0 */
/* What a token endpoint says (RFC 6749), and what a token tells about its own end. */
#ifndef P2P_OIDC_TOKEN_ANSWER_H
#define P2P_OIDC_TOKEN_ANSWER_H

#include <apr_time.h>
#include "base/error.h"
#include "model/oidc_server.h"

/* Who was asked, for sentences. */
typedef struct p2p_token_asked_t {
    const char *endpoint; /* its URL as it may be shown */
    const char *names;    /* the definition's customTokenParams; of the target "" */
    int is_target;        /* the target's, asked for a token of our own; else a source's, asked for a refresh */
} p2p_token_asked_t;

/* A token answer. */
typedef struct p2p_token_answer_t {
    const char *access_token;
    const char *refresh_token;   /* "" where the old one stays */
    const char *patient;         /* the member's id at the source, or NULL */
    apr_interval_time_t lives;   /* expires_in; 0: not told */
} p2p_token_answer_t;

/* What an answer means for the grant. */
typedef enum {
    P2P_TOKEN_GIVEN,    /* new tokens */
    P2P_TOKEN_DEAD,     /* invalid_grant: the member has to authorise again */
    P2P_TOKEN_STRANGER, /* invalid_client: it does not know us so; the refresh token was not looked at */
    P2P_TOKEN_UNUSABLE, /* an answer that trying again does not change */
    P2P_TOKEN_LATER     /* the endpoint has trouble of its own, try again */
} p2p_token_verdict_t;

/* Judges the answer of a token endpoint (status, body of len bytes). answer is set where tokens were given,
 * *error otherwise. Of a source: P2P_E_REFUSED "token-refused", P2P_E_INVALID "token-answer-unusable"; of the
 * target: P2P_E_REFUSED "target-token-refused"; of both: P2P_E_UNAVAILABLE "token-endpoint-unreachable". The
 * bare name of customTokenParams is looked for as the patient's id, then "patient". All in p. No token is in a
 * sentence or detail. */
p2p_token_verdict_t p2p_token_answer_judge(apr_pool_t *p, const p2p_token_asked_t *asked, int status, const char *body,
                                           apr_size_t len, p2p_token_answer_t *answer, p2p_error_t **error);

/* The error of a request that got no answer, as one of a token endpoint: where it may pass, code
 * "token-endpoint-unreachable". In p. */
const p2p_error_t *p2p_token_no_answer(apr_pool_t *p, const p2p_error_t *failure);

/* How long before its end a token that lives so long is renewed: 30 s, or a fifth of a life of less than a minute; 0 where that is over. */
apr_interval_time_t p2p_token_margin(apr_interval_time_t life);

/* exp (and iat, else 0) of an access token that is a JWT, from its payload and without looking at its
 * signature; 0 where it is none or tells none. Times since the epoch. */
apr_time_t p2p_token_jwt_expires(apr_pool_t *p, const char *access_token, apr_time_t *issued);

#endif
