/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of keyed hashes in the database. */
#include "store/hash_keys.h"

#include "store/sealed.h"

#define TABLE "p2p_hash_key"
#define COLUMN "value"

/* *mine is 0 where the number is there: somebody else made the keys. */
static p2p_error_t *insert(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, apr_int64_t number, const char *text, int *mine)
{
    const char *sealed;

    P2P_TRY(p2p_seal_column(p, keyring, TABLE, COLUMN, number, text, &sealed));
    return p2p_db_exec(db, p, P2P_SQL_HASH_KEY_INSERT, mine, number, sealed);
}

/* Orders take a number for a binding and come after the keys here: where such numbers were given without keys, programs of an earlier schema
 * made hashes with the sealing keys, and may still do so. Of two that make keys the second waits for the first's number 0, all of which are
 * there then. */
static p2p_error_t *make_keys(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    const p2p_keyring_t *keyring = baton;
    const char *text;
    p2p_rows_t rows;
    int mine = 1;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_HASH_KEY_EARLIER, &rows));
    if (!p2p_rows_int(&rows, 0, 0)) {
        P2P_TRY(p2p_key_generate(p, &text));
        return insert(db, p, keyring, 0, text, &mine);
    }
    for (int i = 0; mine && i < p2p_keyring_count(keyring); i++) P2P_TRY(insert(db, p, keyring, i, p2p_keyring_text(p, keyring, i), &mine));
    return NULL;
}

p2p_error_t *p2p_hash_keys(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, p2p_keyring_t **hashes)
{
    p2p_rows_t rows;
    const char *text;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_HASH_KEY_LIST, &rows));
    if (!rows.count) {
        P2P_TRY(p2p_db_upkeep(db, p, make_keys, (void *)keyring));
        P2P_TRY(p2p_db_select(db, p, P2P_SQL_HASH_KEY_LIST, &rows));
    }
    *hashes = p2p_keyring_make(p);
    for (int i = 0; i < rows.count; i++) {
        P2P_TRY(p2p_unseal_column(p, keyring, TABLE, COLUMN, p2p_rows_int(&rows, i, 0), rows.cell[i][1], &text));
        P2P_TRY(p2p_keyring_add(*hashes, text));
    }
    return NULL;
}
