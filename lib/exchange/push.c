/* SPDX-License-Identifier: Apache-2.0 */
/* Filling, sending, retrying and halving Bundles. */
#include "exchange/pushing.h"

#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "exchange/address.h"
#include "fhir/answer.h"

#define STALL_TIMEOUT apr_time_from_sec(120)  /* a target may think long about a Bundle */
#define ANSWER_BASE (1 << 20)                 /* bytes of an answer: so many, */
#define ANSWER_PER_ENTRY 8192                 /* and so many for each entry */
#define DATABASE_AGAIN apr_time_from_sec(1)   /* where it was away */

/* ---- Those alive ---- */

static void live(p2p_push_t *push, p2p_outgoing_t *outgoing)
{
    if (push->alive_count == push->alive_room) {
        push->alive_room = push->alive_room ? push->alive_room * 2 : 16;
        push->alive = realloc(push->alive, (apr_size_t)push->alive_room * sizeof *push->alive);
        if (!push->alive) abort();
    }
    outgoing->owner = push;
    push->alive[push->alive_count++] = outgoing;
}

static void end_attempt(p2p_outgoing_t *outgoing)
{
    outgoing->transfer = NULL;
    if (outgoing->pool) apr_pool_destroy(outgoing->pool);
    outgoing->pool = NULL;
    outgoing->addresses = NULL;
    outgoing->answer = NULL;
}

static void die(p2p_push_t *push, p2p_outgoing_t *outgoing)
{
    int i;

    for (i = 0; push->alive[i] != outgoing; i++) continue;
    push->alive[i] = push->alive[--push->alive_count];
    p2p_limit_ended(&push->limit, outgoing);
    end_attempt(outgoing);
    p2p_outgoing_free(outgoing);
}

static apr_status_t free_push(void *data)
{
    p2p_push_t *push = data;
    int i;

    for (i = 0; i < push->alive_count; i++) {
        p2p_outgoing_t *outgoing = push->alive[i];

        if (outgoing->transfer) push->set.http->cancel(outgoing->transfer);
        if (outgoing->timer) push->set.http->cancel_timer(outgoing->timer);
        p2p_limit_ended(&push->limit, outgoing);
        end_attempt(outgoing);
        p2p_outgoing_free(outgoing);
    }
    free(push->alive);
    p2p_outgoing_free(push->open);
    return APR_SUCCESS;
}

p2p_push_t *p2p_push_make(apr_pool_t *p, const p2p_push_settings_t *settings)
{
    p2p_push_t *push = apr_pcalloc(p, sizeof *push);

    push->set = *settings;
    push->limit.entries = settings->bundle_size;
    push->limit.bytes = settings->bundle_bytes;
    apr_pool_create(&push->pool, p);
    push->open = p2p_outgoing_make(settings->mapper);
    push->fields = apr_array_make(push->pool, 3, sizeof(const char *));
    APR_ARRAY_PUSH(push->fields, const char *) = "Content-Type: application/fhir+json";
    APR_ARRAY_PUSH(push->fields, const char *) = "Accept: application/fhir+json";
    APR_ARRAY_PUSH(push->fields, const char *) = "Prefer: return=minimal";
    apr_pool_pre_cleanup_register(p, push, free_push);
    return push;
}

/* ---- Sending ---- */

static void send_queued(p2p_push_t *push);
static void on_answer(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len,
                      const p2p_error_t *error);

static void fail(p2p_push_t *push, const p2p_error_t *error)
{
    if (push->broken) return;
    push->broken = 1;
    push->set.failed(push->set.baton, error);
}

/* References to what was refused in the meantime, or (forced) is not there yet, become logical before it is sent again. */
static void settle_links(const p2p_push_t *push, p2p_resource_t *resource)
{
    unsigned i;

    for (i = 0; i < resource->link_count; i++) {
        p2p_link_t *link = &resource->links[i];
        p2p_seen_state_t state = p2p_seen_state(push->set.seen, link->key);

        if (link->settled || link->key == resource->key || !resource->key) continue;
        if (state != P2P_SEEN_GONE && (!resource->forced || P2P_SEEN_IS_THERE(state))) continue;
        if (state != P2P_SEEN_GONE) resource->open = 1;
        p2p_map_unresolved(push->set.mapper, resource, link, push->set.keep_unresolved);
    }
}

static void leave_line(p2p_outgoing_t *outgoing)
{
    p2p_push_t *push = outgoing->owner;

    if (!outgoing->in_line) return;
    outgoing->in_line = 0;
    push->in_line--;
}

