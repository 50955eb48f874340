/* SPDX-License-Identifier: Apache-2.0 */
/* The outbox: what goes in and what is read of it. */
#include "store/outbox_store.h"

#include <string.h>
#include <apr_strings.h>
#include "model/chore.h"
#include "store/chore_store.h"
#include "store/outbox_private.h"
#include "store/sealed.h"

#define ADDS 20

/* An id tells the millisecond in which it was made, so that a list has an order, and fits a double for as long as this lasts. No counter's row
 * is held: whoever notes an event has other things in the same transaction, and others would wait for it, or it for them. */
#define ID_EPOCH APR_INT64_C(1767225600000) /* 2026-01-01 */
#define IDS_A_MILLISECOND 4096

const char *const p2p_mail_states[] = {P2P_MAIL_QUEUED, P2P_MAIL_SENT, P2P_MAIL_UNDELIVERABLE, P2P_MAIL_REFUSED, NULL};

static p2p_error_t *make_id(p2p_db_t *db, apr_pool_t *p, apr_int64_t *id)
{
    apr_uint16_t random;
    apr_int64_t past;
    apr_time_t now;

    P2P_TRY(p2p_random(p, &random, sizeof random));
    P2P_TRY(p2p_db_now(db, p, &now));
    past = now / 1000 - ID_EPOCH;
    *id = (past > 0 ? past : 0) * IDS_A_MILLISECOND + random % IDS_A_MILLISECOND;
    return NULL;
}

p2p_error_t *p2p_outbox_seal(apr_pool_t *p, const p2p_keyring_t *keyring, const char *column, apr_int64_t id, const char *text, const char **sealed)
{
    return p2p_seal_column(p, keyring, P2P_OUTBOX_TABLE, column, id, text, sealed);
}

const char *p2p_outbox_details(apr_pool_t *p, const char *values, const char *detail)
{
    json_object *doc = p2p_json_own(p, json_object_new_object());

    p2p_json_add_str(doc, "values", values);
    if (detail && *detail) p2p_json_add_str(doc, "detail", detail);
    return p2p_json_print(p, doc, NULL);
}

p2p_error_t *p2p_outbox_add(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const char *target, const p2p_task_event_t *event,
                            const p2p_mail_order_t *mail)
{
    const char *address, *patient, *details, *values = p2p_task_event_values(p, event, mail->role, NULL);
    int changed = 0;

    for (int i = 0; !changed && i < ADDS; i++) {
        apr_int64_t id;

        P2P_TRY(make_id(db, p, &id));
        P2P_TRY(p2p_outbox_seal(p, keyring, "address", id, mail->address, &address));
        P2P_TRY(p2p_outbox_seal(p, keyring, "patient", id, event->patient, &patient));
        P2P_TRY(p2p_outbox_seal(p, keyring, "details", id, p2p_outbox_details(p, values, NULL), &details));
        P2P_TRY(p2p_db_exec(db, p, P2P_SQL_OUTBOX_INSERT, &changed, id, target, mail->template, mail->role, event->subject, event->status,
                            address, patient, details));
    }
    return changed ? NULL : p2p_error_make(p, P2P_E_UNAVAILABLE, "database-away", "The mail could not be stored; try again.");
}

p2p_error_t *p2p_outbox_ask(p2p_db_t *db, apr_pool_t *p, const char *target, int *asked)
{
    p2p_chore_order_t order = {.kind = P2P_KIND_MAIL, .target = target, .subject = "", .client = ""};
    p2p_chore_t *chore;
    p2p_rows_t rows;
    int again;

    if (asked) *asked = 0;
    P2P_TRY(p2p_db_select(db, p, P2P_SQL_OUTBOX_WAITS, &rows, target, target, target));
    if (!p2p_rows_int(&rows, 0, 0)) return NULL;
    P2P_TRY(p2p_chore_enqueue(db, p, &order, &chore, &again));
    if (asked) *asked = !again;
    return NULL;
}

p2p_error_t *p2p_outbox_due(p2p_db_t *db, apr_pool_t *p, const char *target, int limit, apr_array_header_t **ids)
{
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_OUTBOX_DUE, &rows, target, (apr_int64_t)limit));
    *ids = apr_array_make(p, rows.count + 1, sizeof(apr_int64_t));
    for (int i = 0; i < rows.count; i++) APR_ARRAY_PUSH(*ids, apr_int64_t) = p2p_rows_int(&rows, i, 0);
    return NULL;
}

