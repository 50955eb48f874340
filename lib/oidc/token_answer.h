/* SPDX-License-Identifier: Apache-2.0 */
/* What is said to and by a token endpoint (RFC 6749): forms, answers, and what a token tells about its own
 * end. */
#ifndef P2P_OIDC_TOKEN_ANSWER_H
#define P2P_OIDC_TOKEN_ANSWER_H

#include <apr_time.h>
#include "base/error.h"
#include "model/oidc_server.h"

/* What a refresh request carries; strings in the pool it was made in. */
typedef struct p2p_token_form_t {
    const char *body;  /* application/x-www-form-urlencoded */
    const char *basic; /* "id:secret", each form-urlencoded (section 2.3.1), or NULL for a public client */
} p2p_token_form_t;

/* The form of a refresh request (section 6), with each name=value of customTokenParams. In p. */
p2p_token_form_t p2p_token_form(apr_pool_t *p, const p2p_oidc_server_t *server, const char *refresh_token);

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
    P2P_TOKEN_UNUSABLE, /* an answer that trying again does not change */
    P2P_TOKEN_LATER     /* the endpoint has trouble of its own: nothing was done, try again */
} p2p_token_verdict_t;

/* Judges the answer of a token endpoint (status, body of len bytes, shown as endpoint in sentences). answer
 * is set where tokens were given, *error otherwise: P2P_E_REFUSED "token-refused", P2P_E_INVALID
 * "token-answer-unusable", P2P_E_UNAVAILABLE "token-endpoint-unreachable". names is customTokenParams: its
 * bare name is looked for as the patient's id, then "patient". All in p. No token is in a sentence or detail.
 */
p2p_token_verdict_t p2p_token_judge(apr_pool_t *p, const char *endpoint, const char *names, int status, const char *body,
                                    apr_size_t len, p2p_token_answer_t *answer, p2p_error_t **error);

/* exp (and iat, else 0) of an access token that is a JWT, from its payload and without looking at its
 * signature; 0 where it is none or tells none. Times since the epoch. */
apr_time_t p2p_token_jwt_expires(apr_pool_t *p, const char *access_token, apr_time_t *issued);

#endif
