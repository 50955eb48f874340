/* SPDX-License-Identifier: Apache-2.0 */
/* Puts unsaved Provenance into a searchset Bundle while it passes by: its own bytes stay as they are, entries are added behind
 * others. Nothing is built of the document, and what is held is bounded. */
#ifndef P2P_FHIR_INJECTION_H
#define P2P_FHIR_INJECTION_H

#include <apr_time.h>
#include "base/error.h"

#define P2P_INJECTION_HOLD 65536       /* bytes held at most until it is known whether to inject */
#define P2P_INJECTION_TARGETS_MAX 1000 /* entries that one Provenance names */
#define P2P_INJECTION_URL_MAX 2048     /* a longer fullUrl is not named */
#define P2P_INJECTION_NEXT_MAX 8192    /* a longer next link is not told */

/* The namespace of the Provenance's id, a UUID of version 5 (RFC 9562) over each target's reference followed by a line feed. */
#define P2P_INJECTION_NAMESPACE "b5dc8fa8-054d-4bf3-98aa-5b0eebf21eae"

typedef struct p2p_injection_settings_t {
    const char *profile;    /* canonical URL for meta.profile; NULL: none */
    const char *agent_type; /* agent.type as "system|code", or a code alone; NULL: none */
    const char *agent_who;  /* agent.who.reference, such as "Organization/123" */
    apr_time_t recorded;    /* Provenance.recorded: the time of this answer */
} p2p_injection_settings_t;

/* Told each run of bytes in order. own: they are the injection's (held or added) and valid during the call only; else they are a
 * part of the piece being fed, and live as long as that does. */
typedef void (*p2p_injection_write_fn)(void *baton, const char *bytes, apr_size_t len, int own);

typedef enum {
    P2P_INJECTION_UNDECIDED, /* nothing has been written yet */
    P2P_INJECTION_INJECTS,   /* the document may become longer */
    P2P_INJECTION_PASSES     /* all bytes pass as they are */
} p2p_injection_state_t;

/* Why nothing was added, or not all that could have been. */
typedef enum {
    P2P_INJECTION_FINE,
    P2P_INJECTION_NOT_JSON,      /* broken, or cut short, before it was decided */
    P2P_INJECTION_NOT_BUNDLE,
    P2P_INJECTION_NOT_SEARCHSET,
    P2P_INJECTION_ENTRY_FIRST,   /* entry comes before resourceType and type */
    P2P_INJECTION_TOO_LATE,      /* resourceType or type did not come within P2P_INJECTION_HOLD bytes */
    P2P_INJECTION_ODD,           /* a member of the Bundle comes twice, or entry is no array; what was added before stays */
    P2P_INJECTION_NO_ENTRY,
    P2P_INJECTION_NO_TARGET,     /* no entry that could be named */
    P2P_INJECTION_BROKEN         /* broken, or cut short, later on; what was added before stays */
} p2p_injection_why_t;

/* What is known so far; of interest mostly at the end. */
typedef struct p2p_injection_result_t {
    p2p_injection_state_t state;
    p2p_injection_why_t why;
    const char *next;         /* URL of the Bundle's next link, wherever that stands; unescaped; NULL: none seen */
    apr_uint64_t entries;     /* of the Bundle; each is one of the next three, but for those not yet named when the document broke */
    apr_uint64_t targets;     /* named by a Provenance that was added */
    apr_uint64_t left_out;    /* by rule: outcomes, and Provenance itself */
    apr_uint64_t unnamed;     /* those that cannot be named: no resource, no usable URL, a member twice */
    apr_uint64_t provenances; /* added */
    apr_uint64_t bytes_in, bytes_added;
} p2p_injection_result_t;

typedef struct p2p_injection_t p2p_injection_t;

/* Makes one for one document, in p; its buffers are freed by p2p_injection_end or with p. settings, the strings too, must live
 * as long. write is called from feed and end only. */
p2p_injection_t *p2p_injection_make(apr_pool_t *p, const p2p_injection_settings_t *settings, p2p_injection_write_fn write, void *baton);

/* Takes the next bytes and writes what can be written: everything, once decided. Never fails: from where a document breaks its
 * bytes pass as they are. */
void p2p_injection_feed(p2p_injection_t *injection, const char *bytes, apr_size_t len);

/* Tells the end, also where the document was cut short: what is still held is written. Nothing may be fed after it. */
void p2p_injection_end(p2p_injection_t *injection);

/* What was found; valid at any time, p's life long. */
const p2p_injection_result_t *p2p_injection_result(const p2p_injection_t *injection);

/* why as a stable word for logs and counters: "not-bundle"; P2P_INJECTION_FINE gives "injected". */
const char *p2p_injection_why_word(p2p_injection_why_t why);

#endif
