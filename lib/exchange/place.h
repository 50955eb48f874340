/* SPDX-License-Identifier: Apache-2.0 */
/* Where a link of the source leads: to its own origin, which gets the token, to one that the administrator lists, or elsewhere. */
#ifndef P2P_EXCHANGE_PLACE_H
#define P2P_EXCHANGE_PLACE_H

#include "base/uri.h"
#include "fhir/reference.h"

typedef enum {
    P2P_PLACE_OWN,      /* the origin of the source's FHIR endpoint */
    P2P_PLACE_LISTED,   /* one of P2POrigins: fetched without token or other credentials */
    P2P_PLACE_ELSEWHERE /* not to be fetched */
} p2p_place_kind_t;

typedef struct p2p_places_t {
    const char *endpoint;      /* of the source */
    const char *origins;       /* P2POrigins, parted by spaces */
    const p2p_bases_t *bases;  /* under which the source names itself; it may grow */
} p2p_places_t;

typedef struct p2p_place_t {
    p2p_place_kind_t kind;
    const char *url;    /* what is to be fetched */
    const char *origin; /* of it: https://host[:port], as P2POrigins takes it */
} p2p_place_t;

/* Of a link (absolute or relative) in what was fetched from the URL `from`. One under another base of the source (a host name that only
 * counts inside) leads to the same place under its endpoint. A _format that is not JSON becomes json within the own origin. Strings are
 * made in p. Errors: those of p2p_uri_resolve. */
p2p_error_t *p2p_place_of(const p2p_places_t *places, apr_pool_t *p, const char *from, const char *link, p2p_place_t *place);

/* Why it is not followed, and what to do about it: "… leads to another origin, https://h, …". what begins the sentence; in p. */
const char *p2p_place_refusal(const p2p_place_t *place, apr_pool_t *p, const char *what);

#endif
