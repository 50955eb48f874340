/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the outbox share; nobody else includes it. */
#ifndef P2P_STORE_OUTBOX_PRIVATE_H
#define P2P_STORE_OUTBOX_PRIVATE_H

#include "store/outbox_store.h"

#define P2P_OUTBOX_TABLE "p2p_outbox"

p2p_error_t *p2p_outbox_seal(apr_pool_t *p, const p2p_keyring_t *keyring, const char *column, apr_int64_t id, const char *text,
                             const char **sealed);

/* What the column details holds: the values as they are, and what a server said. */
const char *p2p_outbox_details(apr_pool_t *p, const char *values, const char *detail);

#endif