static void on_begun(void *baton)
{
    p2p_outgoing_t *outgoing = baton;
    p2p_push_t *push = outgoing->owner;

    leave_line(outgoing);
    push->set.room(push->set.baton);
}

static void on_retry(void *baton);

/* The database does not tell what a Bundle needs, or does not take what it brought. fn goes on. */
static void on_database_error(p2p_push_t *push, p2p_outgoing_t *outgoing, const p2p_error_t *error, void (*fn)(void *baton))
{
    if (error->kind != P2P_E_UNAVAILABLE) fail(push, error);
    else {
        outgoing->due = push->set.clock->monotonic(push->set.clock->baton) + DATABASE_AGAIN;
        outgoing->timer = push->set.http->after(push->set.http, DATABASE_AGAIN, fn, outgoing);
    }
}

static void send_now(p2p_push_t *push, p2p_outgoing_t *outgoing)
{
    p2p_http_request_t request = {0};
    p2p_error_t *error;
    int i;

    for (i = 0; i < outgoing->count; i++) {
        if (push->refused_some || outgoing->resources[i]->forced) settle_links(push, outgoing->resources[i]);
    }
    apr_pool_create(&outgoing->pool, push->pool);
    error = push->set.ids ? p2p_address(outgoing, push->set.ids, push->set.batch, push->set.keep_unresolved) : NULL;
    if (error) {
        on_database_error(push, outgoing, error, on_retry);
        end_attempt(outgoing);
        return;
    }
    p2p_outgoing_start(outgoing, push->set.batch);
    request.method = "POST";
    request.url = push->set.target;
    request.fields = push->fields;
    request.body = &outgoing->body;
    request.max_bytes = ANSWER_BASE + (apr_uint64_t)outgoing->count * ANSWER_PER_ENTRY;
    request.stall_timeout = STALL_TIMEOUT;
    request.least_bytes = P2P_LEAST_BYTES;
    request.connections = push->set.connections;
    request.turn = push->set.turn;
    request.begun = on_begun;
    outgoing->attempts++;
    outgoing->in_line = 1;
    push->in_line++;
    push->in_flight++;
    error = p2p_http_fetch(push->set.http, outgoing->pool, &request, on_answer, outgoing, &outgoing->transfer);
    if (error) fail(push, error);
}

static void send_queued(p2p_push_t *push)
{
    while (push->queue && push->in_flight < push->set.connections && !push->broken) {
        p2p_outgoing_t *outgoing = push->queue;

        push->queue = outgoing->next;
        if (!push->queue) push->queue_tail = NULL;
        push->queued--;
        send_now(push, outgoing);
    }
}

static void enqueue(p2p_push_t *push, p2p_outgoing_t *outgoing, int first)
{
    outgoing->next = first ? push->queue : NULL;
    if (first) push->queue = outgoing;
    else if (push->queue_tail) push->queue_tail->next = outgoing;
    else push->queue = outgoing;
    if (!first || !push->queue_tail) push->queue_tail = outgoing;
    push->queued++;
}

/* ---- Answers ---- */

static void on_retry(void *baton)
{
    p2p_outgoing_t *outgoing = baton;
    p2p_push_t *push = outgoing->owner;

    outgoing->timer = NULL;
    enqueue(push, outgoing, 1);
    send_queued(push);
}

static void come_again(p2p_push_t *push, p2p_outgoing_t *outgoing, apr_interval_time_t delay)
{
    outgoing->due = push->set.clock->monotonic(push->set.clock->baton) + delay;
    outgoing->timer = push->set.http->after(push->set.http, delay, on_retry, outgoing);
    end_attempt(outgoing);
}

/* Trouble that may pass. Returns 0 where it has lasted too long. */
static int retry(p2p_push_t *push, p2p_outgoing_t *outgoing, const apr_table_t *fields)
{
    apr_interval_time_t delay;

    if (!p2p_trouble_next(push->set.trouble, outgoing->attempts, fields, &delay)) return 0;
    outgoing->why = push->set.trouble->why;
    come_again(push, outgoing, delay);
    return 1;
}

/* What may be the Bundle's own fault: a few attempts, however short. */
static int retry_few(p2p_push_t *push, p2p_outgoing_t *outgoing, const apr_table_t *fields)
{
    p2p_trouble_t few = {.clock = push->set.clock};
    apr_interval_time_t delay;

    if (!p2p_trouble_next(&few, outgoing->attempts, fields, &delay)) return 0;
    outgoing->why = few.why;
    come_again(push, outgoing, delay);
    return 1;
}

