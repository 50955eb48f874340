/* SPDX-License-Identifier: Apache-2.0 */
/* Events and their mails in the database: each once, sealed, admitted by number, noted under the lease, erased and removed in time. */
#include "outbox_fixture.h"

/* ---- Events ---- */

static void each_event_once(void **state)
{
    int first;

    (void)state;
    assert_int_equal(note_event("Task/1", "requested", &first), 3);
    assert_true(first);
    assert_int_equal(note_event("Task/1", "requested", &first), 3);
    assert_false(first);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_outbox"), 3);
    note_event("Task/1", "accepted", &first);
    assert_true(first);
    note_event("Task/2", "requested", &first);
    assert_true(first);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_outbox"), 7);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_task_event"), 3);
}

static p2p_error_t *note_and_fail(p2p_db_t *d, apr_pool_t *p, void *baton)
{
    P2P_TRY(note_in(d, p, baton));
    return p2p_error_make(p, P2P_E_CONFLICT, "no", "No.");
}

/* What is rolled back has not happened; it is an event still. */
static void in_the_transaction(void **state)
{
    noting_t noting = {"Task/1", "requested", 0, 0};

    (void)state;
    expect_error(p2p_db_transaction(db, pool, note_and_fail, &noting), P2P_E_CONFLICT, "no");
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_outbox"), 0);
    assert_int_equal(note_event("Task/1", "requested", &noting.first), 3);
    assert_true(noting.first);
}

static void sealed(void **state)
{
    p2p_outbox_mail_t *mail;
    int first;

    (void)state;
    note_event("Task/1", "requested", &first);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_outbox WHERE address LIKE 'v1.%' AND patient LIKE 'v1.%' AND details LIKE 'v1.%'"), 3);
    mail = mail_at(2);
    assert_string_equal(mail->role, "member");
    assert_string_equal(mail->template, "add-payer-member");
    assert_string_equal(mail->address, MEMBER);
    assert_string_equal(mail->patient, "patient-1");
    assert_string_equal(mail->values, "{\"status\":\"requested\",\"job\":\"\"}");
    assert_string_equal(mail->subject, "Task/1");
    assert_string_equal(mail->status, "requested");
    assert_string_equal(mail->state, "queued");
    assert_non_null(strstr(mail_at(0)->address, "@payer.example"));
    assert_true(mail->create_time > 0 && mail->due >= mail->create_time);
}

/* Ids tell when they were made, and are numbers that JavaScript knows as well. */
static void ids(void **state)
{
    int first;

    (void)state;
    for (int i = 0; i < 40; i++) note_event(apr_psprintf(pool, "Task/%d", i), "requested", &first);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_outbox"), 120);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_outbox WHERE id > 9007199254740991 OR id < 1"), 0);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_outbox WHERE ABS(id / 4096 + 1767225600000 - create_time / 1000) > 60000"), 0);
}

/* ---- Asking for somebody to send them ---- */

static int ask_for_mail(void)
{
    int asked;

    expect_ok(p2p_outbox_ask(db, pool, TARGET, &asked));
    return asked;
}

static void asking(void **state)
{
    int first;

    (void)state;
    assert_false(ask_for_mail());
    note_event("Task/1", "requested", &first);
    assert_true(ask_for_mail());
    assert_false(ask_for_mail());
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_job WHERE kind = 'mail' AND target = '" TARGET "'"), 1);
    run_sql("DELETE FROM p2p_job");
    run_sql("UPDATE p2p_outbox SET due = due + 60000000");
    assert_false(ask_for_mail());
    run_sql("UPDATE p2p_outbox SET due = 1");
    run_sql("INSERT INTO p2p_mail_hold (target, until) VALUES ('" TARGET "', 9000000000000000)");
    assert_false(ask_for_mail());
    run_sql("UPDATE p2p_mail_hold SET until = 1");
    assert_true(ask_for_mail());
    run_sql("DELETE FROM p2p_job");
    run_sql("UPDATE p2p_outbox SET state = 'sent'");
    assert_false(ask_for_mail());
    run_sql("UPDATE p2p_outbox SET state = 'queued', target = 'https://other.example'");
    assert_false(ask_for_mail());
}

