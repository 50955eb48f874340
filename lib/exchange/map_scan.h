/* SPDX-License-Identifier: Apache-2.0 */
/* What the mapping has to know of a resource: where its id, meta, identifiers and references stand. One scan finds it all. */
#ifndef P2P_EXCHANGE_MAP_SCAN_H
#define P2P_EXCHANGE_MAP_SCAN_H

#include "base/scan.h"

/* Bytes [begin, end) of the resource; end 0: not there. Strings with their quotes. */
typedef struct p2p_span_t {
    apr_size_t begin, end;
} p2p_span_t;

/* A member of meta. */
typedef struct p2p_meta_member_t {
    p2p_span_t span; /* from its name to the end of its value */
    unsigned char drop; /* versionId, lastUpdated or source, or their extensions */
} p2p_meta_member_t;

/* A top-level array that gets one more element. */
typedef struct p2p_array_t {
    p2p_span_t span;     /* of the array, or of whatever else the value is */
    apr_size_t last_end; /* behind its last element; 0: empty */
    unsigned char is_array;
} p2p_array_t;

/* A string that is a Reference.reference or an Attachment.url by the shape of its object. */
typedef struct p2p_found_t {
    p2p_span_t value, member;
    apr_size_t prev_end, next_begin; /* end of the member before, begin of the one behind; 0: none */
    unsigned char is_attachment, has_identifier, is_nested; /* nested: in a resource within this one, not contained */
    unsigned char is_odd;  /* a member called reference whose object has members that no Reference has */
    unsigned char patient; /* 1 + number of subject, patient, beneficiary, for where it is that top-level element; 0 */
} p2p_found_t;

#define P2P_META_MEMBERS_MAX 64

typedef struct p2p_findings_t {
    p2p_span_t type, id, updated, meta;
    p2p_meta_member_t meta_members[P2P_META_MEMBERS_MAX];
    int meta_count;
    p2p_array_t identifier, link;
    p2p_found_t *found; /* heap, kept between scans */
    unsigned found_count, found_room;
    /* fullUrls and Type/id of resources nested in it, as hashes: references to them stay as they are */
    apr_uint64_t *local;
    unsigned local_count, local_room;
} p2p_findings_t;

/* Scans a resource of len bytes; what was in findings before is forgotten, its memory used again. Errors live in p: P2P_E_INVALID
 * "not-json", or "not-fhir", also where a member that matters stands twice or is spelled with escapes: readers would differ. A zeroed
 * structure is ready for use; p2p_findings_free gives its memory back. */
p2p_error_t *p2p_map_scan(p2p_findings_t *findings, const char *bytes, apr_size_t len, apr_pool_t *p);
void p2p_findings_free(p2p_findings_t *findings);

/* The same, told the tokens of one resource after the other by whoever scans what holds them (p2p_bundle_reader_tokens). In p, its
 * memory on the heap goes with p. */
typedef struct p2p_map_scanner_t p2p_map_scanner_t;
p2p_map_scanner_t *p2p_map_scanner_make(apr_pool_t *p);
void p2p_map_scanner_token(void *scanner, const p2p_scan_token_t *token, unsigned depth, apr_uint64_t origin, const char *resource);

/* What was found in the resource whose last token was told: valid until the next one's first. Errors in p: "not-fhir" as above. */
p2p_error_t *p2p_map_scanner_end(p2p_map_scanner_t *scanner, apr_pool_t *p, const p2p_findings_t **findings);

/* Does a resource nested in this one answer to the reference text of len bytes? */
int p2p_findings_is_local(const p2p_findings_t *findings, const char *text, apr_size_t len);

#endif
