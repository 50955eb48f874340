/* SPDX-License-Identifier: Apache-2.0 */
/* From derived ids to assigned ones, as a Bundle is sent. */
#include "exchange/address.h"

#include <string.h>

#include <apr_hash.h>
#include <apr_strings.h>

#include "base/uri.h"

/* What is known of an id while one Bundle is addressed. */
typedef struct known_t {
    p2p_id_pair_t pair;
    char source[P2P_RESOURCE_ID_LEN + 1];
    apr_uint64_t key;
    const unsigned char *digest; /* of a resource of this Bundle; else NULL */
} known_t;

typedef struct work_t {
    p2p_outgoing_t *outgoing;
    apr_pool_t *pool;
    int batch, keep;
    apr_hash_t *known;           /* by key */
    apr_array_header_t *pairs;
} work_t;

static known_t *know(work_t *work, apr_uint64_t key, const char *source)
{
    known_t *known = apr_hash_get(work->known, &key, sizeof key);

    if (known) return known;
    known = apr_pcalloc(work->pool, sizeof *known);
    known->key = key;
    memcpy(known->source, source, P2P_RESOURCE_ID_LEN);
    known->pair.source = known->source;
    apr_hash_set(work->known, &known->key, sizeof known->key, known);
    APR_ARRAY_PUSH(work->pairs, p2p_id_pair_t *) = &known->pair;
    return known;
}

/* Where the derived id stands in what a link's splice says; NULL: there is none, its final form is chosen. */
static const char *derived_id(const p2p_resource_t *resource, const p2p_link_t *link)
{
    const p2p_splice_t *splice = &resource->splices[link->splice];
    const char *slash;

    if (link->settled || !splice->text || splice->len < P2P_RESOURCE_ID_LEN) return NULL;
    if (splice->len == P2P_RESOURCE_ID_LEN) return splice->text; /* of our own Provenance */
    slash = memchr(splice->text, '/', splice->len);
    return slash && slash + 1 + P2P_RESOURCE_ID_LEN + 1 == splice->text + splice->len ? slash + 1 : NULL;
}

/* ---- What is known ---- */

static void collect(work_t *work)
{
    char id[P2P_RESOURCE_ID_LEN + 1];
    unsigned l;
    int i;

    for (i = 0; i < work->outgoing->count; i++) {
        const p2p_resource_t *resource = work->outgoing->resources[i];

        p2p_id_text(resource->digest, id);
        know(work, p2p_id_key(resource->digest), id)->digest = resource->digest;
        for (l = 0; l < resource->link_count; l++) {
            const char *derived = derived_id(resource, &resource->links[l]);

            if (derived) know(work, resource->links[l].key, derived);
        }
    }
}

/* ---- The entry ---- */

/* A uuid (RFC 9562, of version 5's form) out of a digest. */
static const char *urn_of(apr_pool_t *p, const unsigned char *d)
{
    return apr_psprintf(p, "urn:uuid:%02x%02x%02x%02x-%02x%02x-5%x%02x-%x%x%02x-%02x%02x%02x%02x%02x%02x", d[0], d[1], d[2], d[3], d[4],
                        d[5], d[6] & 15u, d[7], 8u | (d[8] & 3u), d[8] >> 4, d[9], d[10], d[11], d[12], d[13], d[14], d[15]);
}

/* FHIR's escapes for a part of a token. */
static const char *token_part(apr_pool_t *p, const char *text)
{
    char *escaped = apr_palloc(p, 2 * strlen(text) + 1), *to = escaped;

    for (; *text; text++) {
        if (strchr("\\,|$", *text)) *to++ = '\\';
        *to++ = *text;
    }
    *to = '\0';
    return escaped;
}

const char *p2p_address_query(apr_pool_t *p, const char *system, const char *value)
{
    return apr_pstrcat(p, "identifier=", p2p_uri_encode(p, apr_pstrcat(p, token_part(p, system), "|", token_part(p, value), NULL)), NULL);
}

static const char *request_of(const work_t *work, const p2p_resource_t *resource, const char *type, const char *assigned)
{
    const char *value = apr_pstrcat(work->pool, type, "/", resource->source_id, NULL);

    if (assigned) return apr_pstrcat(work->pool, "PUT\",\"url\":\"", type, "/", assigned, NULL);
    if (!resource->identified) return apr_pstrcat(work->pool, "POST\",\"url\":\"", type, NULL);
    return apr_pstrcat(work->pool, "PUT\",\"url\":\"", type, "?",
                       p2p_address_query(work->pool, p2p_mapper_endpoint(work->outgoing->mapper), value), NULL);
}

