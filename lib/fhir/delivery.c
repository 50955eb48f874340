/* SPDX-License-Identifier: Apache-2.0 */
/* Reading deliveries, whatever server they come from. */
#include "fhir/delivery.h"

#include <string.h>
#include <apr_hash.h>
#include <apr_strings.h>

#include "base/json.h"
#include "base/uri.h"

typedef struct reader_t {
    apr_pool_t *pool;
    apr_hash_t *seen;
    apr_array_header_t *ids;
    int look; /* more is to be found than the ids tell */
} reader_t;

static void add(reader_t *reader, const char *id, apr_size_t len)
{
    if (apr_hash_get(reader->seen, id, (apr_ssize_t)len)) return;
    if (reader->ids->nelts == P2P_DELIVERY_IDS) {
        reader->look = 1;
        return;
    }
    id = apr_pstrmemdup(reader->pool, id, len);
    apr_hash_set(reader->seen, id, (apr_ssize_t)len, "");
    APR_ARRAY_PUSH(reader->ids, const char *) = id;
}

/* The id of "Task/ID", with anything before its own slash, and a version or a query behind; 0 where it is none. */
static int add_of_url(reader_t *reader, const char *url)
{
    const char *id = NULL;
    apr_size_t len;

    for (const char *at = url; at && *at && *at != '?'; at = strchr(at, '/') ? strchr(at, '/') + 1 : NULL)
        if (!strncmp(at, "Task/", 5)) id = at + 5;
    if (!id) return 0;
    len = strcspn(id, "/?#");
    if (!p2p_is_fhir_id(id, len)) return 0;
    add(reader, id, len);
    return 1;
}

static int add_task(reader_t *reader, json_object *resource)
{
    const char *type = p2p_json_str(resource, "resourceType"), *id = p2p_json_str(resource, "id");

    if (!type || strcmp(type, "Task") || !id || !p2p_is_fhir_id(id, strlen(id))) return 0;
    add(reader, id, strlen(id));
    return 1;
}

static void add_entry(reader_t *reader, json_object *entry)
{
    const char *url = p2p_json_str(p2p_json_obj(entry, "request"), "url"), *full_url = p2p_json_str(entry, "fullUrl");

    if (add_task(reader, p2p_json_obj(entry, "resource"))) return;
    if (url && add_of_url(reader, url)) return;
    if (full_url) add_of_url(reader, full_url);
}

static void read_bundle(reader_t *reader, json_object *bundle, p2p_delivery_form_t *form)
{
    json_object *entries = p2p_json_arr(bundle, "entry");
    const char *type = p2p_json_str(bundle, "type");

    *form = type && !strcmp(type, "batch") ? P2P_DELIVERY_BATCH : P2P_DELIVERY_TRANSACTION;
    for (apr_size_t i = 0; entries && i < json_object_array_length(entries); i++) {
        json_object *entry = json_object_array_get_idx(entries, i);

        if (json_object_is_type(entry, json_type_object)) add_entry(reader, entry);
    }
}

static void read_body(reader_t *reader, const char *body, apr_size_t len, p2p_delivery_form_t *form)
{
    json_object *doc;
    const char *type;

    if (p2p_json_parse(reader->pool, body, len, &doc) || !json_object_is_type(doc, json_type_object)) return;
    type = p2p_json_str(doc, "resourceType");
    if (type && !strcmp(type, "Bundle")) read_bundle(reader, doc, form);
    else add_task(reader, doc);
}

/* "/Task/ID", and what HAPI may put behind it. */
static int add_of_path(reader_t *reader, const char *path)
{
    return !strncmp(path, "/Task/", 6) && add_of_url(reader, path + 1);
}

void p2p_delivery_read(apr_pool_t *p, const char *path, const char *deleted, const char *body, apr_size_t len, int is_cut, p2p_delivery_t *delivery)
{
    reader_t reader = { .pool = p, .seen = apr_hash_make(p), .ids = apr_array_make(p, 4, sizeof(char *)) };
    int named = add_of_path(&reader, path);

    delivery->form = P2P_DELIVERY_RESOURCE;
    if (deleted) named |= add_of_url(&reader, deleted);
    if (!named && !is_cut && len) read_body(&reader, body, len, &delivery->form);
    if (!reader.ids->nelts || reader.look) APR_ARRAY_PUSH(reader.ids, const char *) = "";
    delivery->ids = reader.ids;
}
