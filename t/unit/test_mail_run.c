/* SPDX-License-Identifier: Apache-2.0 */
/* What is due is sent, each mail once; every outcome leaves what it is to leave; a fault lets all rest, and one mail at a time tries whether it has passed. */
#include "mail_fixture.h"

/* ---- Sent ---- */

static void all_are_sent(void **state)
{
    int first;
    const send_t *member = &server_of_mail.sent[0], *administrator = member;

    (void)state;
    note_event("Task/1", "requested", &first);
    assert_int_equal(send_due(), 1);
    assert_int_equal(server_of_mail.count, 3);
    assert_int_equal(in_state("sent"), 3);
    for (int i = 0; i < 3; i++) {
        const send_t *send = &server_of_mail.sent[i];

        assert_string_equal(send->from, "p2p@payer.example");
        assert_non_null(strstr(send->message_id, "@payer.example"));
        if (!strcmp(send->to, MEMBER)) member = send;
        else administrator = send;
    }
    assert_string_equal(member->subject, "Your request");
    assert_non_null(strstr(member->text, "It is requested."));
    assert_null(member->html);
    assert_string_equal(administrator->subject, "Request for Payer");
    assert_non_null(strstr(administrator->text, "Anna asks, 1."));
    assert_int_equal(mail_at(0)->attempts, 1);
    assert_true(mail_at(0)->end_time > 0);
    assert_string_equal(said, "");
    assert_int_equal(send_due(), 0);
}

static void message_ids(void **state)
{
    int first;
    const char *id;

    (void)state;
    mail_spec->mail_admins = "one@payer.example anna@example.org";
    note_event("Task/1", "requested", &first);
    note_event("Task/1", "accepted", &first);
    send_due();
    assert_int_equal(server_of_mail.count, 4);
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < i; j++) assert_string_not_equal(server_of_mail.sent[i].message_id, server_of_mail.sent[j].message_id);
        assert_null(strstr(server_of_mail.sent[i].message_id, "anna"));
    }
    id = server_of_mail.sent[0].message_id;
    for (int i = 0; i < 4; i++) {
        p2p_error_t *error = p2p_outbox_resend(db, pool, TARGET, mail_at(i)->id);
        expect_ok(error);
    }
    send_due();
    assert_int_equal(server_of_mail.count, 8);
    for (int i = 4, found = 0; i < 8; i++) {
        found += !strcmp(server_of_mail.sent[i].message_id, id);
        if (i == 7) assert_int_equal(found, 1);
    }
}

/* A mail that is not answered keeps the others from nothing. */
static void some_at_a_time(void **state)
{
    p2p_chore_t *chore;
    void *work;

    (void)state;
    for (int i = 0; i < 12; i++) {
        patient = apr_psprintf(pool, "patient-%d", i);
        note_status(i);
    }
    server_of_mail.takes_all = 0;
    chore = next_chore();
    work = begin_work(chore);
    for (int i = 0; i < 20; i++) step();
    assert_int_equal(server_of_mail.count, 4);
    assert_true(p2p_work_mail.busy(work));
    server_of_mail.sent[0].is_over = 1; /* the first one never is answered */
    server_of_mail.takes_all = 1;
    for (int i = 0; i < 200; i++) step();
    assert_int_equal(server_of_mail.count, 12);
    assert_int_equal(server_of_mail.most, 4);
    assert_int_equal(in_state("sent"), 11);
    assert_false(ended);
    server_of_mail.sent[0].is_over = 0;
    for (int i = 0; i < 20; i++) step();
    assert_true(ended);
    p2p_work_mail.destroy(work);
    assert_int_equal(in_state("sent"), 12);
}

/* ---- Put off, given up ---- */