static void done(p2p_push_t *push, p2p_outgoing_t *outgoing)
{
    if (outgoing->then) enqueue(push, outgoing->then, 1);
    outgoing->count = 0; /* its resources are others' now */
    die(push, outgoing);
}

/* A circle that the target refuses: each of it alone, references into the circle logical until they are there. */
static void break_circle(p2p_push_t *push, p2p_outgoing_t *outgoing)
{
    p2p_outgoing_t *then = outgoing->then;
    int i;

    for (i = outgoing->count - 1; i >= 0; i--) {
        p2p_outgoing_t *single = p2p_outgoing_make(push->set.mapper);

        outgoing->resources[i]->forced = 1;
        outgoing->resources[i]->joined = 0;
        p2p_outgoing_add(single, outgoing->resources[i]);
        single->then = then;
        then = single;
        p2p_limit_shared(outgoing, single);
        live(push, single);
    }
    outgoing->then = then;
    done(push, outgoing);
}

/* Sends it again in two, one after the other, since the target answered status (0: none in time). Returns 0 where it cannot be parted. */
static int halve(p2p_push_t *push, p2p_outgoing_t *outgoing, int status)
{
    p2p_outgoing_t *second = p2p_outgoing_split(outgoing);

    if (!second) return 0;
    live(push, second);
    p2p_limit_parted(outgoing, second, status);
    second->then = outgoing->then;
    outgoing->then = second;
    outgoing->attempts = 0;
    end_attempt(outgoing);
    enqueue(push, outgoing, 1);
    return 1;
}

static void refuse(p2p_push_t *push, p2p_resource_t *resource, int status, const char *outcome)
{
    push->refused_some = 1;
    push->set.refused(push->set.baton, resource, status, outcome);
}

/* The target refuses the Bundle as it is: find the resource at fault. */
static void isolate(p2p_push_t *push, p2p_outgoing_t *outgoing, int status, const char *body, apr_size_t len)
{
    if (outgoing->count == 1) {
        p2p_limit_refused(outgoing);
        refuse(push, outgoing->resources[0], status, p2p_outcome_text(outgoing->pool, body, len));
        done(push, outgoing);
    } else if (!halve(push, outgoing, status)) break_circle(push, outgoing);
}

/* ---- Ids that the target assigns ---- */

/* An answer to something that was addressed by its id may say that it is not there any more. */
static int is_gone(const p2p_outgoing_t *outgoing, int i, int status)
{
    return (status == 404 || status == 410) && outgoing->addresses && outgoing->addresses[i].by_id;
}

/* Notes the ids in an answer, before anything counts as written. */
static p2p_error_t *note_ids(p2p_push_t *push, p2p_outgoing_t *outgoing, const p2p_answer_entry_t *entries)
{
    p2p_id_pair_t **pairs = apr_palloc(outgoing->pool, (apr_size_t)outgoing->count * sizeof *pairs);
    int i, count = 0;

    for (i = 0; i < outgoing->count; i++) {
        p2p_id_pair_t *pair = &outgoing->addresses[i].pair;

        if (entries[i].status < 200 || entries[i].status > 299) continue;
        if (entries[i].id) pair->target = apr_pstrmemdup(outgoing->pool, entries[i].id, entries[i].id_len);
        if (!pair->target)
            return p2p_error_make(outgoing->pool, P2P_E_INVALID, "not-fhir", "an entry has no location that tells the id it was given");
        pairs[count++] = pair;
    }
    return p2p_ids_note(push->set.ids, outgoing->pool, pairs, count);
}

/* Forgets the ids by which a Bundle that cannot be parted addressed what is gone. */
static void forget_and_retry(p2p_push_t *push, p2p_outgoing_t *outgoing, int status)
{
    p2p_error_t *error = NULL;
    int i;

    for (i = 0; i < outgoing->count && !error; i++) {
        if (is_gone(outgoing, i, status)) error = p2p_ids_forget(push->set.ids, outgoing->pool, outgoing->addresses[i].pair.source);
    }
    if (error) on_database_error(push, outgoing, error, on_retry);
    else enqueue(push, outgoing, 1);
    end_attempt(outgoing);
}

