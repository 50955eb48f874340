/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that are no errors. */
#ifndef P2P_MOD_REPLY_H
#define P2P_MOD_REPLY_H

#include <httpd.h>

#include "base/json.h"

#define P2P_NOTE_ALLOW "p2p-allow" /* the methods of the route, in r->notes */

/* What every answer of ours carries, errors as well: what a browser and caches must not do with it, and CORS. A page, which needs more than
 * nothing, sets another Content-Security-Policy afterwards. */
void p2p_reply_headers(request_rec *r);

/* Writes doc with a status; etag (with its quotes) may be NULL. A GET whose conditions say so gets 304 or 412
 * instead. Returns what the handler is to return. */
int p2p_reply(request_rec *r, int status, json_object *doc, const char *etag);

/* The same with a document that is printed already: len bytes that live as long as r. */
int p2p_reply_text(request_rec *r, int status, const char *text, apr_size_t len, const char *etag);

/* The same with bytes of any type, and without p2p_reply_headers: the caller has set what it wants in their place. */
int p2p_reply_bytes(request_rec *r, int status, const char *type, const char *bytes, apr_size_t len, const char *etag);

/* The same as another type than application/json, without an ETag. */
int p2p_reply_as(request_rec *r, int status, const char *type, const char *text);

/* The ETag of a row's version, and that of a document without one. */
const char *p2p_etag_version(apr_pool_t *p, apr_int64_t version);
const char *p2p_etag_doc(apr_pool_t *p, json_object *doc);

/* What the request's If-Match says of a row's version. */
typedef enum {
    P2P_MATCH_ANY,   /* there is none, or any version will do */
    P2P_MATCH_EXACT, /* this very version is meant: a change in between is a 412, too */
    P2P_MATCH_STALE  /* another one is */
} p2p_if_match_t;
p2p_if_match_t p2p_if_match(request_rec *r, apr_int64_t version);

#endif