static p2p_error_t *open_details(apr_pool_t *p, const p2p_keyring_t *keyring, const char *sealed, p2p_outbox_mail_t *mail)
{
    json_object *doc;
    const char *text;

    P2P_TRY(p2p_unseal_column(p, keyring, P2P_OUTBOX_TABLE, "details", mail->id, sealed, &text));
    if (!*text) return NULL;
    P2P_TRY(p2p_json_parse(p, text, strlen(text), &doc));
    if (p2p_json_str(doc, "values")) mail->values = p2p_json_str(doc, "values");
    if (p2p_json_str(doc, "detail")) mail->detail = p2p_json_str(doc, "detail");
    return NULL;
}

/* In the order of sql_told.c's MAIL_COLUMNS. */
static p2p_error_t *from_row(apr_pool_t *p, const p2p_keyring_t *keyring, const p2p_rows_t *rows, int i, p2p_outbox_mail_t **out)
{
    p2p_outbox_mail_t *mail = apr_pcalloc(p, sizeof *mail);
    const char **cell = rows->cell[i];

    mail->id = p2p_rows_int(rows, i, 0);
    mail->version = p2p_rows_int(rows, i, 1);
    mail->template = cell[2];
    mail->role = cell[3];
    mail->state = cell[4];
    mail->subject = cell[5];
    mail->status = cell[6];
    mail->recipient_hash = cell[10];
    mail->admitted = p2p_rows_int(rows, i, 11);
    mail->create_time = p2p_rows_int(rows, i, 12);
    mail->due = p2p_rows_int(rows, i, 13);
    mail->tried = p2p_rows_int(rows, i, 14);
    mail->attempts = p2p_rows_int(rows, i, 15);
    mail->code = cell[16];
    mail->fault = cell[17];
    mail->end_time = p2p_rows_int(rows, i, 18);
    mail->address = mail->patient = mail->values = mail->detail = "";
    *out = mail;
    P2P_TRY(p2p_unseal_column(p, keyring, P2P_OUTBOX_TABLE, "address", mail->id, cell[7], &mail->address));
    P2P_TRY(p2p_unseal_column(p, keyring, P2P_OUTBOX_TABLE, "patient", mail->id, cell[8], &mail->patient));
    return open_details(p, keyring, cell[9], mail);
}

static p2p_error_t *missing(apr_pool_t *p)
{
    return p2p_error_make(p, P2P_E_NOT_FOUND, "no-such-mail", "There is no mail of this number.");
}

p2p_error_t *p2p_outbox_get(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const char *target, apr_int64_t id,
                            p2p_outbox_mail_t **mail)
{
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_OUTBOX_GET, &rows, target, id));
    return rows.count ? from_row(p, keyring, &rows, 0, mail) : missing(p);
}

p2p_error_t *p2p_outbox_list(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const char *target, const char *state,
                             apr_int64_t before, int limit, apr_array_header_t **mails)
{
    apr_int64_t most = limit;
    p2p_rows_t rows;

    if (state) P2P_TRY(p2p_db_select(db, p, P2P_SQL_OUTBOX_LIST_STATE, &rows, target, state, before, most));
    else P2P_TRY(p2p_db_select(db, p, P2P_SQL_OUTBOX_LIST, &rows, target, before, most));
    *mails = apr_array_make(p, rows.count + 1, sizeof(p2p_outbox_mail_t *));
    for (int i = 0; i < rows.count; i++) {
        p2p_error_t *error = from_row(p, keyring, &rows, i, apr_array_push(*mails));
        if (error && !p2p_is_unopenable(error)) return error; /* that is no reason to hide it, or all others */
    }
    return NULL;
}

/* ---- Administration ---- */

typedef struct resend_t {
    const char *target;
    apr_int64_t id;
} resend_t;

