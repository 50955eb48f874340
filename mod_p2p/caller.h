/* SPDX-License-Identifier: Apache-2.0 */
/* Who calls: whose jobs he sees, and what his role opens. */
#ifndef P2P_MOD_CALLER_H
#define P2P_MOD_CALLER_H

#include <httpd.h>

/* In ascending order: each opens what the one before opens. */
typedef enum { P2P_ROLE_NONE, P2P_ROLE_PORTAL, P2P_ROLE_ADMINISTRATOR } p2p_role_t;

typedef struct p2p_caller_t {
    const char *client;  /* whose the jobs are that he makes; "" where nobody has to say who he is */
    const char *patient; /* the one target patient that he may act for (P2PPatientClaim); NULL: any */
    p2p_role_t role;
    int ambient;         /* by credentials that a browser sends by itself: Basic, a certificate, a cookie, or none at all */
} p2p_caller_t;

/* The caller, once httpd has authenticated him. A bearer token of ours says itself who he is and what he may (auth.c); whom httpd's other
 * modules let in is a portal, or an administrator where P2PAdministrators has his name; somebody without a name is never more than a
 * portal. Never NULL; lives as long as r. */
const p2p_caller_t *p2p_caller(request_rec *r);

/* "administrator", "portal" or "none". */
const char *p2p_role_name(p2p_role_t role);

#endif
