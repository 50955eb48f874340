/* SPDX-License-Identifier: Apache-2.0 */
/* Where mail to a Patient goes. */
#ifndef P2P_FHIR_PATIENT_MAIL_H
#define P2P_FHIR_PATIENT_MAIL_H

#include <apr_pools.h>
#include <apr_time.h>
#include "base/error.h"

/* Finds the e-mail address of a Patient of len bytes, in p: a telecom of system email that is no old one and whose period has not ended at now;
 * of several that can be used (base/mail_address.h) the one of the lowest rank, those without a rank last. Errors: P2P_E_INVALID "not-fhir"
 * (no Patient), P2P_E_NOT_FOUND "no-address", P2P_E_INVALID "bad-address" (none of those can be used). */
p2p_error_t *p2p_patient_mail(apr_pool_t *p, const char *body, apr_size_t len, apr_time_t now, const char **address);

#endif