static void frame_entry(const work_t *work, int i, p2p_address_t *address)
{
    const p2p_resource_t *resource = work->outgoing->resources[i];
    const char *type = p2p_mapper_type(work->outgoing->mapper, resource->type), *comma = i ? "," : "";

    address->pair.type = type;
    address->by_id = address->pair.target != NULL;
    address->begin = address->by_id || work->batch ? apr_pstrcat(work->pool, comma, "{\"resource\":", NULL)
                     : apr_pstrcat(work->pool, comma, "{\"fullUrl\":\"", urn_of(work->pool, resource->digest), "\",\"resource\":", NULL);
    address->end = apr_pstrcat(work->pool, ",\"request\":{\"method\":\"", request_of(work, resource, type, address->pair.target), "\"}}",
                               NULL);
    address->begin_len = strlen(address->begin);
    address->end_len = strlen(address->end);
}

/* ---- The resource ---- */

static void say(p2p_address_t *address, unsigned splice, const char *text)
{
    address->splices[splice].text = text;
    address->splices[splice].len = strlen(text);
}

/* The splice's text with the id that stands in it replaced. */
static const char *with_id(const work_t *work, const p2p_splice_t *splice, const char *derived, const char *id)
{
    apr_size_t before = (apr_size_t)(derived - splice->text), behind = before + P2P_RESOURCE_ID_LEN;

    return apr_pstrcat(work->pool, apr_pstrmemdup(work->pool, splice->text, before), id,
                       apr_pstrmemdup(work->pool, splice->text + behind, splice->len - behind), NULL);
}

static void write_id(const work_t *work, const p2p_resource_t *resource, p2p_address_t *address)
{
    const p2p_splice_t *splice = &resource->splices[resource->id_splice];
    const char *derived = memmem(splice->text, splice->len, address->pair.source, P2P_RESOURCE_ID_LEN);

    if (!address->by_id) say(address, resource->id_splice, "");
    else if (derived) say(address, resource->id_splice, with_id(work, splice, derived, address->pair.target));
}

/* In a batch nothing can refer to itself before its id is known: what its splice says stands again after the attempt, for a second one. */
static void put_aside(const work_t *work, const p2p_resource_t *resource, p2p_link_t *link, p2p_address_t *address)
{
    struct p2p_address_aside_t *aside = apr_palloc(work->pool, sizeof *aside);

    aside->next = address->aside;
    aside->link = link;
    aside->splice = resource->splices[link->splice];
    aside->splice.text = apr_pstrmemdup(work->pool, aside->splice.text, aside->splice.len);
    address->aside = aside;
}

void p2p_address_restore(p2p_outgoing_t *outgoing)
{
    const struct p2p_address_aside_t *aside;
    int i;

    for (i = 0; outgoing->addresses && i < outgoing->count; i++) {
        for (aside = outgoing->addresses[i].aside; aside; aside = aside->next) {
            const p2p_splice_t *s = &aside->splice;

            p2p_resource_set_splice(outgoing->resources[i], aside->link->splice, s->at, s->cut, s->text, s->len);
            aside->link->settled = 0;
        }
    }
}

static void write_link(const work_t *work, p2p_resource_t *resource, p2p_link_t *link, p2p_address_t *address)
{
    const char *derived = derived_id(resource, link);
    const known_t *known = derived ? apr_hash_get(work->known, &link->key, sizeof link->key) : NULL;

    if (!known) return;
    if (known->pair.target) say(address, link->splice, with_id(work, &resource->splices[link->splice], derived, known->pair.target));
    else if (known->digest && !work->batch)
        say(address, link->splice, apr_pstrcat(work->pool, "\"", urn_of(work->pool, known->digest), "\"", NULL));
    else if (resource->key) {
        if (link->key == resource->key) put_aside(work, resource, link, address);
        p2p_map_unresolved(work->outgoing->mapper, resource, link, work->keep);
    }
}

static void address_entry(const work_t *work, int i)
{
    p2p_resource_t *resource = work->outgoing->resources[i];
    p2p_address_t *address = &work->outgoing->addresses[i];
    apr_uint64_t key = p2p_id_key(resource->digest);
    unsigned l;

    address->pair = ((const known_t *)apr_hash_get(work->known, &key, sizeof key))->pair;
    address->splices = apr_pcalloc(work->pool, resource->splice_count * sizeof *address->splices);
    frame_entry(work, i, address);
    write_id(work, resource, address);
    for (l = 0; l < resource->link_count; l++) write_link(work, resource, &resource->links[l], address);
}

p2p_error_t *p2p_address(p2p_outgoing_t *outgoing, p2p_ids_t *ids, int batch, int keep)
{
    work_t work = {outgoing, outgoing->pool, batch, keep, apr_hash_make(outgoing->pool),
                   apr_array_make(outgoing->pool, 4 * outgoing->count, sizeof(p2p_id_pair_t *))};
    int i;

    outgoing->addresses = apr_pcalloc(outgoing->pool, (apr_size_t)outgoing->count * sizeof *outgoing->addresses);
    collect(&work);
    P2P_TRY(p2p_ids_find(ids, outgoing->pool, (p2p_id_pair_t **)(void *)work.pairs->elts, work.pairs->nelts));
    for (i = 0; i < outgoing->count; i++) address_entry(&work, i);
    return NULL;
}
