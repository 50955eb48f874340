/* SPDX-License-Identifier: Apache-2.0 */
/* Sending what is due in the outbox. A mail is looked up, let pass, filled, sent and noted; a few are under way at a time, each on its own. What
 * was sent is noted before anything else is begun in its place, so that a crash costs at most a second copy of those few, under the same
 * Message-ID. */
#include "runner/mail_run.h"

#include <apr_strings.h>
#include <string.h>
#include "base/mail_address.h"
#include "base/uri.h"
#include "fhir/patient_mail.h"
#include "model/mail_template.h"
#include "net/http_within.h"
#include "net/smtp.h"
#include "runner/chore_run.h"
#include "store/chore_store.h"
#include "store/hash_keys.h"
#include "store/outbox_store.h"

#define SLOTS 4
#define DATABASE_AGAIN apr_time_from_sec(1)
#define TEMPLATE_AGAIN apr_time_from_sec(60)
#define RETRY_MIN apr_time_from_sec(60)
#define RETRY_MAX apr_time_from_sec(3600)
#define RETRY_FOR apr_time_from_sec(3 * 86400)
#define HOLD_MIN apr_time_from_sec(15)
#define HOLD_MAX apr_time_from_sec(600)
#define PATIENT_BYTES (1024 * 1024)
#define PATIENT_CONNECTIONS 64 /* as other chores: it does not wait behind exchanges */

typedef struct mail_run_t mail_run_t;

/* A mail under way. */
typedef struct slot_t {
    mail_run_t *m;
    apr_pool_t *pool; /* its own; NULL: the slot is free */
    p2p_outbox_mail_t *mail;
    const char *address;
    p2p_mail_t message;
    p2p_http_timer_t *timer;
    p2p_mail_outcome_t outcome;
    const p2p_error_t *fault; /* that the whole queue rests for */
    int is_sending;           /* or was sent and is not noted yet */
    int is_noted;
} slot_t;

struct mail_run_t {
    p2p_chore_run_t run; /* first */
    p2p_keyring_t *hashes;
    p2p_mail_lease_t lease;
    slot_t slots[SLOTS];
    p2p_http_timer_t *timer;
    p2p_mail_hold_t *hold; /* there was a fault at last: one mail at a time until one goes */
    int rests;             /* no further one is begun */
};

static void go_on(mail_run_t *m);

/* ---- The end ---- */

/* What has come in since the last look was not asked for again, since this chore was there. */
static p2p_error_t *write_end(void *work, apr_pool_t *p)
{
    mail_run_t *m = work;
    p2p_exchange_context_t *context = m->run.context;
    p2p_error_t *error;

    P2P_TRY(p2p_chore_forget(context->db, p, m->run.chore, context->owner));
    error = context->smtp ? p2p_outbox_ask(context->db, p, context->spec->target, NULL) : NULL;
    if (error) p2p_log_error(context->log, P2P_LOG_WARN, "Mail waits for a moment", error);
    return NULL;
}

static p2p_error_t *write_nothing(void *work, apr_pool_t *p)
{
    (void)work, (void)p;
    return NULL;
}

static void end(mail_run_t *m, p2p_error_t *(*write)(void *work, apr_pool_t *p))
{
    if (!m->run.write) p2p_chore_run_end(&m->run, write);
}

/* ---- Time ---- */

static void on_run_timer(void *baton)
{
    mail_run_t *m = baton;

    m->timer = NULL;
    go_on(m);
}

static apr_status_t cancel_run_timer(void *baton)
{
    mail_run_t *m = baton;

    if (m->timer) m->run.context->http->cancel_timer(m->timer);
    m->timer = NULL;
    return APR_SUCCESS;
}

static void go_on_later(mail_run_t *m)
{
    p2p_http_t *http = m->run.context->http;

    if (!m->timer) m->timer = http->after(http, DATABASE_AGAIN, on_run_timer, m);
}

/* The database is in trouble, or the lease is gone. Returns 1 where it is nothing of both. */
static int goes(mail_run_t *m, const p2p_error_t *error)
{
    if (!error) return 1;
    if (error->kind == P2P_E_LOST) {
        end(m, write_nothing);
        return 0;
    }
    p2p_log_error(m->run.context->log, P2P_LOG_WARN, "Mail waits for the database", error);
    go_on_later(m);
    return 0;
}

/* ---- Slots ---- */

static void on_slot_timer(void *baton);

