/* SPDX-License-Identifier: Apache-2.0 */
/* The accounts of parts. */
#include "exchange/landing.h"

#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "fhir/provenance.h"

#define LANDED_MAX 16 /* parts that are noted in one transaction, or so: what they held is in memory until then */
#define PROVENANCE_MAX (P2P_PROVENANCE_TARGETS_MAX * 256 + 16384)

/* ---- Beginning and end ---- */

static apr_status_t free_land(void *data)
{
    p2p_land_t *land = data;

    while (land->open) p2p_landing_free(land->open);
    while (land->landed) p2p_landing_free(land->landed);
    return APR_SUCCESS;
}

p2p_land_t *p2p_land_make(apr_pool_t *p, const p2p_land_settings_t *settings)
{
    p2p_land_t *land = apr_pcalloc(p, sizeof *land);

    land->set = *settings;
    land->counts = settings->job->counts;
    land->counts.waiting = 0;
    land->deriver = p2p_id_deriver_make(p, settings->job->uuid);
    land->provenance_type = (unsigned)p2p_mapper_type_number(settings->mapper, "Provenance", 10);
    land->pool = p;
    apr_pool_create(&land->scratch, p);
    apr_pool_create(&land->flush_pool, p);
    apr_pool_pre_cleanup_register(p, land, free_land);
    return land;
}

p2p_landing_t *p2p_land_begin(p2p_land_t *land, int request, int number, const char *url, const char *new_request_kind)
{
    p2p_landing_t *landing = p2p_landing_make(land, request, number, url);

    if (new_request_kind) apr_cpystrn(landing->new_request_kind, new_request_kind, sizeof landing->new_request_kind);
    return landing;
}

void p2p_land_letters(p2p_landing_t *landing)
{
    landing->part.letters = 1;
}

void p2p_land_anew(p2p_landing_t *landing)
{
    apr_int64_t kept = (apr_int64_t)(landing->held.len / sizeof(p2p_held_t)) + landing->superseded;
    apr_size_t i;
    p2p_held_t *held = (p2p_held_t *)(void *)landing->held.data;

    landing->land->received -= landing->part.retrieved - kept;
    landing->part.retrieved = kept;
    landing->part.duplicate = landing->superseded;
    landing->part.skipped = landing->foreign;
    landing->part.rejected = landing->refused;
    landing->attempt.count = 0;
    for (i = 0; i < landing->held.len / sizeof *held; i++) held[i].met = 0;
}

int p2p_land_met_again(p2p_landing_t *landing, apr_uint64_t key)
{
    p2p_held_t *held = p2p_landing_held(landing, key);

    if (!held || held->met) return 0;
    held->met = 1;
    return 1;
}

/* ---- Provenance and landing ---- */

static p2p_resource_t *own(p2p_landing_t *landing, const unsigned char *digest, const p2p_buf_t *text, const apr_size_t *refs, int count)
{
    const p2p_land_t *land = landing->land;
    const char *id;

    if (!land->set.assigned) return p2p_resource_own(landing, land->provenance_type, digest, text->data, text->len);
    id = memmem(text->data, text->len, ",\"id\":\"", 7);
    return p2p_resource_own_open(landing, land->provenance_type, digest, text->data, text->len, (apr_size_t)(id - text->data), refs,
                                 (unsigned)count);
}

/* Adds target number i; returns where its id stands. */
static apr_size_t add_target(const p2p_landing_t *landing, p2p_buf_t *text, int i, int is_first)
{
    const p2p_land_t *land = landing->land;
    const p2p_target_t *target = &landing->targets[i];
    const char *type = p2p_mapper_type(land->set.mapper, target->type);
    apr_size_t before = text->len;
    char id[P2P_RESOURCE_ID_LEN + 1];

    p2p_id_text(target->digest, id);
    p2p_provenance_target(text, is_first, type, id, land->set.versioned ? target->version : "");
    return (apr_size_t)((char *)memmem(text->data + before, text->len - before, id, P2P_RESOURCE_ID_LEN) - text->data);
}

