/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a resource's links after it was mapped. */
#include <string.h>

#include <apr_strings.h>

#include "base/uri.h"
#include "exchange/mapper.h"

/* Makes a link refer to type/id, whose key is that of the member's Patient or another. */
static void refer(const p2p_mapper_t *mapper, p2p_resource_t *resource, p2p_link_t *link, apr_uint64_t key, const char *type,
                  apr_size_t type_len, const char *id)
{
    char text[64 + P2P_RESOURCE_ID_LEN + 4];
    int is_member_link = key == mapper->member_key && link->kind == P2P_LINK_REFERENCE && !mapper->mdm, len;

    len = apr_snprintf(text, sizeof text, "\"%.*s/%s\"", (int)type_len, type, is_member_link ? mapper->target_patient : id);
    p2p_resource_set_splice(resource, link->splice, link->value, link->value_end - link->value, text, (apr_size_t)len);
    link->is_urn = link->is_external = 0;
    link->key = key;
    link->settled = (unsigned char)is_member_link;
}

int p2p_map_resolve_urn(const p2p_mapper_t *mapper, p2p_resource_t *resource, p2p_link_t *link, const p2p_named_t *named)
{
    const char *type = p2p_mapper_type(mapper, named->type);

    refer(mapper, resource, link, named->key, type, strlen(type), named->target_id);
    return link->patient && named->key != mapper->member_key && strcmp(type, "Patient") == 0;
}

int p2p_map_look_again(p2p_mapper_t *mapper, p2p_resource_t *resource, p2p_link_t *link)
{
    unsigned char digest[P2P_DIGEST_BYTES];
    char id[P2P_RESOURCE_ID_LEN + 1];
    p2p_reference_t ref;
    const char *text;
    apr_size_t len;

    apr_pool_clear(mapper->scratch);
    text = p2p_scan_unescape(mapper->scratch, resource->bytes + link->value, link->value_end - link->value, &len);
    ref = p2p_reference_parse(&mapper->bases, text, len);
    if (ref.kind != P2P_REF_RESOURCE) return 0;
    p2p_id_digest(mapper->deriver, ref.type, ref.type_len, ref.id, ref.id_len, digest);
    p2p_id_text(digest, id);
    refer(mapper, resource, link, p2p_id_key(digest), ref.type, ref.type_len, id);
    return 1;
}

/* Does it begin with a scheme? */
static int is_absolute(const char *text, apr_size_t len)
{
    apr_size_t i = 0;

    while (i < len && !strchr(":/?#\\", text[i])) i++;
    return i > 0 && i < len && text[i] == ':';
}

void p2p_map_unresolved(const p2p_mapper_t *mapper, p2p_resource_t *resource, p2p_link_t *link, int keep)
{
    const char *value = resource->bytes + link->value + 1;
    apr_size_t len = link->value_end - link->value - 2;
    int absolute = is_absolute(value, len);
    p2p_buf_t text;

    link->settled = 1;
    link->is_external = 0;
    if (keep || link->kind == P2P_LINK_ATTACHMENT) {
        p2p_resource_set_splice(resource, link->splice, link->value, 0, NULL, 0);
        return;
    }
    if (link->drops) {
        p2p_resource_set_splice(resource, link->splice, link->member, link->member_end - link->member, NULL, 0);
        return;
    }
    p2p_buf_init(&text, len + strlen(mapper->endpoint) * 6 + 128);
    p2p_buf_puts(&text, "\"identifier\":{\"system\":\"urn:ietf:rfc:3986\",\"value\":");
    p2p_buf_json(&text, mapper->endpoint, absolute ? 0 : strlen(mapper->endpoint));
    text.len--; /* the closing quote: what follows is JSON text already */
    if (!absolute) p2p_buf_puts(&text, "/");
    p2p_buf_add(&text, value, len);
    p2p_buf_puts(&text, "\"}");
    p2p_resource_set_splice(resource, link->splice, link->member, link->member_end - link->member, text.data, text.len);
    p2p_buf_free(&text);
}

const char *p2p_map_link_url(const p2p_mapper_t *mapper, const p2p_resource_t *resource, const p2p_link_t *link,
                             apr_pool_t *p)
{
    apr_size_t len;
    const char *text = p2p_scan_unescape(p, resource->bytes + link->value, link->value_end - link->value, &len);
    p2p_reference_t ref = p2p_reference_parse(&mapper->bases, text, len);

    if (ref.kind != P2P_REF_RESOURCE) return NULL;
    return apr_psprintf(p, "%s/%.*s/%s", mapper->endpoint, (int)ref.type_len, ref.type,
                        p2p_uri_encode(p, apr_pstrmemdup(p, ref.id, ref.id_len)));
}
