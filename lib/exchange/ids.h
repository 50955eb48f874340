/* SPDX-License-Identifier: Apache-2.0 */
/* The ids that the target assigned (P2PResourceIds conditional): a small cache before the database's map. */
#ifndef P2P_EXCHANGE_IDS_H
#define P2P_EXCHANGE_IDS_H

#include "fhir/resource_id.h"
#include "store/id_map_store.h"

typedef struct p2p_ids_t p2p_ids_t;

typedef struct p2p_ids_settings_t {
    p2p_db_t *db;
    const p2p_keyring_t *keyring;
    const p2p_job_t *job;
    const char *owner;
} p2p_ids_settings_t;

/* Makes one in p, some 300 KiB. */
p2p_ids_t *p2p_ids_make(apr_pool_t *p, const p2p_ids_settings_t *settings);

/* Gives those of count pairs their target that are known, in p. Errors: the database's. */
p2p_error_t *p2p_ids_find(p2p_ids_t *ids, apr_pool_t *p, p2p_id_pair_t **pairs, int count);

/* Notes pairs, durably; those that are known so already cost nothing. The array is changed. Errors: P2P_E_LOST, the database's. p is for
 * scratch. */
p2p_error_t *p2p_ids_note(p2p_ids_t *ids, apr_pool_t *p, p2p_id_pair_t **pairs, int count);

/* What source (a derived id) stands for is not at the target any more. Errors likewise. */
p2p_error_t *p2p_ids_forget(p2p_ids_t *ids, apr_pool_t *p, const char *source);

#endif
