/* SPDX-License-Identifier: Apache-2.0 */
/* The schema: made and upgraded by p2p-runner migrate, checked by every program at start. */
#ifndef P2P_STORE_MIGRATE_H
#define P2P_STORE_MIGRATE_H

#include "store/db.h"

#define P2P_SCHEMA 5 /* the schema this program was written for; it also works with P2P_SCHEMA + 1 */

/* Creates or upgrades the schema, each step in a transaction; doing it again changes nothing. On SQLite it
 * refuses (P2P_E_CONFLICT "runner-alive") while a runner's lease is live. *from and *to tell the versions
 * before and after. */
p2p_error_t *p2p_migrate(p2p_db_t *db, apr_pool_t *p, int *from, int *to);

/* Is the schema there, and one that this program serves? Errors: P2P_E_CONFLICT "schema-missing" or
 * "schema-unknown", each saying to run p2p-runner migrate (or a newer program); P2P_E_UNAVAILABLE. */
p2p_error_t *p2p_schema_check(p2p_db_t *db, apr_pool_t *p);

#endif
