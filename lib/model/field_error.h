/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with one field of a request body. */
#ifndef P2P_MODEL_FIELD_ERROR_H
#define P2P_MODEL_FIELD_ERROR_H

#include <apr_tables.h>
#include "base/json.h"

typedef struct p2p_field_error_t {
    const char *pointer; /* JSON pointer (RFC 6901): "/sourcePayer/patientId" */
    const char *detail;  /* a sentence; never the value itself */
} p2p_field_error_t;

/* An empty list of p2p_field_error_t in p. */
apr_array_header_t *p2p_field_errors(apr_pool_t *p);

/* Adds one; pointer is prefix, "/" and name (prefix alone where name is ""), the sentence is formatted. */
void p2p_field_error(apr_array_header_t *errors, const char *prefix, const char *name, const char *detail,
                     ...)
    __attribute__((format(printf, 4, 5)));

/* Text member of doc, in the pool of errors; "" where it is missing or null. Of another type, longer than max
 * bytes or with control characters (where lines is 1, line ends and tabs are no fault) it is an error and "".
 */
const char *p2p_field_text(apr_array_header_t *errors, json_object *doc, const char *prefix, const char *name,
                           apr_size_t max, int lines);

#endif
