/* SPDX-License-Identifier: Apache-2.0 */
/* The runner's loop. Numbers are those of the life cycle in the architecture. */
#include "runner/runner.h"
#include <apr_strings.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include "exchange/peers.h"
#include "exchange/spool.h"
#include "net/http_curl.h"
#include "oidc/target_http.h"
#include "runner/claim.h"
#include "runner/duties.h"
#include "runner/mail_server.h"
#include "runner/wake.h"
#include "store/hash_keys.h"
#include "store/audit_store.h"
#include "store/job_store.h"
#include "store/migrate.h"
#include "store/outbox_store.h"
#include "store/runner_store.h"
#include "store/stat_store.h"

#ifndef P2P_VERSION
#define P2P_VERSION "development"
#endif

#define HEARTBEAT apr_time_from_sec(3)
#define LOOK apr_time_from_sec(5)       /* at the queue, also when nobody said that there is something */
#define TICK apr_time_from_sec(1)
#define TIDY apr_time_from_sec(60)      /* retention, by one runner of the target at a time: so many jobs then, */
#define TIDY_JOBS 100
#define TIDY_AT_A_TIME 10               /* some in each tick: it holds nothing else up */
#define TIDY_ROWS 100                   /* of the audit, with them */
#define DAY apr_time_from_sec(86400)
#define CONFIRMED_FOR (P2P_LEASE / 3 * 2) /* so long after a heartbeat jobs are worked on without another */
#define CLOCKS_AGREE apr_time_from_sec(1)  /* what differs by less is one time */
#define COMPARISON apr_time_from_sec(60)
#define BACK_OFF_MIN apr_time_from_sec(1)
#define BACK_OFF_MAX apr_time_from_sec(10)
#define REFRESH_GRACE apr_time_from_sec(2) /* at the end, for token refreshes under way */

typedef struct runner_t {
    apr_pool_t *pool, *scratch; /* scratch: of one round of the loop */
    const p2p_runner_order_t *order;
    const p2p_spec_t *spec;
    const p2p_log_t *log;
    p2p_clock_t host_clock, clock; /* clock: the database's time, as near as it is known */
    apr_interval_time_t ahead;     /* so far is the database's clock ahead of the host's; 0 where they agree */
    apr_time_t next_comparison;    /* of the two */
    p2p_wake_t wake;
    p2p_http_t *http;
    apr_pool_t *db_pool;
    p2p_exchange_context_t context;
    p2p_claims_t *claims;
    p2p_duties_t *duties;
    const char *instance, *host;
    int is_registered;
    apr_time_t confirmed;       /* monotonic, as all times here: when the last heartbeat that came through was sent */
    apr_time_t next_heartbeat, next_look, next_tick, next_tidy;
    int tidy_left;              /* ended jobs that this runner may still see to this minute */
    apr_interval_time_t back_off; /* 0 while the database is there */
    int is_idle;                /* the queue had nothing at the last look */
    int is_over, code;
} runner_t;

int p2p_exit_code(const p2p_error_t *error)
{
    if (!error) return EX_OK;
    switch (error->kind) {
    case P2P_E_UNAVAILABLE: return EX_UNAVAILABLE;
    case P2P_E_INTERNAL: return p2p_is_unopenable(error) ? EX_CONFIG : EX_SOFTWARE;
    case P2P_E_CONFLICT: return strcmp(error->code, "runner-alive") ? EX_CONFIG : EX_TEMPFAIL;
    default: return EX_CONFIG;
    }
}

/* What is stored and what is told to others has the same time from whichever host it comes. */
static apr_time_t database_time(void *baton)
{
    const runner_t *r = baton;

    return r->host_clock.now(r->host_clock.baton) + r->ahead;
}

static apr_time_t monotonic(void *baton)
{
    const runner_t *r = baton;

    return r->host_clock.monotonic(r->host_clock.baton);
}

static apr_time_t now(const runner_t *r)
{
    return r->clock.monotonic(r->clock.baton);
}

static void end(runner_t *r, int code)
{
    r->is_over = 1;
    if (!r->code) r->code = code;
}

/* 3. The connection is made once; it heals by itself. */
static p2p_error_t *open_database(runner_t *r)
{
    apr_pool_t *pool;
    p2p_error_t *error;

    if (r->context.db) return NULL;
    apr_pool_create(&pool, r->pool);
    error = p2p_db_open(pool, r->spec->db_driver, r->spec->db_params, r->log, &r->context.db);
    if (error) {
        error = p2p_error_copy(r->scratch, error);
        apr_pool_destroy(pool);
        r->context.db = NULL;
        return error;
    }
    r->db_pool = pool;
    return NULL;
}

