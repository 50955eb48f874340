/* SPDX-License-Identifier: Apache-2.0 */
/* The overview: one read for each of its members. */
#include "store/overview_store.h"

#include "store/attention.h"

#define HOUR apr_time_from_sec(3600)
#define HOURS 48
#define PEER_HOURS 24 /* and what has passed of this one */
#define PEERS 50

typedef struct overview_t {
    p2p_db_t *db;
    apr_pool_t *p;
    const char *target;
    apr_time_t now;
    json_object *doc;
    int runners;
} overview_t;

/* The sums of a row's columns from first on, but for those that are not asked for. */
static void add_sums(json_object *to, const p2p_rows_t *rows, int row, int first)
{
    static const char *const names[] = {"completed", "failed", "stopped", "resources", "bytes", "errors"};

    for (int i = 0; i < 6; i++) p2p_json_add_int(to, names[i], row < 0 ? 0 : p2p_rows_int(rows, row, first + i));
}

/* None is missing: an hour in which nothing was done has no row. */
static p2p_error_t *add_hours(overview_t *o)
{
    apr_time_t this_hour = o->now - o->now % HOUR;
    json_object *hours = json_object_new_array();
    p2p_rows_t rows;
    int row = 0;

    json_object_object_add(o->doc, "hours", hours);
    P2P_TRY(p2p_db_select(o->db, o->p, P2P_SQL_STAT_HOURS, &rows, o->target, (apr_int64_t)(this_hour - (HOURS - 1) * HOUR)));
    for (int i = HOURS - 1; i >= 0; i--) {
        json_object *hour = json_object_new_object();
        apr_time_t begins = this_hour - i * HOUR;

        while (row < rows.count && p2p_rows_int(&rows, row, 0) < begins) row++;
        p2p_json_add_time(hour, "hour", begins);
        add_sums(hour, &rows, row < rows.count && p2p_rows_int(&rows, row, 0) == begins ? row : -1, 1);
        json_object_array_add(hours, hour);
    }
    return NULL;
}

static p2p_error_t *add_peers(overview_t *o)
{
    apr_time_t since = o->now - o->now % HOUR - PEER_HOURS * HOUR;
    json_object *peers = json_object_new_array();
    p2p_rows_t rows;

    json_object_object_add(o->doc, "peers", peers);
    P2P_TRY(p2p_db_select(o->db, o->p, P2P_SQL_STAT_PEERS, &rows, o->target, (apr_int64_t)since, (apr_int64_t)PEERS));
    for (int i = 0; i < rows.count; i++) {
        json_object *peer = json_object_new_object();
        apr_int64_t pid = p2p_rows_int(&rows, i, 1);

        p2p_json_add_str(peer, "peer", rows.cell[i][0]);
        json_object_object_add(peer, "pid", pid ? json_object_new_int64(pid) : NULL);
        p2p_json_add_str(peer, "name", *rows.cell[i][2] ? rows.cell[i][2] : NULL);
        add_sums(peer, &rows, i, 3);
        json_object_array_add(peers, peer);
    }
    return NULL;
}

static apr_int64_t up_to(apr_int64_t count)
{
    return count > P2P_OVERVIEW_COUNTED ? P2P_OVERVIEW_COUNTED : count;
}

static p2p_error_t *add_queue(overview_t *o)
{
    json_object *queue = json_object_new_object();
    p2p_rows_t rows;

    json_object_object_add(o->doc, "queue", queue);
    P2P_TRY(p2p_db_select(o->db, o->p, P2P_SQL_SEEN_QUEUE, &rows, o->target, o->target, o->target));
    p2p_json_add_int(queue, "waiting", up_to(p2p_rows_int(&rows, 0, 0)));
    p2p_json_add_bool(queue, "more", p2p_rows_int(&rows, 0, 0) > P2P_OVERVIEW_COUNTED);
    p2p_json_add_int(queue, "running", p2p_rows_int(&rows, 0, 1));
    p2p_json_add_int(queue, "resting", up_to(p2p_rows_int(&rows, 0, 2)));
    P2P_TRY(p2p_db_select(o->db, o->p, P2P_SQL_SEEN_OLDEST, &rows, o->target, o->target, o->target));
    p2p_json_add_time(queue, "oldest", p2p_rows_int(&rows, 0, 0));
    return NULL;
}

static p2p_error_t *add_runners(overview_t *o)
{
    json_object *runners = json_object_new_array();
    p2p_rows_t rows;

    json_object_object_add(o->doc, "runners", runners);
    P2P_TRY(p2p_db_select(o->db, o->p, P2P_SQL_SEEN_RUNNERS, &rows, o->target));
    for (int i = 0; i < rows.count; i++) {
        json_object *runner = json_object_new_object();

        p2p_json_add_str(runner, "host", rows.cell[i][0]);
        p2p_json_add_int(runner, "slots", p2p_rows_int(&rows, i, 1));
        p2p_json_add_time(runner, "since", p2p_rows_int(&rows, i, 2));
        json_object_array_add(runners, runner);
        o->runners += (int)p2p_rows_int(&rows, i, 1);
    }
    return NULL;
}

p2p_error_t *p2p_overview(p2p_db_t *db, apr_pool_t *p, const p2p_spec_t *spec, json_object **doc, apr_time_t *now)
{
    overview_t o = {.db = db, .p = p, .target = spec->target, .doc = p2p_json_own(p, json_object_new_object())};
    json_object *attention;

    *doc = o.doc;
    P2P_TRY(p2p_db_now(db, p, &o.now));
    *now = o.now;
    P2P_TRY(add_hours(&o));
    P2P_TRY(add_peers(&o));
    P2P_TRY(add_queue(&o));
    P2P_TRY(add_runners(&o));
    P2P_TRY(p2p_attention(db, p, spec, o.now, o.runners, &attention));
    json_object_object_add(o.doc, "attention", json_object_get(attention));
    return NULL;
}
