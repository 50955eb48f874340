/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of a job and the parts (pages) that their answers come in. */
#ifndef P2P_MODEL_PART_H
#define P2P_MODEL_PART_H

#include <apr_tables.h>
#include <apr_time.h>
#include "model/job.h"

/* Kinds of requests. */
#define P2P_REQUEST_PAGES "pages"          /* a search or operation, all its pages */
#define P2P_REQUEST_READ "read"            /* one resource that was referred to */
#define P2P_REQUEST_LETTERS "dead-letters" /* resources that the target refused in an earlier attempt: a part for each part they came in */
#define P2P_REQUEST_AGAIN "again"          /* one page that is fetched again (exchange/again.h) */
#define P2P_REQUEST_AGAIN_ALL "again-all"  /* all pages of a request, where one of them cannot be had any more */

/* Does a request of this kind fetch again what was fetched before? */
int p2p_request_is_again(const char *kind);

/* One part, as its row in p2p_part tells it. */
typedef struct p2p_part_t {
    int request;          /* number of the request in the job, from 0 */
    int number;           /* number of the part in the request, from 0 */
    const char *url;      /* where it was fetched (opened) */
    const char *next_url; /* the next link, or "" at the end; known once it landed */
    int landed;
    apr_time_t received, mapped, landed_at;
    apr_int64_t retrieved, written, duplicate, skipped, rejected, bytes;
    const char *held;     /* base64 of 16 bytes for each resource first seen in it: see exchange/seen.h */
    const char *sha256;   /* of the decoded body, hex */
    int letters;          /* of a request "dead-letters": the rows it was made of go when it lands */
} p2p_part_t;

/* Adds a part's resources to the counts; parts, bytes and waiting are not touched. */
void p2p_part_count(p2p_job_counts_t *sum, const p2p_part_t *part);

/* The same of a part that has landed, with the part itself and its bytes. */
void p2p_part_count_landed(p2p_job_counts_t *sum, const p2p_part_t *part);

/* One request and what is known of its parts. */
typedef struct p2p_request_t {
    int number;
    const char *kind;          /* P2P_REQUEST_… */
    const char *url;           /* opened */
    apr_array_header_t *parts; /* of p2p_part_t, by number */
} p2p_request_t;

/* A resource that the target refused or that was skipped, for the report. */
typedef struct p2p_rejected_t {
    int request, part, number; /* number: within the part; set by the store */
    int again;             /* it is being tried again by a request "dead-letters" */
    const char *outcome;   /* "rejected" or "skipped" */
    const char *type;      /* resource type */
    const char *source_id; /* its id at the source (stored sealed) */
    const char *code;      /* stable: "refused", "other-patient", "outcome" */
    const char *detail;    /* the server's own words or "" (stored sealed) */
    const char *body;      /* the resource itself where it was refused, for a later try (stored sealed, in rows of at most 256 KiB); or NULL */
    apr_size_t body_len;
} p2p_rejected_t;

#endif
