/* SPDX-License-Identifier: Apache-2.0 */
/* Next links in a small object cache (mod_socache_*). */
#include "inject_cache.h"

#include <http_core.h>
#include <http_log.h>
#include <ap_provider.h>
#include <ap_socache.h>
#include <util_mutex.h>
#include <apr_escape.h>
#include <apr_strings.h>
#include <apr_uri.h>

#include "base/encode.h"
#include "base/sha256.h"
#include "base/uri.h"
#include "inject_config.h"
#include "mod_p2p.h"

APLOG_USE_MODULE(p2p);

#define NAME "p2p-provenance" /* of the mutex, and before the keys of a cache that others use as well */
#define KEY 32
/* What shmcb takes for a key besides it: the value's byte, and an entry of its index; it shares its memory out by that. */
#define BESIDES 25
#define COMPLAIN_EVERY apr_time_from_sec(60)

struct p2p_inject_cache_t {
    const ap_socache_provider_t *provider; /* of this configuration; what follows is in the process pool */
    ap_socache_instance_t *instance;
    apr_global_mutex_t *mutex; /* NULL: it takes none */
    const char *mutex_file;
    apr_time_t complained; /* of this child */
};

int p2p_inject_cache_mutex(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    (void)plog, (void)ptemp;
    return ap_mutex_register(pconf, NAME, NULL, APR_LOCK_DEFAULT, 0) == APR_SUCCESS ? OK : HTTP_INTERNAL_SERVER_ERROR;
}

static apr_status_t init(p2p_inject_cache_t *cache, const p2p_inject_main_t *settings, server_rec *s, apr_pool_t *process)
{
    struct ap_socache_hints hints = { .avg_id_len = KEY, .avg_obj_size = BESIDES, .expiry_interval = apr_time_from_sec(P2P_INJECT_SECONDS) };
    apr_status_t rv;

    if (cache->provider->flags & AP_SOCACHE_FLAG_NOTMPSAFE) {
        rv = ap_global_mutex_create(&cache->mutex, &cache->mutex_file, NAME, NULL, s, process, 0);
        if (rv) return rv;
    }
    if (cache->provider->create(&cache->instance, settings->args, process, process)) return APR_EINVAL; /* check_config has said why */
    return cache->provider->init(cache->instance, NAME, &hints, s, process);
}

int p2p_inject_cache_open(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    p2p_inject_main_t *settings = &p2p_config(s)->inject;
    const char *name = settings->provider ? settings->provider : P2P_INJECT_PROVIDER;
    apr_pool_t *process = s->process->pool;
    const char *key = apr_pstrcat(process, NAME " ", name, ":", settings->args, NULL);
    void *found = NULL;
    apr_status_t rv;

    (void)pconf, (void)plog, (void)ptemp;
    if (!settings->used || ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) return OK;
    apr_pool_userdata_get(&found, key, process);
    settings->cache = found ? found : apr_pcalloc(process, sizeof *settings->cache);
    settings->cache->provider = ap_lookup_provider(AP_SOCACHE_PROVIDER_GROUP, name, AP_SOCACHE_PROVIDER_VERSION);
    if (found) return OK;
    rv = init(settings->cache, settings, s, process);
    if (!rv) {
        apr_pool_userdata_setn(settings->cache, key, apr_pool_cleanup_null, process);
        return OK;
    }
    ap_log_error(APLOG_MARK, APLOG_ERR, rv, s, "P2PProvenanceCache: %s cannot be opened", name);
    return HTTP_INTERNAL_SERVER_ERROR;
}

void p2p_inject_cache_child(apr_pool_t *p, server_rec *s)
{
    p2p_inject_cache_t *cache = p2p_config(s)->inject.cache;
    apr_status_t rv;

    if (!cache || !cache->mutex) return;
    rv = apr_global_mutex_child_init(&cache->mutex, cache->mutex_file, p);
    if (rv) ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s, "P2PProvenanceCache: its mutex is not to be had in this child");
}

/* ---- Keys ---- */

/* The text up to one of the characters of end, percent-decoded, so that a client that writes a link in another way asks for the same page. */
static void add_decoded(p2p_sha256_t *sha256, apr_pool_t *p, const char *text, const char *end)
{
    char *out = apr_palloc(p, strlen(text) + 1), *o = out;

    while (*text && !strchr(end, *text)) {
        int high = *text == '%' ? p2p_hex_value(text[1]) : -1, low = high >= 0 ? p2p_hex_value(text[2]) : -1;

        *o++ = low >= 0 ? (char)(high << 4 | low) : *text;
        text += low >= 0 ? 3 : 1;
    }
    p2p_sha256_add(sha256, out, (apr_size_t)(o - out));
}