static p2p_error_t *compare_clocks(runner_t *r)
{
    apr_time_t begin = now(r), database, host;
    apr_interval_time_t ahead;

    if (begin < r->next_comparison) return NULL;
    P2P_TRY(p2p_db_now(r->context.db, r->scratch, &database));
    host = r->host_clock.now(r->host_clock.baton) - (now(r) - begin) / 2;
    ahead = database - host;
    if (ahead > -CLOCKS_AGREE && ahead < CLOCKS_AGREE) ahead = 0;
    if (ahead - r->ahead > CLOCKS_AGREE || r->ahead - ahead > CLOCKS_AGREE) {
        p2p_log(r->log, P2P_LOG_WARN, "This host's clock and the database's differ by %" APR_INT64_T_FMT " s; the database's counts",
                (apr_int64_t)apr_time_sec(ahead));
        r->ahead = ahead;
    }
    r->next_comparison = now(r) + COMPARISON;
    return NULL;
}

/* Each registration has an owner of its own, so that what an earlier one left behind is not taken for this
 * one's. */
static p2p_error_t *register_runner(runner_t *r)
{
    p2p_keyring_t *hashes;
    const char *uuid;

    P2P_TRY(open_database(r));
    P2P_TRY(p2p_schema_check(r->context.db, r->scratch));
    /* Every database has them, and a reseal takes them last: where they open, all does. */
    P2P_TRY(p2p_hash_keys(r->context.db, r->scratch, r->spec->keyring, &hashes));
    P2P_TRY(p2p_uuid4(r->scratch, &uuid));
    r->context.owner = apr_psprintf(r->pool, "%s/%d/%.8s", r->instance, r->spec->slot, uuid);
    P2P_TRY(p2p_runner_register(r->context.db, r->scratch, r->context.owner, r->instance, r->spec->slot, r->host,
                                (apr_int64_t)getpid(), r->spec->target));
    r->is_registered = 1;
    r->next_look = 0;
    r->next_comparison = 0;
    return compare_clocks(r);
}

static void drop_jobs(runner_t *r)
{
    if (p2p_claims_count(r->claims))
        p2p_log(r->log, P2P_LOG_WARN, "%d jobs are dropped; whoever claims them goes on with what has landed",
                p2p_claims_count(r->claims));
    p2p_claims_drop(r->claims);
    r->is_registered = 0;
}

/* Logged once, not every time. */
static void database_away(runner_t *r, const p2p_error_t *error)
{
    if (!r->back_off) p2p_log_error(r->log, P2P_LOG_ERROR, "The database is away, trying again", error);
    r->back_off = r->back_off ? r->back_off * 2 : BACK_OFF_MIN;
    if (r->back_off > BACK_OFF_MAX) r->back_off = BACK_OFF_MAX;
    r->next_heartbeat = r->next_look = now(r) + r->back_off;
    if (r->order->once && !r->is_registered) end(r, p2p_exit_code(error));
}

static void database_there(runner_t *r)
{
    if (r->back_off) p2p_log(r->log, P2P_LOG_NOTICE, "The database is there again");
    r->back_off = 0;
}

/* A database that can be asked but not worked with is no reason to ask again. */
static int is_final(const p2p_error_t *error)
{
    return error->kind == P2P_E_CONFLICT || error->kind == P2P_E_INVALID || p2p_is_unopenable(error);
}

static void drop_unconfirmed(runner_t *r)
{
    if (r->is_registered && now(r) - r->confirmed > CONFIRMED_FOR) drop_jobs(r);
}

/* 5. The lease: registered, then moved on; lost after CONFIRMED_FOR without a word from the database. */
static void keep_lease(runner_t *r)
{
    apr_time_t begin = now(r);
    p2p_error_t *error;

    drop_unconfirmed(r);
    if (begin < r->next_heartbeat) return;
    error = r->is_registered ? p2p_runner_heartbeat(r->context.db, r->scratch, r->context.owner) : register_runner(r);
    if (!error) error = compare_clocks(r);
    if (!error) {
        database_there(r);
        r->confirmed = begin;
        r->next_heartbeat = begin + HEARTBEAT;
    } else if (error->kind == P2P_E_LOST) {
        p2p_log_error(r->log, P2P_LOG_WARN, "Registering anew", error);
        drop_jobs(r);
        r->next_heartbeat = 0;
    } else if (!r->is_registered && is_final(error)) {
        p2p_log_error(r->log, P2P_LOG_ERROR, "The runner cannot work with this database", error);
        end(r, p2p_exit_code(error));
    } else {
        database_away(r, error);
    }
}

