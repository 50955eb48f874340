/* SPDX-License-Identifier: Apache-2.0 */
/* Definitions as the portal reads them, kept in a child of httpd for a moment: every sign-in of a member begins with one. */
#ifndef P2P_MOD_DEFINITION_CACHE_H
#define P2P_MOD_DEFINITION_CACHE_H

#include <httpd.h>

#define P2P_DEFINITION_KEPT apr_time_from_sec(1) /* how old what is served may be, where somebody else's httpd or program changed it */

/* The document of a definition that is not archived. */
typedef struct p2p_definition_doc_t {
    const char *text;
    apr_size_t len;
    const char *etag; /* with its quotes */
    apr_uint64_t generation; /* of the definitions, and monotonic time, of before it was read */
    apr_time_t asked;
} p2p_definition_doc_t;

/* Sets *doc, in r->pool, and returns 1 where it is kept, was read less than P2P_DEFINITION_KEPT ago, and no definition was changed by this
 * httpd since. Else notes in *doc when it was asked for, for p2p_definition_cache_put. */
int p2p_definition_cache_get(request_rec *r, apr_int64_t pid, p2p_definition_doc_t *doc);

/* Keeps what was read after p2p_definition_cache_get did not find it. */
void p2p_definition_cache_put(request_rec *r, apr_int64_t pid, const p2p_definition_doc_t *doc);

/* child_init hook. */
void p2p_definition_cache_child(apr_pool_t *p, server_rec *s);

#endif
