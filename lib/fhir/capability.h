/* SPDX-License-Identifier: Apache-2.0 */
/* What a server says of itself, as far as an exchange has to know it. */
#ifndef P2P_FHIR_CAPABILITY_H
#define P2P_FHIR_CAPABILITY_H

#include <apr_pools.h>
#include "base/error.h"

/* Strings without their escapes, in the pool they were read with; NULL where they are missing. */
typedef struct p2p_capability_t {
    const char *resource_type, *fhir_version;
    const char *implementation_url; /* implementation.url */
    const char *software_name;      /* software.name */
    int formats, json_formats;      /* how many it has, and those of them that mean JSON */
} p2p_capability_t;

/* Reads a CapabilityStatement of len bytes, or whatever else came in its place, in memory that does not depend on len. Errors:
 * P2P_E_INVALID "not-json", "json-cut-short". */
p2p_error_t *p2p_capability_read(apr_pool_t *p, const char *bytes, apr_size_t len, p2p_capability_t *capability);

#endif