static void look_at_queue(runner_t *r)
{
    p2p_error_t *error;
    int before = p2p_claims_count(r->claims);

    if (!r->is_registered || now(r) < r->next_look) return;
    error = p2p_claims_take(r->claims, r->scratch);
    if (error && error->kind == P2P_E_UNAVAILABLE) {
        database_away(r, error);
        return;
    }
    if (error) p2p_log_error(r->log, P2P_LOG_ERROR, "No job could be claimed", error);
    r->is_idle = !error && p2p_claims_count(r->claims) == before;
    r->next_look = now(r) + LOOK;
}

/* Not while the database is away: each job's attempt to reach it could take seconds. */
static void tick(runner_t *r)
{
    if (now(r) < r->next_tick || r->back_off) return;
    p2p_claims_tick(r->claims);
    r->next_tick = now(r) + TICK;
}

static void do_duties(runner_t *r)
{
    if (!r->is_registered || r->back_off) return;
    if (p2p_duties_do(r->duties, r->scratch)) r->next_look = 0;
}

/* Is it time, and this runner's turn? */
static p2p_error_t *take_tidy_turn(runner_t *r)
{
    int mine;

    if (now(r) < r->next_tidy) return NULL;
    P2P_TRY(p2p_job_tidy_turn(r->context.db, r->scratch, r->spec->target, &mine));
    r->next_tidy = now(r) + TIDY;
    r->tidy_left = mine ? TIDY_JOBS : 0;
    return NULL;
}

/* Who may not delete there keeps its rows; jobs are seen to all the same. */
static int tidy_audit(runner_t *r)
{
    int count = 0;
    p2p_error_t *error = p2p_audit_tidy(r->context.db, r->scratch, r->spec->keep_audit * DAY, TIDY_ROWS, &count);

    if (error) p2p_log_error(r->log, P2P_LOG_WARN, "Old rows of the audit are not deleted now", error);
    return error ? 0 : count;
}

/* An event is not told of twice for as long as anybody may ask what happened. */
static p2p_error_t *tidy_outbox(runner_t *r, int *count)
{
    const p2p_spec_t *spec = r->spec;
    int keep_events = spec->keep_audit > spec->keep_jobs ? spec->keep_audit : spec->keep_jobs;

    return p2p_outbox_tidy(r->context.db, r->scratch, spec->target, spec->keep_jobs * DAY, keep_events * DAY, TIDY_ROWS, count);
}

static p2p_error_t *tidy_some(runner_t *r)
{
    int count, rows, mails, sums;

    if (r->tidy_left <= 0) return NULL;
    rows = tidy_audit(r);
    P2P_TRY(tidy_outbox(r, &mails));
    P2P_TRY(p2p_stat_tidy(r->context.db, r->scratch, r->spec->target, r->spec->keep_jobs * DAY, TIDY_ROWS, &sums));
    rows += mails + sums;
    P2P_TRY(p2p_job_tidy(r->context.db, r->scratch, r->spec->target, r->spec->restart_within * DAY, r->spec->keep_jobs * DAY,
                         TIDY_AT_A_TIME, &count));
    if (rows) count += TIDY_AT_A_TIME;
    r->tidy_left = count ? r->tidy_left - count : 0;
    return NULL;
}

/* Ended jobs go in time. What fails is tried again a minute later. */
static void tidy(runner_t *r)
{
    p2p_error_t *error;

    if (!r->is_registered || r->back_off || now(r) < (r->tidy_left > 0 ? r->next_tick : r->next_tidy)) return;
    error = take_tidy_turn(r);
    if (!error) error = tidy_some(r);
    if (!error) return;
    p2p_log_error(r->log, P2P_LOG_WARN, "Old jobs are not deleted now", error);
    r->tidy_left = 0;
    r->next_tidy = now(r) + TIDY;
}

static apr_interval_time_t until_next(const runner_t *r)
{
    apr_time_t next = r->next_heartbeat;

    if (r->is_registered && r->next_look < next) next = r->next_look;
    if ((p2p_claims_count(r->claims) || r->tidy_left > 0) && !r->back_off && r->next_tick < next) next = r->next_tick;
    if (r->is_registered && r->confirmed + CONFIRMED_FOR + 1 < next) next = r->confirmed + CONFIRMED_FOR + 1;
    next -= now(r);
    return next > 0 ? next : 0;
}

static void wait_and_work(runner_t *r, apr_interval_time_t timeout)
{
    int woken = 0, what;
    p2p_error_t *error = r->http->poll(r->http, r->wake.fd, timeout, &woken);

    if (error) {
        p2p_log_error(r->log, P2P_LOG_ERROR, "The runner ends", error);
        end(r, EX_SOFTWARE);
    }
    what = woken ? p2p_wake_read(&r->wake) : 0;
    if (what & P2P_WAKE_STOP) end(r, EX_OK);
    /* While the database is away the queue is looked at when it is there again, not before. */
    if ((p2p_claims_reap(r->claims) || what & P2P_WAKE_LOOK) && !r->back_off) r->next_look = 0;
}

