/* SPDX-License-Identifier: Apache-2.0 */
/* The outbox: mails to be sent, a row for each recipient, and what became of them. */
#ifndef P2P_STORE_OUTBOX_STORE_H
#define P2P_STORE_OUTBOX_STORE_H

#include <apr_tables.h>
#include <apr_time.h>
#include "base/json.h"
#include "base/seal.h"
#include "model/job.h"
#include "model/task_event.h"
#include "store/db.h"

/* States of a mail. */
#define P2P_MAIL_QUEUED "queued"
#define P2P_MAIL_SENT "sent"
#define P2P_MAIL_UNDELIVERABLE "undeliverable" /* tried, and given up */
#define P2P_MAIL_REFUSED "refused"             /* never tried: by a rule of ours */

/* All of them, up to NULL. */
extern const char *const p2p_mail_states[];

#define P2P_MAIL_ERASED_AFTER apr_time_from_sec(30 * 86400) /* its end: who it was for and what it was filled with */
#define P2P_MAIL_A_DAY_MEMBER 5                             /* for one Patient and address */
#define P2P_MAIL_A_DAY_ADMINISTRATOR 100

/* A mail. Texts are never NULL, in the pool of the call, and opened. */
typedef struct p2p_outbox_mail_t {
    apr_int64_t id, version;
    const char *template, *role, *state, *subject, *status; /* subject, status: the event's */
    const char *address, *patient; /* address is "" until it is looked up; both when they have been erased */
    const char *values;            /* p2p_task_event_values; "" when they have been erased */
    const char *detail;            /* the server's own words about it; "" */
    const char *recipient_hash;
    const char *code, *fault;      /* why it is not sent; "" */
    apr_time_t admitted, create_time, due, tried, end_time; /* the database's times; 0: not yet */
    apr_int64_t attempts;
} p2p_outbox_mail_t;

/* A mail of an event goes into the outbox, in the open transaction. */
p2p_error_t *p2p_outbox_add(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const char *target, const p2p_task_event_t *event,
                            const p2p_mail_order_t *mail);

/* Enqueues P2P_KIND_MAIL where something is due, nobody sees to it yet and the queue does not rest. For whoever has committed, and from time to
 * time; not within a transaction. *asked (may be NULL): 1 where it was enqueued; then runners are to be woken, unless a runner does this. */
p2p_error_t *p2p_outbox_ask(p2p_db_t *db, apr_pool_t *p, const char *target, int *asked);

/* The ids of what is due, oldest first, at most limit: array of apr_int64_t. */
p2p_error_t *p2p_outbox_due(p2p_db_t *db, apr_pool_t *p, const char *target, int limit, apr_array_header_t **ids);

/* One mail. Errors: P2P_E_NOT_FOUND "no-such-mail"; those of p2p_unseal, with *mail set and "" for what cannot be opened. */
p2p_error_t *p2p_outbox_get(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const char *target, apr_int64_t id,
                            p2p_outbox_mail_t **mail);

/* Mails newest first: at most limit, with ids below before, in this state (NULL: any). Array of
 * p2p_outbox_mail_t *; what cannot be opened is "". */
p2p_error_t *p2p_outbox_list(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const char *target, const char *state,
                             apr_int64_t before, int limit, apr_array_header_t **mails);

/* ---- What a runner does that holds the chore's lease; errors: P2P_E_LOST where it does not ---- */

typedef struct p2p_mail_lease_t {
    const p2p_job_t *job; /* the chore's */
    const char *owner;
    const p2p_keyring_t *keyring;
} p2p_mail_lease_t;

/* May this mail go to this address? Stores the address and, where the day's number of mails for that Patient and address is not reached,
 * that one more was let pass. hashes: of store/hash_keys.h. */
p2p_error_t *p2p_outbox_admit(p2p_db_t *db, apr_pool_t *p, const p2p_mail_lease_t *lease, const p2p_keyring_t *hashes, const char *target,
                              const p2p_outbox_mail_t *mail, const char *address, int *admitted);

/* What became of an attempt. */
typedef struct p2p_mail_outcome_t {
    const char *state;          /* P2P_MAIL_QUEUED: it rests */
    apr_interval_time_t delay;  /* so long */
    const char *code, *fault;   /* "" where it was sent */
    const char *detail;         /* the server's words; NULL or "" */
    int counts;                 /* as an attempt */
    int puts_off;               /* the server put it off: three days begin with the first time */
} p2p_mail_outcome_t;
/* Of a mail that cannot be opened id is enough, with values "". */
p2p_error_t *p2p_outbox_note(p2p_db_t *db, apr_pool_t *p, const p2p_mail_lease_t *lease, const p2p_outbox_mail_t *mail,
                             const p2p_mail_outcome_t *outcome);

/* A template cannot be used: all that are due with it rest for delay. */
p2p_error_t *p2p_outbox_rest_template(p2p_db_t *db, apr_pool_t *p, const p2p_mail_lease_t *lease, const char *target, const char *template,
                                      apr_interval_time_t delay, const p2p_error_t *why);

/* Why all mail rests. */
typedef struct p2p_mail_hold_t {
    const char *code, *fault;
    apr_time_t since, until;
    int attempts;
    int lasts; /* until has not come yet: nothing is tried */
} p2p_mail_hold_t;

/* *hold is NULL where there is none. */
p2p_error_t *p2p_mail_hold_get(p2p_db_t *db, apr_pool_t *p, const char *target, p2p_mail_hold_t **hold);
p2p_error_t *p2p_mail_hold_set(p2p_db_t *db, apr_pool_t *p, const p2p_mail_lease_t *lease, const char *target, apr_interval_time_t delay,
                               const p2p_error_t *why);
p2p_error_t *p2p_mail_hold_clear(p2p_db_t *db, apr_pool_t *p, const p2p_mail_lease_t *lease, const char *target);

/* ---- Administration ---- */

/* What has ended goes to the queue again, as if it had just come in; it keeps its Message-ID. Errors: P2P_E_NOT_FOUND "no-such-mail",
 * P2P_E_CONFLICT "mail-queued", "mail-erased". */
p2p_error_t *p2p_outbox_resend(p2p_db_t *db, apr_pool_t *p, const char *target, apr_int64_t id);

/* {"queued":0,"sent":0,"undeliverable":0,"refused":0}, each counted up to P2P_MAILS_COUNTED, whatever the length of the outbox; owned by p. */
#define P2P_MAILS_COUNTED 1000
p2p_error_t *p2p_outbox_counts(p2p_db_t *db, apr_pool_t *p, const char *target, json_object **counts);

/* {"code":…,"sentence":…,"since":…,"until":…}; NULL where all is well. Owned by p. */
p2p_error_t *p2p_mail_hold_public(p2p_db_t *db, apr_pool_t *p, const char *target, json_object **hold);

/* For `p2p-runner status`, all counted: {"queued":…,"oldestQueued":…,"hold":…}, owned by p. */
p2p_error_t *p2p_outbox_status(p2p_db_t *db, apr_pool_t *p, const char *target, json_object **status);

/* Retention: erases what mails held that ended P2P_MAIL_ERASED_AFTER ago and removes those that ended keep ago, and events that are older than
 * keep_events; at most limit of each. *count tells how many. */
p2p_error_t *p2p_outbox_tidy(p2p_db_t *db, apr_pool_t *p, const char *target, apr_interval_time_t keep, apr_interval_time_t keep_events,
                             int limit, int *count);

#endif