static void put_off(void **state)
{
    static const int minutes[] = {1, 2, 4, 8, 16, 32, 60, 60};
    const char *id;

    (void)state;
    note_status(1);
    for (int i = 0; i < 8; i++) {
        will(P2P_SMTP_LATER, "mail-put-off", "The mail server does not take this mail now.", "450 4.2.1 <anna@example.org> try later");
        assert_int_equal(send_due(), 1);
        assert_int_equal(mail_at(0)->attempts, i + 1);
        assert_string_equal(mail_at(0)->state, "queued");
        assert_true(ask_int64("SELECT due - create_time FROM p2p_outbox") >= apr_time_from_sec(minutes[i] * 60) - 1000000);
        assert_true(mail_at(0)->due - apr_time_now() < apr_time_from_sec(minutes[i] * 60 + 30));
        assert_string_equal(mail_at(0)->detail, "450 4.2.1 <anna@example.org> try later");
        assert_int_equal(send_due(), 0);
        now_due();
    }
    assert_null(strstr(ask_sql("SELECT fault FROM p2p_outbox"), "anna"));
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_mail_hold"), 0);
    id = server_of_mail.sent[0].message_id;
    run_sql("UPDATE p2p_outbox SET tried = tried - 3 * 86400000000 + 60000000");
    will(P2P_SMTP_LATER, "mail-put-off", "Not now.", NULL);
    send_due();
    assert_string_equal(mail_at(0)->state, "queued");
    now_due();
    run_sql("UPDATE p2p_outbox SET tried = tried - 61000000");
    will(P2P_SMTP_LATER, "mail-put-off", "Not now.", NULL);
    send_due();
    assert_string_equal(mail_at(0)->state, "undeliverable");
    assert_string_equal(mail_at(0)->code, "mail-put-off");
    assert_string_equal(mail_at(0)->fault, "Not now. It was tried for three days.");
    assert_int_equal(says("undeliverable"), 1);
    assert_int_equal(says("anna"), 0);
    expect_ok(p2p_outbox_resend(db, pool, TARGET, mail_at(0)->id));
    send_due();
    assert_string_equal(mail_at(0)->state, "sent");
    for (int i = 0; i < server_of_mail.count; i++) assert_string_equal(server_of_mail.sent[i].message_id, id);
}

static void given_up(void **state)
{
    (void)state;
    note_status(1);
    note_status(2);
    will(P2P_SMTP_NEVER, "mail-refused", "The mail server refuses this recipient.", "550 5.1.1 <anna@example.org> unknown");
    assert_int_equal(send_due(), 1);
    assert_int_equal(in_state("undeliverable"), 1);
    assert_int_equal(in_state("sent"), 1);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_mail_hold"), 0);
    assert_int_equal(says("The mail server refuses this recipient."), 1);
    assert_int_equal(says("anna"), 0);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_outbox WHERE fault LIKE '%anna%'"), 0);
}

/* ---- All rest ---- */

static void faults(void **state)
{
    p2p_mail_hold_t *hold;

    (void)state;
    for (int i = 0; i < 10; i++) {
        patient = apr_psprintf(pool, "patient-%d", i);
        note_status(i);
    }
    for (int i = 0; i < 4; i++) will(P2P_SMTP_FAULT, "mail-login", "The mail server refuses the login.", "535 5.7.8 no");
    assert_int_equal(send_due(), 1);
    assert_int_equal(server_of_mail.count, 4); /* those that were under way at once */
    expect_ok(p2p_mail_hold_get(db, pool, TARGET, &hold));
    assert_string_equal(hold->fault, "The mail server refuses the login.");
    assert_int_equal(hold->attempts, 1);
    assert_true(hold->lasts);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_outbox WHERE state = 'queued' AND attempts = 0 AND tried = 0"), 10);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_outbox WHERE code = 'mail-login'"), 4);
    assert_int_equal(send_due(), 0);
    for (int i = 2; i < 12; i++) {
        run_sql("UPDATE p2p_mail_hold SET until = 1");
        will(P2P_SMTP_FAULT, "mail-login", "The mail server refuses the login.", "535 5.7.8 no");
        assert_int_equal(send_due(), 1);
        expect_ok(p2p_mail_hold_get(db, pool, TARGET, &hold));
        assert_int_equal(hold->attempts, i);
    }
    assert_int_equal(server_of_mail.count, 14); /* one at a time */
    assert_true(hold->until - hold->since <= apr_time_from_sec(660) && hold->until - hold->since > apr_time_from_sec(590));
    assert_int_equal(says("No mail is sent for now"), 1);
    run_sql("UPDATE p2p_mail_hold SET until = 1");
    assert_int_equal(send_due(), 1);
    assert_int_equal(in_state("sent"), 10);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_mail_hold"), 0);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_outbox WHERE attempts <> 1 OR code <> ''"), 0);
    assert_int_equal(server_of_mail.count, 24);
}

