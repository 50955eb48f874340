/* SPDX-License-Identifier: Apache-2.0 */
/* What is due is sent, each mail once; every outcome leaves what it is to leave; a fault lets all rest, and one mail at a time tries whether it has passed. */
#include "chore_fixture.h"
#include "outbox_fixture.h"

#include <sys/stat.h>
#include "net/smtp.h"
#include "runner/mail_run.h"

#define SENDS 64

/* A mail server: mails are noted, answers come from a list; where that is empty a mail is on its way. */
typedef struct answer_t {
    p2p_smtp_outcome_t outcome;
    const char *code, *sentence, *detail;
} answer_t;

typedef struct send_t {
    const char *to, *from, *message_id, *subject, *text, *html;
    p2p_smtp_fn fn;
    void *baton;
    int is_over;
} send_t;

static struct {
    p2p_smtp_t smtp; /* first */
    send_t sent[SENDS];
    int count, under_way, most;
    answer_t answers[SENDS];
    int answer_count;
    int takes_all; /* what is in no list is sent */
} server_of_mail;

static const char *templates, *said; /* the folder; all lines of the log */

static apr_status_t give_up(void *baton)
{
    send_t *send = baton;

    if (!send->is_over) server_of_mail.under_way--;
    send->is_over = 1;
    return APR_SUCCESS;
}

static void take_mail(p2p_smtp_t *smtp, apr_pool_t *p, const p2p_mail_t *mail, p2p_smtp_fn fn, void *baton)
{
    send_t *send = &server_of_mail.sent[server_of_mail.count++];

    assert_ptr_equal(smtp, &server_of_mail);
    assert_true(server_of_mail.count < SENDS);
    *send = (send_t){.to = apr_pstrdup(pool, mail->to), .from = mail->from, .message_id = apr_pstrdup(pool, mail->message_id),
                     .subject = apr_pstrdup(pool, mail->subject), .text = apr_pstrdup(pool, mail->text),
                     .html = mail->html ? apr_pstrdup(pool, mail->html) : NULL, .fn = fn, .baton = baton};
    apr_pool_pre_cleanup_register(p, send, give_up);
    if (++server_of_mail.under_way > server_of_mail.most) server_of_mail.most = server_of_mail.under_way;
}

static void answer_send(send_t *send, const answer_t *a)
{
    p2p_error_t *why = a->code ? p2p_error_make(pool, P2P_E_REFUSED, a->code, "%s", a->sentence) : NULL;

    if (why && a->detail) p2p_error_detail(pool, why, a->detail);
    send->is_over = 1;
    server_of_mail.under_way--;
    send->fn(send->baton, a->outcome, why);
}

/* 0 where no mail waits, or there is no answer. */
static int answer_one(void)
{
    static const answer_t taken = {P2P_SMTP_SENT, NULL, NULL, NULL};
    answer_t next = taken;

    for (int i = 0; i < server_of_mail.count; i++) {
        if (server_of_mail.sent[i].is_over) continue;
        if (!server_of_mail.answer_count && !server_of_mail.takes_all) return 0;
        if (server_of_mail.answer_count) {
            next = server_of_mail.answers[0];
            memmove(server_of_mail.answers, server_of_mail.answers + 1, sizeof next * (size_t)--server_of_mail.answer_count);
        }
        answer_send(&server_of_mail.sent[i], &next);
        return 1;
    }
    return 0;
}

static void will(p2p_smtp_outcome_t outcome, const char *code, const char *sentence, const char *detail)
{
    server_of_mail.answers[server_of_mail.answer_count++] = (answer_t){outcome, code, sentence, detail};
}

static void will_take(void)
{
    will(P2P_SMTP_SENT, NULL, NULL, NULL);
}

static void log_line(void *baton, p2p_log_level_t level, const char *line)
{
    (void)baton, (void)level;
    said = apr_pstrcat(pool, said, line, "\n", NULL);
}

static const p2p_log_t noting_log = {P2P_LOG_WARN, log_line, NULL};

