/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks and Subscriptions as a server keeps them: their meta, and what searches ask of them. */
#include "told.h"

int sandbox_has_meta(const sandbox_resource_t *res)
{
    return !res->kept_for && (sandbox_res_type_is(res, "Task") || sandbox_res_type_is(res, "Subscription"));
}

json_object *sandbox_read_json(const char *bytes, apr_size_t len)
{
    struct json_tokener *tokener = json_tokener_new_ex(128);
    json_object *object = json_tokener_parse_ex(tokener, bytes, (int)len);

    json_tokener_free(tokener);
    return object;
}

static json_object *member(json_object *object, const char *path)
{
    json_object *value = object;
    char name[64];

    while (value && *path) {
        apr_size_t len = strcspn(path, ".");

        apr_snprintf(name, sizeof(name), "%.*s", (int)len, path);
        path += path[len] ? len + 1 : len;
        if (!json_object_is_type(value, json_type_object) || !json_object_object_get_ex(value, name, &value)) return NULL;
    }
    return value;
}

const char *sandbox_member(json_object *object, const char *path)
{
    json_object *value = member(object, path);

    return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
}

sandbox_str_t sandbox_meta_drop(sandbox_store_t *store, sandbox_str_t bytes)
{
    json_object *object = sandbox_read_json(bytes.p, bytes.n), *meta = member(object, "meta");
    const char *text;

    if (*sandbox_member(meta, "versionId") || *sandbox_member(meta, "lastUpdated")) {
        json_object_object_del(meta, "versionId");
        json_object_object_del(meta, "lastUpdated");
        if (!json_object_object_length(meta)) json_object_object_del(object, "meta");
        text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
        bytes = (sandbox_str_t){sandbox_keep(store, text, strlen(text)), strlen(text)};
    }
    json_object_put(object);
    return bytes;
}

void sandbox_meta_add(p2p_buf_t *buf, const sandbox_version_t *version)
{
    json_object *object = sandbox_read_json(version->bytes, version->len), *meta = member(object, "meta");
    char number[16];
    p2p_buf_t at;

    if (!json_object_is_type(meta, json_type_object)) {
        meta = json_object_new_object();
        json_object_object_add(object, "meta", meta);
    }
    p2p_buf_init(&at, 64);
    sandbox_add_time(&at, version->at);
    apr_snprintf(number, sizeof(number), "%u", version->number);
    json_object_object_add(meta, "versionId", json_object_new_string(number));
    json_object_object_add(meta, "lastUpdated", json_object_new_string(at.data));
    p2p_buf_puts(buf, json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    p2p_buf_free(&at);
    json_object_put(object);
}

void sandbox_out_version(sandbox_out_t *out, const sandbox_resource_t *res, const sandbox_version_t *version)
{
    if (sandbox_has_meta(res)) sandbox_meta_add(&out->buf, version);
    else sandbox_out_stored(out, version->bytes, version->len);
}

/* SYSTEM|CODE, |CODE, SYSTEM| or CODE against one coding. */
static int token_is(const char *token, const char *system, const char *code)
{
    const char *bar = strrchr(token, '|');

    if (!bar) return strcmp(token, code) == 0;
    if (strlen(system) != (apr_size_t)(bar - token) || memcmp(system, token, strlen(system)) != 0) return 0;
    return !bar[1] || strcmp(bar + 1, code) == 0;
}

static int has_token(json_object *concept, const char *token)
{
    json_object *coding = member(concept, "coding");

    for (apr_size_t i = 0; json_object_is_type(coding, json_type_array) && i < json_object_array_length(coding); i++) {
        json_object *one = json_object_array_get_idx(coding, i);

        if (token_is(token, sandbox_member(one, "system"), sandbox_member(one, "code"))) return 1;
    }
    return 0;
}

/* Type/id at the end of a reference, or the id alone. */
static int is_reference(const char *reference, const char *value)
{
    apr_size_t len = strlen(reference), tail = strlen(value);

    if (!tail || len < tail || strcmp(reference + len - tail, value) != 0) return 0;
    return len == tail || reference[len - tail - 1] == '/';
}

typedef enum { BY_CONCEPT, BY_CODE, BY_REFERENCE } sandbox_param_kind_t;

static const struct {
    const char *type, *name, *path;
    sandbox_param_kind_t kind;
} params[] = {{"Task", "code", "code", BY_CONCEPT}, {"Task", "status", "status", BY_CODE}, {"Task", "intent", "intent", BY_CODE},
              {"Task", "requester", "requester.reference", BY_REFERENCE}, {"Task", "owner", "owner.reference", BY_REFERENCE},
              {"Subscription", "url", "channel.endpoint", BY_CODE}, {"Subscription", "status", "status", BY_CODE},
              {"Subscription", "type", "channel.type", BY_CODE}, {"Subscription", "criteria", "criteria", BY_CODE}};

/* One of the alternatives that the value lists. */
static int fits_any(json_object *object, apr_size_t param, char *values)
{
    char *state = NULL;

    for (char *value = apr_strtok(values, ",", &state); value; value = apr_strtok(NULL, ",", &state)) {
        if (params[param].kind == BY_CONCEPT && has_token(member(object, params[param].path), value)) return 1;
        if (params[param].kind == BY_CODE && strcmp(sandbox_member(object, params[param].path), value) == 0) return 1;
        if (params[param].kind == BY_REFERENCE && is_reference(sandbox_member(object, params[param].path), value)) return 1;
    }
    return 0;
}

int sandbox_told_fits(apr_pool_t *pool, const char *type, const sandbox_version_t *version, const char *args)
{
    json_object *object = NULL;
    const char *value;
    int fits = 1;

    for (apr_size_t i = 0; fits && i < sizeof(params) / sizeof(params[0]); i++) {
        if (strcmp(params[i].type, type) != 0) continue;
        value = sandbox_param(pool, args, params[i].name);
        if (!value) continue;
        if (!object) object = sandbox_read_json(version->bytes, version->len);
        fits = fits_any(object, i, apr_pstrdup(pool, value));
    }
    json_object_put(object);
    return fits;
}
