/* SPDX-License-Identifier: Apache-2.0 */
/* A mapper from within: for the files of the mapping only. */
#ifndef P2P_EXCHANGE_MAPPER_H
#define P2P_EXCHANGE_MAPPER_H

#include <apr_hash.h>

#include "base/buf.h"
#include "exchange/map.h"
#include "exchange/map_scan.h"
#include "fhir/resource_type.h"

#define P2P_MAPPER_TYPES_MAX 1000
#define P2P_DRAFT_ID (-2)

typedef struct p2p_mapper_type_t {
    const char *name;
    p2p_identifier_kind_t identifiers;
} p2p_mapper_type_t;

/* A splice while its text still lies in the mapper's buffer. */
typedef struct p2p_map_draft_t {
    apr_size_t at, cut, text, len;
    int link; /* number of the link it belongs to, P2P_DRAFT_ID, or -1 */
} p2p_map_draft_t;

struct p2p_mapper_t {
    p2p_id_deriver_t *deriver;
    p2p_bases_t bases;
    apr_pool_t *pool;
    const char *endpoint, *source_patient, *target_patient;
    const char *source_begin, *identifier_begin; /* of what each resource gets, up to the endpoint */
    const char *mdm; /* the identifier that the member's Patient gets, as JSON text; NULL: data is attached to target_patient */
    int conditional_ids;
    apr_uint64_t member_key; /* of the member's Patient at the source */
    p2p_mapper_type_t types[P2P_MAPPER_TYPES_MAX];
    unsigned type_count;
    apr_hash_t *type_numbers;
    /* of the resource under way */
    const p2p_findings_t *findings;
    p2p_findings_t own_findings; /* of an entry whose tokens nobody was told */
    p2p_buf_t text;
    p2p_map_draft_t *drafts;
    p2p_link_t *links;
    unsigned draft_count, draft_room, link_count, link_room;
    const char *bytes;
    apr_size_t len;
    apr_pool_t *scratch;
    unsigned other_patients, member_patients; /* bits of p2p_found_t.patient */
    p2p_resource_t head; /* what is known before it is made */
};

#endif
