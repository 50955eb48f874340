/* SPDX-License-Identifier: Apache-2.0 */
/* A strict, incremental JSON scanner (RFC 8259): it takes a document in pieces of any size, tells where its
 * tokens begin and end, builds nothing, and stops at the first byte that is not JSON. Numbers are never
 * converted, strings never unescaped: a reader that wants the source's own bytes gets them. */
#ifndef P2P_BASE_SCAN_H
#define P2P_BASE_SCAN_H

#include <apr.h>
#include "base/error.h"

#define P2P_SCAN_DEPTH 128 /* deepest nesting taken */

typedef enum {
    P2P_SCAN_OBJECT,     /* { */
    P2P_SCAN_OBJECT_END, /* } */
    P2P_SCAN_ARRAY,      /* [ */
    P2P_SCAN_ARRAY_END,  /* ] */
    P2P_SCAN_NAME,       /* a member's name, a string */
    P2P_SCAN_STRING,
    P2P_SCAN_NUMBER,
    P2P_SCAN_TRUE,
    P2P_SCAN_FALSE,
    P2P_SCAN_NULL
} p2p_scan_kind_t;

typedef struct p2p_scan_token_t {
    p2p_scan_kind_t kind;
    unsigned depth;       /* containers open around the token; a container's own begin and end tell the depth around it */
    apr_uint64_t begin;   /* offset of the token's first byte, counted from the document's first byte; quotes are part */
    apr_uint64_t end;     /* offset behind its last byte */
    int plain;            /* of a name or string: nothing but ASCII and no escape in it, for sure; 0 says nothing */
} p2p_scan_token_t;

/* Called for each token in order, while p2p_scan_feed runs; the token's bytes may lie in an earlier piece. An
 * error ends the scan and is what p2p_scan_feed returns. */
typedef p2p_error_t *(*p2p_scan_event_fn)(void *baton, const p2p_scan_token_t *token);

typedef struct p2p_scan_t {
    p2p_scan_event_fn event;
    void *baton;
    apr_pool_t *error_pool;   /* errors are made in it */
    apr_uint64_t offset;      /* bytes taken so far */
    apr_uint64_t token_begin; /* where the token under way began */
    unsigned depth;
    unsigned char state;      /* private from here */
    unsigned char sub;        /* position within a literal, number, escape or UTF-8 sequence */
    unsigned char utf8_min, utf8_max;
    unsigned char string_is_name;
    unsigned char stack[P2P_SCAN_DEPTH / 8]; /* a bit for each open container: 1 = object */
} p2p_scan_t;

/* Makes scan ready for a document. Errors made later live in error_pool. */
void p2p_scan_init(p2p_scan_t *scan, p2p_scan_event_fn event, void *baton, apr_pool_t *error_pool);

/* Takes the next len bytes. Errors: P2P_E_INVALID "not-json" with the offset and what was expected (never the
 * bytes themselves) for anything RFC 8259 does not allow, bad UTF-8 and nesting beyond P2P_SCAN_DEPTH
 * included; or the event's own error. After an error the scan must be initialised again. White space may
 * follow the value, nothing else. */
p2p_error_t *p2p_scan_feed(p2p_scan_t *scan, const char *bytes, apr_size_t len);

/* Tells the end of the document. Errors: P2P_E_INVALID "json-cut-short" where a value is missing or
 * incomplete. A number at top level is reported from here. */
p2p_error_t *p2p_scan_finish(p2p_scan_t *scan);

/* Has a token other than a container begun that has not ended yet? Its first byte has the offset token_begin then. */
int p2p_scan_within(const p2p_scan_t *scan);

/* Feeds a whole document and finishes: init, feed, finish in one. */
p2p_error_t *p2p_scan_all(const char *bytes, apr_size_t len, p2p_scan_event_fn event, void *baton, apr_pool_t *error_pool);

/* Does the string token at text[0..len), quotes included, spell the plain ASCII word (no escapes looked at)?
 */
int p2p_scan_is(const char *text, apr_size_t len, const char *word);

/* The string token at text[0..len), quotes included, without its escapes, in p, NUL-terminated; *out_len (may
 * be NULL) is its length. A lone surrogate becomes U+FFFD. \u0000 stays as a NUL byte inside. */
char *p2p_scan_unescape(apr_pool_t *p, const char *text, apr_size_t len, apr_size_t *out_len);

#endif