static void round_of_work(runner_t *r)
{
    apr_pool_clear(r->scratch);
    keep_lease(r);
    do_duties(r);
    look_at_queue(r);
    tidy(r);
    tick(r);
    if (r->order->once && r->is_registered && r->is_idle && !p2p_claims_count(r->claims)) end(r, EX_OK);
    drop_unconfirmed(r); /* what was asked of the database may have taken seconds */
    if (!r->is_over) wait_and_work(r, until_next(r));
}

/* What was counted is lost otherwise. */
static void note_peers(runner_t *r)
{
    p2p_error_t *error = p2p_peers_note(&r->context, r->scratch);

    if (error) p2p_log_error(r->log, P2P_LOG_WARN, "The last errors of peers are not counted", error);
}

/* 7. What landed stays landed; the rest is somebody else's at once. */
static void shut_down(runner_t *r)
{
    apr_time_t last = now(r) + REFRESH_GRACE;
    p2p_error_t *error;

    r->context.ending = 1;
    if (!r->is_registered || r->back_off) {
        p2p_claims_drop(r->claims);
        return;
    }
    while (p2p_claims_release(r->claims, r->scratch, now(r) >= last)) {
        error = r->http->poll(r->http, -1, last - now(r) < TICK / 20 ? last - now(r) : TICK / 20, NULL);
        if (error) last = 0;
        p2p_claims_reap(r->claims);
    }
    if (p2p_claims_db_away(r->claims)) return; /* the row's lease runs out by itself */
    note_peers(r);
    error = p2p_runner_unregister(r->context.db, r->scratch, r->context.owner);
    if (error) p2p_log_error(r->log, P2P_LOG_WARN, "The runner's row stays until its lease runs out", error);
}

static p2p_error_t *prepare(runner_t *r)
{
    p2p_http_curl_settings_t settings = {r->spec->ca_file, "mod_p2p/" P2P_VERSION};
    char *host = apr_pcalloc(r->pool, 256);

    r->host_clock = p2p_clock_system();
    r->clock = (p2p_clock_t){database_time, monotonic, r};
    if (gethostname(host, 255)) apr_cpystrn(host, "unknown", 255);
    r->host = host;
    r->instance = r->spec->instance;
    /* By hand it is nobody's slot: another runner of the same configuration may be at work. */
    if (r->order->once || !r->instance) P2P_TRY(p2p_uuid4(r->pool, &r->instance));
    P2P_TRY(p2p_wake_open(r->pool, r->order->wake_pipe, &r->wake));
    P2P_TRY(p2p_http_curl_make(r->pool, &settings, &r->clock, &r->http));
    r->context.spec = r->spec;
    r->context.clock = &r->clock;
    r->context.log = r->log;
    r->context.http = r->http;
    r->context.peers = p2p_peers_make(r->pool, r->http);
    P2P_TRY(p2p_target_http_make(r->pool, p2p_peers_target(r->context.peers), &r->clock, r->log, r->spec, &r->context.target_http));
    P2P_TRY(p2p_mail_server_make(r->pool, r->http, r->spec, &r->context.smtp));
    if (r->spec->spool_dir) r->context.spool = p2p_spool_make(r->pool, r->spec->spool_dir, r->spec->spool_bytes);
    r->context.reading = p2p_reading_make(r->pool, &r->clock, r->spec->memory);
    r->claims = p2p_claims_make(r->pool, &r->context);
    r->duties = p2p_duties_make(r->pool, &r->context);
    return NULL;
}

int p2p_runner_run(apr_pool_t *p, const p2p_runner_order_t *order)
{
    runner_t *r = apr_pcalloc(p, sizeof *r);
    p2p_error_t *error;

    r->pool = p;
    apr_pool_create(&r->scratch, p);
    r->order = order;
    r->spec = order->spec;
    r->log = order->log;
    error = prepare(r);
    if (error) {
        p2p_log_error(r->log, P2P_LOG_ERROR, "The runner cannot start", error);
        return p2p_exit_code(error);
    }
    p2p_log(r->log, P2P_LOG_NOTICE, "p2p-runner " P2P_VERSION " begins (slot %d)", r->spec->slot);
    while (!r->is_over) round_of_work(r);
    shut_down(r);
    p2p_log(r->log, P2P_LOG_NOTICE, "p2p-runner ends (slot %d)", r->spec->slot);
    return r->code;
}
