/* SPDX-License-Identifier: Apache-2.0 */
/* What a portal orders with POST …/batch_job: whose data, with which tokens, by which requests. */
#ifndef P2P_MODEL_JOB_ORDER_H
#define P2P_MODEL_JOB_ORDER_H

#include "base/json.h"
#include "model/field_error.h"
#include "model/oidc_server.h"

/* Text fields are never NULL; "" is missing. */
typedef struct p2p_job_order_t {
    const char *access_token, *refresh_token;
    const char *source_patient, *target_patient; /* logical ids, [A-Za-z0-9.-]{1,64} */
    const char *organization;                    /* targetPayer.organizationId */
    apr_array_header_t *urls; /* of const char *: absolute URLs to GET at the source, {patientId} replaced where it is known */
} p2p_job_order_t;

/* Reads the body of POST …/batch_job against its definition; each broken rule is added to errors. Strings in
 * p. fhirBundleRequest: a Bundle of type batch whose entries are GETs, as a string or inline; one relative
 * URL; or absent or empty, which means Patient/{patientId}/$everything. Any URL that is not the FHIR endpoint
 * or under it is an error. */
void p2p_job_order_read(apr_pool_t *p, json_object *doc, const p2p_oidc_server_t *server, p2p_job_order_t *order,
                        apr_array_header_t *errors);

/* Reads the tokens alone, out of a body that brings nothing else: sourcePayer.oidcToken and sourcePayer.oidcRefreshToken, "" where they are
 * missing. */
void p2p_job_order_tokens(apr_pool_t *p, json_object *doc, const char **access_token, const char **refresh_token,
                          apr_array_header_t *errors);

/* url with {patientId} replaced by the id, in p; as it is while the id is not known (""). */
const char *p2p_job_order_url(apr_pool_t *p, const char *url, const char *source_patient);

#endif
