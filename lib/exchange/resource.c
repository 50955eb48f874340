/* SPDX-License-Identifier: Apache-2.0 */
/* A resource's bytes with its splices. */
#include "exchange/resource.h"

#include <stdlib.h>
#include <string.h>

/* Texts within the payload came with it; others were made later. */
static int in_payload(const p2p_resource_t *resource, const char *text)
{
    const char *begin = (const char *)resource->splices;

    return text >= begin && text < begin + resource->payload_size;
}

static void *need(apr_size_t size)
{
    void *memory = calloc(1, size);

    if (!memory) abort();
    return memory;
}

p2p_resource_t *p2p_resource_make(const p2p_resource_t *head, const p2p_link_t *links, unsigned link_count,
                                  unsigned splice_count, apr_size_t text_len, apr_size_t len, char **texts, char **bytes)
{
    apr_size_t id_len = strlen(head->source_id) + 1, links_size = link_count * sizeof *links;
    p2p_resource_t *resource = need(sizeof *resource + links_size + id_len);
    char *id = (char *)(resource + 1) + links_size;

    *resource = *head;
    resource->links = (p2p_link_t *)(resource + 1);
    resource->link_count = link_count;
    if (links_size) memcpy(resource->links, links, links_size);
    resource->source_id = memcpy(id, head->source_id, id_len);
    resource->payload_size = splice_count * sizeof(p2p_splice_t) + text_len + len + 1; /* never of no size */
    resource->splices = malloc(resource->payload_size);
    if (!resource->splices) abort();
    resource->splice_count = splice_count;
    *texts = (char *)(resource->splices + splice_count);
    *bytes = *texts + text_len;
    (*bytes)[len] = '\0'; /* it may go to the spool */
    resource->bytes = *bytes;
    resource->len = len;
    resource->size = sizeof *resource + links_size + id_len + resource->payload_size;
    return resource;
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
    p2p_link_t *links = need((ref_count + 1) * sizeof *links);
    char *texts, *to;
    unsigned i;

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

/* ---- Spool ---- */

/* Moves texts and bytes by the way from one payload's place to another. */
static void relocate(p2p_resource_t *resource, char *from, char *to)
{
    unsigned i;

    for (i = 0; i < resource->splice_count; i++) {
        p2p_splice_t *splice = (p2p_splice_t *)(void *)to + i;

        if (splice->text) splice->text = to + (splice->text - from);
    }
    resource->bytes = to + (resource->bytes - from);
    resource->splices = (p2p_splice_t *)(void *)to;
}

int p2p_resource_spool(p2p_resource_t *resource, p2p_spool_t *spool, apr_pool_t *p, p2p_error_t **error)
{
    unsigned i;

    *error = NULL;
    for (i = 0; i < resource->splice_count; i++) {
        if (resource->splices[i].text && !in_payload(resource, resource->splices[i].text)) return 0;
    }
    *error = p2p_spool_put(spool, p, resource->splices, resource->payload_size, &resource->spooled_at);
    if (*error) return 0;
    resource->spooled_from = (char *)resource->splices;
    resource->spool = spool;
    free(resource->splices);
    resource->splices = NULL;
    resource->size -= resource->payload_size;
    return 1;
}

p2p_error_t *p2p_resource_fetch(p2p_resource_t *resource, apr_pool_t *p)
{
    char *payload;
    p2p_error_t *error;

    if (resource->splices) return NULL;
    payload = need(resource->payload_size);
    error = p2p_spool_get(resource->spool, p, resource->spooled_at, payload, resource->payload_size);
    if (error) {
        free(payload);
        return error;
    }
    p2p_spool_drop(resource->spool);
    resource->spool = NULL;
    resource->size += resource->payload_size;
    relocate(resource, resource->spooled_from, payload);
    return NULL;
}

void p2p_resource_free(p2p_resource_t *resource)
{
    unsigned i;

    if (!resource) return;
    for (i = 0; resource->splices && i < resource->splice_count; i++) {
        const char *text = resource->splices[i].text;

        if (text && !in_payload(resource, text)) free((char *)text);
    }
    if (resource->spool) p2p_spool_drop(resource->spool);
    free(resource->splices);
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
    if (s->text && !in_payload(resource, s->text)) free((char *)s->text);
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
