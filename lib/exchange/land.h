/* SPDX-License-Identifier: Apache-2.0 */
/* Landing: keeps account of every resource of a part; when the last one is settled, writes the part's Provenance, then notes part and
 * counts in one transaction. */
#ifndef P2P_EXCHANGE_LAND_H
#define P2P_EXCHANGE_LAND_H

#include "base/clock.h"
#include "base/log.h"
#include "exchange/map.h"
#include "exchange/push.h"
#include "exchange/seen.h"
#include "store/job_store.h"

typedef struct p2p_land_t p2p_land_t;
typedef struct p2p_landing_t p2p_landing_t; /* one part on its way */

typedef struct p2p_land_settings_t {
    p2p_db_t *db;
    const p2p_keyring_t *keyring;
    const p2p_clock_t *clock;
    const p2p_log_t *log;
    const p2p_job_t *job;
    const char *owner;
    p2p_push_t *push;
    p2p_mapper_t *mapper;
    p2p_seen_t *seen;
    const char *organization; /* id at the target of the source payer's Organization */
    int versioned;            /* P2PVersionedReferences */
    int assigned;             /* the target assigns ids: derived ones give way as a Provenance is sent */
    /* A landing cannot be noted: the lease is lost, or the database refuses. */
    void (*failed)(void *baton, const p2p_error_t *error);
    void *baton;
} p2p_land_settings_t;

/* Makes one in p; what has not landed is forgotten with p. */
p2p_land_t *p2p_land_make(apr_pool_t *p, const p2p_land_settings_t *settings);

/* A part is to be fetched. new_request_kind is NULL but for a request that came to be while running: it is noted with the part. */
p2p_landing_t *p2p_land_begin(p2p_land_t *land, int request, int number, const char *url, const char *new_request_kind);

/* Its resources come from rows of resources that were rejected before, which go when it lands. */
void p2p_land_letters(p2p_landing_t *landing);

/* It is fetched again from its beginning: what was received stays, the rest is counted anew. */
void p2p_land_anew(p2p_landing_t *landing);

/* Was this key received in an earlier attempt at the part, and not met again since? Then it is now. */
int p2p_land_met_again(p2p_landing_t *landing, apr_uint64_t key);

/* Accounts of one resource received: */
void p2p_land_received(p2p_landing_t *landing, const p2p_resource_t *resource);  /* the first of its kind: on its way */
void p2p_land_named(p2p_landing_t *landing, apr_uint64_t urn, const char *type, const char *target_id); /* and a urn names it */
void p2p_land_duplicate(p2p_landing_t *landing);
void p2p_land_skipped(p2p_landing_t *landing, const char *type, const char *source_id, const char *code, const char *detail);
void p2p_land_unmappable(p2p_landing_t *landing, const p2p_error_t *why, const char *body, apr_size_t len);

/* Not a resource, but a row for the report: one that something refers to and that the source does not give. */
void p2p_land_missing(p2p_landing_t *landing, const char *type, const char *source_id, const char *detail);

/* What the report tells of the part itself (a row with outcome "note"). */
void p2p_land_remark(p2p_landing_t *landing, const char *code, const char *detail);

/* The same of the whole job, at any part that has not landed; nothing where there is none. */
void p2p_land_remark_job(p2p_land_t *land, const char *code, const char *detail);

/* Has the part brought anything that was not known before? */
int p2p_land_is_fruitful(const p2p_landing_t *landing);

/* The part fetches again what another one did (exchange/again.h): nothing new is expected, what was written open is written again. */
void p2p_land_set_again(p2p_landing_t *landing);
int p2p_land_is_again(const p2p_landing_t *landing);

/* What became of one that was on its way: */
void p2p_land_written(p2p_landing_t *landing, const p2p_resource_t *resource, const char *version);
void p2p_land_rejected(p2p_landing_t *landing, const p2p_resource_t *resource, const char *outcome);
void p2p_land_superseded(p2p_landing_t *landing, const p2p_resource_t *resource); /* a later version took its place */
void p2p_land_turned_out_foreign(p2p_landing_t *landing, const p2p_resource_t *resource);
void p2p_land_provenance_written(p2p_landing_t *landing);

/* The part has been received whole. sha256 is hex, next_url "" at the end. */
void p2p_land_complete(p2p_landing_t *landing, const char *next_url, const char *sha256, apr_int64_t bytes);

/* Notes what has landed, in one transaction. Where the database is away it is tried again at the next call. */
void p2p_land_flush(p2p_land_t *land);

/* The job ends before all has landed: what was written of a part gets its Provenance all the same (put into push). */
void p2p_land_close(p2p_land_t *land);

/* The last flush: notes what came of parts that have not landed, too, so that the report tells it, and counts it in partial (which is not
 * in p2p_land_counts). */
void p2p_land_end(p2p_land_t *land, p2p_job_counts_t *partial);

/* Have all parts landed? Is something to be flushed? */
int p2p_land_is_done(const p2p_land_t *land);
int p2p_land_has_landed(const p2p_land_t *land);

/* Are there so many of them that they should be noted now? Not while the database is away. */
int p2p_land_is_full(const p2p_land_t *land);

/* Bytes that parts which have not landed take in memory. */
apr_int64_t p2p_land_bytes(const p2p_land_t *land);

/* Resources received whose part has not landed, and the sums of those that have, those of earlier attempts included. */
apr_int64_t p2p_land_waiting(const p2p_land_t *land);
const p2p_job_counts_t *p2p_land_counts(const p2p_land_t *land);

/* Does a part, as its row tells it, hold something that is written open? */
int p2p_land_holds_open(p2p_land_t *land, const p2p_part_t *part);

/* Takes what an earlier runner landed into seen, and tells names that urns have (through name). */
void p2p_land_recall(p2p_land_t *land, const p2p_part_t *part,
                     void (*name)(void *baton, apr_uint64_t urn, const p2p_named_t *named), void *baton);

#endif
