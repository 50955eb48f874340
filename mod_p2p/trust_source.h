/* SPDX-License-Identifier: Apache-2.0 */
/* Where it is written what verifies an issuer's tokens: its directive, its definition, what a runner has fetched. */
#ifndef P2P_MOD_TRUST_SOURCE_H
#define P2P_MOD_TRUST_SOURCE_H

#include <httpd.h>

#include "introspect.h"
#include "model/trust.h"
#include "oidc/jwk.h"

typedef enum {
    P2P_FROM_UNKNOWN,
    P2P_FROM_CONFIGURED, /* keys that an administrator wrote */
    P2P_FROM_PUBLISHED,  /* keys that a runner has fetched */
    P2P_FROM_ISSUER      /* introspection */
} p2p_trust_from_t;

typedef struct p2p_trust_source_t {
    p2p_trust_from_t from;
    int distrusted;      /* it is a definition that does not exist, or is archived */
    int unfetched;       /* a runner has to fetch its documents first */
    const char *keys;    /* text of a JWK set, where it is not introspection */
    p2p_introspection_t introspection;
} p2p_trust_source_t;

/* Reads it, in r->pool. Errors: the database's, or P2P_E_INVALID "bad-keys" for a definition's key file, which names no path. */
p2p_error_t *p2p_trust_read(request_rec *r, const p2p_trust_t *trust, p2p_trust_source_t *source);

#endif
