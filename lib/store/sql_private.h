/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the table of statements; nobody else includes it. */
#ifndef P2P_STORE_SQL_PRIVATE_H
#define P2P_STORE_SQL_PRIVATE_H

#include "store/sql.h"

/* Those of people who are told (sql_told.c), from P2P_SQL_TOLD on. */
extern const p2p_sql_statement_t p2p_sql_told[P2P_SQL_SEEN - P2P_SQL_TOLD];

/* Those of what people see (sql_seen.c), from P2P_SQL_SEEN on. */
extern const p2p_sql_statement_t p2p_sql_seen[P2P_SQL_COUNT - P2P_SQL_SEEN];

#endif
