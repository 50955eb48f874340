/* SPDX-License-Identifier: Apache-2.0 */
/* Loading Synthea's transaction Bundles, NDJSON, recorded Bundles and single resources. */
#include <apr_file_info.h>
#include <zlib.h>
#include "sandbox.h"

/* Files up to this size altogether are kept for a reset: the child may not be allowed to read them. */
#define KEPT_MAX ((apr_size_t)64 << 20)

typedef struct sandbox_file_t {
    const char *path;
    p2p_buf_t buf;
} sandbox_file_t;

typedef struct sandbox_loader_t {
    sandbox_payer_t *payer;
    sandbox_store_t *store;
    apr_pool_t *pool, *scratch; /* scratch is cleared after each document */
    sandbox_resource_t *patient; /* the file's Patient */
    int patients, count;
    apr_array_header_t *files; /* sandbox_file_t */
    apr_size_t kept;
} sandbox_loader_t;

static void loader_apply(sandbox_loader_t *loader, sandbox_apply_t *apply, sandbox_doc_t *doc)
{
    memset(apply, 0, sizeof(*apply));
    apply->payer = loader->payer;
    apply->store = loader->store;
    apply->pool = loader->scratch;
    apply->doc = doc;
    apply->txn = loader->store->next_txn++;
    apply->loading = 1;
    apply->at = sandbox_now(loader->payer);
}

static void note(sandbox_loader_t *loader, sandbox_resource_t *res)
{
    loader->count++;
    if (!sandbox_res_type_is(res, "Patient") || loader->patient == res) return;
    loader->patient = res;
    loader->patients++;
}

/* The id is the resource's own, else that of its urn:uuid, else one of ours. */
static sandbox_str_t id_for(sandbox_loader_t *loader, const sandbox_entry_t *entry)
{
    sandbox_str_t id = entry->id;

    if (id.n) return id;
    if (entry->full_url.n > 9 && memcmp(entry->full_url.p, "urn:uuid:", 9) == 0)
        return (sandbox_str_t){entry->full_url.p + 9, entry->full_url.n - 9};
    id.p = apr_psprintf(loader->scratch, "sandbox-%u", loader->store->next_id++);
    id.n = strlen(id.p);
    return id;
}

static const char *load_entries(sandbox_loader_t *loader, sandbox_doc_t *doc)
{
    sandbox_op_t *ops = apr_pcalloc(loader->scratch, sizeof(*ops) * (apr_size_t)(doc->entry_count + 1));
    sandbox_apply_t apply;

    loader_apply(loader, &apply, doc);
    apply.urns = apr_hash_make(loader->scratch);
    for (int i = 0; i < doc->entry_count; i++) {
        sandbox_entry_t *entry = ops[i].entry = &doc->entries[i];

        if (!entry->type.n) return "an entry has no resource with a resourceType";
        ops[i].verb = SANDBOX_VERB_PUT;
        ops[i].type = entry->type;
        ops[i].id = id_for(loader, entry);
        sandbox_op_resolve(&apply, &ops[i]);
        if (entry->full_url.n)
            apr_hash_set(apply.urns, entry->full_url.p, (apr_ssize_t)entry->full_url.n, &ops[i]);
    }
    for (int i = 0; i < doc->entry_count; i++) {
        sandbox_op_check(&apply, &ops[i]);
        sandbox_op_do(&apply, &ops[i]);
        note(loader, ops[i].res);
        if (loader->payer->keep_urn && ops[i].entry->full_url.n)
            ops[i].res->full_url = (sandbox_str_t){sandbox_keep(loader->store, ops[i].entry->full_url.p,
                                                                ops[i].entry->full_url.n),
                                                   ops[i].entry->full_url.n};
    }
    return NULL;
}

static sandbox_str_t keep(sandbox_loader_t *loader, sandbox_str_t s)
{
    if (s.n) s.p = sandbox_keep(loader->store, s.p, s.n);
    return s;
}

static sandbox_resource_t *keep_entry(sandbox_loader_t *loader, sandbox_apply_t *apply,
                                      sandbox_entry_t *entry)
{
    sandbox_op_t op = {.entry = entry};
    sandbox_str_t id = id_for(loader, entry);
    const char *key = apr_psprintf(loader->scratch, "%.*s/%.*s", (int)entry->type.n, entry->type.p, (int)id.n,
                                   id.p);
    sandbox_resource_t *res = sandbox_intern(loader->store, key, strlen(key));

    if (sandbox_lives(res)) res = sandbox_twin(loader->store, key, strlen(key));
    res->without_id = !entry->id.n;
    res->full_url = keep(loader, entry->full_url);
    res->search = keep(loader, entry->search);
    for (int i = 0; i < entry->ref_count; i++)
        sandbox_ref_resolve(apply, &op, &apply->doc->refs[entry->first_ref + i]);
    sandbox_put(loader->store, res, sandbox_keep(loader->store, entry->bytes.p, entry->bytes.n),
                entry->bytes.n, apply->at);
    sandbox_links(apply, entry, res);
    note(loader, res);
    return res;
}

