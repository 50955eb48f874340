/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the pages at start, and compressing them once for all requests. */
#include "pages.h"

#include <http_core.h>
#include <apr_file_io.h>
#include <apr_file_info.h>
#include <apr_strings.h>
#include <zlib.h>

#include "base/sha256.h"
#include "mod_p2p.h"

#define GZIP_WINDOW (15 + 16) /* zlib's way to ask for gzip's frame */
#define LEVEL 6               /* 9 takes a quarter longer, at each start, for 0.4 % */
#define SMALL 256             /* bytes that are not worth it */

static const struct {
    const char *suffix, *type;
} types[] = {
    { ".html", "text/html; charset=utf-8" },
    { ".css", "text/css; charset=utf-8" },
    { ".js", "text/javascript; charset=utf-8" },
    { ".json", "application/json" },
    { ".svg", "image/svg+xml" },
    { ".png", "image/png" },
    { ".txt", "text/plain; charset=utf-8" },
    { "LICENSE", "text/plain; charset=utf-8" },
    { "NOTICE", "text/plain; charset=utf-8" },
};

/* What each installation has. */
static const char *const needed[] = { "index.html", "openapi.json", "console/index.html" };

typedef struct reading_t {
    apr_pool_t *p;
    const char *dir;
    apr_hash_t *pages;
    apr_size_t bytes;
} reading_t;

static p2p_error_t *fault(const reading_t *reading, const char *name, const char *what)
{
    return p2p_error_make(reading->p, P2P_E_INVALID, "bad-pages", "%s%s%s %s", reading->dir, *name ? "/" : "", name, what);
}

static p2p_error_t *fault_status(const reading_t *reading, const char *name, apr_status_t rv)
{
    char reason[120];

    apr_strerror(rv, reason, sizeof reason);
    return fault(reading, name, apr_psprintf(reading->p, "cannot be read: %s; name the folder with the pages of mod_p2p, as make install "
                                             "puts it down", reason));
}

static const char *path_of(const reading_t *reading, const char *name)
{
    return *name ? apr_pstrcat(reading->p, reading->dir, "/", name, NULL) : reading->dir;
}

static const char *type_of(const char *name)
{
    apr_size_t len = strlen(name);

    for (unsigned i = 0; i < sizeof types / sizeof *types; i++) {
        apr_size_t tail = strlen(types[i].suffix);

        if (len >= tail && !strcmp(name + len - tail, types[i].suffix)) return types[i].type;
    }
    return "application/octet-stream";
}

static p2p_error_t *read_file(reading_t *reading, const char *name, apr_size_t len)
{
    p2p_page_t *page = apr_pcalloc(reading->p, sizeof *page);
    char *bytes = apr_palloc(reading->p, len + 1);
    apr_file_t *file;
    apr_status_t rv;

    page->name = name;
    page->type = type_of(name);
    page->bytes = bytes;
    page->len = len;
    rv = apr_file_open(&file, path_of(reading, name), APR_FOPEN_READ | APR_FOPEN_BINARY, 0, reading->p);
    if (rv) return fault_status(reading, name, rv);
    rv = len ? apr_file_read_full(file, bytes, len, NULL) : APR_SUCCESS;
    apr_file_close(file);
    if (rv) return fault_status(reading, name, rv);
    bytes[len] = '\0';
    apr_hash_set(reading->pages, name, APR_HASH_KEY_STRING, page);
    return NULL;
}

static p2p_error_t *take_file(reading_t *reading, const char *name, apr_off_t size)
{
    if (apr_hash_count(reading->pages) >= P2P_PAGES_FILES || size > (apr_off_t)(P2P_PAGES_BYTES - reading->bytes)) {
        return fault(reading, "", "holds more than the pages of mod_p2p can be: name the folder that make install puts down");
    }
    reading->bytes += (apr_size_t)size;
    return read_file(reading, name, (apr_size_t)size);
}

static p2p_error_t *read_folder(reading_t *reading, const char *name, int depth);