static void oldest_first(void **state)
{
    apr_array_header_t *due;
    int first;

    (void)state;
    note_event("Task/1", "accepted", &first);
    note_event("Task/2", "accepted", &first);
    note_event("Task/3", "accepted", &first);
    run_sql("UPDATE p2p_outbox SET due = CASE subject WHEN 'Task/1' THEN 3 WHEN 'Task/2' THEN 1 ELSE 2 END");
    expect_ok(p2p_outbox_due(db, pool, TARGET, 2, &due));
    assert_int_equal(due->nelts, 2);
    expect_ok(p2p_outbox_get(db, pool, ring, TARGET, APR_ARRAY_IDX(due, 0, apr_int64_t), &(p2p_outbox_mail_t *){NULL}));
    assert_int_equal(APR_ARRAY_IDX(due, 0, apr_int64_t), ask_int64("SELECT id FROM p2p_outbox WHERE subject = 'Task/2'"));
    assert_int_equal(APR_ARRAY_IDX(due, 1, apr_int64_t), ask_int64("SELECT id FROM p2p_outbox WHERE subject = 'Task/3'"));
    expect_error(p2p_outbox_get(db, pool, ring, "https://other.example", APR_ARRAY_IDX(due, 0, apr_int64_t), &(p2p_outbox_mail_t *){NULL}),
                 P2P_E_NOT_FOUND, "no-such-mail");
}

/* ---- Admission ---- */

static int admitted(int number, const char *address)
{
    int is;

    expect_ok(p2p_outbox_admit(db, pool, &lease, hashes, TARGET, mail_at(number), address, &is));
    return is;
}

static void so_many_a_day(void **state)
{
    int first;

    (void)state;
    for (int i = 0; i < 8; i++) note_event(apr_psprintf(pool, "Task/%d", i), "accepted", &first);
    for (int i = 0; i < 5; i++) assert_true(admitted(i, "a@example.org"));
    assert_false(admitted(5, "a@example.org"));
    assert_string_equal(mail_at(5)->address, "a@example.org");
    assert_int_equal(mail_at(5)->admitted, 0);
    assert_true(admitted(6, "b@example.org"));
    run_sql("UPDATE p2p_outbox SET admitted = admitted - 86399000000 WHERE admitted > 0");
    assert_false(admitted(7, "a@example.org"));
    run_sql("UPDATE p2p_outbox SET admitted = admitted - 1001000 WHERE admitted > 0");
    assert_true(admitted(7, "a@example.org"));
}

/* Whatever is written large, it is the same box. */
static void of_one_address(void **state)
{
    static const char *const addresses[] = {"a@example.org", "A@example.org", "a@Example.ORG", "A@EXAMPLE.ORG", "a@example.orG"};
    int first;

    (void)state;
    for (int i = 0; i < 6; i++) note_event(apr_psprintf(pool, "Task/%d", i), "accepted", &first);
    for (int i = 0; i < 5; i++) assert_true(admitted(i, addresses[i]));
    assert_string_equal(mail_at(1)->address, "A@example.org");
    assert_false(admitted(5, "a@eXample.org"));
}

static void of_each_patient_and_role(void **state)
{
    int first;

    (void)state;
    for (int i = 0; i < 6; i++) note_event(apr_psprintf(pool, "Task/%d", i), "accepted", &first);
    for (int i = 0; i < 5; i++) assert_true(admitted(i, "a@example.org"));
    patient = "patient-2";
    note_event("Task/other", "accepted", &first);
    assert_true(admitted(6, "a@example.org"));
    patient = "patient-1";
    run_sql("UPDATE p2p_outbox SET role = 'administrator' WHERE subject = 'Task/5'");
    assert_true(admitted(5, "a@example.org"));
    run_sql("UPDATE p2p_outbox SET role = 'member' WHERE subject = 'Task/5'");
    assert_false(admitted(5, "a@example.org"));
}

