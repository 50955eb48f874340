/* SPDX-License-Identifier: Apache-2.0 */
/* Queries, and the cursors of lists in them. */
#ifndef P2P_MOD_QUERY_H
#define P2P_MOD_QUERY_H

#include <httpd.h>
#include <apr_tables.h>

/* Reads the query into a table of r->pool, values decoded; each of its parameters has to be one of names (up to NULL) and stand once.
 * Returns OK or what the handler is to return: 400 "bad-query" naming the parameter. */
int p2p_query(request_rec *r, const char *const *names, apr_table_t **query);

/* "name=value&", the value encoded, for the query of the next page; "" where value is NULL. In p. */
const char *p2p_query_pair(apr_pool_t *p, const char *name, const char *value);

/* The path of the next page: the request's own with query (such pairs, or "") and a cursor for the numbers of its position in what scope names (a
 * list and its filter): opaque, and of no use anywhere else. In r->pool. */
const char *p2p_cursor_link(request_rec *r, const char *query, const char *scope, const apr_int64_t *numbers, int count);

/* Reads the cursor back. Returns OK, or 400 "bad-page" where it is not one that p2p_cursor_link made for scope. */
int p2p_cursor_read(request_rec *r, const char *scope, const char *cursor, apr_int64_t *numbers, int count);

#endif