/* Something in a Bundle that was refused as a whole may be gone. Returns 0 where it cannot be that. */
static int look_for_gone(p2p_push_t *push, p2p_outgoing_t *outgoing, int status)
{
    int i = 0;

    while (i < outgoing->count && !is_gone(outgoing, i, status)) i++;
    if (i == outgoing->count) return 0;
    if (!halve(push, outgoing, status)) forget_and_retry(push, outgoing, status);
    return 1;
}

/* ---- Answers that are success, as a whole ---- */

static void unavailable(p2p_push_t *push, const p2p_outgoing_t *outgoing, int status)
{
    fail(push, p2p_error_make(push->pool, P2P_E_UNAVAILABLE, "target-unavailable",
         "the target answered %d to %d attempts at a transaction; order the exchange again when it is well", status, outgoing->attempts));
}

/* Not the fault of what was sent: the target is away, or asks for patience. */
static int is_away(int status)
{
    return status == 429 || (status >= 502 && status <= 504);
}

static void apply_entry(p2p_push_t *push, p2p_outgoing_t *again, p2p_outgoing_t *outgoing, int i, const p2p_answer_entry_t *entry)
{
    p2p_resource_t *resource = outgoing->resources[i];
    int may_pass = entry->status == 409 || entry->status == 412 || p2p_retry_status(entry->status);

    if (entry->status >= 200 && entry->status < 300) {
        if (outgoing->addresses && outgoing->addresses[i].aside) p2p_outgoing_add(again, resource);
        else push->set.written(push->set.baton, resource, entry->version);
    } else if (is_away(entry->status) || is_gone(outgoing, i, entry->status)) p2p_outgoing_add(again, resource);
    else if (may_pass && again->attempts < P2P_ATTEMPTS) p2p_outgoing_add(again, resource);
    else {
        p2p_limit_refused(outgoing);
        refuse(push, resource, entry->status,
               entry->outcome ? p2p_outcome_text(outgoing->pool, entry->outcome, entry->outcome_len) : "");
    }
}

/* An answer that says success and cannot be read: it may come from something before the target, and is asked for again. */
static void unusable(p2p_push_t *push, p2p_outgoing_t *outgoing, const p2p_error_t *error)
{
    if (!push->draining && retry_few(push, outgoing, NULL)) return;
    fail(push, p2p_error_make(outgoing->pool, P2P_E_INVALID, "target-answer-unusable",
         "the target's answer to a transaction at its base URL cannot be used (%s); check P2PTarget and look at the target's log",
         error->sentence));
}

/* The answer is kept until the database is back. */
static void on_database_back(void *baton);

static void keep_answer(p2p_push_t *push, p2p_outgoing_t *outgoing, const char *body, apr_size_t len, const p2p_error_t *error)
{
    if (!outgoing->answer) outgoing->answer = apr_pstrmemdup(outgoing->pool, body, len);
    outgoing->answer_len = len;
    on_database_error(push, outgoing, error, on_database_back);
}

/* What the map of ids has to know before anything counts as written. */
static p2p_error_t *settle_ids(p2p_push_t *push, p2p_outgoing_t *outgoing, const p2p_answer_entry_t *entries)
{
    int i;

    if (!push->set.ids) return NULL;
    for (i = 0; i < outgoing->count; i++) {
        if (is_gone(outgoing, i, entries[i].status))
            P2P_TRY(p2p_ids_forget(push->set.ids, outgoing->pool, outgoing->addresses[i].pair.source));
    }
    return note_ids(push, outgoing, entries);
}

/* Sends again what did not go in though the answer was 200. */
static void send_again(p2p_push_t *push, p2p_outgoing_t *outgoing, p2p_outgoing_t *again, const p2p_answer_entry_t *entries,
                       const apr_table_t *fields)
{
    int i, away = 0, failed = 0;

    for (i = 0; i < outgoing->count; i++) {
        if (is_away(entries[i].status)) away = entries[i].status;
        failed |= entries[i].status > 299 && !is_gone(outgoing, i, entries[i].status);
    }
    live(push, again);
    p2p_limit_shared(outgoing, again);
    again->then = outgoing->then;
    outgoing->then = NULL;
    if (away && !retry(push, again, fields)) unavailable(push, again, away);
    else if (!failed || (!away && !retry_few(push, again, fields))) enqueue(push, again, 1); /* it is only addressed anew */
}