/* A recorded answer: its entries stay as they are, twice the same and other people's included. */
static const char *load_kept(sandbox_loader_t *loader, sandbox_doc_t *doc)
{
    apr_size_t size = sizeof(sandbox_resource_t *) * (apr_size_t)(doc->entry_count + 1);
    sandbox_resource_t *patient = NULL, **kept = apr_palloc(loader->scratch, size);
    sandbox_apply_t apply;

    loader_apply(loader, &apply, doc);
    for (int i = 0; i < doc->entry_count; i++) {
        if (!doc->entries[i].type.n) return "an entry has no resource with a resourceType";
        kept[i] = keep_entry(loader, &apply, &doc->entries[i]);
        if (!patient && sandbox_res_type_is(kept[i], "Patient")) patient = kept[i];
    }
    for (int i = 0; i < doc->entry_count; i++) kept[i]->kept_for = patient;
    return NULL;
}

static const char *load_document(sandbox_loader_t *loader, const char *bytes, apr_size_t len)
{
    sandbox_doc_t doc;
    const char *fault = sandbox_parse(&doc, loader->scratch, bytes, len, 1);

    if (fault) return fault;
    if (sandbox_is(doc.type, "Bundle")) {
        if (sandbox_is(doc.bundle_type, "transaction") || sandbox_is(doc.bundle_type, "batch"))
            return load_entries(loader, &doc);
        if (sandbox_is(doc.bundle_type, "collection") || sandbox_is(doc.bundle_type, "searchset"))
            return load_kept(loader, &doc);
    }
    fault = sandbox_parse(&doc, loader->scratch, bytes, len, 0);
    return fault ? fault : load_entries(loader, &doc);
}

static const char *load_line(sandbox_loader_t *loader, const char *bytes, apr_size_t len)
{
    sandbox_doc_t doc;
    const char *fault = sandbox_parse(&doc, loader->scratch, bytes, len, 0);

    if (!fault) fault = load_entries(loader, &doc);
    apr_pool_clear(loader->scratch);
    return fault;
}

static const char *load_lines(sandbox_loader_t *loader, const char *bytes, apr_size_t len)
{
    const char *end = bytes + len, *stop, *fault;
    int line = 1;

    for (; bytes < end; bytes = stop + 1, line++) {
        stop = memchr(bytes, '\n', (apr_size_t)(end - bytes));
        if (!stop) stop = end;
        if (stop == bytes) continue;
        fault = load_line(loader, bytes, (apr_size_t)(stop - bytes));
        if (fault) return apr_psprintf(loader->pool, "line %d: %s", line, fault);
    }
    return NULL;
}

/* What names nobody belongs to the file's only Patient. */
static void settle(sandbox_loader_t *loader, apr_size_t from)
{
    if (loader->patients != 1) return;
    for (apr_size_t i = from; i < loader->store->all.count; i++) {
        sandbox_resource_t *res = loader->store->all.items[i];

        if (!res->member && !sandbox_shared(res) && !sandbox_res_type_is(res, "Patient"))
            res->member = loader->patient;
    }
}

static const char *slurp(const char *path, p2p_buf_t *buf)
{
    gzFile file = gzopen(path, "rb");
    int got = 0;

    p2p_buf_init(buf, (apr_size_t)8 << 30);
    if (!file) return "cannot be opened";
    gzbuffer(file, 1 << 18);
    do {
        if (!p2p_buf_reserve(buf, 1 << 20)) break;
        got = gzread(file, buf->data + buf->len, 1 << 20);
        if (got > 0) buf->len += (apr_size_t)got;
    } while (got > 0);
    return gzclose_r(file) == Z_OK && !buf->overflow && got == 0 ? NULL : "cannot be read";
}

static const char *load_bytes(sandbox_loader_t *loader, const char *path, const p2p_buf_t *buf)
{
    apr_size_t from = loader->store->all.count;
    const char *fault;

    loader->patients = 0;
    loader->patient = NULL;
    if (strstr(path, ".ndjson")) fault = load_lines(loader, buf->data, buf->len);
    else fault = load_document(loader, buf->data, buf->len);
    settle(loader, from);
    apr_pool_clear(loader->scratch);
    return fault ? apr_psprintf(loader->pool, "%s: %s", path, fault) : NULL;
}

