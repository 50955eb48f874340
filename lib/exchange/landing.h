/* SPDX-License-Identifier: Apache-2.0 */
/* The insides of landing, shared by land.c, landing.c and land_note.c. */
#ifndef P2P_EXCHANGE_LANDING_H
#define P2P_EXCHANGE_LANDING_H

#include "exchange/land.h"

/* A resource that was first met in a part. */
typedef struct p2p_held_t {
    apr_uint64_t key;
    apr_uint64_t updated : 44, state : 3; /* as in seen; the state is filled in when the part lands */
    apr_uint64_t met : 1;                 /* in the present attempt */
} p2p_held_t;

/* A resource that was written. */
typedef struct p2p_target_t {
    unsigned char digest[P2P_DIGEST_BYTES];
    const char *version; /* "": not told; "1" is a literal, others are the landing's */
    unsigned type;
} p2p_target_t;

typedef struct p2p_rows_of_report_t {
    p2p_rejected_t *row;
    int count, room;
} p2p_rows_of_report_t;

struct p2p_land_t {
    p2p_land_settings_t set;
    p2p_job_counts_t counts;
    p2p_id_deriver_t *deriver; /* within the job's uuid */
    unsigned provenance_type;
    apr_pool_t *pool, *scratch, *flush_pool;
    p2p_landing_t *open, *landed; /* lists */
    int landed_count;
    apr_int64_t received;         /* resources of parts that are not noted as landed */
    apr_int64_t bytes;            /* of the open ones in memory */
    int away;                     /* the database was, at the last flush */
};

struct p2p_landing_t {
    p2p_land_t *land;
    p2p_landing_t *prev, *next, **list;
    p2p_part_t part;   /* its strings are the next ones */
    char *url, *next_url;
    char sha256[65];
    char new_request_kind[16]; /* "": its request is none that the database does not know */
    apr_int64_t bytes; /* it takes in memory, or so */
    int noted;         /* its row is in the database */
    int outstanding;   /* received and not settled */
    int complete;      /* received whole */
    int again;         /* it was fetched before */
    int provenance_made, provenances; /* made; under way */
    p2p_buf_t held, names;
    p2p_seen_t places;    /* of keys in held, plus 1, as `updated`; made when first asked for */
    apr_size_t placed;    /* so many of held are in it */
    p2p_target_t *targets;
    int target_count, target_room;
    apr_pool_t *pool;  /* of the rows' texts; made when needed */
    p2p_rows_of_report_t attempt; /* rows for the report that this attempt at the part made: it may be made again */
    p2p_rows_of_report_t settled; /* those of resources that were on their way */
    apr_size_t bodies;            /* bytes of resources kept in both */
    int refused, foreign, superseded; /* how many of those on their way came to such an end */
};

p2p_landing_t *p2p_landing_make(p2p_land_t *land, int request, int number, const char *url);
void p2p_landing_free(p2p_landing_t *landing);

/* From the list of open ones to that of landed ones. */
void p2p_landing_move(p2p_landing_t *landing);

/* It takes so many bytes more. */
void p2p_landing_grow(p2p_landing_t *landing, apr_size_t bytes);

apr_time_t p2p_landing_now(const p2p_landing_t *landing);
p2p_held_t *p2p_landing_held(p2p_landing_t *landing, apr_uint64_t key);
void p2p_landing_unhold(p2p_landing_t *landing, apr_uint64_t key);
/* A version's text, for the landing's life. */
const char *p2p_landing_version(p2p_landing_t *landing, const char *version);

void p2p_landing_add_target(p2p_landing_t *landing, const p2p_target_t *target);

/* Adds a row for the report to one of the landing's two lists, strings of row copied. A part has 20,000 rows in each at most, with 8 MiB
 * of resources: what goes beyond is only counted, or has a row without the resource. */
void p2p_landing_report(p2p_landing_t *landing, p2p_rows_of_report_t *rows, const p2p_rejected_t *row);

#endif