static void push_provenance(p2p_landing_t *landing, int chunk, int first, int count)
{
    p2p_land_t *land = landing->land;
    const char *name = apr_psprintf(land->scratch, "%d-%d-%d", landing->part.request, landing->part.number, chunk);
    p2p_provenance_t provenance = {NULL, landing->part.received, land->set.organization, landing->part.url, landing->sha256};
    apr_size_t refs[P2P_PROVENANCE_TARGETS_MAX];
    unsigned char digest[P2P_DIGEST_BYTES];
    char own_id[P2P_RESOURCE_ID_LEN + 1];
    p2p_resource_t *resource;
    p2p_buf_t text;
    int i;

    p2p_id_digest(land->deriver, "Provenance", 10, name, strlen(name), digest);
    p2p_id_text(digest, own_id);
    provenance.id = own_id;
    p2p_buf_init(&text, PROVENANCE_MAX);
    p2p_provenance_begin(&text, &provenance);
    for (i = 0; i < count; i++) refs[i] = add_target(landing, &text, first + i, i == 0);
    p2p_provenance_end(&text, &provenance);
    resource = own(landing, digest, &text, refs, count);
    p2p_buf_free(&text);
    if (!p2p_push_fits(land->set.push, 1, resource->len)) p2p_push_close(land->set.push);
    p2p_push_add(land->set.push, resource);
    p2p_push_close_full(land->set.push);
    landing->provenances++;
}

static void push_provenances(p2p_landing_t *landing)
{
    int first, chunk = 0;

    for (first = 0; first < landing->target_count; first += P2P_PROVENANCE_TARGETS_MAX) {
        int count = landing->target_count - first;

        push_provenance(landing, chunk++, first, count < P2P_PROVENANCE_TARGETS_MAX ? count : P2P_PROVENANCE_TARGETS_MAX);
    }
    apr_pool_clear(landing->land->scratch);
}

void p2p_land_close(p2p_land_t *land)
{
    p2p_landing_t *landing;

    for (landing = land->open; landing; landing = landing->next) {
        if (!landing->target_count) continue;
        landing->provenance_made = 1;
        landing->provenances = 0; /* those that were under way were dropped */
        push_provenances(landing);
    }
}

/* The part may have come to its end: with its last resource settled, or with its last Provenance written. */
static void look_whether_landed(p2p_landing_t *landing)
{
    if (!landing->complete || landing->outstanding || landing->provenances) return;
    if (!landing->provenance_made) {
        landing->provenance_made = 1;
        push_provenances(landing);
        if (landing->provenances) return;
    }
    landing->part.landed = 1;
    landing->part.landed_at = p2p_landing_now(landing);
    p2p_landing_move(landing);
}

void p2p_land_provenance_written(p2p_landing_t *landing)
{
    landing->provenances--;
    look_whether_landed(landing);
}

void p2p_land_complete(p2p_landing_t *landing, const char *next_url, const char *sha256, apr_int64_t bytes)
{
    landing->complete = 1;
    landing->next_url = strdup(next_url);
    if (!landing->next_url) abort();
    landing->part.next_url = landing->next_url;
    landing->part.bytes = bytes;
    if (!landing->part.received) landing->part.received = p2p_landing_now(landing);
    landing->part.mapped = p2p_landing_now(landing);
    apr_cpystrn(landing->sha256, sha256, sizeof landing->sha256);
    look_whether_landed(landing);
}

/* ---- Accounts ---- */

static void count_received(p2p_landing_t *landing)
{
    landing->part.retrieved++;
    landing->land->received++;
    if (!landing->part.received) landing->part.received = p2p_landing_now(landing);
}

void p2p_land_received(p2p_landing_t *landing, const p2p_resource_t *resource)
{
    p2p_held_t held = {resource->key, resource->updated, 0, 1};

    count_received(landing);
    landing->outstanding++;
    p2p_buf_add(&landing->held, &held, sizeof held);
    p2p_landing_grow(landing, sizeof held);
}

void p2p_land_named(p2p_landing_t *landing, apr_uint64_t urn, const char *type, const char *target_id)
{
    p2p_landing_grow(landing, 18 + strlen(type) + strlen(target_id));
    p2p_buf_printf(&landing->names, " %" APR_UINT64_T_HEX_FMT "=%s/%s", urn, type, target_id);
}

void p2p_land_duplicate(p2p_landing_t *landing)
{
    count_received(landing);
    landing->part.duplicate++;
}