static void write_template(const char *name, const char *text)
{
    FILE *file = fopen(apr_psprintf(pool, "%s/%s", templates, name), "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int begin_mail(void **state)
{
    begin_chores(state);
    expect_ok(p2p_hash_keys(db, pool, ring, &hashes));
    memset(&server_of_mail, 0, sizeof server_of_mail);
    server_of_mail.smtp.send = take_mail;
    server_of_mail.takes_all = 1;
    templates = apr_psprintf(pool, "%s/p2p-mail-%d", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", getpid());
    mkdir(templates, 0700);
    write_template("add-payer-administrator.txt", "Subject: Request for {{payer}}\n\n{{member-name}} asks, {{member-phone}}.\n");
    write_template("add-payer-member.txt", "Subject: Your request\n\nIt is {{status}}.\n");
    write_template("add-payer-status-member.txt", "Subject: News\n\nIt is {{status}}.\n");
    write_template("add-payer-status-member.html", "<p>It is {{status}}.</p>\n");
    mail_spec = (p2p_spec_t *)context.spec;
    mail_spec->mail_server = "smtp://mail.example";
    mail_spec->mail_admins = "one@payer.example two@payer.example";
    mail_spec->mail_from = "p2p@payer.example";
    mail_spec->mail_templates = templates;
    context.smtp = &server_of_mail.smtp;
    context.target_http = &fake.http;
    context.log = &noting_log;
    context.ending = 0;
    patient = "patient-1";
    email = MEMBER;
    said = "";
    return 0;
}

static int end_mail(void **state)
{
    static const char *const names[] = {"add-payer-administrator.txt", "add-payer-member.txt", "add-payer-status-member.txt", "add-payer-status-member.html"};

    for (apr_size_t i = 0; i < sizeof names / sizeof *names; i++) unlink(apr_psprintf(pool, "%s/%s", templates, names[i]));
    rmdir(templates);
    return tear_down(state);
}

/* Claims the chore, if there is to be one. */
static p2p_chore_t *next_chore(void)
{
    p2p_chore_t *chore;
    int asked;

    expect_ok(p2p_mail_ask_due(&context, pool, &asked));
    expect_ok(p2p_chore_claim(db, pool, TARGET, "A", &chore));
    return chore;
}

static int step(void)
{
    return answer_one() || fake_step(&fake);
}

/* Works until nothing is due; tells how many chores it took. */
static int send_due(void)
{
    p2p_chore_t *chore;
    int n = 0;

    for (; (chore = next_chore()); n++) {
        void *work = begin_work(chore);

        assert_true(n < 10);
        for (int i = 0; i < 1000 && !ended; i++) step();
        assert_int_equal(ended, 1);
        p2p_work_mail.destroy(work);
        assert_true(p2p_timers_next(fake.timers) < 0);
        assert_int_equal(server_of_mail.under_way, 0);
        ended = 0;
    }
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_job WHERE kind = 'mail'"), 0);
    return n;
}

static void note_status(int number)
{
    int first;

    note_event(apr_psprintf(pool, "Task/%d", number), "accepted", &first);
}

static void now_due(void)
{
    run_sql("UPDATE p2p_outbox SET due = 1 WHERE state = 'queued'");
}

static int in_state(const char *state)
{
    return (int)ask_int(apr_psprintf(pool, "SELECT COUNT(*) FROM p2p_outbox WHERE state = '%s'", state));
}

static int says(const char *words)
{
    int n = 0;

    for (const char *at = said; (at = strstr(at, words)); at++) n++;
    return n;
}

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

/* What cannot be opened keeps nothing from being sent. */
static void unopenable(void **state)
{
    (void)state;
    note_status(1);
    note_status(2);
    run_sql("UPDATE p2p_outbox SET address = details WHERE subject = 'Task/1'");
    send_due();
    assert_int_equal(in_state("sent"), 1);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_outbox WHERE state = 'queued' AND code = 'cannot-open' AND due > create_time + 3500000000"), 1);
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_outbox WHERE details LIKE 'v1.%'"), 2);
}

/* ---- Trouble ---- */

/* What the server has taken and the database does not yet know is not sent again. */
static void noted_later(void **state)
{
    void *work;

    (void)state;
    note_status(1);
    server_of_mail.takes_all = 0;
    work = begin_work(next_chore());
    for (int i = 0; i < 20; i++) step();
    assert_int_equal(server_of_mail.count, 1);
    run_sql("ALTER TABLE p2p_outbox RENAME TO p2p_outbox_away");
    server_of_mail.takes_all = 1;
    for (int i = 0; i < 20; i++) step();
    assert_false(ended);
    assert_true(p2p_work_mail.busy(work));
    run_sql("ALTER TABLE p2p_outbox_away RENAME TO p2p_outbox");
    for (int i = 0; i < 40 && !ended; i++) step();
    assert_true(ended);
    p2p_work_mail.destroy(work);
    assert_int_equal(in_state("sent"), 1);
    assert_int_equal(server_of_mail.count, 1);
}

/* Who has lost the lease writes nothing; who has it now sends the same. */
static void another_has_it(void **state)
{
    p2p_chore_t *chore;
    void *work;

    (void)state;
    note_status(1);
    note_status(2);
    server_of_mail.takes_all = 0;
    work = begin_work(next_chore());
    for (int i = 0; i < 20; i++) step();
    assert_int_equal(server_of_mail.count, 2);
    expire("A");
    expect_ok(p2p_chore_claim(db, pool, TARGET, "B", &chore));
    assert_non_null(chore);
    will_take();
    for (int i = 0; i < 20 && !ended; i++) step();
    assert_true(ended);
    p2p_work_mail.destroy(work);
    assert_int_equal(in_state("queued"), 2);
    assert_int_equal(server_of_mail.under_way, 0);
    ended = 0;
    context.owner = "B";
    server_of_mail.takes_all = 1;
    work = begin_work(chore);
    for (int i = 0; i < 100 && !ended; i++) step();
    p2p_work_mail.destroy(work);
    assert_int_equal(in_state("sent"), 2);
    assert_int_equal(server_of_mail.count, 4);
    for (int i = 0; i < 2; i++)
        assert_true(!strcmp(server_of_mail.sent[i].message_id, server_of_mail.sent[2].message_id)
                    || !strcmp(server_of_mail.sent[i].message_id, server_of_mail.sent[3].message_id));
}

/* Nothing further is begun once the runner is to end, and what is under way is noted. */
static void ending(void **state)
{
    void *work;

    (void)state;
    for (int i = 0; i < 7; i++) {
        patient = apr_psprintf(pool, "patient-%d", i);
        note_status(i);
    }
    server_of_mail.takes_all = 0;
    work = begin_work(next_chore());
    for (int i = 0; i < 20; i++) step();
    assert_int_equal(server_of_mail.count, 4);
    context.ending = 1;
    server_of_mail.takes_all = 1;
    for (int i = 0; i < 100 && !ended; i++) step();
    assert_true(ended);
    assert_false(p2p_work_mail.busy(work));
    p2p_work_mail.destroy(work);
    assert_int_equal(server_of_mail.count, 4);
    assert_int_equal(in_state("sent"), 4);
    context.ending = 0;
    ended = 0;
    send_due();
    assert_int_equal(in_state("sent"), 7);
    assert_int_equal(server_of_mail.count, 7);
}

static void abandoned(void **state)
{
    void *work;

    (void)state;
    email = "";
    note_status(1);
    email = MEMBER;
    note_status(2);
    server_of_mail.takes_all = 0;
    work = begin_work(next_chore());
    for (int i = 0; i < 3; i++) step();
    assert_int_equal(server_of_mail.under_way, 1);
    p2p_work_mail.destroy(work);
    assert_int_equal(server_of_mail.under_way, 0);
    assert_true(fake.asked[0].is_over);
    assert_true(p2p_timers_next(fake.timers) < 0);
    assert_int_equal(in_state("queued"), 2);
}

/* What comes in when the chore has looked for the last time has one of its own. */
static void just_missed(void **state)
{
    p2p_chore_t *chore;
    void *work;
    int asked, at = 0;

    (void)state;
    note_status(1);
    work = begin_work(next_chore());
    for (; at < 100 && !(in_state("sent") == 1 && !server_of_mail.under_way); at++) step();
    step(); /* it has looked, and is about to end */
    note_status(2);
    expect_ok(p2p_outbox_ask(db, pool, TARGET, &asked));
    for (int i = 0; i < 100 && !ended; i++) step();
    assert_true(ended);
    p2p_work_mail.destroy(work);
    ended = 0;
    expect_ok(p2p_chore_claim(db, pool, TARGET, "A", &chore));
    assert_true(chore != NULL || in_state("sent") == 2);
    if (!chore) return;
    work = begin_work(chore);
    for (int i = 0; i < 100 && !ended; i++) step();
    p2p_work_mail.destroy(work);
    assert_int_equal(in_state("sent"), 2);
}

static void off(void **state)
{
    void *work;

    (void)state;
    note_status(1);
    work = begin_work(next_chore());
    context.smtp = NULL;
    for (int i = 0; i < 20 && !ended; i++) step();
    assert_true(ended);
    p2p_work_mail.destroy(work);
    assert_int_equal(in_state("queued"), 1);
    assert_null(next_chore());
}

#define MAIL_TEST(test) cmocka_unit_test_setup_teardown(test, begin_mail, end_mail)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MAIL_TEST(all_are_sent), MAIL_TEST(message_ids), MAIL_TEST(some_at_a_time), MAIL_TEST(put_off), MAIL_TEST(given_up), MAIL_TEST(faults),
        MAIL_TEST(what_ends_a_fault), MAIL_TEST(server_away), MAIL_TEST(too_many), MAIL_TEST(retries_are_not_counted), MAIL_TEST(bad_addresses),
        MAIL_TEST(looked_up), MAIL_TEST(not_found), MAIL_TEST(templates_at_fault), MAIL_TEST(unopenable), MAIL_TEST(noted_later),
        MAIL_TEST(another_has_it), MAIL_TEST(ending), MAIL_TEST(abandoned), MAIL_TEST(just_missed), MAIL_TEST(off),
    };

    return run_group("mail_run", tests, sizeof tests / sizeof *tests);
}