static void keep_file(sandbox_loader_t *loader, const char *path, p2p_buf_t *buf)
{
    loader->kept += buf->len;
    if (loader->kept > KEPT_MAX) {
        p2p_buf_free(buf);
        return;
    }
    APR_ARRAY_PUSH(loader->files, sandbox_file_t) = (sandbox_file_t){apr_pstrdup(loader->pool, path), *buf};
}

static const char *load_file(sandbox_loader_t *loader, const char *path)
{
    p2p_buf_t buf;
    const char *fault = slurp(path, &buf);

    if (fault) {
        p2p_buf_free(&buf);
        return apr_psprintf(loader->pool, "%s: %s", path, fault);
    }
    fault = load_bytes(loader, path, &buf);
    keep_file(loader, path, &buf);
    return fault;
}

static int ends(const char *name, const char *suffix)
{
    apr_size_t len = strlen(name), tail = strlen(suffix);

    return len > tail && strcmp(name + len - tail, suffix) == 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *load_folder(sandbox_loader_t *loader, const char *path)
{
    apr_array_header_t *names = apr_array_make(loader->pool, 64, sizeof(char *));
    apr_finfo_t info;
    apr_dir_t *dir;
    const char *fault = NULL;

    if (apr_dir_open(&dir, path, loader->pool) != APR_SUCCESS)
        return apr_psprintf(loader->pool, "%s: cannot be opened", path);
    while (apr_dir_read(&info, APR_FINFO_NAME, dir) == APR_SUCCESS)
        if (ends(info.name, ".json") || ends(info.name, ".json.gz") || ends(info.name, ".ndjson") ||
            ends(info.name, ".ndjson.gz"))
            APR_ARRAY_PUSH(names, const char *) = apr_pstrcat(loader->pool, path, "/", info.name, NULL);
    apr_dir_close(dir);
    qsort(names->elts, (size_t)names->nelts, sizeof(char *), by_name);
    for (int i = 0; i < names->nelts && !fault; i++)
        fault = load_file(loader, APR_ARRAY_IDX(names, i, const char *));
    return fault;
}

static const char *load_paths(sandbox_loader_t *loader)
{
    const apr_array_header_t *data = loader->payer->data;
    const char *fault = NULL;
    apr_finfo_t info;

    for (int i = 0; i < data->nelts && !fault; i++) {
        const char *path = APR_ARRAY_IDX(data, i, const char *);

        if (apr_stat(&info, path, APR_FINFO_TYPE, loader->pool) == APR_SUCCESS && info.filetype == APR_DIR)
            fault = load_folder(loader, path);
        else fault = load_file(loader, path);
    }
    return fault;
}

static const char *load_kept_files(sandbox_loader_t *loader)
{
    const apr_array_header_t *files = loader->payer->files;
    const char *fault = NULL;

    for (int i = 0; i < files->nelts && !fault; i++) {
        const sandbox_file_t *file = &APR_ARRAY_IDX(files, i, sandbox_file_t);

        fault = load_bytes(loader, file->path, &file->buf);
    }
    return fault;
}

const char *sandbox_load_all(sandbox_payer_t *payer, sandbox_store_t *store, apr_pool_t *pool)
{
    sandbox_loader_t loader = {.payer = payer, .store = store, .pool = pool};
    const char *fault;

    apr_pool_create(&loader.scratch, pool);
    if (payer->files) {
        fault = load_kept_files(&loader);
    } else {
        loader.files = apr_array_make(pool, 8, sizeof(sandbox_file_t));
        fault = load_paths(&loader);
        for (int i = 0; loader.kept > KEPT_MAX && i < loader.files->nelts; i++)
            p2p_buf_free(&APR_ARRAY_IDX(loader.files, i, sandbox_file_t).buf);
        if (loader.kept <= KEPT_MAX && payer->store == store) payer->files = loader.files;
    }
    apr_pool_destroy(loader.scratch);
    return fault;
}

const char *sandbox_load_ndjson(sandbox_payer_t *payer, sandbox_store_t *store, apr_pool_t *pool,
                                const char *bytes,
                                apr_size_t len, int *count)
{
    sandbox_loader_t loader = {.payer = payer, .store = store, .pool = pool};
    apr_size_t from = store->all.count;
    const char *fault;

    apr_pool_create(&loader.scratch, pool);
    fault = load_lines(&loader, bytes, len);
    settle(&loader, from);
    apr_pool_destroy(loader.scratch);
    *count = loader.count;
    return fault;
}
