/* SPDX-License-Identifier: Apache-2.0 */
/* What a delivery of a Subscription's rest-hook tells: which Tasks are to be looked at, and nothing else of it. */
#ifndef P2P_FHIR_DELIVERY_H
#define P2P_FHIR_DELIVERY_H

#include <apr_tables.h>

#define P2P_DELIVERY_IDS 50 /* of one delivery; beyond that Tasks are searched for */

typedef enum {
    P2P_DELIVERY_RESOURCE,    /* a Task, or nothing that could be read */
    P2P_DELIVERY_TRANSACTION, /* a Bundle: its sender reads the answer as that of a transaction (HAPI), */
    P2P_DELIVERY_BATCH        /* or of a batch */
} p2p_delivery_form_t;

typedef struct p2p_delivery_t {
    apr_array_header_t *ids; /* const char *, FHIR ids of Tasks, each once, in p; or "" alone: Tasks are to be searched for; never empty */
    p2p_delivery_form_t form;
} p2p_delivery_t;

/* What came: path is what follows the hook's own ("", "/Task/123"), deleted the header X-Medplum-Deleted-Resource or NULL, and the body, which may
 * be cut (then it is not read). A path or header that names a Task is taken at its word; else the body is: a Task, or a Bundle whose entries are
 * Tasks or tell of some by request.url or fullUrl. What is not understood asks for a search, so that no delivery is lost on us; what is not a FHIR id
 * goes nowhere. */
void p2p_delivery_read(apr_pool_t *p, const char *path, const char *deleted, const char *body, apr_size_t len, int is_cut, p2p_delivery_t *delivery);

#endif