static const char *type_of(const p2p_landing_t *landing, const p2p_resource_t *resource)
{
    return p2p_mapper_type(landing->land->set.mapper, resource->type);
}

void p2p_land_skipped(p2p_landing_t *landing, const char *type, const char *source_id, const char *code, const char *detail)
{
    p2p_rejected_t row = {.outcome = "skipped", .type = type, .source_id = source_id, .code = code, .detail = detail};

    count_received(landing);
    landing->part.skipped++;
    p2p_landing_report(landing, &landing->attempt, &row);
}

void p2p_land_missing(p2p_landing_t *landing, const char *type, const char *source_id, const char *detail)
{
    p2p_rejected_t row = {.outcome = "missing", .type = type, .source_id = source_id, .code = "not-received", .detail = detail};

    p2p_landing_report(landing, &landing->attempt, &row);
}

void p2p_land_remark(p2p_landing_t *landing, const char *code, const char *detail)
{
    p2p_rejected_t row = {.outcome = "note", .type = "", .source_id = "", .code = code, .detail = detail};

    p2p_landing_report(landing, &landing->settled, &row);
}

void p2p_land_remark_job(p2p_land_t *land, const char *code, const char *detail)
{
    if (land->open) p2p_land_remark(land->open, code, detail);
}

void p2p_land_set_again(p2p_landing_t *landing)
{
    landing->again = 1;
}

int p2p_land_is_again(const p2p_landing_t *landing)
{
    return landing->again;
}

int p2p_land_is_fruitful(const p2p_landing_t *landing)
{
    return landing->held.len || landing->part.rejected;
}

void p2p_land_unmappable(p2p_landing_t *landing, const p2p_error_t *why, const char *body, apr_size_t len)
{
    p2p_rejected_t row = {.outcome = "rejected", .type = "", .source_id = "", .code = why->code, .detail = why->sentence,
                          .body = body, .body_len = len};

    count_received(landing);
    landing->part.rejected++;
    p2p_landing_report(landing, &landing->attempt, &row);
}

void p2p_land_written(p2p_landing_t *landing, const p2p_resource_t *resource, const char *version)
{
    p2p_target_t target = {{0}, p2p_landing_version(landing, version), resource->type};

    memcpy(target.digest, resource->digest, sizeof target.digest);
    p2p_landing_add_target(landing, &target);
    landing->part.written++;
    landing->outstanding--;
    look_whether_landed(landing);
}

void p2p_land_rejected(p2p_landing_t *landing, const p2p_resource_t *resource, const char *outcome)
{
    p2p_rejected_t row = {.outcome = "rejected", .type = type_of(landing, resource), .source_id = resource->source_id,
                          .code = "refused", .detail = outcome, .body = resource->bytes, .body_len = resource->len};

    landing->part.rejected++;
    landing->refused++;
    landing->outstanding--;
    p2p_landing_report(landing, &landing->settled, &row);
    look_whether_landed(landing);
}

void p2p_land_superseded(p2p_landing_t *landing, const p2p_resource_t *resource)
{
    p2p_landing_unhold(landing, resource->key);
    landing->part.duplicate++;
    landing->superseded++;
    landing->outstanding--;
    look_whether_landed(landing);
}

void p2p_land_turned_out_foreign(p2p_landing_t *landing, const p2p_resource_t *resource)
{
    p2p_rejected_t row = {.outcome = "skipped", .type = type_of(landing, resource), .source_id = resource->source_id,
                          .code = "other-patient", .detail = ""};

    landing->part.skipped++;
    landing->foreign++;
    landing->outstanding--;
    p2p_landing_report(landing, &landing->settled, &row);
    look_whether_landed(landing);
}

int p2p_land_is_done(const p2p_land_t *land)
{
    return !land->open && !land->landed;
}

int p2p_land_has_landed(const p2p_land_t *land)
{
    return land->landed != NULL;
}

int p2p_land_is_full(const p2p_land_t *land)
{
    return land->landed_count >= LANDED_MAX && !land->away;
}

apr_int64_t p2p_land_bytes(const p2p_land_t *land)
{
    return land->bytes;
}

apr_int64_t p2p_land_waiting(const p2p_land_t *land)
{
    return land->received;
}

const p2p_job_counts_t *p2p_land_counts(const p2p_land_t *land)
{
    return &land->counts;
}
