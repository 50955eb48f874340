/* SPDX-License-Identifier: Apache-2.0 */
/* An outbox with mails of events, and a lease to send them. */
#ifndef T_UNIT_OUTBOX_FIXTURE_H
#define T_UNIT_OUTBOX_FIXTURE_H

#include "job_fixture.h"

#include "store/hash_keys.h"
#include "store/outbox_store.h"
#include "store/task_event_store.h"

#define MEMBER "anna@example.org"

static p2p_keyring_t *hashes;
static p2p_mail_lease_t lease;
static p2p_job_t leased;
static p2p_spec_t *mail_spec;
static const char *patient, *email; /* of the next event */

/* A lease is all of a chore that the store looks at. */
static UNUSED int begin_outbox(void **state)
{
    begin(state);
    expect_ok(p2p_hash_keys(db, pool, ring, &hashes));
    run_sql("INSERT INTO p2p_job (id, uuid, kind, target, status, lease_owner, lease_epoch) VALUES (1000, 'u', 'mail', '-', 'STARTED', 'A', 1)");
    leased = (p2p_job_t){.id = 1000, .epoch = 1};
    lease = (p2p_mail_lease_t){.job = &leased, .owner = "A", .keyring = ring};
    mail_spec = p2p_spec_make(pool);
    mail_spec->mail_server = "smtp://mail.example";
    mail_spec->mail_admins = "one@payer.example two@payer.example";
    patient = "patient-1";
    email = MEMBER;
    return 0;
}

typedef struct noting_t {
    const char *subject, *status;
    int first, mails;
} noting_t;

static p2p_error_t *note_in(p2p_db_t *d, apr_pool_t *p, void *baton)
{
    noting_t *noting = baton;
    p2p_task_event_t event = {.kind = P2P_EVENT_ADD_PAYER, .subject = noting->subject, .status = noting->status, .task_id = "t", .patient = patient,
                              .email = email, .payer = "Payer", .member_name = "Anna", .member_phone = "1", .reason = ""};
    apr_array_header_t *mails = p2p_task_event_mails(p, mail_spec, &event);

    noting->mails = mails->nelts;
    return p2p_task_event_note(d, p, ring, TARGET, &event, mails, &noting->first);
}

/* Tells how many mails an event leads to. */
static UNUSED int note_event(const char *subject, const char *status, int *first)
{
    noting_t noting = {subject, status, 0, 0};

    expect_ok(p2p_db_transaction(db, pool, note_in, &noting));
    *first = noting.first;
    return noting.mails;
}

static UNUSED apr_int64_t ask_int64(const char *sql)
{
    return apr_strtoi64(ask_sql(sql), NULL, 10);
}

/* Administrators' before the member's, events by their subjects. */
static UNUSED p2p_outbox_mail_t *mail_at(int number)
{
    p2p_outbox_mail_t *mail;

    expect_ok(p2p_outbox_get(db, pool, ring, TARGET, ask_int64(apr_psprintf(pool,
        "SELECT id FROM p2p_outbox ORDER BY subject, template, id LIMIT 1 OFFSET %d", number)), &mail));
    return mail;
}

#define OUTBOX_TEST(test) cmocka_unit_test_setup_teardown(test, begin_outbox, tear_down)

#endif
