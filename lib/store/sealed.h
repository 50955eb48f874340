/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing one column of one row, for the stores. */
#ifndef P2P_STORE_SEALED_H
#define P2P_STORE_SEALED_H

#include "base/seal.h"

/* Seals text for its place; "" stays "". */
p2p_error_t *p2p_seal_column(apr_pool_t *p, const p2p_keyring_t *keyring, const char *table,
                             const char *column,
                             apr_int64_t row, const char *text, const char **sealed);

/* Opens it again; the text is in p. */
p2p_error_t *p2p_unseal_column(apr_pool_t *p, const p2p_keyring_t *keyring, const char *table,
                               const char *column,
                               apr_int64_t row, const char *sealed, const char **text);

/* The name of a column in a row that has no number of its own but lies below a job: "url/3/17" for request 3,
 * part 17. The row is then the job's. Where a number is below 0 the name ends before it. */
const char *p2p_column_below(apr_pool_t *p, const char *column, int request, int part);

#endif
