/* SPDX-License-Identifier: Apache-2.0 */
/* Reads an answer of a FHIR server as it arrives: cuts the entries out of a Bundle, byte for byte, and finds its next link.
 * An answer that is a resource and not a page of results is one entry. */
#ifndef P2P_FHIR_BUNDLE_H
#define P2P_FHIR_BUNDLE_H

#include "base/buf.h"
#include "base/scan.h"

typedef struct p2p_bundle_reader_t p2p_bundle_reader_t;

typedef struct p2p_bundle_entry_t {
    const char *resource; /* its bytes; valid during the call */
    apr_size_t len;
    const char *full_url; /* raw, without quotes and with JSON's escapes; NULL where there is none */
    apr_size_t full_url_len;
    int outcome;          /* search.mode is "outcome" */
    int included;         /* search.mode is "include" */
    int alone;            /* the whole answer is this resource */
    void *told;           /* whom the tokens of this resource were told, if anybody: see p2p_bundle_reader_tokens */
    p2p_bundle_reader_t *reader; /* that tells it; NULL where it has nothing to give away */
} p2p_bundle_entry_t;

/* Told for each entry that has a resource, in order. An error ends the reading. */
typedef p2p_error_t *(*p2p_bundle_entry_fn)(void *baton, const p2p_bundle_entry_t *entry);

/* What is known of the Bundle so far. */
typedef struct p2p_bundle_t {
    const char *next;     /* URL of the next link as the source wrote it, unescaped; NULL: not seen (yet) */
    apr_int64_t total;    /* Bundle.total, -1 where absent */
    apr_int64_t entries;  /* told so far */
    apr_int64_t matches;  /* of them what was searched for: neither outcome nor included */
} p2p_bundle_t;

/* Makes a reader in p. No resource may be larger than max bytes. */
p2p_bundle_reader_t *p2p_bundle_reader_make(apr_pool_t *p, apr_size_t max, p2p_bundle_entry_fn entry, void *baton);

/* Has the tokens of each entry's resource told to token as they arrive, so that nobody need scan it again. depth is the
 * token's within the resource, whose own "{" (depth 0) comes first and "}" last; the resource's first byte has the offset
 * origin and lies at resource. Not told: an answer that is one resource, not a page. To be called before the first feed. */
typedef void (*p2p_bundle_token_fn)(void *told, const p2p_scan_token_t *token, unsigned depth, apr_uint64_t origin,
                                    const char *resource);
void p2p_bundle_reader_tokens(p2p_bundle_reader_t *reader, p2p_bundle_token_fn token, void *told);

/* For the entry's callback: takes over the heap block in which a large resource lies, at *offset, so that it need not be copied; to be freed
 * by the caller. The entry is valid as long as the block is. NULL where the resource is small, or the least part of the block. */
char *p2p_bundle_reader_take(p2p_bundle_reader_t *reader, const p2p_bundle_entry_t *entry, apr_size_t *offset);

/* Takes the next bytes; entries are told from here. Errors: P2P_E_INVALID "not-json", "not-fhir" (no resourceType, an entry that
 * is no object), "too-large"; or the callback's own. */
p2p_error_t *p2p_bundle_reader_feed(p2p_bundle_reader_t *reader, const char *bytes, apr_size_t len);

/* Tells the end. Errors: P2P_E_INVALID "json-cut-short", "not-fhir". */
p2p_error_t *p2p_bundle_reader_finish(p2p_bundle_reader_t *reader);

/* What was found; valid at any time, p's life long. */
const p2p_bundle_t *p2p_bundle_reader_bundle(const p2p_bundle_reader_t *reader);

/* Bytes held at the moment. */
apr_size_t p2p_bundle_reader_held(const p2p_bundle_reader_t *reader);

/* Gives the buffer's memory back; the reader is not to be fed any more. */
void p2p_bundle_reader_close(p2p_bundle_reader_t *reader);

#endif