/* ---- Outcomes ---- */

static void note_outcome(int number, p2p_mail_outcome_t outcome)
{
    expect_ok(p2p_outbox_note(db, pool, &lease, mail_at(number), &outcome));
}

static void outcomes(void **state)
{
    p2p_outbox_mail_t *mail;
    int first;

    (void)state;
    note_event("Task/1", "requested", &first);
    note_outcome(0, (p2p_mail_outcome_t){.state = "queued", .delay = 60000000, .code = "later", .fault = "Later.", .detail = "450 not <a@x>", .counts = 1, .puts_off = 1});
    mail = mail_at(0);
    assert_string_equal(mail->state, "queued");
    assert_string_equal(mail->code, "later");
    assert_string_equal(mail->fault, "Later.");
    assert_string_equal(mail->detail, "450 not <a@x>");
    assert_non_null(strstr(mail->values, "member-name"));
    assert_int_equal(mail->attempts, 1);
    assert_true(mail->tried >= mail->create_time && mail->due > mail->create_time + 59000000);
    assert_int_equal(mail->end_time, 0);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_outbox WHERE details LIKE '%450%' OR fault LIKE '%450%'"), 0);
    run_sql("UPDATE p2p_outbox SET tried = 5");
    note_outcome(0, (p2p_mail_outcome_t){.state = "queued", .delay = 1, .code = "later", .fault = "Later.", .puts_off = 1});
    assert_int_equal(mail_at(0)->tried, 5);
    assert_int_equal(mail_at(0)->attempts, 1);
    note_outcome(0, (p2p_mail_outcome_t){.state = "sent", .code = "", .fault = "", .counts = 1});
    mail = mail_at(0);
    assert_string_equal(mail->state, "sent");
    assert_string_equal(mail->code, "");
    assert_int_equal(mail->attempts, 2);
    assert_true(mail->end_time >= mail->create_time);
    note_outcome(0, (p2p_mail_outcome_t){.state = "queued", .code = "", .fault = ""});
    assert_string_equal(mail_at(0)->state, "sent");
    run_sql("UPDATE p2p_outbox SET due = 1 WHERE state = 'queued'");
    expect_ok(p2p_outbox_rest_template(db, pool, &lease, TARGET, "add-payer-administrator", 60000000,
                                       p2p_error_make(pool, P2P_E_INVALID, "mail-template", "No.")));
    assert_string_equal(mail_at(1)->fault, "No.");
    assert_true(mail_at(1)->due > 1);
    assert_string_equal(mail_at(2)->fault, "");
    assert_string_equal(mail_at(0)->state, "sent");
}

/* Who has lost the lease changes nothing. */
static void lost(void **state)
{
    p2p_mail_outcome_t sent = {.state = "sent", .code = "", .fault = ""};
    const p2p_error_t *why = p2p_error_make(pool, P2P_E_REFUSED, "x", "X.");
    p2p_outbox_mail_t *mail;
    int first, is;

    (void)state;
    note_event("Task/1", "accepted", &first);
    mail = mail_at(0);
    run_sql("UPDATE p2p_job SET lease_epoch = lease_epoch + 1");
    expect_error(p2p_outbox_admit(db, pool, &lease, hashes, TARGET, mail, "a@example.org", &is), P2P_E_LOST, "lease-lost");
    expect_error(p2p_outbox_note(db, pool, &lease, mail, &sent), P2P_E_LOST, "lease-lost");
    expect_error(p2p_outbox_rest_template(db, pool, &lease, TARGET, mail->template, 1, why), P2P_E_LOST, "lease-lost");
    expect_error(p2p_mail_hold_set(db, pool, &lease, TARGET, 1, why), P2P_E_LOST, "lease-lost");
    expect_error(p2p_mail_hold_clear(db, pool, &lease, TARGET), P2P_E_LOST, "lease-lost");
    assert_string_equal(mail_at(0)->state, "queued");
    assert_int_equal(mail_at(0)->version, 1);
}