static void look_after(slot_t *slot, apr_interval_time_t delay)
{
    p2p_http_t *http = slot->m->run.context->http;

    if (!slot->timer) slot->timer = http->after(http, delay, on_slot_timer, slot);
}

static apr_status_t cancel_slot_timer(void *baton)
{
    slot_t *slot = baton;

    if (slot->timer) slot->m->run.context->http->cancel_timer(slot->timer);
    slot->timer = NULL;
    return APR_SUCCESS;
}

static void take(mail_run_t *m, slot_t *slot)
{
    memset(slot, 0, sizeof *slot);
    slot->m = m;
    apr_pool_create(&slot->pool, m->run.asking);
    apr_pool_pre_cleanup_register(slot->pool, slot, cancel_slot_timer);
}

static void put_away(slot_t *slot)
{
    apr_pool_destroy(slot->pool);
    slot->pool = NULL;
}

static slot_t *free_slot(mail_run_t *m)
{
    int taken = 0;
    slot_t *slot = NULL;

    for (int i = 0; i < SLOTS; i++) {
        if (m->slots[i].pool) taken++;
        else if (!slot) slot = &m->slots[i];
    }
    return m->hold && taken ? NULL : slot;
}

static int is_taken(const mail_run_t *m, apr_int64_t id)
{
    for (int i = 0; i < SLOTS; i++)
        if (m->slots[i].pool && m->slots[i].mail && m->slots[i].mail->id == id) return 1;
    return 0;
}

static int is_empty(const mail_run_t *m)
{
    for (int i = 0; i < SLOTS; i++)
        if (m->slots[i].pool) return 0;
    return 1;
}

/* ---- What became of it ---- */

static p2p_error_t *set_hold(mail_run_t *m, apr_pool_t *p, const p2p_error_t *why)
{
    const p2p_exchange_context_t *context = m->run.context;
    int times = m->hold ? m->hold->attempts : 0;

    if (!m->hold || strcmp(m->hold->fault, why->sentence))
        p2p_log_error(context->log, P2P_LOG_ERROR, "No mail is sent for now", why);
    return p2p_mail_hold_set(context->db, p, &m->lease, context->spec->target, p2p_chore_run_doubled(HOLD_MIN, HOLD_MAX, times), why);
}

/* A fault holds the queue, and whatever the server takes or refuses for itself lets it go. */
static p2p_error_t *see_to_hold(slot_t *slot)
{
    mail_run_t *m = slot->m;
    const p2p_exchange_context_t *context = m->run.context;

    if (slot->fault) {
        if (m->rests) return NULL; /* those under way at the same time had the same */
        P2P_TRY(set_hold(m, slot->pool, slot->fault));
        m->rests = 1;
        return NULL;
    }
    if (!m->hold || !slot->is_sending || !strcmp(slot->outcome.state, P2P_MAIL_QUEUED)) return NULL;
    P2P_TRY(p2p_mail_hold_clear(context->db, slot->pool, &m->lease, context->spec->target));
    p2p_log(context->log, P2P_LOG_NOTICE, "Mail is sent again");
    m->hold = NULL;
    return NULL;
}

static void tell(const slot_t *slot)
{
    const p2p_log_t *log = slot->m->run.context->log;
    const p2p_mail_outcome_t *o = &slot->outcome;
    int given_up = !strcmp(o->state, P2P_MAIL_UNDELIVERABLE);

    if (slot->fault && !given_up) return;
    p2p_log(log, given_up ? P2P_LOG_WARN : P2P_LOG_INFO, "mail %" APR_INT64_T_FMT " is %s%s%s", slot->mail->id, o->state, *o->fault ? ": " : "",
            o->fault);
}

/* The row first: it is what must not be sent again. */
static void settle(slot_t *slot)
{
    mail_run_t *m = slot->m;
    const p2p_exchange_context_t *context = m->run.context;
    p2p_error_t *error = p2p_outbox_note(context->db, slot->pool, &m->lease, slot->mail, &slot->outcome);

    slot->is_noted = !error;
    if (!error) {
        tell(slot);
        error = see_to_hold(slot);
        m->rests |= error != NULL;
        slot->is_sending = 0;
    }
    if (error && error->kind == P2P_E_LOST) {
        end(m, write_nothing);
        return;
    }
    if (error) p2p_log_error(context->log, P2P_LOG_WARN, "What became of a mail is not noted now", error);
    look_after(slot, slot->is_noted ? 0 : DATABASE_AGAIN);
}

