/* SPDX-License-Identifier: Apache-2.0 */
/* The forms of a FHIR reference (R4 section 2.3.0), told apart for one source payer. */
#ifndef P2P_FHIR_REFERENCE_H
#define P2P_FHIR_REFERENCE_H

#include <apr_pools.h>
#include "base/uri.h"

#define P2P_BASES_MAX 16

/* The URLs under which the source's resources are named: its FHIR endpoint, what its CapabilityStatement says of itself, and those
 * seen in fullUrl. No trailing slashes; the first is the endpoint. */
typedef struct p2p_bases_t {
    const char *base[P2P_BASES_MAX];
    apr_size_t len[P2P_BASES_MAX];
    int count;
    apr_pool_t *pool;
} p2p_bases_t;

/* Adds a base of len bytes (copied; its trailing slashes are cut) unless it is there already, empty, not http(s), over 2,048 bytes, or
 * the list is full. */
void p2p_bases_add(p2p_bases_t *bases, const char *text, apr_size_t len);

/* Learns from an entry's fullUrl: where it ends in /type/id, what stands before is a base. */
void p2p_bases_learn(p2p_bases_t *bases, const char *full_url, apr_size_t len, const char *type, const char *id);

typedef enum {
    P2P_REF_OTHER,       /* "#contained", or empty: to be left as it is */
    P2P_REF_RESOURCE,    /* Type/id at the source, relative or under a base, perhaps with a version: type and id are set */
    P2P_REF_URN,         /* urn:uuid:… or urn:oid:…: names an entry by its fullUrl */
    P2P_REF_CONDITIONAL, /* Type?search */
    P2P_REF_EXTERNAL     /* an absolute URL elsewhere: type and id are set where it ends like a resource's; or of no known form */
} p2p_reference_kind_t;

typedef struct p2p_reference_t {
    p2p_reference_kind_t kind;
    const char *type, *id; /* into the text; not NUL-terminated */
    apr_size_t type_len, id_len;
} p2p_reference_t;

/* Tells the form of a reference of len bytes (unescaped). Never fails: what is not understood is P2P_REF_EXTERNAL. */
p2p_reference_t p2p_reference_parse(const p2p_bases_t *bases, const char *text, apr_size_t len);

/* Can it be the id of a resource of a source? Servers give more than logical ids: up to 128 visible ASCII characters, but none of
 * quote, backslash, slash, ?, # and %. */
int p2p_is_source_id(const char *text, apr_size_t len);

/* Could it be the name of a resource type: a capital letter, then letters, 64 at most? */
int p2p_is_fhir_type(const char *text, apr_size_t len);

#endif
