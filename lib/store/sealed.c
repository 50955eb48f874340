/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing one column of one row. */
#include "store/sealed.h"

#include <string.h>
#include <apr_strings.h>

p2p_error_t *p2p_seal_column(apr_pool_t *p, const p2p_keyring_t *keyring, const char *table,
                             const char *column,
                             apr_int64_t row, const char *text, const char **sealed)
{
    p2p_seal_place_t place = {table, column, row};

    return p2p_seal(p, keyring, &place, text, strlen(text), sealed);
}

p2p_error_t *p2p_unseal_column(apr_pool_t *p, const p2p_keyring_t *keyring, const char *table,
                               const char *column,
                               apr_int64_t row, const char *sealed, const char **text)
{
    p2p_seal_place_t place = {table, column, row};

    return p2p_unseal(p, keyring, &place, sealed, text, NULL);
}

const char *p2p_column_below(apr_pool_t *p, const char *column, int request, int part)
{
    return part < 0 ? apr_psprintf(p, "%s/%d", column,
                                   request) : apr_psprintf(p, "%s/%d/%d", column, request, part);
}
