/* SPDX-License-Identifier: Apache-2.0 */
/* The routes, in one table, and the handler that httpd calls. */
#ifndef P2P_MOD_ROUTE_H
#define P2P_MOD_ROUTE_H

#include <httpd.h>

#include "caller.h"

#define P2P_ROUTE_IDS 2

/* The numbers in a path, in order: /api/oidc_servers/{ids[0]}/batch_job/{ids[1]}. And of a pattern that ends so what follows: "" or "/…". */
typedef struct p2p_match_t {
    apr_int64_t ids[P2P_ROUTE_IDS];
    const char *tail;
} p2p_match_t;

/* Answers a request; returns OK or an HTTP status, like an httpd handler. */
typedef int (*p2p_handler_fn)(request_rec *r, const p2p_match_t *match);

typedef struct p2p_route_t {
    const char *pattern;
    int method;            /* M_GET stands for HEAD as well */
    p2p_role_t role;       /* the least that opens it */
    p2p_handler_fn handle;
    const char *action;    /* what the audit calls it; NULL: it changes nothing */
} p2p_route_t;

#define P2P_ROUTE_ID "{id}"
#define P2P_ROUTE_TAIL "/*"

/* The route of a request, by its method and path. NULL where there is none; *allow then tells the methods that the path has, if it has any. */
const p2p_route_t *p2p_route_find(request_rec *r, p2p_match_t *match, const char **allow);

/* Does path fit the pattern ("/health", "/api/oidc_servers/{id}")? Each {id} is a positive number without
 * leading zeros, at most 18 digits; the numbers go into match. A pattern that ends with P2P_ROUTE_TAIL fits what
 * is before that and whatever is below. */
int p2p_route_fits(const char *pattern, const char *path, p2p_match_t *match);

/* handler hook. */
int p2p_route_handle(request_rec *r);

/* translate_name, map_to_storage and type_checker hooks: our paths are no files, and no file's settings hold
 * for them. */
int p2p_route_translate(request_rec *r);
int p2p_route_no_file(request_rec *r);

#endif
