/* SPDX-License-Identifier: Apache-2.0 */
/* A resource's bytes with its splices. */
#include "exchange/resource.h"

#include <stdlib.h>
#include <string.h>

/* Texts within the block came with it; others were made later. */
static int in_block(const p2p_resource_t *resource, const char *text)
{
    const char *begin = (const char *)resource;

    return text >= begin && text < begin + resource->size;
}

/* A block: the resource, its links, splices, their texts, bytes and a NUL, its source id. */
typedef struct shape_t {
    unsigned links, splices;
    apr_size_t text_len, len, id_len;
} shape_t;

static apr_size_t size_before_bytes(const shape_t *shape)
{
    return sizeof(p2p_resource_t) + shape->links * sizeof(p2p_link_t) + shape->splices * sizeof(p2p_splice_t) + shape->text_len;
}

static p2p_resource_t *lay_out(void *block, const shape_t *shape, const p2p_resource_t *head, const p2p_link_t *links, char **texts,
                               char **bytes)
{
    p2p_resource_t *resource = block;
    char *id;

    *resource = *head;
    resource->size = size_before_bytes(shape) + shape->len + 1 + shape->id_len;
    resource->self = resource;
    resource->links = (p2p_link_t *)(resource + 1);
    resource->link_count = shape->links;
    if (shape->links) memcpy(resource->links, links, shape->links * sizeof *links);
    resource->splices = (p2p_splice_t *)(void *)(resource->links + shape->links);
    resource->splice_count = shape->splices;
    *texts = (char *)(resource->splices + shape->splices);
    *bytes = *texts + shape->text_len;
    (*bytes)[shape->len] = '\0';
    resource->bytes = *bytes;
    resource->len = shape->len;
    id = *bytes + shape->len + 1;
    resource->source_id = memcpy(id, head->source_id, shape->id_len);
    return resource;
}

p2p_resource_t *p2p_resource_make(const p2p_resource_t *head, const p2p_link_t *links, unsigned link_count,
                                  unsigned splice_count, apr_size_t text_len, apr_size_t len, char **texts, char **bytes)
{
    shape_t shape = {link_count, splice_count, text_len, len, strlen(head->source_id) + 1};
    void *block = malloc(size_before_bytes(&shape) + len + 1 + shape.id_len);

    if (!block) abort();
    return lay_out(block, &shape, head, links, texts, bytes);
}

p2p_resource_t *p2p_resource_make_in(char *block, apr_size_t offset, const p2p_resource_t *head, const p2p_link_t *links,
                                     unsigned link_count, unsigned splice_count, apr_size_t text_len, apr_size_t len, char **texts)
{
    shape_t shape = {link_count, splice_count, text_len, len, strlen(head->source_id) + 1};
    apr_size_t begin = size_before_bytes(&shape), size = begin + len + 1 + shape.id_len;
    char *bytes;

    if (size < offset + len) memmove(block + begin, block + offset, len); /* before what it leaves is given back */
    block = realloc(block, size);
    if (!block) abort();
    if (size >= offset + len) memmove(block + begin, block + offset, len);
    return lay_out(block, &shape, head, links, texts, &bytes);
}

p2p_resource_t *p2p_resource_own(struct p2p_landing_t *landing, unsigned type, const unsigned char *digest, const char *bytes,
                                 apr_size_t len)
{
    p2p_resource_t head = {0}, *resource;
    char *texts, *to;

    head.landing = landing;
    head.type = type;
    head.source_id = "";
    memcpy(head.digest, digest, P2P_DIGEST_BYTES);
    resource = p2p_resource_make(&head, NULL, 0, 0, 0, len, &texts, &to);
    memcpy(to, bytes, len);
    return resource;
}

#define ID_MEMBER (sizeof ",\"id\":\"\"" - 1 + P2P_RESOURCE_ID_LEN)

/* A splice that leaves len bytes at a place as they are. */
static char *keep(p2p_splice_t *splice, const char *bytes, apr_size_t at, apr_size_t len, char *texts)
{
    *splice = (p2p_splice_t){at, len, texts, len};
    memcpy(texts, bytes + at, len);
    return texts + len;
}

p2p_resource_t *p2p_resource_own_open(struct p2p_landing_t *landing, unsigned type, const unsigned char *digest, const char *bytes,
                                      apr_size_t len, apr_size_t id_at, const apr_size_t *refs, unsigned ref_count)
{
    p2p_resource_t head = {0}, *resource;
    p2p_link_t *links = calloc(ref_count + 1, sizeof *links);
    char *texts, *to;
    unsigned i;

    if (!links) abort();
    head.landing = landing;
    head.type = type;
    head.source_id = "";
    memcpy(head.digest, digest, P2P_DIGEST_BYTES);
    for (i = 0; i < ref_count; i++) {
        links[i].key = p2p_id_text_key(bytes + refs[i]);
        links[i].splice = i + 1;
    }
    resource = p2p_resource_make(&head, links, ref_count, ref_count + 1, ID_MEMBER + ref_count * P2P_RESOURCE_ID_LEN, len, &texts, &to);
    free(links);
    memcpy(to, bytes, len);
    texts = keep(&resource->splices[0], bytes, id_at, ID_MEMBER, texts);
    for (i = 0; i < ref_count; i++) texts = keep(&resource->splices[i + 1], bytes, refs[i], P2P_RESOURCE_ID_LEN, texts);
    return resource;
}

