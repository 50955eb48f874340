/* SPDX-License-Identifier: Apache-2.0 */
/* What issuers publish: fetched by a runner, read by httpd. */
#ifndef P2P_STORE_JWKS_STORE_H
#define P2P_STORE_JWKS_STORE_H

#include <apr_time.h>
#include "store/db.h"

#define P2P_JWKS_REST apr_time_from_sec(60) /* between two fetches of one issuer, whoever asked for them */
#define P2P_JWKS_AGE apr_time_from_sec(600) /* what is older is fetched anew without being asked for */

typedef struct p2p_jwks_t {
    const char *issuer;
    const char *source;                 /* the URL that the fetch began with; "": none came well yet */
    const char *document;               /* the JWK set, "" where none has come yet */
    const char *introspection_endpoint; /* "" where it has none */
    const char *authorization_endpoint, *token_endpoint; /* where people sign in; "": saved ones stay */
    int names_issuer;                   /* the answer to a sign-in does (RFC 9207) */
    const char *fault;                  /* why the last fetch failed; "" where it did not */
    apr_time_t fetched;                 /* 0: never */
    apr_int64_t version;                /* another one with each document that differs */
} p2p_jwks_t;

/* An issuer's, *jwks NULL where nothing is known of it. */
p2p_error_t *p2p_jwks_get(p2p_db_t *db, apr_pool_t *p, const char *issuer, p2p_jwks_t **jwks);

/* Notes what was fetched, or in fault why nothing was: then what is there stays. Of jwks fetched and version are not looked at. */
p2p_error_t *p2p_jwks_save(p2p_db_t *db, apr_pool_t *p, const p2p_jwks_t *jwks);

/* Enqueues a job of the kind "jwks-refresh" for an issuer unless one is under way or was asked for less than P2P_JWKS_REST ago, whoever
 * asked. *asked tells whether it did: then the runners are to be woken. */
p2p_error_t *p2p_jwks_ask(p2p_db_t *db, apr_pool_t *p, const char *target, const char *issuer, int *asked);

/* The same, but not either where what is there was fetched less than P2P_JWKS_AGE ago. */
p2p_error_t *p2p_jwks_ask_old(p2p_db_t *db, apr_pool_t *p, const char *target, const char *issuer, int *asked);

#endif
