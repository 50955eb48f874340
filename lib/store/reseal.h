/* SPDX-License-Identifier: Apache-2.0 */
/* Changing the sealing key: every sealed value that another key than the first one sealed is sealed anew, while all others are at work. */
#ifndef P2P_STORE_RESEAL_H
#define P2P_STORE_RESEAL_H

#include <apr_tables.h>
#include "base/seal.h"
#include "store/db.h"

/* Who is told how it goes. Texts live until the function returns. */
typedef struct p2p_reseal_watch_t {
    void (*progress)(void *baton, const char *table, apr_int64_t resealed); /* so many values so far, of this table */
    void (*unopenable)(void *baton, const char *where, const p2p_error_t *error); /* "p2p_part 17/0/3, url" */
    void *baton;
} p2p_reseal_watch_t;

/* Seals with the ring's first key whatever another key sealed. Rows are taken in the order of their keys, some hundred in a transaction; where
 * somebody else changes a row meanwhile, his value stays, and the row is looked at again. What cannot be opened stays as it is and is told once.
 * May be ended at any time and begun again: what is done is done. *resealed: so many values, also where an error is returned. Errors: those of
 * the database, after some minutes of trying again where it is away or locked. */
p2p_error_t *p2p_reseal(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const p2p_reseal_watch_t *watch,
                        apr_int64_t *resealed);

/* So many values of a column are sealed with this key; key_id is "" for values that are not of the form of sealed ones. */
typedef struct p2p_sealed_count_t {
    const char *table, *column, *key_id;
    apr_int64_t count;
} p2p_sealed_count_t;

/* How many values of all columns are sealed with which keys (array of p2p_sealed_count_t in p). Reads every table from end to end. */
p2p_error_t *p2p_sealed_counts(p2p_db_t *db, apr_pool_t *p, apr_array_header_t **counts);

#endif