static void holds(void **state)
{
    const p2p_error_t *why = p2p_error_make(pool, P2P_E_REFUSED, "mail-refuses-sender", "The mail server refuses P2PMailFrom.");
    p2p_mail_hold_t *hold;
    apr_time_t since;

    (void)state;
    expect_ok(p2p_mail_hold_get(db, pool, TARGET, &hold));
    assert_null(hold);
    expect_ok(p2p_mail_hold_set(db, pool, &lease, TARGET, 60000000, why));
    expect_ok(p2p_mail_hold_get(db, pool, TARGET, &hold));
    assert_string_equal(hold->code, "mail-refuses-sender");
    assert_string_equal(hold->fault, why->sentence);
    assert_int_equal(hold->attempts, 1);
    assert_true(hold->lasts);
    since = hold->since;
    expect_ok(p2p_mail_hold_set(db, pool, &lease, TARGET, -1000000, why));
    expect_ok(p2p_mail_hold_get(db, pool, TARGET, &hold));
    assert_int_equal(hold->attempts, 2);
    assert_false(hold->lasts);
    assert_true(hold->since == since);
    expect_ok(p2p_mail_hold_clear(db, pool, &lease, TARGET));
    expect_ok(p2p_mail_hold_get(db, pool, TARGET, &hold));
    assert_null(hold);
}

/* ---- Administration ---- */

static void lists(void **state)
{
    apr_array_header_t *mails;
    json_object *doc;
    int first;

    (void)state;
    note_event("Task/1", "requested", &first);
    note_event("Task/2", "accepted", &first);
    run_sql("UPDATE p2p_outbox SET state = 'sent', end_time = due WHERE role = 'administrator'");
    expect_ok(p2p_outbox_list(db, pool, ring, TARGET, NULL, APR_INT64_MAX, 10, &mails));
    assert_int_equal(mails->nelts, 4);
    for (int i = 1; i < mails->nelts; i++)
        assert_true(APR_ARRAY_IDX(mails, i, p2p_outbox_mail_t *)->id < APR_ARRAY_IDX(mails, i - 1, p2p_outbox_mail_t *)->id);
    expect_ok(p2p_outbox_list(db, pool, ring, TARGET, NULL, APR_ARRAY_IDX(mails, 1, p2p_outbox_mail_t *)->id, 1, &mails));
    assert_int_equal(mails->nelts, 1);
    expect_ok(p2p_outbox_list(db, pool, ring, TARGET, "sent", APR_INT64_MAX, 10, &mails));
    assert_int_equal(mails->nelts, 2);
    expect_ok(p2p_outbox_list(db, pool, ring, "https://other.example", NULL, APR_INT64_MAX, 10, &mails));
    assert_int_equal(mails->nelts, 0);
    expect_ok(p2p_outbox_counts(db, pool, TARGET, &doc));
    assert_string_equal(p2p_json_print(pool, doc, NULL), "{\"queued\":2,\"sent\":2,\"undeliverable\":0,\"refused\":0}");
    expect_ok(p2p_outbox_status(db, pool, TARGET, &doc));
    assert_non_null(p2p_json_str(doc, "oldestQueued"));
    assert_null(p2p_json_obj(doc, "hold"));
    run_sql("INSERT INTO p2p_mail_hold (target, code, fault) VALUES ('" TARGET "', 'c', 'F.')");
    expect_ok(p2p_outbox_status(db, pool, TARGET, &doc));
    assert_string_equal(p2p_json_str(p2p_json_obj(doc, "hold"), "sentence"), "F.");
}