static void on_slot_timer(void *baton)
{
    slot_t *slot = baton;

    slot->timer = NULL;
    if (!slot->is_noted) {
        settle(slot);
        return;
    }
    put_away(slot);
    go_on(slot->m);
}

static void comes_to(slot_t *slot, p2p_mail_outcome_t outcome)
{
    slot->outcome = outcome;
    settle(slot);
}

static void refuse(slot_t *slot, const char *code, const char *fault)
{
    comes_to(slot, (p2p_mail_outcome_t){.state = P2P_MAIL_REFUSED, .code = code, .fault = apr_pstrdup(slot->pool, fault)});
}

/* Three days from the first time; the clock is the database's, as near as it is known. */
static void put_off(slot_t *slot, const p2p_error_t *why)
{
    const p2p_clock_t *clock = slot->m->run.context->clock;
    p2p_mail_outcome_t outcome = {.state = P2P_MAIL_QUEUED, .code = why->code, .fault = apr_pstrdup(slot->pool, why->sentence),
                                  .detail = why->detail ? apr_pstrdup(slot->pool, why->detail) : "", .counts = 1, .puts_off = 1,
                                  .delay = p2p_chore_run_doubled(RETRY_MIN, RETRY_MAX, slot->mail->attempts)};

    if (slot->fault) outcome.delay = 0; /* the queue rests as a whole */
    if (slot->mail->tried && clock->now(clock->baton) - slot->mail->tried >= RETRY_FOR) {
        outcome.state = P2P_MAIL_UNDELIVERABLE;
        outcome.fault = apr_pstrcat(slot->pool, outcome.fault, " It was tried for three days.", NULL);
    }
    comes_to(slot, outcome);
}

/* ---- Sending ---- */

/* Nobody there is everybody's trouble; what a server puts off is this mail's. */
static void on_sent(void *baton, p2p_smtp_outcome_t outcome, const p2p_error_t *why)
{
    slot_t *slot = baton;
    const p2p_error_t *fault = p2p_error_copy(slot->pool, why);

    switch (outcome) {
    case P2P_SMTP_SENT:
        comes_to(slot, (p2p_mail_outcome_t){.state = P2P_MAIL_SENT, .code = "", .fault = "", .counts = 1});
        return;
    case P2P_SMTP_LATER:
        if (!strcmp(fault->code, P2P_SMTP_AWAY)) slot->fault = fault;
        put_off(slot, fault);
        return;
    case P2P_SMTP_NEVER:
        comes_to(slot, (p2p_mail_outcome_t){.state = P2P_MAIL_UNDELIVERABLE, .code = fault->code, .fault = fault->sentence,
                                            .detail = fault->detail, .counts = 1});
        return;
    case P2P_SMTP_FAULT:
        slot->fault = fault;
        comes_to(slot, (p2p_mail_outcome_t){.state = P2P_MAIL_QUEUED, .code = fault->code, .fault = fault->sentence, .detail = fault->detail});
        return;
    }
}

/* The same for the same event and recipient, whenever and by whomever it is sent. */
static const char *message_id(const slot_t *slot)
{
    const p2p_spec_t *spec = slot->m->run.context->spec;
    const p2p_outbox_mail_t *mail = slot->mail;
    const char *domain = spec->mail_from ? strrchr(spec->mail_from, '@') : NULL;
    const char *text = apr_pstrcat(slot->pool, spec->target, "\n", mail->subject, "\n", mail->status, "\n", mail->role, "\n", slot->address, NULL);

    return apr_pstrcat(slot->pool, p2p_keyed_hash(slot->pool, slot->m->hashes, 0, "mail-message", text), domain ? domain : "@localhost", NULL);
}

static p2p_error_t *fill(slot_t *slot)
{
    const p2p_exchange_context_t *context = slot->m->run.context;
    p2p_mail_text_t text;
    json_object *values;

    P2P_TRY(p2p_json_parse(slot->pool, slot->mail->values, strlen(slot->mail->values), &values));
    P2P_TRY(p2p_mail_template_fill(slot->pool, context->spec->mail_templates, slot->mail->template, values, &text));
    slot->message = (p2p_mail_t){.from = context->spec->mail_from, .to = slot->address, .message_id = message_id(slot), .subject = text.subject,
                                 .text = text.text, .html = text.html, .date = context->clock->now(context->clock->baton)};
    return NULL;
}

