/* SPDX-License-Identifier: Apache-2.0 */
/* One look: 1. each Task that was hinted at is read; 2. where it is time, all that changed since the last search is searched for; 3. what was found
 * is noted as events, once each, in the transaction that moves the mark or forgets the hint. A crash anywhere costs reading again. */
#include "runner/task_look.h"

#include <string.h>
#include <apr_date.h>
#include <apr_strings.h>

#include "base/sha256.h"
#include "base/uri.h"
#include "exchange/retry.h"
#include "fhir/add_payer.h"
#include "runner/chore_run.h"
#include "store/chore_store.h"
#include "store/outbox_store.h"
#include "store/subscription_store.h"
#include "store/task_event_store.h"
#include "store/task_hint_store.h"
#include "store/task_watch_store.h"

#define ANSWER_MAX (16 << 20)
#define PAGES_MAX 1000
#define OVERLAP apr_time_from_sec(180)       /* so far before the mark a search begins: indexes lag behind, transactions are slow */
#define RARELY apr_time_from_sec(600)        /* while deliveries come */
#define OFTEN apr_time_from_sec(10)          /* where none do */
#define WHOLE apr_time_from_sec(60)          /* where a search means reading all */
#define WITH_HINTS apr_time_from_sec(30)     /* a hint brings a search along where the last was so long ago: what else got lost? */
#define AGAIN apr_time_from_sec(5)           /* after trouble, doubled each time up to */
#define AGAIN_MAX apr_time_from_sec(300)
#define HOUR apr_time_from_sec(3600)
#define DAY apr_time_from_sec(86400)
#define HINT_LASTS HOUR                       /* that the target fails to answer; searches have found it by then */
#define UNANSWERED_MAX 3                      /* Tasks without any answer in one look: it is not those Tasks, then */

/* How a search is written, for servers that understand less and less. */
typedef enum { SINCE, NEWEST_FIRST, ALL } form_t;

typedef struct look_t {
    p2p_chore_run_t run; /* first */
    p2p_task_watch_t watch;
    apr_array_header_t *hints; /* p2p_task_hint_t */
    int at;                    /* of them under way */
    int unanswered;            /* of those that were read */
    int searches;              /* one is to be done */
    form_t form;
    int pages;
    apr_hash_t *seen;          /* digests of their URLs */
    apr_pool_t *place;         /* has url */
    const char *url;           /* of the page under way */
    apr_time_t server_time;    /* when the first page was answered */
    int is_set_back;           /* the mark was, since it lay in the future */
    int has_mail;
    const char *fault;         /* NULL: none so far */
    int is_refused;            /* by the database: nothing is noted of it but in the log */
    void (*step)(struct look_t *look);
    p2p_http_timer_t *timer;
} look_t;

static void read_hint(look_t *look);
static void begin_search(look_t *look);
static void on_page(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len, const p2p_error_t *error);

/* ---- The end ---- */

static apr_interval_time_t back_off(const look_t *look)
{
    return p2p_chore_run_doubled(AGAIN, AGAIN_MAX, look->watch.attempts);
}

static p2p_error_t *interval(const look_t *look, apr_pool_t *p, apr_interval_time_t *next)
{
    const p2p_exchange_context_t *context = look->run.context;
    int active;

    P2P_TRY(p2p_subscription_is_active(context->db, p, context->spec->target, context->spec->hook_url, &active));
    *next = active ? RARELY : look->form == ALL ? WHOLE : OFTEN;
    return NULL;
}

static p2p_error_t *note_state(look_t *look, apr_pool_t *p)
{
    const p2p_exchange_context_t *context = look->run.context;
    apr_interval_time_t next;

    if (look->fault) return p2p_task_watch_failed(context->db, p, context->spec->target, look->fault, back_off(look));
    if (!*look->watch.fault || look->searches) return NULL;
    P2P_TRY(interval(look, p, &next));
    return p2p_task_watch_well(context->db, p, context->spec->target, next);
}

/* A hint that came after they were listed found this chore in the queue, and asked for no other. */
static p2p_error_t *ask_again(const look_t *look, apr_pool_t *p)
{
    const p2p_exchange_context_t *context = look->run.context;
    apr_array_header_t *hints;

    P2P_TRY(p2p_task_hint_list(context->db, p, context->spec->target, 1, &hints));
    return hints->nelts ? p2p_task_hint_ask(context->db, p, context->spec->target, NULL) : NULL;
}