static void make_key(apr_pool_t *p, const char *path, const char *query, unsigned char key[KEY])
{
    p2p_sha256_t *sha256 = p2p_sha256_begin();
    const char *hex;

    add_decoded(sha256, p, path, "?#");
    if (query) {
        p2p_sha256_add(sha256, "?", 1);
        add_decoded(sha256, p, query, "#");
    }
    hex = p2p_sha256_end(p, sha256);
    apr_unescape_hex(key, hex, APR_ESCAPE_STRING, 0, NULL);
}

/* Where the proxy leads, "proxy:http://host/path?query" (also "proxy:unix:/socket|http://…"). Returns 0 where r is not proxied. */
static int read_proxied(request_rec *r, const char **path, const char **query)
{
    const char *url = r->filename, *bar;
    apr_uri_t uri;

    if (!r->proxyreq || !url || strncmp(url, "proxy:", 6)) return 0;
    url += 6;
    bar = strncmp(url, "unix:", 5) ? NULL : strchr(url, '|');
    if (apr_uri_parse(r->pool, bar ? bar + 1 : url, &uri)) return 0;
    *path = uri.path ? uri.path : "/";
    *query = uri.query ? uri.query : r->args;
    return 1;
}

/* The URL's path as the client wrote it, and more behind it; httpd's own has lost its encoding. */
static const char *path_asked(request_rec *r)
{
    return *r->unparsed_uri == '/' ? r->unparsed_uri : ap_os_escape_path(r->pool, r->uri, 1);
}

/* The link with what no URL has percent-encoded; servers write such links, and clients encode them. */
static const char *encode_odd(apr_pool_t *p, const char *link)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = apr_palloc(p, strlen(link) * 3 + 1), *o = out;

    for (; *link; link++) {
        unsigned char c = (unsigned char)*link;

        if (c > ' ' && c < 0x7F && !strchr("\\\"<>", c)) {
            *o++ = (char)c;
            continue;
        }
        *o++ = '%';
        *o++ = hex[c >> 4];
        *o++ = hex[c & 15];
    }
    *o = '\0';
    return out;
}

/* ---- The cache ---- */

static void lock(p2p_inject_cache_t *cache)
{
    if (cache->mutex) apr_global_mutex_lock(cache->mutex);
}

static void unlock(p2p_inject_cache_t *cache)
{
    if (cache->mutex) apr_global_mutex_unlock(cache->mutex);
}

/* A cache that is away would say so at each page. */
static void complain(request_rec *r, p2p_inject_cache_t *cache, apr_status_t rv)
{
    apr_time_t now = apr_time_now();

    if (now - cache->complained < COMPLAIN_EVERY) return;
    cache->complained = now;
    ap_log_rerror(APLOG_MARK, APLOG_WARNING, rv, r, "P2PProvenanceCache does not keep a next link: the pages behind it go without Provenance");
}

int p2p_inject_cache_keep(request_rec *r, const char *link)
{
    const p2p_inject_main_t *settings = &p2p_config(r->server)->inject;
    apr_time_t until = apr_time_now() + apr_time_from_sec(settings->seconds ? settings->seconds : P2P_INJECT_SECONDS);
    unsigned char key[KEY], value = '+';
    p2p_uri_t uri;
    apr_status_t rv;

    if (!settings->cache || p2p_uri_resolve(r->pool, apr_pstrcat(r->pool, "http://localhost", path_asked(r), NULL), encode_odd(r->pool, link), &uri)) return 0;
    make_key(r->pool, uri.path, uri.query, key);
    lock(settings->cache);
    rv = settings->cache->provider->store(settings->cache->instance, r->server, key, KEY, until, &value, 1, r->pool);
    unlock(settings->cache);
    if (rv) complain(r, settings->cache, rv);
    return rv == APR_SUCCESS;
}

static int has(request_rec *r, p2p_inject_cache_t *cache, const unsigned char key[KEY])
{
    unsigned char value[8];
    unsigned int len = sizeof value;
    apr_status_t rv;

    lock(cache);
    rv = cache->provider->retrieve(cache->instance, r->server, key, KEY, value, &len, r->pool);
    unlock(cache);
    return rv == APR_SUCCESS;
}

int p2p_inject_cache_has(request_rec *r)
{
    p2p_inject_cache_t *cache = p2p_config(r->server)->inject.cache;
    unsigned char asked[KEY], behind[KEY];
    const char *path, *query;

    if (!cache) return 0;
    make_key(r->pool, path_asked(r), r->args, asked);
    if (has(r, cache, asked)) return 1;
    if (!read_proxied(r, &path, &query)) return 0;
    make_key(r->pool, path, query, behind);
    return memcmp(asked, behind, KEY) && has(r, cache, behind);
}
