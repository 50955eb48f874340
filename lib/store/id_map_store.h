/* SPDX-License-Identifier: Apache-2.0 */
/* The ids that a target gave to what we wrote there, by the ids that we derive; the target's are sealed. */
#ifndef P2P_STORE_ID_MAP_STORE_H
#define P2P_STORE_ID_MAP_STORE_H

#include "base/seal.h"
#include "model/job.h"
#include "store/db.h"

#define P2P_ID_MAP_CHUNK 16 /* ids that one look into the table asks for */

/* source: a derived id's text; target: the id at the target without its type, NULL where it is not known. */
typedef struct p2p_id_pair_t {
    const char *source, *type, *target;
} p2p_id_pair_t;

/* Gives those of at most P2P_ID_MAP_CHUNK pairs their target that the table knows, in p; the others keep theirs. */
p2p_error_t *p2p_id_map_find(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const char *target,
                             p2p_id_pair_t *const *pairs, int count);

/* Notes count pairs, all with a target, in one transaction; what the table said of them before is replaced. The array's order is changed.
 * Errors: P2P_E_LOST where the job is not the owner's any more, and then nothing is noted. */
p2p_error_t *p2p_id_map_note(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const p2p_job_t *job, const char *owner,
                             p2p_id_pair_t **pairs, int count);

/* What source stands for is not at the job's target any more. Errors: P2P_E_LOST. */
p2p_error_t *p2p_id_map_forget(p2p_db_t *db, apr_pool_t *p, const p2p_job_t *job, const char *owner, const char *source);

#endif