static void apply_entries(p2p_push_t *push, p2p_outgoing_t *outgoing, const p2p_answer_entry_t *entries, const apr_table_t *fields)
{
    p2p_outgoing_t *again = p2p_outgoing_make(push->set.mapper);
    int i;

    again->attempts = outgoing->attempts;
    for (i = 0; i < outgoing->count; i++) apply_entry(push, again, outgoing, i, &entries[i]);
    if (again->count < outgoing->count) p2p_trouble_over(push->set.trouble);
    if (!again->count) p2p_limit_went_in(&push->limit, outgoing);
    if (again->count && !push->draining) send_again(push, outgoing, again, entries, fields);
    else p2p_outgoing_free(again);
    done(push, outgoing);
}

static void apply_answer(p2p_push_t *push, p2p_outgoing_t *outgoing, const char *body, apr_size_t len, const apr_table_t *fields)
{
    p2p_answer_entry_t *entries;
    int count;
    p2p_error_t *error = p2p_answer_read(outgoing->pool, body, len, &entries, &count);

    if (!error && count != outgoing->count)
        error = p2p_error_make(outgoing->pool, P2P_E_INVALID, "not-fhir", "it has %d entries for %d", count, outgoing->count);
    if (!error) error = settle_ids(push, outgoing, entries);
    if (!error) apply_entries(push, outgoing, entries, fields);
    else if (error->kind == P2P_E_INVALID) unusable(push, outgoing, error);
    else keep_answer(push, outgoing, body, len, error);
}

static void on_database_back(void *baton)
{
    p2p_outgoing_t *outgoing = baton;
    p2p_push_t *push = outgoing->owner;

    outgoing->timer = NULL;
    apply_answer(push, outgoing, outgoing->answer, outgoing->answer_len, NULL);
    send_queued(push);
}

/* ---- Answers that are none ---- */

static void on_refusal(p2p_push_t *push, p2p_outgoing_t *outgoing, int status, const apr_table_t *fields, const char *body,
                       apr_size_t len)
{
    if ((status == 408 || status == 504) && halve(push, outgoing, status)) return; /* it took too long */
    if (look_for_gone(push, outgoing, status)) return;
    if (status == 401 || status == 403 || status == 404 || status == 405) {
        p2p_error_t *error = p2p_error_make(outgoing->pool, P2P_E_REFUSED, "target-refuses",
            "the target answered %d to a transaction at its base URL; check P2PTarget and P2PTargetAuth", status);

        fail(push, p2p_error_detail(outgoing->pool, error, p2p_outcome_text(outgoing->pool, body, len)));
    } else if (is_away(status)) {
        if (!retry(push, outgoing, fields)) unavailable(push, outgoing, status);
    } else {
        int may_pass = p2p_retry_status(status) || status == 409 || status == 412;

        if (!may_pass || !retry_few(push, outgoing, fields)) isolate(push, outgoing, status, body, len);
    }
}

static void on_answer(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len,
                      const p2p_error_t *error)
{
    p2p_outgoing_t *outgoing = baton;
    p2p_push_t *push = outgoing->owner;

    outgoing->transfer = NULL;
    p2p_address_restore(outgoing);
    leave_line(outgoing);
    push->in_flight--;
    if ((push->broken || push->draining) && (error || status > 201)) {
        die(push, outgoing);
        return;
    }
    if (error && (!strcmp(error->code, "stalled") || !strcmp(error->code, "timed-out")) && halve(push, outgoing, 0)) {
        send_queued(push);
        return;
    }
    if (error) {
        if (error->kind != P2P_E_UNAVAILABLE || !retry(push, outgoing, NULL)) fail(push, error);
    } else if (status == 200 || status == 201) {
        apply_answer(push, outgoing, body, len, fields);
    } else on_refusal(push, outgoing, status, fields, body, len);
    send_queued(push);
}

/* ---- For push_open.c ---- */

void p2p_pushing_begin(p2p_push_t *push, p2p_outgoing_t *outgoing)
{
    live(push, outgoing);
    enqueue(push, outgoing, 0);
}

void p2p_pushing_send(p2p_push_t *push)
{
    send_queued(push);
}

void p2p_push_drain(p2p_push_t *push)
{
    int i;

    push->draining = 1;
    push->queue = push->queue_tail = NULL;
    push->queued = 0;
    for (i = push->alive_count - 1; i >= 0; i--) {
        p2p_outgoing_t *outgoing = push->alive[i];

        outgoing->then = NULL;
        if (outgoing->timer) push->set.http->cancel_timer(outgoing->timer);
        outgoing->timer = NULL;
        if (!outgoing->transfer) die(push, outgoing);
    }
    p2p_outgoing_free(push->open);
    push->open = p2p_outgoing_make(push->set.mapper);
}
