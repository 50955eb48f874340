/* SPDX-License-Identifier: Apache-2.0 */
/* What is sealed in the database: every table and column of it, and the statements that go over them. */
#ifndef P2P_STORE_SEALED_TABLE_H
#define P2P_STORE_SEALED_TABLE_H

#include "base/seal.h"
#include "store/sql.h"

#define P2P_SEALED_KEYS 5    /* columns of a table's primary key, at most */
#define P2P_SEALED_COLUMNS 3 /* sealed ones of a table, at most */

/* A sealed column. below: so many keys after the row's number stand in the place's name, as p2p_column_below writes them. */
typedef struct p2p_sealed_column_t {
    const char *name;
    int below;
} p2p_sealed_column_t;

/* A table. The first key is the place's row where it is a number; else the row is 0. */
typedef struct p2p_sealed_table_t {
    const char *name;
    const char *keys[P2P_SEALED_KEYS + 1]; /* up to a NULL */
    const char *types;                     /* of the keys, a letter each, as in store/sql.h */
    p2p_sealed_column_t columns[P2P_SEALED_COLUMNS + 1]; /* up to one without a name */
    int batch;                             /* rows at a time */
    const char *labels[3];                 /* of its statements */
} p2p_sealed_table_t;

/* The i-th table, or NULL. That of the keys of hashes is the last: while it has the old key, there may be more that has. */
const p2p_sealed_table_t *p2p_sealed_table(int i);

int p2p_sealed_key_count(const p2p_sealed_table_t *table);
int p2p_sealed_column_count(const p2p_sealed_table_t *table);

/* Where a value lives; key: the row's, as text. The texts are in p. */
p2p_seal_place_t p2p_sealed_place(apr_pool_t *p, const p2p_sealed_table_t *table, int column, const char *const *key);

/* Rows after a key, in its order, with a value that does not begin with a text: keys and sealed columns. Arguments: the key, that text once for
 * each column, how many. */
p2p_sql_statement_t p2p_sealed_read(apr_pool_t *p, const p2p_sealed_table_t *table);

/* Changes all sealed columns of a row, unless somebody else is changing the row or has changed one of them. Arguments: the new values, the key,
 * the old values. */
p2p_sql_statement_t p2p_sealed_write(apr_pool_t *p, const p2p_sealed_table_t *table);

/* How many values of which key id: column's number, key id, count. */
p2p_sql_statement_t p2p_sealed_tally(apr_pool_t *p, const p2p_sealed_table_t *table);

#endif