static p2p_error_t *write_end(void *work, apr_pool_t *p)
{
    look_t *look = work;
    const p2p_exchange_context_t *context = look->run.context;

    if (!look->is_refused) P2P_TRY(note_state(look, p));
    if (look->has_mail) P2P_TRY(p2p_outbox_ask(context->db, p, context->spec->target, NULL));
    P2P_TRY(p2p_chore_forget(context->db, p, look->run.chore, context->owner));
    return look->fault || look->is_refused ? NULL : ask_again(look, p);
}

static void end(look_t *look)
{
    if (look->fault)
        p2p_log(look->run.context->log, strcmp(look->watch.fault, look->fault) ? P2P_LOG_WARN : P2P_LOG_DEBUG, "Tasks of the target are not all known: %s",
                look->fault);
    else if (*look->watch.fault && !look->is_refused) p2p_log(look->run.context->log, P2P_LOG_NOTICE, "Tasks of the target are known again");
    p2p_chore_run_end(&look->run, write_end);
}

static void fail(look_t *look, const char *fault)
{
    look->fault = apr_pstrdup(look->run.pool, fault);
}

/* The database's; that of a connection is the runner's own to deal with. */
static void end_by(look_t *look, const p2p_error_t *error)
{
    p2p_log_error(look->run.context->log, P2P_LOG_ERROR, "What was read of the target's Tasks is not noted now", error);
    if (error->kind == P2P_E_UNAVAILABLE) look->is_refused = 1;
    else fail(look, error->sentence);
    end(look);
}

/* ---- Steps: each begins from the loop, with an empty pool ---- */

static void on_timer(void *baton)
{
    look_t *look = baton;

    look->timer = NULL;
    if (look->run.write) return; /* it was stopped */
    apr_pool_clear(look->run.asking);
    look->step(look);
}

static void go_on(look_t *look, void (*step)(look_t *look))
{
    look->step = step;
    look->timer = look->run.http->after(look->run.http, 0, on_timer, look);
}

static apr_status_t cancel_timer(void *data)
{
    look_t *look = data;

    if (look->timer) look->run.http->cancel_timer(look->timer);
    look->timer = NULL;
    return APR_SUCCESS;
}

static void ask(look_t *look, const char *url, p2p_http_whole_fn done)
{
    apr_array_header_t *fields = apr_array_make(look->run.asking, 2, sizeof(const char *));
    p2p_http_request_t request = {.method = "GET", .url = url, .fields = fields, .max_bytes = ANSWER_MAX};

    APR_ARRAY_PUSH(fields, const char *) = "Accept: application/fhir+json";
    APR_ARRAY_PUSH(fields, const char *) = "Cache-Control: no-cache";
    p2p_chore_run_ask(&look->run, &request, P2P_CHORE_ANSWER, done);
}

/* Why a Task cannot be read now, or NULL where the answer is one. */
static const char *trouble(const look_t *look, const char *what, int status, const p2p_error_t *error)
{
    apr_pool_t *p = look->run.asking;

    if (error) return apr_psprintf(p, "%s: %s", what, error->sentence);
    if (status == 401 || status == 403)
        return apr_psprintf(p, "%s is answered %d: what P2PTargetAuth names has to be allowed to read and search Tasks there.", what, status);
    if (p2p_retry_status(status) || status < 200 || (status >= 300 && status < 400)) return apr_psprintf(p, "%s is answered %d.", what, status);
    return NULL;
}

/* ---- 3. Events ---- */

/* Of what was there before the first search nobody is told, nor of what has not changed for so long that its event may be forgotten. */
static int is_old(const look_t *look, const p2p_add_payer_t *task)
{
    const p2p_clock_t *clock = look->run.context->clock;
    apr_time_t kept = clock->now(clock->baton) - look->run.context->spec->keep_jobs * DAY + HOUR;

    if (!task->last_updated) return !look->watch.until;
    return task->last_updated < look->watch.began || task->last_updated < kept;
}

static p2p_error_t *note_event(look_t *look, p2p_db_t *db, apr_pool_t *p, const p2p_add_payer_t *task)
{
    const p2p_spec_t *spec = look->run.context->spec;
    p2p_task_event_t event = {.kind = P2P_EVENT_ADD_PAYER, .subject = apr_pstrcat(p, "Task/", task->id, NULL), .status = task->status,
                              .task_id = task->id, .patient = task->patient, .email = task->email, .payer = task->payer,
                              .member_phone = task->phone, .reason = ""};
    apr_array_header_t *mails = NULL;
    int first;

    if (!*task->status) return NULL;
    event.member_name = apr_pstrcat(p, task->first_name, *task->first_name && *task->last_name ? " " : "", task->last_name, NULL);
    if (!is_old(look, task)) mails = p2p_task_event_mails(p, spec, &event);
    P2P_TRY(p2p_task_event_note(db, p, spec->keyring, spec->target, &event, mails, &first));
    if (first && mails && mails->nelts) look->has_mail = 1;
    return NULL;
}

