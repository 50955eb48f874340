/* SPDX-License-Identifier: Apache-2.0 */
/* A Bundle's text as a sequence of pieces: framing, the sources' bytes, splices. */
#include "exchange/outgoing.h"

#include <stdlib.h>
#include <string.h>

static const char bundle_begin[] = "{\"resourceType\":\"Bundle\",\"type\":\"transaction\",\"entry\":[";
static const char batch_begin[] = "{\"resourceType\":\"Bundle\",\"type\":\"batch\",\"entry\":[";
static const char bundle_end[] = "]}";
static const char entry_begin[] = "{\"resource\":";
static const char entry_next[] = ",{\"resource\":";
static const char entry_request[] = ",\"request\":{\"method\":\"PUT\",\"url\":\"";
static const char entry_end[] = "\"}}";

p2p_outgoing_t *p2p_outgoing_make(const p2p_mapper_t *mapper)
{
    p2p_outgoing_t *outgoing = calloc(1, sizeof *outgoing);

    if (!outgoing) abort();
    outgoing->mapper = mapper;
    return outgoing;
}

void p2p_outgoing_free(p2p_outgoing_t *outgoing)
{
    int i;

    if (!outgoing) return;
    for (i = 0; i < outgoing->count; i++) p2p_resource_free(outgoing->resources[i]);
    free(outgoing->resources);
    free(outgoing);
}

void p2p_outgoing_add(p2p_outgoing_t *outgoing, p2p_resource_t *resource)
{
    if (outgoing->count == outgoing->room) {
        outgoing->room = outgoing->room ? outgoing->room * 2 : 16;
        outgoing->resources = realloc(outgoing->resources, (apr_size_t)outgoing->room * sizeof *outgoing->resources);
        if (!outgoing->resources) abort();
    }
    outgoing->resources[outgoing->count++] = resource;
    outgoing->bytes += p2p_resource_length(resource);
    outgoing->held += resource->size;
}

/* Pieces of an entry: its begin, those of the resource, then request, type, slash, id, end; or one of these five where it has an address. */
static unsigned entry_pieces(const p2p_outgoing_t *outgoing, const p2p_resource_t *resource)
{
    return 1 + 2 * resource->splice_count + 1 + (outgoing->addresses ? 1 : 5);
}

static const char *piece_of(const char *text, apr_size_t text_len, apr_size_t *len)
{
    *len = text_len;
    return text;
}

#define LITERAL(text, len) piece_of(text, sizeof text - 1, len)

static const char *entry_piece(p2p_outgoing_t *outgoing, int i, unsigned piece, apr_size_t *len)
{
    const p2p_resource_t *resource = outgoing->resources[i];
    const char *type = p2p_mapper_type(outgoing->mapper, resource->type);
    unsigned body = 2 * resource->splice_count + 1;

    if (piece == 0) return i ? LITERAL(entry_next, len) : LITERAL(entry_begin, len);
    if (--piece < body) return p2p_resource_piece(resource, piece, len);
    switch (piece - body) {
    case 0: return LITERAL(entry_request, len);
    case 1: return piece_of(type, strlen(type), len);
    case 2: return LITERAL("/", len);
    case 3:
        p2p_id_text(resource->digest, outgoing->id);
        return piece_of(outgoing->id, P2P_RESOURCE_ID_LEN, len);
    default: return LITERAL(entry_end, len);
    }
}

static const char *addressed_piece(const p2p_address_t *address, const p2p_resource_t *resource, unsigned piece, apr_size_t *len)
{
    const struct p2p_address_text_t *instead;

    if (piece == 0) return piece_of(address->begin, address->begin_len, len);
    if (--piece == 2 * resource->splice_count + 1) return piece_of(address->end, address->end_len, len);
    instead = piece % 2 ? &address->splices[piece / 2] : NULL;
    return instead && instead->text ? piece_of(instead->text, instead->len, len) : p2p_resource_piece(resource, piece, len);
}

/* at_resource is -1 in the Bundle's begin and count in its end. */
static const char *piece_here(p2p_outgoing_t *outgoing, apr_size_t *len)
{
    int i = outgoing->at_resource;

    if (i < 0) return outgoing->batch ? LITERAL(batch_begin, len) : LITERAL(bundle_begin, len);
    if (i == outgoing->count) return LITERAL(bundle_end, len);
    if (outgoing->addresses) return addressed_piece(&outgoing->addresses[i], outgoing->resources[i], outgoing->at_piece, len);
    return entry_piece(outgoing, outgoing->at_resource, outgoing->at_piece, len);
}

