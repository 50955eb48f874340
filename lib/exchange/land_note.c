/* SPDX-License-Identifier: Apache-2.0 */
/* Noting parts in the database, and taking up what an earlier runner noted. */
#include "exchange/landing.h"

#include <stdlib.h>
#include <string.h>

#include <apr_base64.h>
#include <apr_strings.h>

#define RECORD 16 /* bytes of a held resource in the row */

/* What the part held, for a runner that takes over: base64 of key, lastUpdated and state; then the urns' names. */
static const char *print_held(const p2p_landing_t *landing, apr_pool_t *p)
{
    const p2p_held_t *held = (const p2p_held_t *)(const void *)landing->held.data;
    apr_size_t count = landing->held.len / sizeof *held, i;
    unsigned char *records = apr_palloc(p, count * RECORD + 1);
    char *text = apr_palloc(p, (apr_size_t)apr_base64_encode_len((int)(count * RECORD)));

    for (i = 0; i < count; i++) {
        p2p_seen_state_t state = p2p_seen_state(landing->land->set.seen, held[i].key);
        apr_uint64_t rest = held[i].updated | (apr_uint64_t)(state == P2P_SEEN_AGAIN ? P2P_SEEN_OPEN : state) << 44;

        memcpy(records + i * RECORD, &held[i].key, 8);
        memcpy(records + i * RECORD + 8, &rest, 8);
    }
    apr_base64_encode_binary(text, records, (int)(count * RECORD));
    return landing->names.len ? apr_pstrcat(p, text, landing->names.data, NULL) : text;
}

/* What was noted of a part's resources; *count of them. */
static const unsigned char *records_of(p2p_land_t *land, const char *text, apr_size_t len, int *count)
{
    char *copy = apr_pstrmemdup(land->scratch, text, len);
    unsigned char *records = apr_palloc(land->scratch, (apr_size_t)apr_base64_decode_len(copy) + 1);

    *count = apr_base64_decode_binary(records, copy) / RECORD;
    return records;
}

/* What is there at the latest counts, in whatever order the parts are recalled. */
static void recall_record(p2p_seen_t *seen, apr_uint64_t key, apr_uint64_t updated, p2p_seen_state_t state)
{
    p2p_seen_slot_t *slot = p2p_seen_add(seen, key);

    if (state == P2P_SEEN_HELD || state == P2P_SEEN_SENT) state = P2P_SEEN_WRITTEN; /* a later version was on its way; this one is there */
    if (slot->state != P2P_SEEN_NEVER && slot->updated > updated) return;
    if (slot->state == P2P_SEEN_WRITTEN && slot->updated == updated) return;
    slot->updated = P2P_SEEN_UPDATED(updated);
    slot->state = state & 7;
}

static void recall_records(p2p_land_t *land, const char *text, apr_size_t len)
{
    int count, i;
    const unsigned char *records = records_of(land, text, len, &count);

    for (i = 0; i < count; i++) {
        apr_uint64_t key, rest;

        memcpy(&key, records + i * RECORD, 8);
        memcpy(&rest, records + i * RECORD + 8, 8);
        if (key) recall_record(land->set.seen, key, P2P_SEEN_UPDATED(rest), (p2p_seen_state_t)(rest >> 44 & 7));
    }
}

int p2p_land_holds_open(p2p_land_t *land, const p2p_part_t *part)
{
    int count, i, open = 0;
    const unsigned char *records = records_of(land, part->held, strcspn(part->held, " "), &count);

    for (i = 0; i < count && !open; i++) {
        apr_uint64_t key;

        memcpy(&key, records + i * RECORD, 8);
        open = p2p_seen_state(land->set.seen, key) == P2P_SEEN_OPEN;
    }
    apr_pool_clear(land->scratch);
    return open;
}

/* " HEX=Type/id" */
static void recall_name(p2p_land_t *land, char *text, void (*name)(void *baton, apr_uint64_t urn, const p2p_named_t *named),
                        void *baton)
{
    char *type, *id;
    p2p_named_t named = {0};
    apr_uint64_t urn = (apr_uint64_t)strtoull(text, &type, 16);
    int number;

    if (*type != '=' || !(id = strchr(++type, '/')) || strlen(id + 1) != P2P_RESOURCE_ID_LEN) return;
    number = p2p_mapper_type_number(land->set.mapper, type, (apr_size_t)(id - type));
    if (number < 0) return;
    named.type = (unsigned)number;
    memcpy(named.target_id, id + 1, P2P_RESOURCE_ID_LEN);
    named.key = p2p_id_text_key(named.target_id);
    name(baton, urn, &named);
}

