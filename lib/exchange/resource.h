/* SPDX-License-Identifier: Apache-2.0 */
/* One resource on its way: the source's bytes and the splices that make them the target's. */
#ifndef P2P_EXCHANGE_RESOURCE_H
#define P2P_EXCHANGE_RESOURCE_H

#include <apr.h>
#include "exchange/spool.h"
#include "fhir/resource_id.h"

struct p2p_landing_t;

#define P2P_RESOURCE_MAX (64 << 20) /* bytes of one at the source; a larger one is not taken */

/* Bytes [at, at + cut) of the source give way to text. In order of at, never overlapping. */
typedef struct p2p_splice_t {
    apr_size_t at, cut;
    const char *text;
    apr_size_t len;
} p2p_splice_t;

typedef enum {
    P2P_LINK_REFERENCE, /* Reference.reference */
    P2P_LINK_ATTACHMENT /* Attachment.url */
} p2p_link_kind_t;

/* A reference whose form at the target depends on whether what it refers to gets there. */
typedef struct p2p_link_t {
    apr_uint64_t key;      /* of the resource referred to, or (is_urn) of the urn that names it */
    unsigned splice;       /* the splice that rewrites it */
    unsigned char kind;    /* p2p_link_kind_t */
    unsigned char is_urn;  /* the splice has no text yet */
    unsigned char is_external; /* Type/id under a base that is not the source's as far as was known; the splice has no text yet, key is 0 */
    unsigned char hopeless;/* conditional or elsewhere: it will never be received; key is 0 */
    unsigned char drops;   /* the Reference has an identifier already: without its reference it is logical */
    unsigned char patient; /* it says whose data this is (subject, patient, beneficiary, for) */
    unsigned char settled; /* its final form is chosen */
    apr_size_t value, value_end;   /* of the string at the source, quotes included */
    apr_size_t member, member_end; /* of name and value; with drops: including the comma that goes along */
} p2p_link_t;

typedef struct p2p_resource_t p2p_resource_t;
struct p2p_resource_t {
    struct p2p_landing_t *landing; /* the part it came in, or whose Provenance it is */
    apr_uint64_t key;              /* of its identity at the source; 0 for what we made ourselves */
    apr_uint64_t updated;          /* meta.lastUpdated, milliseconds since the epoch; 0: none */
    unsigned type;                 /* number of its type in the exchange's types */
    unsigned char other_patient;   /* another person's data */
    unsigned char forced;          /* goes alone, with references logical to what is not there yet */
    unsigned char identified;      /* bears the identifier that says where it comes from */
    unsigned char joined;          /* refers in a circle: goes in one transaction with the one before it */
    unsigned char open;            /* some of its references are logical until what they refer to is there: it is written again then */
    unsigned char first;           /* a copy that opens a circle: the same resource follows, and is the one that counts */
    const char *source_id;
    unsigned char digest[P2P_DIGEST_BYTES]; /* its id at the target: p2p_id_text */
    apr_uint64_t urn;              /* key of the urn its fullUrl names it by; 0: none */
    p2p_link_t *links;
    unsigned splice_count, link_count;
    unsigned id_splice;            /* where the target assigns ids: the splice that holds its id with what parts it from the next member */
    p2p_splice_t *splices;
    const char *bytes;
    apr_size_t len;
    apr_size_t size;               /* of the one block on the heap that all this lies in, but for texts made later */
    p2p_resource_t *self;          /* where the block was when its pointers were right */
    p2p_resource_t *next;          /* in a list of whoever has it */
};

/* A resource that we made ourselves: no splices, key 0, at the target under the id of digest. The bytes are copied. */
p2p_resource_t *p2p_resource_own(struct p2p_landing_t *landing, unsigned type, const unsigned char *digest, const char *bytes,
                                 apr_size_t len);

/* The same for a target that assigns ids. id_at is where its own id stands in bytes as the member ,"id":"…" (comma included), refs where the
 * derived ids stand that it refers to, in order: they give way to assigned ones as it is sent. */
p2p_resource_t *p2p_resource_own_open(struct p2p_landing_t *landing, unsigned type, const unsigned char *digest, const char *bytes,
                                      apr_size_t len, apr_size_t id_at, const apr_size_t *refs, unsigned ref_count);

/* Makes an empty one out of head: room for its links and source id, which are copied, and so many splices and bytes of texts and
 * bytes, to be filled in. One block on the heap, freed by p2p_resource_free. */
p2p_resource_t *p2p_resource_make(const p2p_resource_t *head, const p2p_link_t *links, unsigned link_count,
                                  unsigned splice_count, apr_size_t text_len, apr_size_t len, char **texts, char **bytes);

/* The same in a block of the heap in which the bytes already lie, at offset: they are moved, never in memory twice. */
p2p_resource_t *p2p_resource_make_in(char *block, apr_size_t offset, const p2p_resource_t *head, const p2p_link_t *links,
                                     unsigned link_count, unsigned splice_count, apr_size_t text_len, apr_size_t len, char **texts);

/* The same once more, in one block with all its texts. */
p2p_resource_t *p2p_resource_copy(const p2p_resource_t *resource);

/* Moves it to the spool, *at, and frees it; *size is that of its record. Returns 1, or 0 where it stays in memory (*error then tells
 * why). */
int p2p_resource_put(p2p_resource_t *resource, p2p_spool_t *spool, apr_pool_t *p, apr_int64_t *at, apr_size_t *size,
                     p2p_error_t **error);

/* Brings it back from there. Errors: P2P_E_INTERNAL "spool-unreadable". */
p2p_error_t *p2p_resource_get(p2p_spool_t *spool, apr_pool_t *p, apr_int64_t at, apr_size_t size, p2p_resource_t **resource);

/* Frees it, texts made later included. NULL is fine. */
void p2p_resource_free(p2p_resource_t *resource);

/* Gives a splice a text of its own (heap, freed with the resource): what [at, at + cut) becomes. */
void p2p_resource_set_splice(p2p_resource_t *resource, unsigned splice, apr_size_t at, apr_size_t cut, const char *text,
                             apr_size_t len);

/* Length of its bytes at the target. */
apr_uint64_t p2p_resource_length(const p2p_resource_t *resource);

/* The i-th piece of its bytes at the target, of 2 * splice_count + 1; *len may be 0. */
const char *p2p_resource_piece(const p2p_resource_t *resource, unsigned i, apr_size_t *len);

#endif
