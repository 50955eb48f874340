/* SPDX-License-Identifier: Apache-2.0 */
/* The stages of a job: what they are made with, and what they tell each other. */
#include "exchange/stages.h"

#define BACKLOG_SHARE 128                      /* of P2PMemory: what one job may have received and not looked at */
#define WAITING_SHARE 4                        /* and what waits in memory before it goes to the spool, with what parts keep */
#define WAITING_LEAST 64                       /* so much of it, whatever other jobs have */
#define PUSH_SHARE 2                           /* and what push may hold before it gets more */

/* ---- The stages' words to each other ---- */

/* Bytes that go to the target without anything that is yet to be read. */
static apr_int64_t moving(const p2p_exchange_t *x)
{
    return (apr_int64_t)(p2p_sequence_backlog(x->sequence) + p2p_push_bytes(x->push));
}

/* A job with nothing on its way to the target is never full: what its resources wait for may be what it would read next. */
static int is_full(void *baton)
{
    const p2p_exchange_t *x = baton;
    apr_int64_t backlog = (apr_int64_t)p2p_sequence_backlog(x->sequence), moves = moving(x);
    apr_int64_t held = x->context->memory_used - x->memory + (apr_int64_t)p2p_sequence_waiting(x->sequence) + moves;

    if (backlog > x->context->spec->memory / BACKLOG_SHARE || p2p_sequence_is_over(x->sequence)) return 1;
    return moves > 0 && held > p2p_reading_left(x->context->reading);
}

/* What may wait in memory: a share, less where other jobs have taken theirs, but always some. What is kept of parts that have not landed
 * counts as well: where that is too much, what holds them up is written open. */
static apr_size_t allowance(void *baton)
{
    const p2p_exchange_t *x = baton;
    apr_int64_t memory = x->context->spec->memory, most = memory / WAITING_SHARE;
    apr_int64_t left = memory / 4 * 3 - (x->context->memory_used - x->memory), parts = p2p_land_bytes(x->land);

    if (left < most) most = left;
    if (most < memory / WAITING_LEAST) most = memory / WAITING_LEAST;
    return most > parts ? (apr_size_t)(most - parts) : 0;
}

static void on_written(void *baton, p2p_resource_t *resource, const char *version)
{
    p2p_exchange_t *x = baton;

    if (!resource->key) p2p_land_provenance_written(resource->landing);
    else {
        p2p_seen_set(&x->seen, resource->key, resource->open ? P2P_SEEN_OPEN : P2P_SEEN_WRITTEN);
        if (!resource->first) p2p_land_written(resource->landing, resource, version);
        p2p_sequence_settled(x->sequence, resource->key);
        p2p_receive_settled(x->receive, resource->key);
    }
    p2p_resource_free(resource);
    p2p_exchange_kick(x);
}

static void on_refused(void *baton, p2p_resource_t *resource, int status, const char *outcome)
{
    p2p_exchange_t *x = baton;

    if (!resource->key) {
        p2p_exchange_fail(x, p2p_error_detail(x->pool, p2p_error_make(x->pool, P2P_E_REFUSED, "provenance-refused",
             "the target answered %d to the Provenance of a part", status), outcome));
    } else {
        int is_there = p2p_seen_state(&x->seen, resource->key) == P2P_SEEN_AGAIN; /* as it was written open */

        p2p_seen_set(&x->seen, resource->key, is_there ? P2P_SEEN_WRITTEN : P2P_SEEN_GONE);
        if (!resource->first) p2p_land_rejected(resource->landing, resource, outcome);
        p2p_sequence_settled(x->sequence, resource->key);
        p2p_receive_settled(x->receive, resource->key);
    }
    p2p_resource_free(resource);
    p2p_exchange_kick(x);
}

static void on_foreign(void *baton, p2p_resource_t *resource)
{
    (void)baton;
    p2p_land_turned_out_foreign(resource->landing, resource);
    p2p_resource_free(resource);
}

static p2p_error_t *on_entry(void *baton, p2p_landing_t *landing, const p2p_bundle_entry_t *entry)
{
    p2p_exchange_t *x = baton;

    return p2p_receive_entry(x->receive, landing, entry);
}

static int on_gone(void *baton, int request)
{
    p2p_exchange_t *x = baton;

    return p2p_again_gone(x->again, request);
}

/* ---- Making the stages ---- */

static void make_push(p2p_exchange_t *x)
{
    const p2p_spec_t *spec = x->context->spec;
    p2p_push_settings_t set = {x->context->target_http, x->context->clock, spec->target, spec->target_connections,
                               spec->bundle_size, (apr_uint64_t)spec->bundle_bytes, spec->keep_unresolved, x->mapper, &x->seen,
                               &x->target_trouble, on_written, on_refused, p2p_exchange_fail, p2p_exchange_kick, x, (apr_uint64_t)x->job.id, x->ids,
                               spec->batch};

    x->push = p2p_push_make(x->stages, &set);
}

static void make_sequence(p2p_exchange_t *x)
{
    const p2p_spec_t *spec = x->context->spec;
    p2p_sequence_settings_t set = {x->mapper, &x->seen, x->push, spec->keep_unresolved,
                                   spec->batch, x->context->spool, (apr_size_t)(spec->memory / WAITING_SHARE), allowance,
                                   (apr_uint64_t)(spec->memory / PUSH_SHARE), &x->log, p2p_exchange_fail, on_foreign, x};

    x->sequence = p2p_sequence_make(x->stages, &set);
}

static void make_land(p2p_exchange_t *x)
{
    p2p_land_settings_t set = {x->context->db, x->context->spec->keyring, x->context->clock, &x->log, &x->job,
                               x->context->owner, x->push, x->mapper, &x->seen, p2p_prepare_organization(x->prepare),
                               x->context->spec->versioned_references, x->ids != NULL, p2p_exchange_fail, x};

    x->land = p2p_land_make(x->stages, &set);
}

static void make_pull(p2p_exchange_t *x)
{
    p2p_pull_settings_t set = {x->context->http, x->context->clock, &x->log, x->token, &x->source_trouble,
                               {x->server->fhir_endpoint, x->context->spec->origins, p2p_mapper_bases(x->mapper)},
                               x->context->spec->source_connections, x->land, on_entry, is_full, p2p_exchange_kick, p2p_exchange_fail, x, (apr_uint64_t)x->job.id,
                               x->context->reading, on_gone};

    x->pull = p2p_pull_make(x->stages, &set);
}

static void make_letters(p2p_exchange_t *x)
{
    p2p_letters_settings_t set = {x->context->db, x->context->spec->keyring, x->job.id, x->land, x->receive, is_full, x};

    x->letters = p2p_letters_make(x->stages, &set);
}

void p2p_stages_make_again(p2p_exchange_t *x)
{
    p2p_again_settings_t set = {x->context->db, x->context->spec->keyring, &x->job, &x->seen, x->pull, x->land, &x->planned};

    x->again = p2p_again_make(x->stages, &set);
}

void p2p_stages_make(p2p_exchange_t *x)
{
    make_push(x);
    make_sequence(x);
    make_land(x);
    x->receive = p2p_receive_make(x->stages, x->mapper, &x->seen, x->sequence);
    make_pull(x);
    make_letters(x);
}

void p2p_stages_measure(p2p_exchange_t *x)
{
    apr_int64_t memory = (apr_int64_t)p2p_sequence_waiting(x->sequence) + moving(x) + p2p_land_bytes(x->land);

    x->context->memory_used += memory - x->memory;
    x->memory = memory;
    p2p_reading_moving(x->context->reading, &x->moved, moving(x));
}