void p2p_land_recall(p2p_land_t *land, const p2p_part_t *part,
                     void (*name)(void *baton, apr_uint64_t urn, const p2p_named_t *named), void *baton)
{
    apr_size_t records = strcspn(part->held, " ");
    char *state, *text = apr_pstrdup(land->scratch, part->held + records), *word;

    recall_records(land, part->held, records);
    for (word = apr_strtok(text, " ", &state); word; word = apr_strtok(NULL, " ", &state))
        recall_name(land, word, name, baton);
    apr_pool_clear(land->scratch);
}

/* ---- Noting ---- */

typedef struct note_t {
    apr_array_header_t *parts, *requests, *rejected;
} note_t;

static void add_request(note_t *note, const p2p_landing_t *landing, apr_pool_t *p)
{
    p2p_request_t *request;

    if (!*landing->new_request_kind || landing->noted) return;
    request = apr_pcalloc(p, sizeof *request);
    request->number = landing->part.request;
    request->kind = landing->new_request_kind;
    request->url = landing->url;
    APR_ARRAY_PUSH(note->requests, p2p_request_t *) = request;
}

static void add_rows(note_t *note, const p2p_rows_of_report_t *rows)
{
    int i;

    for (i = 0; i < rows->count; i++) APR_ARRAY_PUSH(note->rejected, p2p_rejected_t *) = &rows->row[i];
}

/* A part that is under way counts nothing: its numbers are the job's `waiting`. */
static p2p_part_t *without_counts(const p2p_part_t *part, apr_pool_t *p)
{
    p2p_part_t *bare = apr_pmemdup(p, part, sizeof *part);

    bare->retrieved = bare->written = bare->duplicate = bare->skipped = bare->rejected = 0;
    return bare;
}

static void add_landing(note_t *note, p2p_landing_t *landing, int at_end, apr_pool_t *p)
{
    int counts = at_end || landing->part.landed;

    add_request(note, landing, p);
    landing->part.held = landing->part.landed ? print_held(landing, p) : "";
    APR_ARRAY_PUSH(note->parts, p2p_part_t *) = counts ? &landing->part : without_counts(&landing->part, p);
    if (!landing->part.landed) return;
    add_rows(note, &landing->attempt);
    add_rows(note, &landing->settled);
}

static void settle_counts(p2p_land_t *land)
{
    p2p_landing_t *landing;

    for (landing = land->open; landing; landing = landing->next) landing->noted = 1;
    while ((landing = land->landed) != NULL) {
        p2p_part_count_landed(&land->counts, &landing->part);
        land->received -= landing->part.retrieved;
        p2p_landing_free(landing);
    }
}

/* all: those that have not landed as well, with what is known of them. */
static void flush(p2p_land_t *land, int all)
{
    apr_pool_t *p = land->flush_pool;
    note_t note;
    p2p_landing_t *landing;
    p2p_error_t *error;

    note.parts = apr_array_make(p, 16, sizeof(p2p_part_t *));
    note.requests = apr_array_make(p, 4, sizeof(p2p_request_t *));
    note.rejected = apr_array_make(p, 4, sizeof(p2p_rejected_t *));
    for (landing = land->landed; landing; landing = landing->next) add_landing(&note, landing, all, p);
    for (landing = land->open; landing; landing = landing->next) {
        if (all || !landing->noted) add_landing(&note, landing, all, p);
    }
    error = p2p_job_note_parts(land->set.db, p, land->set.keyring, land->set.job, land->set.owner, note.parts, note.requests,
                               note.rejected);
    if (!error) settle_counts(land);
    else if (error->kind == P2P_E_UNAVAILABLE) {
        if (!land->away) p2p_log_error(land->set.log, P2P_LOG_WARN, "Landing waits for the database", error);
    } else land->set.failed(land->set.baton, error);
    land->away = error && error->kind == P2P_E_UNAVAILABLE;
    apr_pool_clear(p);
}

void p2p_land_flush(p2p_land_t *land)
{
    if (land->landed) flush(land, 0);
}

void p2p_land_end(p2p_land_t *land, p2p_job_counts_t *partial)
{
    p2p_landing_t *landing;

    memset(partial, 0, sizeof *partial);
    for (landing = land->open; landing; landing = landing->next) {
        p2p_part_t *part = &landing->part;

        part->retrieved = part->written + part->duplicate + part->skipped + part->rejected;
        p2p_part_count(partial, part);
    }
    if (land->landed || land->open) flush(land, 1);
}
