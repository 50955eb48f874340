/* SPDX-License-Identifier: Apache-2.0 */
/* A table of slots, one for each remainder of a definition's number; all threads of a child share it. */
#include "definition_cache.h"

#include <http_log.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include "base/clock.h"
#include "mod_p2p.h"
#include "shared.h"

APLOG_USE_MODULE(p2p);

#define SLOTS 256
#define DOC_MAX 16384 /* bytes; a longer document is read each time */
#define ETAG_MAX 64
#define RENEW_AFTER (P2P_DEFINITION_KEPT / 2) /* so old, one request reads it anew, and the others need not wait */
#define RENEW_AGAIN (P2P_DEFINITION_KEPT / 8) /* another one, where nothing came of the first */

typedef struct slot_t {
    apr_int64_t pid; /* 0: empty */
    apr_uint64_t generation;
    apr_time_t asked, renewed; /* monotonic; when its renewal was begun last */
    char etag[ETAG_MAX];
    char *text;       /* malloc'd: it changes for as long as the child lives */
    apr_size_t len, room;
} slot_t;

typedef struct p2p_definition_cache_t {
    apr_thread_mutex_t *mutex;
    slot_t slots[SLOTS];
} p2p_definition_cache_t;

void p2p_definition_cache_child(apr_pool_t *p, server_rec *s)
{
    p2p_definition_cache_t *cache = apr_pcalloc(p, sizeof *cache);
    apr_status_t rv = apr_thread_mutex_create(&cache->mutex, APR_THREAD_MUTEX_DEFAULT, p);

    if (!rv) p2p_config(s)->definition_cache = cache;
    else ap_log_error(APLOG_MARK, APLOG_WARNING, rv, s, "no mutex: definitions are read from the database each time");
}

/* All whose document has ended would ask the database at the same time. */
static int is_to_renew(slot_t *slot, apr_time_t now)
{
    if (now - slot->asked < RENEW_AFTER || now - slot->renewed < RENEW_AGAIN) return 0;
    slot->renewed = now;
    return 1;
}

static int copy_out(apr_pool_t *p, slot_t *slot, apr_int64_t pid, p2p_definition_doc_t *doc)
{
    if (slot->pid != pid || slot->generation != doc->generation || doc->asked - slot->asked >= P2P_DEFINITION_KEPT) return 0;
    if (is_to_renew(slot, doc->asked)) return 0;
    doc->text = apr_pstrmemdup(p, slot->text, slot->len);
    doc->len = slot->len;
    doc->etag = apr_pstrdup(p, slot->etag);
    return 1;
}

int p2p_definition_cache_get(request_rec *r, apr_int64_t pid, p2p_definition_doc_t *doc)
{
    p2p_definition_cache_t *cache = p2p_config(r->server)->definition_cache;
    p2p_clock_t clock = p2p_clock_system();
    int found;

    doc->generation = p2p_shared_generation(r->server);
    doc->asked = clock.monotonic(clock.baton);
    if (!cache || !doc->generation) return 0;
    apr_thread_mutex_lock(cache->mutex);
    found = copy_out(r->pool, &cache->slots[pid % SLOTS], pid, doc);
    apr_thread_mutex_unlock(cache->mutex);
    return found;
}

static void copy_in(slot_t *slot, const p2p_definition_doc_t *doc)
{
    char *text = slot->text;

    if (slot->room < doc->len) {
        text = realloc(slot->text, doc->len);
        if (!text) {
            slot->pid = 0;
            return;
        }
        slot->text = text;
        slot->room = doc->len;
    }
    memcpy(text, doc->text, doc->len);
    slot->len = doc->len;
    apr_cpystrn(slot->etag, doc->etag, sizeof slot->etag);
}

void p2p_definition_cache_put(request_rec *r, apr_int64_t pid, const p2p_definition_doc_t *doc)
{
    p2p_definition_cache_t *cache = p2p_config(r->server)->definition_cache;
    slot_t *slot;

    if (!cache || !doc->generation || !doc->len || doc->len > DOC_MAX || strlen(doc->etag) >= ETAG_MAX) return;
    slot = &cache->slots[pid % SLOTS];
    apr_thread_mutex_lock(cache->mutex);
    slot->pid = pid;
    slot->generation = doc->generation;
    slot->asked = doc->asked;
    copy_in(slot, doc);
    apr_thread_mutex_unlock(cache->mutex);
}
