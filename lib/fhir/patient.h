/* SPDX-License-Identifier: Apache-2.0 */
/* What an exchange has to know of the member's Patient at the target. */
#ifndef P2P_FHIR_PATIENT_H
#define P2P_FHIR_PATIENT_H

#include <apr_pools.h>
#include "base/error.h"

/* Finds the identifier of a system in a Patient of len bytes: the first with a value that is not an old one, of a type where type is not
 * NULL ("SYSTEM|CODE", or a code of any system). *identifier is its JSON text in p, whole. Errors: P2P_E_INVALID "not-fhir",
 * P2P_E_NOT_FOUND "no-mdm-identifier". */
p2p_error_t *p2p_patient_identifier(apr_pool_t *p, const char *body, apr_size_t len, const char *system, const char *type,
                                    const char **identifier);

#endif