/* Whoever is refused for himself shows that the fault has passed; who is put off does not. */
static void what_ends_a_fault(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) note_status(i);
    will(P2P_SMTP_FAULT, "mail-sender", "The mail server refuses P2PMailFrom.", NULL);
    server_of_mail.takes_all = 0;
    for (int i = 0; i < 2; i++) will(P2P_SMTP_FAULT, "mail-sender", "The mail server refuses P2PMailFrom.", NULL);
    send_due();
    run_sql("UPDATE p2p_mail_hold SET until = 1");
    server_of_mail.most = 0;
    will(P2P_SMTP_LATER, "mail-put-off", "Not now.", NULL);
    will(P2P_SMTP_NEVER, "mail-refused", "Never.", NULL);
    will_take();
    send_due();
    assert_int_equal(server_of_mail.most, 1);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_mail_hold"), 0);
    assert_int_equal(in_state("queued"), 1);
    assert_int_equal(in_state("sent"), 1);
}

static void server_away(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        patient = apr_psprintf(pool, "patient-%d", i);
        note_status(i);
    }
    server_of_mail.takes_all = 0;
    for (int i = 0; i < 4; i++) will(P2P_SMTP_LATER, P2P_SMTP_AWAY, "The mail server does not answer.", NULL);
    assert_int_equal(send_due(), 1);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_mail_hold WHERE code = '" P2P_SMTP_AWAY "'"), 1);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_outbox WHERE tried > 0 AND state = 'queued'"), 4);
    assert_int_equal(send_due(), 0);
    for (int i = 0; i < 3; i++) {
        run_sql("UPDATE p2p_mail_hold SET until = 1");
        will(P2P_SMTP_LATER, P2P_SMTP_AWAY, "The mail server does not answer.", NULL);
        assert_int_equal(send_due(), 1);
    }
    assert_int_equal(server_of_mail.count, 7);
    assert_int_equal(says("No mail is sent for now"), 1);
    run_sql("UPDATE p2p_mail_hold SET until = 1");
    server_of_mail.takes_all = 1;
    assert_int_equal(send_due(), 1);
    assert_int_equal(in_state("sent"), 6);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_mail_hold"), 0);
}

/* ---- Refused by rules ---- */

static void too_many(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) note_status(i);
    send_due();
    assert_int_equal(server_of_mail.count, 5);
    assert_int_equal(in_state("refused"), 3);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_outbox WHERE code = 'too-many' AND attempts = 0 AND end_time > 0"), 3);
    expect_ok(p2p_outbox_resend(db, pool, TARGET, ask_int64("SELECT MAX(id) FROM p2p_outbox WHERE state = 'refused'")));
    send_due();
    assert_int_equal(in_state("refused"), 2);
    assert_int_equal(server_of_mail.count, 6);
}

/* Trying again is no further mail. */
static void retries_are_not_counted(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) note_status(i);
    for (int n = 0; n < 3; n++) {
        for (int i = 0; i < 5; i++) will(P2P_SMTP_LATER, "mail-put-off", "Not now.", NULL);
        send_due();
        now_due();
    }
    send_due();
    assert_int_equal(in_state("sent"), 5);
}

static void bad_addresses(void **state)
{
    static const char *const bad[] = {"a@example.org, b@example.org", "a@example.org\r\nBcc: b@example.org", "Anna <a@example.org>", "a@example.org (x)", "anna"};

    (void)state;
    for (int i = 0; i < (int)(sizeof bad / sizeof *bad); i++) {
        email = bad[i];
        note_status(i);
    }
    send_due();
    assert_int_equal(server_of_mail.count, 0);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_outbox WHERE state = 'refused' AND code = 'bad-address' AND fault <> ''"), 5);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_outbox WHERE fault LIKE '%example%'"), 0);
}

/* ---- The address at the target ---- */

#define ANNA "{\"resourceType\":\"Patient\",\"telecom\":[{\"system\":\"email\",\"value\":\"anna@record.example\"}]}"