static void resending(void **state)
{
    p2p_outbox_mail_t *mail;
    int first;

    (void)state;
    for (int i = 0; i < 6; i++) note_event(apr_psprintf(pool, "Task/%d", i), "accepted", &first);
    for (int i = 0; i < 6; i++) admitted(i, "a@example.org");
    expect_error(p2p_outbox_resend(db, pool, TARGET, mail_at(0)->id), P2P_E_CONFLICT, "mail-queued");
    expect_error(p2p_outbox_resend(db, pool, TARGET, 1), P2P_E_NOT_FOUND, "no-such-mail");
    expect_error(p2p_outbox_resend(db, pool, "https://other.example", mail_at(0)->id), P2P_E_NOT_FOUND, "no-such-mail");
    note_outcome(0, (p2p_mail_outcome_t){.state = "undeliverable", .code = "refused", .fault = "No.", .counts = 1});
    expect_ok(p2p_outbox_resend(db, pool, TARGET, mail_at(0)->id));
    mail = mail_at(0);
    assert_string_equal(mail->state, "queued");
    assert_string_equal(mail->code, "");
    assert_int_equal(mail->attempts, 0);
    assert_int_equal(mail->end_time, 0);
    assert_true(mail->admitted > 0);
    note_outcome(5, (p2p_mail_outcome_t){.state = "refused", .code = "too-many", .fault = "No."});
    assert_int_equal(mail_at(5)->admitted, 0);
    expect_ok(p2p_outbox_resend(db, pool, TARGET, mail_at(5)->id));
    assert_true(mail_at(5)->admitted > 0);
    run_sql("UPDATE p2p_outbox SET state = 'sent', details = ''");
    expect_error(p2p_outbox_resend(db, pool, TARGET, mail_at(0)->id), P2P_E_CONFLICT, "mail-erased");
}

/* ---- Retention ---- */

#define DAY_SQL "86400000000"

static int tidied(int limit)
{
    int count;

    expect_ok(p2p_outbox_tidy(db, pool, TARGET, apr_time_from_sec(90 * 86400), apr_time_from_sec(365 * 86400), limit, &count));
    return count;
}

static void retention(void **state)
{
    int first;

    (void)state;
    for (int i = 0; i < 6; i++) note_event(apr_psprintf(pool, "Task/%d", i), "accepted", &first);
    assert_int_equal(tidied(10), 0);
    run_sql("UPDATE p2p_outbox SET state = 'sent', end_time = create_time - 29 * " DAY_SQL " WHERE subject <> 'Task/0'");
    run_sql("UPDATE p2p_outbox SET create_time = 1 WHERE subject = 'Task/0'");
    assert_int_equal(tidied(10), 0);
    run_sql("UPDATE p2p_outbox SET end_time = end_time - 2 * " DAY_SQL " WHERE state = 'sent'");
    assert_int_equal(tidied(2), 2);
    assert_int_equal(tidied(10), 3);
    assert_int_equal(tidied(10), 0);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_outbox WHERE address = '' AND patient = '' AND details = ''"), 5);
    assert_string_equal(mail_at(1)->address, "");
    assert_string_equal(mail_at(0)->address, MEMBER);
    run_sql("UPDATE p2p_outbox SET end_time = end_time - 60 * " DAY_SQL " WHERE state = 'sent'");
    assert_int_equal(tidied(3), 3);
    assert_int_equal(tidied(3), 2);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_outbox"), 1);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_task_event"), 6);
    run_sql("UPDATE p2p_task_event SET time = time - 366 * " DAY_SQL " WHERE subject <> 'Task/3'");
    assert_int_equal(tidied(3), 3);
    assert_int_equal(tidied(3), 2);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_task_event WHERE subject = 'Task/3'"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OUTBOX_TEST(each_event_once), OUTBOX_TEST(in_the_transaction), OUTBOX_TEST(sealed), OUTBOX_TEST(ids), OUTBOX_TEST(asking),
        OUTBOX_TEST(oldest_first), OUTBOX_TEST(so_many_a_day), OUTBOX_TEST(of_one_address), OUTBOX_TEST(of_each_patient_and_role),
        OUTBOX_TEST(outcomes), OUTBOX_TEST(lost),
        OUTBOX_TEST(holds), OUTBOX_TEST(lists), OUTBOX_TEST(resending), OUTBOX_TEST(retention),
    };

    return run_group("outbox_store", tests, sizeof tests / sizeof *tests);
}