/* ---- 1. Hints ---- */

static const p2p_task_hint_t *hint_at(const look_t *look)
{
    return &APR_ARRAY_IDX(look->hints, look->at, p2p_task_hint_t);
}

typedef struct hinted_t {
    look_t *look;
    const p2p_add_payer_t *task; /* NULL: there is nothing to note of it */
} hinted_t;

static p2p_error_t *note_hinted(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    const hinted_t *hinted = baton;

    if (hinted->task) P2P_TRY(note_event(hinted->look, db, p, hinted->task));
    return p2p_task_hint_done(db, p, hinted->look->run.context->spec->target, hint_at(hinted->look));
}

static void next_hint(look_t *look)
{
    look->at++;
    go_on(look, read_hint);
}

static void hint_is_read(look_t *look, const p2p_add_payer_t *task)
{
    hinted_t hinted = {look, task};
    p2p_error_t *error = p2p_db_upkeep(look->run.context->db, look->run.asking, note_hinted, &hinted);

    if (error) end_by(look, error);
    else next_hint(look);
}

static void leave_hints(look_t *look)
{
    if (look->searches == 1) go_on(look, begin_search);
    else end(look);
}

/* One Task that its server cannot bring, or never to its end, holds up no other and no search, and is not asked for for ever. */
static void hint_is_not_read(look_t *look, const char *fault, int answered)
{
    int is_over = hint_at(look)->age > HINT_LASTS;

    look->unanswered += !answered;
    fail(look, fault);
    if (is_over) hint_is_read(look, NULL);
    else if (look->unanswered < UNANSWERED_MAX) next_hint(look);
    else leave_hints(look);
}

static void on_task(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len, const p2p_error_t *error)
{
    look_t *look = baton;
    const char *fault = trouble(look, "Reading a Task", status, error);
    p2p_add_payer_t *task = NULL;

    (void)fields;
    if (fault && (status == 401 || status == 429)) { /* so it is with all of them */
        fail(look, fault);
        end(look);
        return;
    }
    if (fault) {
        hint_is_not_read(look, fault, !error);
        return;
    }
    if (status == 200 && p2p_add_payer_read(look->run.asking, body, len, look->run.context->spec->target, &task)) task = NULL;
    if (task && strcmp(task->id, hint_at(look)->task_id)) task = NULL;
    hint_is_read(look, task);
}

static void read_hint(look_t *look)
{
    while (look->at < look->hints->nelts && !*hint_at(look)->task_id) look->at++;
    if (look->at < look->hints->nelts) {
        const char *target = look->run.context->spec->target;

        ask(look, apr_pstrcat(look->run.asking, target, "/Task/", hint_at(look)->task_id, NULL), on_task);
    } else {
        leave_hints(look);
    }
}

/* ---- 2. Search ---- */

static void read_page(look_t *look)
{
    look->pages++;
    ask(look, look->url, on_page);
}

/* Makes url that of the next page; returns 0 where it was asked for before. */
static int turn_to(look_t *look, const char *url)
{
    apr_pool_t *before = look->place;
    p2p_sha256_t *sha256 = p2p_sha256_begin();
    const char *digest;

    apr_pool_create(&look->place, look->run.pool);
    look->url = apr_pstrdup(look->place, url);
    if (before) apr_pool_destroy(before);
    p2p_sha256_add(sha256, look->url, strlen(look->url));
    digest = p2p_sha256_end(look->run.pool, sha256);
    if (apr_hash_get(look->seen, digest, APR_HASH_KEY_STRING)) return 0;
    apr_hash_set(look->seen, digest, APR_HASH_KEY_STRING, digest);
    return 1;
}

static apr_time_t since(const look_t *look)
{
    return look->watch.until > OVERLAP ? look->watch.until - OVERLAP : 0;
}

