/* SPDX-License-Identifier: Apache-2.0 */
/* The store: resources by key with all their versions, in chunks of memory that are freed together. */
#include <pthread.h>
#include <sys/mman.h>
#include "sandbox.h"

#define CHUNK ((apr_size_t)4 << 20)

typedef struct sandbox_chunk_t {
    struct sandbox_chunk_t *next;
    apr_size_t len;
} sandbox_chunk_t;

typedef struct sandbox_ident_node_t {
    struct sandbox_ident_node_t *next;
    sandbox_resource_t *res;
    sandbox_str_t system, value;
    apr_uint32_t hash;
} sandbox_ident_node_t;

/* Chunks of stores that are gone: memory taken anew from the system would be what a benchmark measures. */
static pthread_mutex_t spare_lock = PTHREAD_MUTEX_INITIALIZER;
static sandbox_chunk_t *spare;

static void *must(void *memory)
{
    if (!memory) abort();
    return memory;
}

static apr_uint64_t mix(apr_uint64_t a, apr_uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)(a ^ 0x9e3779b97f4a7c15ull) * (b ^ 0xd6e8feb86659fd93ull);

    return (apr_uint64_t)product ^ (apr_uint64_t)(product >> 64);
}

static apr_uint32_t hash_bytes(const char *bytes, apr_size_t len, apr_uint64_t seed)
{
    apr_uint64_t h = mix(seed, len), word;

    for (; len >= 8; bytes += 8, len -= 8) {
        memcpy(&word, bytes, 8);
        h = mix(h, word);
    }
    word = 0;
    memcpy(&word, bytes, len);
    h = mix(h, word);
    return (apr_uint32_t)(h ^ (h >> 32));
}

sandbox_store_t *sandbox_store_make(void)
{
    sandbox_store_t *store = must(calloc(1, sizeof(*store)));

    apr_pool_create_unmanaged_ex(&store->pool, NULL, NULL);
    if (apr_thread_rwlock_create(&store->lock, store->pool) != APR_SUCCESS) abort();
    store->table_mask = 1023;
    store->table = must(calloc(store->table_mask + 1, sizeof(*store->table)));
    store->ident_mask = 1023;
    store->idents = must(calloc(store->ident_mask + 1, sizeof(*store->idents)));
    store->next_id = store->next_txn = store->next_mark = store->next_search = 1;
    store->refs = 1;
    return store;
}

static void drop_chunk(sandbox_chunk_t *chunk)
{
    if (chunk->len != CHUNK) {
        munmap(chunk, chunk->len);
        return;
    }
    pthread_mutex_lock(&spare_lock);
    chunk->next = spare;
    spare = chunk;
    pthread_mutex_unlock(&spare_lock);
}

static sandbox_chunk_t *spare_chunk(void)
{
    sandbox_chunk_t *chunk;

    pthread_mutex_lock(&spare_lock);
    chunk = spare;
    if (chunk) spare = chunk->next;
    pthread_mutex_unlock(&spare_lock);
    return chunk;
}

/* Mapped at once, since each of its pages will be written to. len counts the chunk's own head. */
static char *new_chunk(sandbox_store_t *store, apr_size_t len)
{
    sandbox_chunk_t *chunk = len == CHUNK ? spare_chunk() : NULL;

    if (!chunk)
        chunk = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (chunk == MAP_FAILED) abort();
    chunk->next = store->chunks;
    chunk->len = len;
    store->chunks = chunk;
    return (char *)(chunk + 1);
}

void sandbox_store_free(sandbox_store_t *store)
{
    sandbox_chunk_t *chunk = store->chunks, *next;

    for (; chunk; chunk = next) {
        next = chunk->next;
        drop_chunk(chunk);
    }
    for (int i = 0; i < SANDBOX_SEARCHES; i++) {
        if (!store->searches[i]) continue;
        free(store->searches[i]->list.items);
        free(store->searches[i]->key);
        free(store->searches[i]);
    }
    free(store->table);
    free(store->idents);
    free(store->all.items);
    free(store->subscriptions.items);
    apr_pool_destroy(store->pool);
    free(store);
}

void *sandbox_alloc(sandbox_store_t *store, apr_size_t len)
{
    char *at;

    len = (len + 15) & ~(apr_size_t)15;
    if (len > CHUNK / 8) return new_chunk(store, len + sizeof(sandbox_chunk_t));
    if (len > store->free_len) {
        store->free_at = new_chunk(store, CHUNK);
        store->free_len = CHUNK - sizeof(sandbox_chunk_t);
    }
    at = store->free_at;
    store->free_at += len;
    store->free_len -= len;
    return at;
}

char *sandbox_keep(sandbox_store_t *store, const char *bytes, apr_size_t len)
{
    char *copy = sandbox_alloc(store, len + 1);

    memcpy(copy, bytes, len);
    copy[len] = '\0';
    return copy;
}

static sandbox_resource_t **slot_of(const sandbox_store_t *store, const char *key, apr_size_t len,
                                    apr_uint32_t hash)
{
    for (apr_uint32_t i = hash;; i++) {
        sandbox_resource_t **slot = &store->table[i & store->table_mask], *res = *slot;

        if (!res) return slot;
        if (res->hash == hash && res->key_len == len && memcmp(res->key, key, len) == 0) return slot;
    }
}

static void grow_table(sandbox_store_t *store)
{
    sandbox_resource_t **old = store->table;
    apr_uint32_t count = store->table_mask + 1;

    store->table_mask = count * 4 - 1;
    store->table = must(calloc((apr_size_t)count * 4, sizeof(*old)));
    for (apr_uint32_t i = 0; i < count; i++)
        if (old[i]) *slot_of(store, old[i]->key, old[i]->key_len, old[i]->hash) = old[i];
    free(old);
}

