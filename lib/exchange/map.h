/* SPDX-License-Identifier: Apache-2.0 */
/* Mapping: a resource of the source becomes one of the target by splices; its other bytes are not touched
 * (docs/data.md tells what is changed and added, and why). */
#ifndef P2P_EXCHANGE_MAP_H
#define P2P_EXCHANGE_MAP_H

#include "exchange/resource.h"
#include "fhir/bundle.h"
#include "fhir/reference.h"

typedef struct p2p_mapper_t p2p_mapper_t;

typedef struct p2p_map_settings_t {
    const char *id_namespace; /* of the definition: derived ids rest on it */
    const char *endpoint;     /* the source's FHIR endpoint */
    const char *source_patient, *target_patient; /* logical ids */
    int conditional_ids;      /* the target assigns ids: derived ones stand in resources only until they are sent (exchange/address) */
} p2p_map_settings_t;

/* Makes a mapper in p. */
p2p_mapper_t *p2p_mapper_make(apr_pool_t *p, const p2p_map_settings_t *settings);

/* The member's Patient at the source turned out only now. */
void p2p_mapper_set_member(p2p_mapper_t *mapper, const char *source_patient);

/* P2PMdmIdentifier: the source's Patient gets this identifier (a JSON object) of the target's, and is the Patient that its own data refer to. */
void p2p_mapper_set_mdm(p2p_mapper_t *mapper, const char *identifier);

/* The source's FHIR endpoint. */
const char *p2p_mapper_endpoint(const p2p_mapper_t *mapper);

/* The bases it knows; more may be added. */
p2p_bases_t *p2p_mapper_bases(p2p_mapper_t *mapper);

/* Maps one entry into a resource on the heap, to be freed by p2p_resource_free. entry->told is NULL or a p2p_map_scanner_t. The bytes
 * of a large entry are taken over from its reader: they are not to be looked at afterwards. Errors in p: P2P_E_INVALID "not-fhir", "not-json". */
p2p_error_t *p2p_map(p2p_mapper_t *mapper, apr_pool_t *p, const p2p_bundle_entry_t *entry, p2p_resource_t **resource);

/* Name of a type by its number, and its number (0 … 999, made where it is new; -1 where there are too many). */
const char *p2p_mapper_type(const p2p_mapper_t *mapper, unsigned type);
int p2p_mapper_type_number(p2p_mapper_t *mapper, const char *name, apr_size_t len);

/* What a urn names: an entry's resource. */
typedef struct p2p_named_t {
    apr_uint64_t key;
    unsigned type;
    char target_id[P2P_RESOURCE_ID_LEN + 1];
} p2p_named_t;

/* Gives a link by urn the resource that the urn names. Returns 1 where the link shows that the resource is another patient's. */
int p2p_map_resolve_urn(const p2p_mapper_t *mapper, p2p_resource_t *resource, p2p_link_t *link, const p2p_named_t *named);

/* Looks at a link that is_external by the bases known by now: under one of them it becomes what it would have been had that base been known
 * when it was mapped. Returns whether it did. The resource is in memory. */
int p2p_map_look_again(p2p_mapper_t *mapper, p2p_resource_t *resource, p2p_link_t *link);

/* What the link refers to will not be at the target: a reference becomes logical, or with keep stays as the source wrote it, an
 * attachment stays. */
void p2p_map_unresolved(const p2p_mapper_t *mapper, p2p_resource_t *resource, p2p_link_t *link, int keep);

/* The URL at the source of what a link refers to, where that is one resource under its endpoint; else NULL. In p. */
const char *p2p_map_link_url(const p2p_mapper_t *mapper, const p2p_resource_t *resource, const p2p_link_t *link,
                             apr_pool_t *p);

#endif
