/* SPDX-License-Identifier: Apache-2.0 */
/* The stages of a job: what they are made with, and what they tell each other. */
#include "exchange/stages.h"

#include "exchange/peers.h"

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
    p2p_push_settings_t set = {
        .http = x->context->target_http, .clock = x->context->clock, .target = spec->target, .connections = spec->target_connections,
        .bundle_size = spec->bundle_size, .bundle_bytes = (apr_uint64_t)spec->bundle_bytes, .batch = spec->batch,
        .keep_unresolved = spec->keep_unresolved, .mapper = x->mapper, .seen = &x->seen, .ids = x->ids,
        .trouble = &x->target_trouble, .turn = (apr_uint64_t)x->job.id,
        .written = on_written, .refused = on_refused, .failed = p2p_exchange_fail, .room = p2p_exchange_kick, .baton = x};

    x->push = p2p_push_make(x->stages, &set);
}

static void make_sequence(p2p_exchange_t *x)
{
    const p2p_spec_t *spec = x->context->spec;
    p2p_sequence_settings_t set = {
        .mapper = x->mapper, .seen = &x->seen, .push = x->push, .keep_unresolved = spec->keep_unresolved, .batch = spec->batch,
        .spool = x->context->spool, .waiting_bytes = (apr_size_t)(spec->memory / WAITING_SHARE), .allowance = allowance,
        .push_bytes = (apr_uint64_t)(spec->memory / PUSH_SHARE), .log = &x->log,
        .failed = p2p_exchange_fail, .skipped = on_foreign, .baton = x};

    x->sequence = p2p_sequence_make(x->stages, &set);
}

static void make_land(p2p_exchange_t *x)
{
    p2p_land_settings_t set = {
        .db = x->context->db, .keyring = x->context->spec->keyring, .clock = x->context->clock, .log = &x->log, .job = &x->job,
        .owner = x->context->owner, .push = x->push, .mapper = x->mapper, .seen = &x->seen,
        .organization = p2p_prepare_organization(x->prepare), .versioned = x->context->spec->versioned_references,
        .assigned = x->ids != NULL, .failed = p2p_exchange_fail, .baton = x};

    x->land = p2p_land_make(x->stages, &set);
}

static void make_pull(p2p_exchange_t *x)
{
    p2p_pull_settings_t set = {
        .http = p2p_peers_payer(x->context, x->job.oidc_server_id), .clock = x->context->clock, .log = &x->log, .token = x->token, .trouble = &x->source_trouble,
        .places = {x->server->fhir_endpoint, x->context->spec->origins, p2p_mapper_bases(x->mapper)},
        .connections = x->context->spec->source_connections, .land = x->land, .reading = x->context->reading,
        .turn = (apr_uint64_t)x->job.id, .entry = on_entry, .is_full = is_full, .progress = p2p_exchange_kick,
        .failed = p2p_exchange_fail, .gone = on_gone, .baton = x};

    x->pull = p2p_pull_make(x->stages, &set);
}

static void make_letters(p2p_exchange_t *x)
{
    p2p_letters_settings_t set = {
        .db = x->context->db, .keyring = x->context->spec->keyring, .job_id = x->job.id, .land = x->land, .receive = x->receive,
        .is_full = is_full, .baton = x};

    x->letters = p2p_letters_make(x->stages, &set);
}

void p2p_stages_make_again(p2p_exchange_t *x)
{
    p2p_again_settings_t set = {
        .db = x->context->db, .keyring = x->context->spec->keyring, .job = &x->job, .seen = &x->seen, .pull = x->pull,
        .land = x->land, .planned = &x->planned};

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