sandbox_resource_t *sandbox_find(const sandbox_store_t *store, const char *key, apr_size_t len)
{
    return *slot_of(store, key, len, hash_bytes(key, len, 1));
}

sandbox_resource_t *sandbox_twin(sandbox_store_t *store, const char *key, apr_size_t len)
{
    sandbox_resource_t *res = sandbox_alloc(store, sizeof(*res));
    const char *slash;

    memset(res, 0, sizeof(*res));
    res->key = sandbox_keep(store, key, len);
    res->key_len = (apr_uint32_t)len;
    res->hash = hash_bytes(key, len, 1);
    slash = memchr(key, '/', len);
    res->type_len = (apr_uint32_t)(slash ? (apr_size_t)(slash - key) : len);
    return res;
}

sandbox_resource_t *sandbox_intern(sandbox_store_t *store, const char *key, apr_size_t len)
{
    sandbox_resource_t **slot = slot_of(store, key, len, hash_bytes(key, len, 1)), *res = *slot;

    if (res) return res;
    res = *slot = sandbox_twin(store, key, len);
    if (++store->table_used > store->table_mask / 2) grow_table(store);
    return res;
}

void sandbox_list_add(sandbox_list_t *list, sandbox_resource_t *res)
{
    if (list->count == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 64;
        list->items = must(realloc(list->items, list->cap * sizeof(*list->items)));
    }
    list->items[list->count++] = res;
}

int sandbox_put(sandbox_store_t *store, sandbox_resource_t *res, const char *bytes, apr_size_t len,
                apr_time_t at)
{
    const sandbox_version_t *now = res->now;
    sandbox_version_t *version;

    if (now && now->bytes && bytes && now->len == len && memcmp(now->bytes, bytes, len) == 0) return 0;
    if (!bytes && !sandbox_lives(res)) return 0;
    if (!now) {
        res->order = (apr_uint32_t)store->all.count;
        sandbox_list_add(&store->all, res);
        if (sandbox_res_type_is(res, "Subscription")) sandbox_list_add(&store->subscriptions, res);
    }
    version = sandbox_alloc(store, sizeof(*version));
    *version = (sandbox_version_t){.prev = now, .bytes = bytes, .len = len, .number = now ? now->number + 1 : 1, .at = at};
    res->now = version;
    store->change++;
    return 1;
}

static apr_uint32_t ident_hash(sandbox_str_t value)
{
    return hash_bytes(value.p, value.n, 2);
}

static void grow_idents(sandbox_store_t *store)
{
    sandbox_ident_node_t **old = store->idents;
    apr_uint32_t count = store->ident_mask + 1;

    store->ident_mask = count * 4 - 1;
    store->idents = must(calloc((apr_size_t)count * 4, sizeof(*old)));
    for (apr_uint32_t i = 0; i < count; i++) {
        for (sandbox_ident_node_t *node = old[i], *next; node; node = next) {
            next = node->next;
            node->next = store->idents[node->hash & store->ident_mask];
            store->idents[node->hash & store->ident_mask] = node;
        }
    }
    free(old);
}

static int same(sandbox_str_t a, sandbox_str_t b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Looks for itself among the newest only: an identifier that thousands share ("0") must not cost a walk through all. */
void sandbox_ident_add(sandbox_store_t *store, sandbox_resource_t *res, sandbox_str_t system,
                       sandbox_str_t value)
{
    apr_uint32_t hash = ident_hash(value);
    sandbox_ident_node_t *node = store->idents[hash & store->ident_mask];

    for (int i = 0; node && i < 16; node = node->next, i++)
        if (node->res == res && same(node->system, system) && same(node->value, value)) return;
    node = sandbox_alloc(store, sizeof(*node));
    node->res = res;
    node->system = (sandbox_str_t){sandbox_keep(store, system.p ? system.p : "", system.n), system.n};
    node->value = (sandbox_str_t){sandbox_keep(store, value.p, value.n), value.n};
    node->hash = hash;
    node->next = store->idents[hash & store->ident_mask];
    store->idents[hash & store->ident_mask] = node;
    if (++store->ident_used > store->ident_mask) grow_idents(store);
}

static int node_fits(const sandbox_ident_node_t *node, sandbox_str_t system, sandbox_str_t value)
{
    return same(node->value, value) && (!system.p || same(node->system, system)) && sandbox_lives(node->res);
}

int sandbox_ident_find(const sandbox_store_t *store, sandbox_str_t type, sandbox_str_t system,
                       sandbox_str_t value,
                       sandbox_resource_t **first)
{
    const sandbox_ident_node_t *node = store->idents[ident_hash(value) & store->ident_mask];
    int count = 0;

    *first = NULL;
    for (; node; node = node->next) {
        if (!node_fits(node, system, value)) continue;
        if (node->res->type_len != type.n || memcmp(node->res->key, type.p, type.n) != 0) continue;
        if (node->res == *first) continue;
        if (!*first) *first = node->res;
        count++;
    }
    return count;
}

int sandbox_res_has_ident(const sandbox_store_t *store, const sandbox_resource_t *res, sandbox_str_t system,
                          sandbox_str_t value)
{
    const sandbox_ident_node_t *node = store->idents[ident_hash(value) & store->ident_mask];

    for (; node; node = node->next)
        if (node->res == res && node_fits(node, system, value)) return 1;
    return 0;
}