static int advance(p2p_outgoing_t *outgoing)
{
    outgoing->at_byte = 0;
    if (outgoing->at_resource > outgoing->count) return 0;
    if (outgoing->at_resource < 0 || outgoing->at_resource == outgoing->count
        || ++outgoing->at_piece == entry_pieces(outgoing, outgoing->resources[outgoing->at_resource])) {
        outgoing->at_resource++;
        outgoing->at_piece = 0;
    }
    return outgoing->at_resource <= outgoing->count;
}

static void rewind_body(p2p_outgoing_t *outgoing)
{
    outgoing->at_resource = -1;
    outgoing->at_piece = 0;
    outgoing->at_byte = 0;
    outgoing->offset = 0;
}

/* Copies at most room bytes from where it stands; with out NULL they are passed over. */
static apr_size_t read_on(p2p_outgoing_t *outgoing, char *out, apr_size_t room)
{
    apr_size_t done = 0, len, n;
    const char *piece;

    while (done < room && outgoing->at_resource <= outgoing->count) {
        piece = piece_here(outgoing, &len);
        n = len - outgoing->at_byte;
        if (n > room - done) n = room - done;
        if (out && n) memcpy(out + done, piece + outgoing->at_byte, n);
        done += n;
        outgoing->at_byte += n;
        if (outgoing->at_byte == len && !advance(outgoing)) break;
    }
    outgoing->offset += done;
    return done;
}

static apr_size_t read_body(void *baton, apr_uint64_t offset, char *out, apr_size_t room)
{
    p2p_outgoing_t *outgoing = baton;

    if (offset < outgoing->offset) rewind_body(outgoing);
    if (offset > outgoing->offset) read_on(outgoing, NULL, (apr_size_t)(offset - outgoing->offset));
    return read_on(outgoing, out, room);
}

static apr_uint64_t addressed_length(const p2p_address_t *address, const p2p_resource_t *resource)
{
    apr_uint64_t length = p2p_resource_length(resource) + address->begin_len + address->end_len;
    unsigned i;

    for (i = 0; i < resource->splice_count; i++) {
        if (address->splices[i].text) length += address->splices[i].len - resource->splices[i].len;
    }
    return length;
}

static apr_uint64_t entry_length(const p2p_outgoing_t *outgoing, int i)
{
    const p2p_resource_t *resource = outgoing->resources[i];

    if (outgoing->addresses) return addressed_length(&outgoing->addresses[i], resource);
    return p2p_resource_length(resource) + (i ? sizeof entry_next : sizeof entry_begin) - 1 + sizeof entry_request - 1
           + strlen(p2p_mapper_type(outgoing->mapper, resource->type)) + 1 + P2P_RESOURCE_ID_LEN + sizeof entry_end - 1;
}

void p2p_outgoing_start(p2p_outgoing_t *outgoing, int batch)
{
    apr_uint64_t length = (batch ? sizeof batch_begin : sizeof bundle_begin) - 1 + sizeof bundle_end - 1;
    int i;

    outgoing->batch = batch;
    for (i = 0; i < outgoing->count; i++) length += entry_length(outgoing, i);
    rewind_body(outgoing);
    outgoing->body.read = read_body;
    outgoing->body.baton = outgoing;
    outgoing->body.length = length;
}

p2p_outgoing_t *p2p_outgoing_split(p2p_outgoing_t *outgoing)
{
    int middle = outgoing->count / 2, cut = 0, i;
    p2p_outgoing_t *second;

    for (i = 1; i < outgoing->count; i++) {
        if (!outgoing->resources[i]->joined && (!cut || abs(i - middle) < abs(cut - middle))) cut = i;
    }
    if (!cut) return NULL;
    second = p2p_outgoing_make(outgoing->mapper);
    second->owner = outgoing->owner;
    for (i = cut; i < outgoing->count; i++) {
        const p2p_resource_t *resource = outgoing->resources[i];

        outgoing->bytes -= p2p_resource_length(resource);
        outgoing->held -= resource->size;
        p2p_outgoing_add(second, outgoing->resources[i]);
    }
    outgoing->count = cut;
    return second;
}
