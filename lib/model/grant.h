/* SPDX-License-Identifier: Apache-2.0 */
/* A grant: the tokens that open a member's record at a source payer. Jobs refer to it; several may share one.
 */
#ifndef P2P_MODEL_GRANT_H
#define P2P_MODEL_GRANT_H

#include <apr_time.h>

/* Tokens are opened (plain); "" where there is none. */
typedef struct p2p_grant_t {
    apr_int64_t id, version;
    apr_int64_t oidc_server_id;
    const char *kind;           /* "refresh-token": what the portal handed over */
    const char *access_token, *refresh_token;
    apr_time_t access_expires;  /* 0: not known */
    int in_doubt;               /* a refresh was begun whose end is not noted: under way, or lost with its runner */
    int ended;                  /* its tokens are erased, or the source said they are worth nothing */
} p2p_grant_t;

#endif
