/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the API page and the console, in memory: what a request names is looked up there, and never in a file system. */
#ifndef P2P_MOD_PAGES_H
#define P2P_MOD_PAGES_H

#include <httpd.h>
#include <apr_hash.h>

#include "base/error.h"

#define P2P_PAGES_FILES 200                  /* files below P2PPages, at most */
#define P2P_PAGES_BYTES (16 * 1024 * 1024)   /* and bytes of all of them */
#define P2P_PAGES_DEPTH 4                    /* and folders in one another */

/* One file. What is compressed is there once p2p_pages_open has run; NULL where it is not smaller. */
typedef struct p2p_page_t {
    const char *name;                 /* path below P2PPages: "console/app.js" */
    const char *type;                 /* Content-Type */
    const char *bytes, *gzip;
    apr_size_t len, gzip_len;
    const char *etag, *gzip_etag;     /* with quotes; strong */
} p2p_page_t;

/* Reads all files below dir: *pages becomes a hash of path to p2p_page_t, in p. Names that begin with a dot are passed over. Errors:
 * P2P_E_INVALID "bad-pages", for what cannot be read, more than the bounds above, or a folder without the pages; the sentence begins with
 * the path and says what to do. */
p2p_error_t *p2p_pages_read(apr_pool_t *p, const char *dir, apr_hash_t **pages);

/* Sets a page's ETags by its bytes. */
void p2p_page_set_etag(apr_pool_t *p, p2p_page_t *page);

/* post_config hook: completes what check_config has read. */
int p2p_pages_open(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);

#endif
