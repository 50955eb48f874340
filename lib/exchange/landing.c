/* SPDX-License-Identifier: Apache-2.0 */
/* One part's memory: heap, given back when it has landed. */
#include "exchange/landing.h"

#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#define HELD_MAX (1 << 30)  /* bytes; far beyond any page */
#define ROWS_MAX 20000      /* of a part's report, and */
#define BODIES_MAX (8 << 20) /* bytes of resources kept in them: a page may hold any number that is not wanted */

static void link_into(p2p_landing_t **list, p2p_landing_t *landing)
{
    landing->list = list;
    landing->prev = NULL;
    landing->next = *list;
    if (*list) (*list)->prev = landing;
    *list = landing;
}

static void unlink_from(p2p_landing_t *landing)
{
    if (landing->list == &landing->land->open) landing->land->bytes -= landing->bytes;
    if (landing->prev) landing->prev->next = landing->next;
    else *landing->list = landing->next;
    if (landing->next) landing->next->prev = landing->prev;
}

void p2p_landing_grow(p2p_landing_t *landing, apr_size_t bytes)
{
    landing->bytes += (apr_int64_t)bytes;
    if (landing->list == &landing->land->open) landing->land->bytes += (apr_int64_t)bytes;
}

p2p_landing_t *p2p_landing_make(p2p_land_t *land, int request, int number, const char *url)
{
    p2p_landing_t *landing = calloc(1, sizeof *landing);

    if (!landing || !(landing->url = strdup(url))) abort();
    landing->land = land;
    landing->part.request = request;
    landing->part.number = number;
    landing->part.url = landing->url;
    landing->part.next_url = "";
    landing->part.sha256 = landing->sha256;
    p2p_buf_init(&landing->held, HELD_MAX);
    p2p_buf_init(&landing->names, HELD_MAX);
    link_into(&land->open, landing);
    p2p_landing_grow(landing, sizeof *landing + 2 * strlen(url));
    return landing;
}

void p2p_landing_free(p2p_landing_t *landing)
{
    if (landing->list == &landing->land->landed) landing->land->landed_count--;
    unlink_from(landing);
    p2p_buf_free(&landing->held);
    p2p_seen_free(&landing->places);
    p2p_buf_free(&landing->names);
    if (landing->pool) apr_pool_destroy(landing->pool);
    free(landing->attempt.row);
    free(landing->settled.row);
    free(landing->targets);
    free(landing->url);
    free(landing->next_url);
    free(landing);
}

void p2p_landing_move(p2p_landing_t *landing)
{
    unlink_from(landing);
    link_into(&landing->land->landed, landing);
    landing->land->landed_count++;
    p2p_seen_free(&landing->places);
    free(landing->targets);
    landing->targets = NULL;
    landing->target_count = landing->target_room = 0;
}

apr_time_t p2p_landing_now(const p2p_landing_t *landing)
{
    const p2p_clock_t *clock = landing->land->set.clock;

    return clock->now(clock->baton);
}

p2p_held_t *p2p_landing_held(p2p_landing_t *landing, apr_uint64_t key)
{
    p2p_held_t *held = (p2p_held_t *)(void *)landing->held.data;
    apr_size_t count = landing->held.len / sizeof *held;
    const p2p_seen_slot_t *slot;

    for (; landing->placed < count; landing->placed++) {
        p2p_seen_slot_t *place = p2p_seen_add(&landing->places, held[landing->placed].key);

        if (!place->updated) place->updated = landing->placed + 1;
    }
    slot = p2p_seen_find(&landing->places, key);
    return slot && slot->updated ? &held[slot->updated - 1] : NULL;
}

void p2p_landing_unhold(p2p_landing_t *landing, apr_uint64_t key)
{
    p2p_held_t *held = p2p_landing_held(landing, key);
    apr_size_t place;

    if (!held) return;
    place = p2p_seen_find(&landing->places, key)->updated;
    landing->held.len -= sizeof *held;
    landing->placed--;
    *held = *(p2p_held_t *)(void *)(landing->held.data + landing->held.len);
    p2p_seen_find(&landing->places, key)->updated = 0;
    if (place <= landing->placed) p2p_seen_find(&landing->places, held->key)->updated = place;
}

/* Most are the first of their resource: those take no memory. */
const char *p2p_landing_version(p2p_landing_t *landing, const char *version)
{
    if (!*version) return "";
    if (strcmp(version, "1") == 0) return "1";
    if (!landing->pool) apr_pool_create(&landing->pool, landing->land->pool);
    return apr_pstrdup(landing->pool, version);
}

void p2p_landing_add_target(p2p_landing_t *landing, const p2p_target_t *target)
{
    if (landing->target_count == landing->target_room) {
        p2p_landing_grow(landing, (apr_size_t)(landing->target_room ? landing->target_room : 64) * sizeof *landing->targets);
        landing->target_room = landing->target_room ? landing->target_room * 2 : 64;
        landing->targets = realloc(landing->targets, (apr_size_t)landing->target_room * sizeof *landing->targets);
        if (!landing->targets) abort();
    }
    landing->targets[landing->target_count++] = *target;
}

void p2p_landing_report(p2p_landing_t *landing, p2p_rows_of_report_t *rows, const p2p_rejected_t *row)
{
    p2p_rejected_t *copy;

    if (rows->count == ROWS_MAX) return;
    if (!landing->pool) apr_pool_create(&landing->pool, landing->land->pool);
    if (rows->count == rows->room) {
        rows->room = rows->room ? rows->room * 2 : 16;
        rows->row = realloc(rows->row, (apr_size_t)rows->room * sizeof *rows->row);
        if (!rows->row) abort();
    }
    copy = &rows->row[rows->count++];
    *copy = *row;
    copy->request = landing->part.request;
    copy->part = landing->part.number;
    copy->type = apr_pstrdup(landing->pool, row->type);
    copy->source_id = apr_pstrdup(landing->pool, row->source_id);
    copy->detail = apr_pstrdup(landing->pool, row->detail);
    if (row->body_len > BODIES_MAX - landing->bodies) copy->body_len = 0;
    copy->body = row->body && copy->body_len ? apr_pstrmemdup(landing->pool, row->body, copy->body_len) : NULL;
    landing->bodies += copy->body_len;
    p2p_landing_grow(landing, sizeof *copy + strlen(row->detail) + copy->body_len);
}