/* All that are to be made of it rest with it: each would come to the same. */
static void rest_template(slot_t *slot, const p2p_error_t *why)
{
    mail_run_t *m = slot->m;
    const p2p_exchange_context_t *context = m->run.context;
    const char *template = slot->mail->template;
    p2p_error_t *error;

    if (strcmp(slot->mail->fault, why->sentence)) p2p_log_error(context->log, P2P_LOG_ERROR, "A mail cannot be written", why);
    error = p2p_outbox_rest_template(context->db, slot->pool, &m->lease, context->spec->target, template, TEMPLATE_AGAIN, why);
    if (!goes(m, error) && m->run.write) return;
    slot->is_noted = 1; /* or due still */
    look_after(slot, 0);
}

static void send_mail(slot_t *slot)
{
    p2p_smtp_t *smtp = slot->m->run.context->smtp;
    p2p_error_t *error = fill(slot);

    if (error) {
        rest_template(slot, error);
        return;
    }
    slot->is_sending = 1;
    smtp->send(smtp, slot->pool, &slot->message, on_sent, slot);
}

/* ---- The address ---- */

static void with_address(slot_t *slot, const char *address)
{
    mail_run_t *m = slot->m;
    const p2p_exchange_context_t *context = m->run.context;
    const char *wrong = p2p_mail_address_check(address);
    int admitted = slot->mail->admitted > 0;

    slot->address = apr_pstrdup(slot->pool, address);
    if (wrong) {
        refuse(slot, "bad-address", apr_psprintf(slot->pool, "The address cannot be used: it %s.", wrong));
        return;
    }
    if (!admitted && !goes(m, p2p_outbox_admit(context->db, slot->pool, &m->lease, m->hashes, context->spec->target, slot->mail, address,
                                               &admitted))) {
        slot->is_noted = 1; /* it is due still */
        if (!m->run.write) look_after(slot, DATABASE_AGAIN);
        return;
    }
    if (admitted) send_mail(slot);
    else refuse(slot, "too-many", "So many mails went to this address in a day that this one was not sent.");
}

static void read_patient(slot_t *slot, int status, const char *body, apr_size_t len)
{
    const p2p_clock_t *clock = slot->m->run.context->clock;
    const char *address = NULL;
    p2p_error_t *error = NULL;

    if (status == 404 || status == 410) {
        refuse(slot, "no-patient", "The target has no Patient of this id, so that nobody knows where to send this.");
        return;
    }
    if (status == 200) error = p2p_patient_mail(slot->pool, body, len, clock->now(clock->baton), &address);
    else error = p2p_error_make(slot->pool, P2P_E_REFUSED, "target-answered", "The target answered %d when the member's Patient was read.", status);
    if (!error) with_address(slot, address);
    else if (!strcmp(error->code, "no-address") || !strcmp(error->code, "bad-address")) refuse(slot, error->code, error->sentence);
    else put_off(slot, error);
}

static void on_patient(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len, const p2p_error_t *error)
{
    slot_t *slot = baton;

    (void)fields;
    if (error) put_off(slot, p2p_error_copy(slot->pool, error));
    else read_patient(slot, status, body, len);
}

static void ask_patient(slot_t *slot)
{
    p2p_exchange_context_t *context = slot->m->run.context;
    apr_array_header_t *fields = apr_array_make(slot->pool, 1, sizeof(const char *));
    p2p_http_request_t request = {.method = "GET", .fields = fields, .max_bytes = PATIENT_BYTES, .connections = PATIENT_CONNECTIONS,
                                  .turn = (apr_uint64_t)slot->m->run.chore->job.id, .stall_timeout = P2P_CHORE_ANSWER, .least_bytes = 1, .gzip = 1};
    const char *id = slot->mail->patient;
    p2p_error_t *error;

    if (!p2p_is_fhir_id(id, strlen(id))) {
        refuse(slot, "no-patient", "It is not known whose mail this is.");
        return;
    }
    APR_ARRAY_PUSH(fields, const char *) = "Accept: application/fhir+json";
    request.url = apr_pstrcat(slot->pool, context->spec->target, "/Patient/", id, NULL);
    error = p2p_http_within(context->target_http, slot->pool, &request, P2P_CHORE_ANSWER, on_patient, slot);
    if (error) put_off(slot, p2p_error_copy(slot->pool, error));
}

/* ---- One after the other ---- */