static const char *search_url(const look_t *look)
{
    apr_pool_t *p = look->run.asking;
    const char *code = p2p_uri_encode(p, P2P_CODE_SYSTEM "|" P2P_ADD_PAYER_CODE), *more = "";

    if (look->form == SINCE && since(look)) more = apr_pstrcat(p, "&_lastUpdated=ge", p2p_time_iso(p, since(look)), "&_count=50", NULL);
    else if (look->form == SINCE) more = "&_count=50";
    else if (look->form == NEWEST_FIRST) more = "&_sort=-_lastUpdated&_count=50";
    return apr_pstrcat(p, look->run.context->spec->target, "/Task?code=", code, more, NULL);
}

static void begin_search(look_t *look)
{
    look->searches = 2;
    look->pages = 0;
    look->server_time = 0;
    apr_hash_clear(look->seen);
    turn_to(look, search_url(look));
    read_page(look);
}

static apr_time_t date_of(const apr_table_t *fields)
{
    const char *date = fields ? apr_table_get(fields, "Date") : NULL;

    return date ? apr_date_parse_http(date) : 0;
}

/* The server's time when it was asked, as near as it is told. */
static apr_time_t time_of(const look_t *look, const apr_table_t *fields, const p2p_add_payer_page_t *page)
{
    apr_time_t time = date_of(fields);

    if (!time) time = page->latest;
    return time ? time : look->run.context->clock->now(look->run.context->clock->baton);
}

/* The server's clock was wrong at the last search, or is now: the mark goes to where that search was by the clock of now, else nothing would be found
 * until the clock comes there. Returns 0 where all is well. */
static int set_back(look_t *look, const apr_table_t *fields)
{
    p2p_task_watch_t *watch = &look->watch;
    apr_time_t date = date_of(fields);

    if (!date || !watch->until || look->is_set_back || date + OVERLAP >= watch->until) return 0;
    look->is_set_back = 1;
    watch->until = date - (watch->now > watch->searched ? watch->now - watch->searched : 0);
    if (watch->began > watch->until) watch->began = watch->until;
    p2p_log(look->run.context->log, P2P_LOG_NOTICE, "The target's clock has gone back: Tasks are searched for from before that");
    return 1;
}

typedef struct page_work_t {
    look_t *look;
    const p2p_add_payer_page_t *page;
    int is_last;
} page_work_t;

static p2p_error_t *note_end_of_search(look_t *look, p2p_db_t *db, apr_pool_t *p)
{
    const char *target = look->run.context->spec->target;
    apr_interval_time_t next;

    P2P_TRY(interval(look, p, &next));
    P2P_TRY(p2p_task_watch_searched(db, p, target, look->server_time, next));
    for (int i = 0; i < look->hints->nelts; i++) {
        const p2p_task_hint_t *hint = &APR_ARRAY_IDX(look->hints, i, p2p_task_hint_t);

        if (!*hint->task_id) P2P_TRY(p2p_task_hint_done(db, p, target, hint));
    }
    return NULL;
}

static p2p_error_t *note_page(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    const page_work_t *work = baton;
    look_t *look = work->look;

    if (!look->watch.began) {
        look->watch.began = look->server_time;
        P2P_TRY(p2p_task_watch_begin(db, p, look->run.context->spec->target, look->watch.began));
    }
    for (int i = 0; i < work->page->tasks->nelts; i++) P2P_TRY(note_event(look, db, p, &APR_ARRAY_IDX(work->page->tasks, i, p2p_add_payer_t)));
    return work->is_last ? note_end_of_search(look, db, p) : NULL;
}

/* Where they come newest first, what comes after a page of old ones is older. */
static int is_enough(const look_t *look, const p2p_add_payer_page_t *page)
{
    return look->form == NEWEST_FIRST && look->watch.until && page->latest && page->latest < since(look);
}

/* The next page's URL in *url, NULL at the end. Of what was there before the first search enough is enough. */
static const char *find_next(look_t *look, const p2p_add_payer_page_t *page, const char **url)
{
    *url = NULL;
    if (!*page->next || is_enough(look, page)) return NULL;
    if (look->pages >= PAGES_MAX) return look->watch.until ? "A search for Tasks has more than 1,000 pages." : NULL;
    *url = p2p_add_payer_next(look->run.asking, look->run.context->spec->target, look->url, page->next);
    return *url ? NULL : "A search for Tasks names a next page that is no URL.";
}

static void take_page(look_t *look, const p2p_add_payer_page_t *page)
{
    page_work_t work = {look, page, 0};
    const char *next, *fault = find_next(look, page, &next);
    p2p_error_t *error;

    work.is_last = !fault && !next;
    error = p2p_db_upkeep(look->run.context->db, look->run.asking, note_page, &work);
    if (error) {
        end_by(look, error);
        return;
    }
    if (work.is_last) look->watch.until = look->server_time;
    if (!fault && next && !turn_to(look, next)) fault = "A search for Tasks names a page twice.";
    if (fault) fail(look, fault);
    if (fault) end(look);
    else if (next) go_on(look, read_page);
    else go_on(look, read_hint); /* those that waited for the first search */
}

