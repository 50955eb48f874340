/* SPDX-License-Identifier: Apache-2.0 */
/* Add Payer Tasks (guide, "Add payer request"), as the target tells them: a member asks for a payer that is not listed. */
#ifndef P2P_FHIR_ADD_PAYER_H
#define P2P_FHIR_ADD_PAYER_H

#include <apr_tables.h>
#include <apr_time.h>
#include "base/error.h"

#define P2P_CODE_SYSTEM "http://payer-to-payer-exchange/CodeSystem/p2p-internal-codes" /* the guide's; our own Tasks have codes of it as well */
#define P2P_ADD_PAYER_CODE "p2p-request-add-provider-id" /* of Task.code */
#define P2P_ADD_PAYER_TEXT 1000 /* bytes of an input that are read, and no half character */

/* Text fields are never NULL; "" where the Task does not say it. Nothing in it can be trusted but what the server itself sets. */
typedef struct p2p_add_payer_t {
    const char *id, *status;
    apr_time_t last_updated;  /* meta.lastUpdated; 0: not told */
    const char *patient;      /* id of the requester, a Patient of the target; "" for any other requester */
    const char *payer;        /* new-payer-name */
    const char *first_name, *last_name, *email, *phone;
} p2p_add_payer_t;

/* Reads a Task; *task is NULL where it is another kind of Task, no Task, or has no id. Of an input that comes twice the first counts, and what is of
 * the wrong type is not there; so is a status that is no code. target: the base URL that absolute references may begin with. Errors:
 * P2P_E_INVALID for what is no JSON. */
p2p_error_t *p2p_add_payer_read(apr_pool_t *p, const char *body, apr_size_t len, const char *target, p2p_add_payer_t **task);

/* The same of a searchset: array of p2p_add_payer_t, and the URL of the next page as the server wrote it ("" where there is
 * none). An entry that is JSON but beyond json-c's bounds holds up no other. */
typedef struct p2p_add_payer_page_t {
    apr_array_header_t *tasks;
    const char *next;
    apr_time_t latest; /* the last meta.lastUpdated of any Task of the page; 0 where none tells it */
} p2p_add_payer_page_t;
p2p_error_t *p2p_add_payer_read_page(apr_pool_t *p, const char *body, apr_size_t len, const char *target, p2p_add_payer_page_t *page);

/* The URL of a page that link, on the page at, leads to, in p; NULL where it is no URL. It is always one of the target: a server that knows itself by another name (it
 * stands behind a proxy) is asked where we know it, for the same query. */
const char *p2p_add_payer_next(apr_pool_t *p, const char *target, const char *at, const char *link);

/* Is it open, that is, in no final status? */
int p2p_add_payer_is_open(const p2p_add_payer_t *task);

#endif