static p2p_error_t *take_entry(reading_t *reading, const char *folder, const char *base, int depth)
{
    const char *name = *folder ? apr_pstrcat(reading->p, folder, "/", base, NULL) : apr_pstrdup(reading->p, base);
    apr_finfo_t info;
    apr_status_t rv;

    if (*base == '.') return NULL;
    rv = apr_stat(&info, path_of(reading, name), APR_FINFO_TYPE | APR_FINFO_SIZE, reading->p);
    if (rv && rv != APR_INCOMPLETE) return fault_status(reading, name, rv);
    if (info.filetype == APR_DIR) return read_folder(reading, name, depth + 1);
    if (info.filetype == APR_REG) return take_file(reading, name, info.size);
    return fault(reading, name, "is neither a file nor a folder: remove it");
}

static p2p_error_t *read_folder(reading_t *reading, const char *name, int depth)
{
    apr_finfo_t entry;
    apr_dir_t *folder;
    p2p_error_t *error = NULL;
    apr_status_t rv;

    if (depth > P2P_PAGES_DEPTH) return fault(reading, name, "is too deep down: name the folder that make install puts down");
    rv = apr_dir_open(&folder, path_of(reading, name), reading->p);
    if (rv) return fault_status(reading, name, rv);
    for (rv = apr_dir_read(&entry, APR_FINFO_NAME, folder); !error && (!rv || rv == APR_INCOMPLETE);
         rv = error ? rv : apr_dir_read(&entry, APR_FINFO_NAME, folder)) {
        error = take_entry(reading, name, entry.name, depth);
    }
    apr_dir_close(folder);
    return error;
}

p2p_error_t *p2p_pages_read(apr_pool_t *p, const char *dir, apr_hash_t **pages)
{
    reading_t reading = { p, dir, apr_hash_make(p), 0 };

    P2P_TRY(read_folder(&reading, "", 0));
    for (unsigned i = 0; i < sizeof needed / sizeof *needed; i++) {
        if (!apr_hash_get(reading.pages, needed[i], APR_HASH_KEY_STRING)) {
            return fault(&reading, needed[i], "is missing: name the folder with the pages of mod_p2p, as make install puts it down");
        }
    }
    *pages = reading.pages;
    return NULL;
}

static const char *hash_of(apr_pool_t *p, const p2p_page_t *page)
{
    p2p_sha256_t *sha256 = p2p_sha256_begin();

    p2p_sha256_add(sha256, page->bytes, page->len);
    return apr_pstrmemdup(p, p2p_sha256_end(p, sha256), 32);
}

/* All of it in one go; NULL where it does not become smaller. */
static const char *gzip_of(apr_pool_t *p, const p2p_page_t *page, apr_size_t *len)
{
    char *out = apr_palloc(p, page->len);
    z_stream stream = { .next_in = (Bytef *)page->bytes, .avail_in = (uInt)page->len, .next_out = (Bytef *)out, .avail_out = (uInt)page->len };
    int done;

    if (page->len < SMALL) return NULL;
    if (deflateInit2(&stream, LEVEL, Z_DEFLATED, GZIP_WINDOW, 9, Z_DEFAULT_STRATEGY) != Z_OK) return NULL;
    done = deflate(&stream, Z_FINISH) == Z_STREAM_END;
    *len = stream.total_out;
    deflateEnd(&stream);
    return done && *len < page->len ? out : NULL;
}

void p2p_page_set_etag(apr_pool_t *p, p2p_page_t *page)
{
    const char *hash = hash_of(p, page);

    page->etag = apr_pstrcat(p, "\"", hash, "\"", NULL);
    page->gzip_etag = apr_pstrcat(p, "\"", hash, "-gzip\"", NULL);
}

int p2p_pages_open(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    apr_hash_t *pages = p2p_config(s)->pages;

    (void)plog;
    if (!pages || ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) return OK;
    for (apr_hash_index_t *at = apr_hash_first(ptemp, pages); at; at = apr_hash_next(at)) {
        p2p_page_t *page = apr_hash_this_val(at);

        p2p_page_set_etag(pconf, page);
        page->gzip = gzip_of(pconf, page, &page->gzip_len);
    }
    return OK;
}