static void on_page(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len, const p2p_error_t *error)
{
    look_t *look = baton;
    const char *fault = trouble(look, "A search for Tasks", status, error);
    p2p_add_payer_page_t page;

    if (!fault && status >= 400 && look->pages == 1 && look->form < ALL) {
        look->form++;
        go_on(look, begin_search);
        return;
    }
    if (!fault && status >= 400) fault = apr_psprintf(look->run.asking, "A search for Tasks is answered %d.", status);
    if (!fault) {
        error = p2p_add_payer_read_page(look->run.asking, body, len, look->run.context->spec->target, &page);
        if (error) fault = "The answer to a search for Tasks is no FHIR Bundle in JSON.";
    }
    if (fault) {
        fail(look, fault);
        end(look);
        return;
    }
    if (look->pages == 1 && set_back(look, fields)) {
        go_on(look, begin_search);
        return;
    }
    if (look->pages == 1) look->server_time = time_of(look, fields, &page);
    take_page(look, &page);
}

/* ---- The beginning ---- */

static int is_told(const p2p_spec_t *spec)
{
    return spec->hook_url || spec->mail_server;
}

static int has_search_hint(const look_t *look)
{
    for (int i = 0; i < look->hints->nelts; i++) {
        if (!*APR_ARRAY_IDX(look->hints, i, p2p_task_hint_t).task_id) return 1;
    }
    return 0;
}

static p2p_error_t *load(look_t *look)
{
    const p2p_exchange_context_t *context = look->run.context;
    const p2p_task_watch_t *watch = &look->watch;
    apr_pool_t *p = look->run.pool;

    P2P_TRY(p2p_task_watch_get(context->db, p, context->spec->target, &look->watch));
    P2P_TRY(p2p_task_hint_list(context->db, p, context->spec->target, P2P_TASK_HINTS + 1, &look->hints));
    look->searches = !watch->until || watch->now >= watch->due || has_search_hint(look)
                     || (look->hints->nelts && watch->now > watch->searched + WITH_HINTS);
    return NULL;
}

static void start(void *work)
{
    look_t *look = work;
    p2p_error_t *error;

    look->watch.fault = "";
    if (!is_told(look->run.context->spec)) { /* it was asked for by another configuration */
        look->is_refused = 1;
        end(look);
        return;
    }
    apr_pool_cleanup_register(look->run.pool, look, cancel_timer, apr_pool_cleanup_null);
    look->seen = apr_hash_make(look->run.pool);
    error = load(look);
    if (error) end_by(look, error);
    else if (look->searches && !look->watch.until) begin_search(look); /* else nobody knows which hints are of old Tasks */
    else read_hint(look);
}

static void *begin(p2p_exchange_context_t *context, const p2p_chore_t *job, void (*ended)(void *baton), void *baton)
{
    look_t *look = p2p_chore_run_make(sizeof(look_t), context, job, start, ended, baton);

    look->run.http = context->target_http;
    return look;
}

const p2p_work_kind_t p2p_work_tasks = {P2P_KIND_TASKS, begin, p2p_chore_run_tick, p2p_chore_run_busy, p2p_chore_run_destroy};

/* ---- When ---- */

p2p_error_t *p2p_task_look_ask(const p2p_exchange_context_t *context, apr_pool_t *p, int *asked)
{
    *asked = is_told(context->spec);
    return *asked ? p2p_task_hint_search(context->db, p, context->spec->target) : NULL;
}

p2p_error_t *p2p_task_look_ask_due(const p2p_exchange_context_t *context, apr_pool_t *p, int *asked)
{
    const char *target = context->spec->target;
    apr_array_header_t *hints;
    p2p_task_watch_t watch;
    int due;

    *asked = 0;
    if (!is_told(context->spec)) return NULL;
    P2P_TRY(p2p_task_watch_get(context->db, p, target, &watch));
    due = watch.now >= watch.due;
    if (!due && !*watch.fault) {
        P2P_TRY(p2p_task_hint_list(context->db, p, target, 1, &hints));
        due = hints->nelts > 0;
    }
    return due ? p2p_task_hint_ask(context->db, p, target, asked) : NULL;
}