static p2p_error_t *resend(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    const resend_t *again = baton;
    p2p_rows_t rows;
    int changed;

    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_OUTBOX_RESEND, &changed, again->target, again->id));
    if (changed) return NULL;
    P2P_TRY(p2p_db_select(db, p, P2P_SQL_OUTBOX_GET, &rows, again->target, again->id));
    if (!rows.count) return missing(p);
    if (!strcmp(rows.cell[0][4], P2P_MAIL_QUEUED))
        return p2p_error_make(p, P2P_E_CONFLICT, "mail-queued", "This mail is to be sent already.");
    return p2p_error_make(p, P2P_E_CONFLICT, "mail-erased", "What this mail was made of has been erased; it cannot be sent again.");
}

p2p_error_t *p2p_outbox_resend(p2p_db_t *db, apr_pool_t *p, const char *target, apr_int64_t id)
{
    resend_t again = {target, id};

    return p2p_db_transaction(db, p, resend, &again);
}

/* From rows of state and number; what has no row is 0. */
static json_object *counts_from(apr_pool_t *p, const p2p_rows_t *rows)
{
    json_object *counts = p2p_json_own(p, json_object_new_object());

    for (const char *const *state = p2p_mail_states; *state; state++) p2p_json_add_int(counts, *state, 0);
    for (int i = 0; i < rows->count; i++) p2p_json_add_int(counts, rows->cell[i][0], p2p_rows_int(rows, i, 1));
    return counts;
}

p2p_error_t *p2p_outbox_counts(p2p_db_t *db, apr_pool_t *p, const char *target, json_object **counts)
{
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_SEEN_MAILS, &rows, target, target, target, target));
    *counts = counts_from(p, &rows);
    return NULL;
}

p2p_error_t *p2p_mail_hold_get(p2p_db_t *db, apr_pool_t *p, const char *target, p2p_mail_hold_t **hold)
{
    p2p_rows_t rows;

    *hold = NULL;
    P2P_TRY(p2p_db_select(db, p, P2P_SQL_MAIL_HOLD_GET, &rows, target));
    if (!rows.count) return NULL;
    *hold = apr_pcalloc(p, sizeof **hold);
    (*hold)->code = rows.cell[0][0];
    (*hold)->fault = rows.cell[0][1];
    (*hold)->since = p2p_rows_int(&rows, 0, 2);
    (*hold)->until = p2p_rows_int(&rows, 0, 3);
    (*hold)->attempts = (int)p2p_rows_int(&rows, 0, 4);
    (*hold)->lasts = (int)p2p_rows_int(&rows, 0, 5);
    return NULL;
}

p2p_error_t *p2p_mail_hold_public(p2p_db_t *db, apr_pool_t *p, const char *target, json_object **doc)
{
    p2p_mail_hold_t *hold;

    *doc = NULL;
    P2P_TRY(p2p_mail_hold_get(db, p, target, &hold));
    if (!hold) return NULL;
    *doc = p2p_json_own(p, json_object_new_object());
    p2p_json_add_str(*doc, "code", hold->code);
    p2p_json_add_str(*doc, "sentence", hold->fault);
    p2p_json_add_time(*doc, "since", hold->since);
    p2p_json_add_time(*doc, "until", hold->until);
    return NULL;
}

p2p_error_t *p2p_outbox_status(p2p_db_t *db, apr_pool_t *p, const char *target, json_object **status)
{
    json_object *hold;
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_OUTBOX_COUNTS, &rows, target));
    *status = counts_from(p, &rows);
    P2P_TRY(p2p_db_select(db, p, P2P_SQL_OUTBOX_OLDEST, &rows, target));
    p2p_json_add_time(*status, "oldestQueued", p2p_rows_int(&rows, 0, 0));
    P2P_TRY(p2p_mail_hold_public(db, p, target, &hold));
    json_object_object_add(*status, "hold", json_object_get(hold));
    return NULL;
}

p2p_error_t *p2p_outbox_tidy(p2p_db_t *db, apr_pool_t *p, const char *target, apr_interval_time_t keep, apr_interval_time_t keep_events,
                             int limit, int *count)
{
    apr_int64_t most = limit;
    int erased, removed, events;

    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_OUTBOX_ERASE, &erased, target, (apr_int64_t)P2P_MAIL_ERASED_AFTER, most));
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_OUTBOX_TIDY, &removed, target, (apr_int64_t)keep, most));
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_EVENT_TIDY, &events, (apr_int64_t)keep_events, most));
    *count = erased + removed + events;
    return NULL;
}