static void looked_up(void **state)
{
    (void)state;
    email = "";
    note_status(1);
    fake_answer(&fake, 200, ANNA);
    will(P2P_SMTP_LATER, "mail-put-off", "Not now.", NULL);
    send_due();
    assert_string_equal(fake.asked[0].url, TARGET "/Patient/patient-1");
    assert_string_equal(server_of_mail.sent[0].to, "anna@record.example");
    assert_string_equal(mail_at(0)->address, "anna@record.example");
    now_due();
    send_due();
    assert_int_equal(fake.count, 1);
    assert_string_equal(mail_at(0)->state, "sent");
    assert_string_equal(server_of_mail.sent[1].message_id, server_of_mail.sent[0].message_id);
}

static void ends_with(int status, const char *body, const char *state, const char *code)
{
    run_sql("DELETE FROM p2p_outbox");
    run_sql("DELETE FROM p2p_task_event");
    note_status(1);
    if (status) fake_answer(&fake, status, body);
    else fake_failure(&fake, body);
    assert_int_equal(send_due(), 1);
    assert_string_equal(mail_at(0)->state, state);
    assert_string_equal(mail_at(0)->code, code);
    assert_true(*mail_at(0)->fault);
    assert_int_equal(server_of_mail.count, 0);
}

static void not_found(void **state)
{
    (void)state;
    email = "";
    ends_with(404, "", "refused", "no-patient");
    ends_with(410, "", "refused", "no-patient");
    ends_with(200, "{\"resourceType\":\"Patient\"}", "refused", "no-address");
    ends_with(200, "{\"resourceType\":\"Patient\",\"telecom\":[{\"system\":\"email\",\"value\":\"a@b.c,d@e.f\"}]}", "refused", "bad-address");
    ends_with(500, "", "queued", "target-answered");
    ends_with(401, "", "queued", "target-answered");
    ends_with(200, "<html>", "queued", "not-fhir");
    ends_with(0, "unreachable", "queued", "unreachable");
    assert_int_equal(mail_at(0)->attempts, 1);
    assert_true(mail_at(0)->tried > 0);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_mail_hold"), 0);
    expect_ok(NULL);
    patient = "../Task";
    run_sql("DELETE FROM p2p_task_event");
    note_status(2);
    send_due();
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_outbox WHERE code = 'no-patient'"), 1);
}

/* ---- Templates ---- */

static void templates_at_fault(void **state)
{
    int first;

    (void)state;
    write_template("add-payer-status-member.txt", "Subject: News\n\n{{member-name}} reads this.\n");
    for (int i = 0; i < 5; i++) note_status(i);
    patient = "patient-2";
    note_event("Task/9", "requested", &first);
    send_due();
    assert_int_equal(in_state("sent"), 3);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_outbox WHERE state = 'queued' AND code = 'mail-template' AND attempts = 0"), 5);
    assert_non_null(strstr(mail_at(0)->fault, "add-payer-status-member.txt"));
    assert_int_equal(says("A mail cannot be written"), 1);
    assert_int_equal(send_due(), 0);
    for (int i = 0; i < 3; i++) {
        now_due();
        assert_int_equal(send_due(), 1);
    }
    assert_int_equal(says("A mail cannot be written"), 1);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_mail_hold"), 0);
    unlink(apr_psprintf(pool, "%s/add-payer-status-member.txt", templates));
    now_due();
    assert_int_equal(send_due(), 1);
    assert_int_equal(says("A mail cannot be written"), 2);
    write_template("add-payer-status-member.txt", "Subject: News\n\nIt is {{status}}.\n");
    now_due();
    send_due();
    assert_int_equal(in_state("sent"), 8);
    assert_non_null(strstr(server_of_mail.sent[3].html, "<p>It is accepted.</p>"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MAIL_TEST(all_are_sent), MAIL_TEST(message_ids), MAIL_TEST(some_at_a_time), MAIL_TEST(put_off), MAIL_TEST(given_up), MAIL_TEST(faults),
        MAIL_TEST(what_ends_a_fault), MAIL_TEST(server_away), MAIL_TEST(too_many), MAIL_TEST(retries_are_not_counted), MAIL_TEST(bad_addresses),
        MAIL_TEST(looked_up), MAIL_TEST(not_found), MAIL_TEST(templates_at_fault),
    };

    return run_group("mail_run", tests, sizeof tests / sizeof *tests);
}
