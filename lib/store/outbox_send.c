/* SPDX-License-Identifier: Apache-2.0 */
/* The outbox: what changes while mails are sent. Each change is a transaction that holds the chore's lease. */
#include "store/outbox_store.h"

#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include "store/job_private.h"
#include "store/outbox_private.h"

#define DAY apr_time_from_sec(86400)

typedef struct change_t {
    const p2p_mail_lease_t *lease;
    const char *target;
    const p2p_outbox_mail_t *mail;
    /* Of an admission. */
    const p2p_keyring_t *hashes;
    const char *address;
    int admitted;
    /* Of an outcome. */
    const p2p_mail_outcome_t *outcome;
    /* Of what rests. */
    const char *template;
    apr_interval_time_t delay;
    const p2p_error_t *why;
} change_t;

static p2p_error_t *fence(p2p_db_t *db, apr_pool_t *p, const change_t *c)
{
    return p2p_job_fence(db, p, c->lease->job, c->lease->owner);
}

/* ---- Admission ---- */

/* A box is the same however its address is written, but for the few that tell large letters from small: those share a day's mails. */
static const char *recipient_hash(apr_pool_t *p, const change_t *c, int key)
{
    char *address = apr_pstrdup(p, c->address);

    for (char *at = address; *at; at++) *at = (char)apr_tolower(*at);
    return p2p_keyed_hash(p, c->hashes, key, "mail-recipient",
                          apr_pstrcat(p, c->target, "\n", c->mail->role, "\n", c->mail->patient, "\n", address, NULL));
}

static p2p_error_t *count_recent(p2p_db_t *db, apr_pool_t *p, const change_t *c, apr_int64_t *count)
{
    p2p_rows_t rows;

    *count = 0;
    for (int key = 0; key < p2p_keyring_count(c->hashes); key++) {
        P2P_TRY(p2p_db_select(db, p, P2P_SQL_OUTBOX_RECENT, &rows, recipient_hash(p, c, key), (apr_int64_t)DAY));
        *count += p2p_rows_int(&rows, 0, 0);
    }
    return NULL;
}

static p2p_error_t *admit(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    change_t *c = baton;
    int most = strcmp(c->mail->role, P2P_TO_MEMBER) ? P2P_MAIL_A_DAY_ADMINISTRATOR : P2P_MAIL_A_DAY_MEMBER;
    const char *sealed;
    apr_int64_t recent;

    P2P_TRY(fence(db, p, c));
    P2P_TRY(count_recent(db, p, c, &recent));
    c->admitted = recent < most;
    P2P_TRY(p2p_outbox_seal(p, c->lease->keyring, "address", c->mail->id, c->address, &sealed));
    return p2p_db_exec(db, p, P2P_SQL_OUTBOX_ADMIT, NULL, sealed, recipient_hash(p, c, 0), (apr_int64_t)c->admitted, c->mail->id);
}

p2p_error_t *p2p_outbox_admit(p2p_db_t *db, apr_pool_t *p, const p2p_mail_lease_t *lease, const p2p_keyring_t *hashes, const char *target,
                              const p2p_outbox_mail_t *mail, const char *address, int *admitted)
{
    change_t c = {.lease = lease, .hashes = hashes, .target = target, .mail = mail, .address = address};

    P2P_TRY(p2p_db_transaction(db, p, admit, &c));
    *admitted = c.admitted;
    return NULL;
}

/* ---- Outcomes ---- */

static p2p_error_t *note(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    const change_t *c = baton;
    const p2p_mail_outcome_t *o = c->outcome;
    apr_int64_t attempts = o->counts != 0, id = c->mail->id;
    const char *details = ""; /* they stay as they are */

    P2P_TRY(fence(db, p, c));
    if (*c->mail->values)
        P2P_TRY(p2p_outbox_seal(p, c->lease->keyring, "details", id, p2p_outbox_details(p, c->mail->values, o->detail), &details));
    if (strcmp(o->state, P2P_MAIL_QUEUED))
        return p2p_db_exec(db, p, P2P_SQL_OUTBOX_END, NULL, o->state, o->code, o->fault, details, details, attempts, id);
    return p2p_db_exec(db, p, P2P_SQL_OUTBOX_REST, NULL, (apr_int64_t)o->delay, o->code, o->fault, details, details, attempts,
                       (apr_int64_t)(o->puts_off != 0), id);
}

p2p_error_t *p2p_outbox_note(p2p_db_t *db, apr_pool_t *p, const p2p_mail_lease_t *lease, const p2p_outbox_mail_t *mail,
                             const p2p_mail_outcome_t *outcome)
{
    change_t c = {.lease = lease, .mail = mail, .outcome = outcome};

    return p2p_db_transaction(db, p, note, &c);
}

static p2p_error_t *rest_template(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    const change_t *c = baton;

    P2P_TRY(fence(db, p, c));
    return p2p_db_exec(db, p, P2P_SQL_OUTBOX_REST_TEMPLATE, NULL, (apr_int64_t)c->delay, c->why->code, c->why->sentence, c->target, c->template);
}

p2p_error_t *p2p_outbox_rest_template(p2p_db_t *db, apr_pool_t *p, const p2p_mail_lease_t *lease, const char *target, const char *template,
                                      apr_interval_time_t delay, const p2p_error_t *why)
{
    change_t c = {.lease = lease, .target = target, .template = template, .delay = delay, .why = why};

    return p2p_db_transaction(db, p, rest_template, &c);
}

/* ---- The queue rests ---- */

static p2p_error_t *set_hold(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    const change_t *c = baton;

    P2P_TRY(fence(db, p, c));
    return p2p_db_exec(db, p, P2P_SQL_MAIL_HOLD_SET, NULL, c->target, c->why->code, c->why->sentence, (apr_int64_t)c->delay);
}

p2p_error_t *p2p_mail_hold_set(p2p_db_t *db, apr_pool_t *p, const p2p_mail_lease_t *lease, const char *target, apr_interval_time_t delay,
                               const p2p_error_t *why)
{
    change_t c = {.lease = lease, .target = target, .delay = delay, .why = why};

    return p2p_db_transaction(db, p, set_hold, &c);
}

static p2p_error_t *clear_hold(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    const change_t *c = baton;

    P2P_TRY(fence(db, p, c));
    return p2p_db_exec(db, p, P2P_SQL_MAIL_HOLD_CLEAR, NULL, c->target);
}

p2p_error_t *p2p_mail_hold_clear(p2p_db_t *db, apr_pool_t *p, const p2p_mail_lease_t *lease, const char *target)
{
    change_t c = {.lease = lease, .target = target};

    return p2p_db_transaction(db, p, clear_hold, &c);
}