/* What cannot be opened rests: its key may come back. */
static void rest_sealed(slot_t *slot, const p2p_error_t *error)
{
    slot->mail->values = ""; /* details stay as they are */
    comes_to(slot, (p2p_mail_outcome_t){.state = P2P_MAIL_QUEUED, .delay = RETRY_MAX, .code = error->code, .fault = error->sentence});
}

/* Returns 0 where nothing further is to be begun now. */
static int begin_mail(mail_run_t *m, slot_t *slot, apr_int64_t id)
{
    const p2p_exchange_context_t *context = m->run.context;
    p2p_error_t *error;

    take(m, slot);
    error = p2p_outbox_get(context->db, slot->pool, context->spec->keyring, context->spec->target, id, &slot->mail);
    if (error && p2p_is_unopenable(error)) {
        rest_sealed(slot, error);
        return 1;
    }
    if (error) {
        int is_gone = error->kind == P2P_E_NOT_FOUND;

        if (!is_gone) goes(m, error);
        put_away(slot);
        return is_gone;
    }
    if (*slot->mail->address) with_address(slot, slot->mail->address);
    else ask_patient(slot);
    return 1;
}

/* The oldest that is due and not under way; 0: there is none. */
static p2p_error_t *next_due(mail_run_t *m, apr_pool_t *p, apr_int64_t *id)
{
    const p2p_exchange_context_t *context = m->run.context;
    apr_array_header_t *ids;

    *id = 0;
    P2P_TRY(p2p_outbox_due(context->db, p, context->spec->target, SLOTS + 1, &ids));
    for (int i = 0; !*id && i < ids->nelts; i++) {
        apr_int64_t due = APR_ARRAY_IDX(ids, i, apr_int64_t);
        if (!is_taken(m, due)) *id = due;
    }
    return NULL;
}

static void go_on(mail_run_t *m)
{
    const p2p_exchange_context_t *context = m->run.context;
    apr_pool_t *p;
    slot_t *slot;
    apr_int64_t id = 1;

    if (m->run.write) return;
    apr_pool_create(&p, m->run.asking);
    while (id && !m->rests && !context->ending && !m->timer && !m->run.write && (slot = free_slot(m))) {
        if (!goes(m, next_due(m, p, &id))) break;
        if (id && !begin_mail(m, slot, id)) break;
        apr_pool_clear(p);
    }
    apr_pool_destroy(p);
    if (!m->timer && is_empty(m)) end(m, write_end);
}

/* The hold is looked at once: this chore alone changes it. */
static p2p_error_t *prepare(mail_run_t *m)
{
    const p2p_exchange_context_t *context = m->run.context;

    P2P_TRY(p2p_hash_keys(context->db, m->run.pool, context->spec->keyring, &m->hashes));
    P2P_TRY(p2p_mail_hold_get(context->db, m->run.pool, context->spec->target, &m->hold));
    m->rests = m->hold && m->hold->lasts;
    return NULL;
}

static void start(void *work)
{
    mail_run_t *m = work;
    p2p_exchange_context_t *context = m->run.context;
    p2p_error_t *error;

    if (!context->smtp) {
        end(m, write_end);
        return;
    }
    m->lease = (p2p_mail_lease_t){.job = &m->run.chore->job, .owner = context->owner, .keyring = context->spec->keyring};
    apr_pool_pre_cleanup_register(m->run.asking, m, cancel_run_timer);
    error = prepare(m);
    if (error) p2p_log_error(context->log, P2P_LOG_WARN, "Mail waits for a moment", error);
    m->rests |= error != NULL;
    go_on(m);
}

p2p_error_t *p2p_mail_ask_due(const p2p_exchange_context_t *context, apr_pool_t *p, int *asked)
{
    *asked = 0;
    return context->smtp ? p2p_outbox_ask(context->db, p, context->spec->target, asked) : NULL;
}

static void *begin(p2p_exchange_context_t *context, const p2p_chore_t *job, void (*ended)(void *baton), void *baton)
{
    return p2p_chore_run_make(sizeof(mail_run_t), context, job, start, ended, baton);
}

/* What a server has taken is better noted than sent again. */
static int busy(const void *work)
{
    const mail_run_t *m = work;

    for (int i = 0; i < SLOTS; i++)
        if (m->slots[i].pool && m->slots[i].is_sending) return 1;
    return 0;
}

const p2p_work_kind_t p2p_work_mail = {P2P_KIND_MAIL, begin, p2p_chore_run_tick, busy, p2p_chore_run_destroy};
