/* SPDX-License-Identifier: Apache-2.0 */
/* Order for referential integrity: a resource goes into a Bundle when all it refers to is at the target or in that Bundle. What refers
 * to something that has not come yet lies aside and holds nothing up; circles go into one Bundle. Where more lies aside than may, the
 * oldest are written open: with references logical for now, to be written again (docs/data.md). */
#ifndef P2P_EXCHANGE_SEQUENCE_H
#define P2P_EXCHANGE_SEQUENCE_H

#include "base/log.h"
#include "exchange/map.h"
#include "exchange/push.h"
#include "exchange/seen.h"

typedef struct p2p_sequence_t p2p_sequence_t;

typedef struct p2p_sequence_settings_t {
    p2p_mapper_t *mapper;
    p2p_seen_t *seen;
    p2p_push_t *push;
    int keep_unresolved; /* P2PUnresolvedReferences keep */
    int batch;           /* P2PBundleType batch: nothing refers to what is in the same Bundle, only to what an earlier one's answer said is there */
    p2p_spool_t *spool;      /* takes what waits beyond the allowance; NULL: memory has to do */
    apr_size_t waiting_bytes; /* what may wait in memory; a circle that is larger is opened */
    apr_size_t (*allowance)(void *baton); /* how much of that at this moment; NULL: all */
    apr_uint64_t push_bytes; /* push gets no more while it holds so much; 0: no such limit */
    const p2p_log_t *log;
    /* What waits cannot be brought back from the spool: the job cannot go on. */
    void (*failed)(void *baton, const p2p_error_t *error);
    /* A resource turned out to be another patient's (its subject was named by a urn): it is the callee's now. */
    void (*skipped)(void *baton, p2p_resource_t *resource);
    void *baton;
} p2p_sequence_settings_t;

/* Makes one in p; what it holds is freed with p. */
p2p_sequence_t *p2p_sequence_make(apr_pool_t *p, const p2p_sequence_settings_t *settings);

/* Takes a resource (key added to seen, state HELD), which is sequence's from now on. */
void p2p_sequence_take(p2p_sequence_t *sequence, p2p_resource_t *resource);

/* Takes a later version of one that it holds (of the same key) in its place, and returns the old one, which is the caller's; NULL where
 * that cannot be brought back, and the job has failed. */
p2p_resource_t *p2p_sequence_replace(p2p_sequence_t *sequence, p2p_resource_t *resource);

/* Does a resource of this key lie here? */
int p2p_sequence_holds(const p2p_sequence_t *sequence, apr_uint64_t key);

/* A urn names this resource: what refers to it by the urn can be looked at again. */
void p2p_sequence_name(p2p_sequence_t *sequence, apr_uint64_t urn, const p2p_named_t *named);

/* The mapper knows a base more: what refers to something under an unknown one can be looked at again. */
void p2p_sequence_bases_changed(p2p_sequence_t *sequence);

/* Puts into Bundles what can go, as long as push has room. */
void p2p_sequence_run(p2p_sequence_t *sequence);

/* What key stands for has come to its end (WRITTEN, OPEN or GONE in seen): those that wait for it can be looked at again. */
void p2p_sequence_settled(p2p_sequence_t *sequence, apr_uint64_t key);

/* Nothing more will be received: references to what never came are settled as such. */
void p2p_sequence_close(p2p_sequence_t *sequence);

/* More will be received after all. */
void p2p_sequence_reopen(p2p_sequence_t *sequence);

/* Calls want(baton, url) for resources under the source's endpoint that something waits for and that were never received, for at most so
 * many, once each. The URL lives in p. To be called when all that was wanted before has been answered: what did not come then is given
 * up. Returns how many more there are. */
int p2p_sequence_wanted(p2p_sequence_t *sequence, apr_pool_t *p, int most, void (*want)(void *baton, const char *url), void *baton);

/* Bytes in memory of what waits. */
apr_size_t p2p_sequence_waiting(const p2p_sequence_t *sequence);

/* Bytes of what has come and was not looked at yet: what retrieval is paused by. */
apr_size_t p2p_sequence_backlog(const p2p_sequence_t *sequence);

/* What may wait in memory at this moment, and whether more does: retrieval pauses until p2p_sequence_run has written some of it open. */
apr_size_t p2p_sequence_allowance(const p2p_sequence_t *sequence);
int p2p_sequence_is_over(const p2p_sequence_t *sequence);

/* Is there anything that p2p_sequence_run could look at; anything at all? */
int p2p_sequence_has_work(const p2p_sequence_t *sequence);
int p2p_sequence_is_empty(const p2p_sequence_t *sequence);

#endif