p2p_resource_t *p2p_resource_copy(const p2p_resource_t *resource)
{
    apr_size_t text_len = 0;
    p2p_resource_t *copy;
    char *texts, *bytes;
    unsigned i;

    for (i = 0; i < resource->splice_count; i++) text_len += resource->splices[i].len;
    copy = p2p_resource_make(resource, resource->links, resource->link_count, resource->splice_count, text_len, resource->len, &texts,
                             &bytes);
    memcpy(bytes, resource->bytes, resource->len);
    for (i = 0; i < copy->splice_count; i++) {
        p2p_splice_t *splice = &copy->splices[i];

        *splice = resource->splices[i];
        splice->text = splice->len ? memcpy(texts, splice->text, splice->len) : NULL;
        texts += splice->len;
    }
    return copy;
}

/* ---- Spool ---- */

static void *moved(const void *pointer, const char *from, char *to)
{
    return pointer ? to + ((const char *)pointer - from) : NULL;
}

/* The block lies at another place than when its pointers were right. */
static void relocate(p2p_resource_t *resource)
{
    const char *from = (const char *)resource->self;
    char *to = (char *)resource;
    unsigned i;

    resource->links = moved(resource->links, from, to);
    resource->splices = moved(resource->splices, from, to);
    resource->bytes = moved(resource->bytes, from, to);
    resource->source_id = moved(resource->source_id, from, to);
    for (i = 0; i < resource->splice_count; i++) resource->splices[i].text = moved(resource->splices[i].text, from, to);
    resource->self = resource;
}

static int has_later_texts(const p2p_resource_t *resource)
{
    unsigned i;

    for (i = 0; i < resource->splice_count; i++) {
        if (resource->splices[i].text && !in_block(resource, resource->splices[i].text)) return 1;
    }
    return 0;
}

int p2p_resource_put(p2p_resource_t *resource, p2p_spool_t *spool, apr_pool_t *p, apr_int64_t *at, apr_size_t *size,
                     p2p_error_t **error)
{
    p2p_resource_t *whole = resource;

    if (p2p_spool_has_room(spool, resource->size) && has_later_texts(resource)) whole = p2p_resource_copy(resource);
    *error = p2p_spool_put(spool, p, whole, whole->size, at);
    *size = whole->size;
    if (whole != resource) p2p_resource_free(whole);
    if (*error) return 0;
    p2p_resource_free(resource);
    return 1;
}

p2p_error_t *p2p_resource_get(p2p_spool_t *spool, apr_pool_t *p, apr_int64_t at, apr_size_t size, p2p_resource_t **resource)
{
    p2p_error_t *error;

    *resource = malloc(size);
    if (!*resource) abort();
    error = p2p_spool_get(spool, p, at, *resource, size);
    if (!error) {
        relocate(*resource);
        p2p_spool_drop(spool, at, size);
        return NULL;
    }
    free(*resource);
    *resource = NULL;
    return error;
}

void p2p_resource_free(p2p_resource_t *resource)
{
    unsigned i;

    if (!resource) return;
    for (i = 0; i < resource->splice_count; i++) {
        const char *text = resource->splices[i].text;

        if (text && !in_block(resource, text)) free((char *)text);
    }
    free(resource);
}

void p2p_resource_set_splice(p2p_resource_t *resource, unsigned splice, apr_size_t at, apr_size_t cut, const char *text,
                             apr_size_t len)
{
    p2p_splice_t *s = &resource->splices[splice];
    char *copy = NULL;

    if (len) {
        copy = malloc(len);
        if (!copy) abort();
        memcpy(copy, text, len);
    }
    if (s->text && !in_block(resource, s->text)) free((char *)s->text);
    s->at = at;
    s->cut = cut;
    s->text = copy;
    s->len = len;
}

apr_uint64_t p2p_resource_length(const p2p_resource_t *resource)
{
    apr_uint64_t length = resource->len;
    unsigned i;

    for (i = 0; i < resource->splice_count; i++) length += resource->splices[i].len - resource->splices[i].cut;
    return length;
}

const char *p2p_resource_piece(const p2p_resource_t *resource, unsigned i, apr_size_t *len)
{
    const p2p_splice_t *s = &resource->splices[i / 2];
    apr_size_t begin, end;

    if (i % 2) {
        *len = s->len;
        return s->text;
    }
    begin = i ? s[-1].at + s[-1].cut : 0;
    end = i / 2 < resource->splice_count ? s->at : resource->len;
    *len = end - begin;
    return resource->bytes + begin;
}
