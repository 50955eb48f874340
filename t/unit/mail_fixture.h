/* SPDX-License-Identifier: Apache-2.0 */
/* A mail server that answers as a test says, and the chore that sends mail to it. */
#ifndef T_UNIT_MAIL_FIXTURE_H
#define T_UNIT_MAIL_FIXTURE_H

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

static UNUSED void will(p2p_smtp_outcome_t outcome, const char *code, const char *sentence, const char *detail)
{
    server_of_mail.answers[server_of_mail.answer_count++] = (answer_t){outcome, code, sentence, detail};
}

static UNUSED void will_take(void)
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

static UNUSED int begin_mail(void **state)
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

static UNUSED int end_mail(void **state)
{
    static const char *const names[] = {"add-payer-administrator.txt", "add-payer-member.txt", "add-payer-status-member.txt", "add-payer-status-member.html"};

    for (apr_size_t i = 0; i < sizeof names / sizeof *names; i++) unlink(apr_psprintf(pool, "%s/%s", templates, names[i]));
    rmdir(templates);
    return tear_down(state);
}

/* Claims the chore, if there is to be one. */
static UNUSED p2p_chore_t *next_chore(void)
{
    p2p_chore_t *chore;
    int asked;

    expect_ok(p2p_mail_ask_due(&context, pool, &asked));
    expect_ok(p2p_chore_claim(db, pool, TARGET, "A", &chore));
    return chore;
}

static UNUSED int step(void)
{
    return answer_one() || fake_step(&fake);
}

/* Works until nothing is due; tells how many chores it took. */
static UNUSED int send_due(void)
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

static UNUSED void note_status(int number)
{
    int first;

    note_event(apr_psprintf(pool, "Task/%d", number), "accepted", &first);
}

static UNUSED void now_due(void)
{
    run_sql("UPDATE p2p_outbox SET due = 1 WHERE state = 'queued'");
}

static UNUSED int in_state(const char *state)
{
    return (int)ask_int(apr_psprintf(pool, "SELECT COUNT(*) FROM p2p_outbox WHERE state = '%s'", state));
}

static UNUSED int says(const char *words)
{
    int n = 0;

    for (const char *at = said; (at = strstr(at, words)); at++) n++;
    return n;
}

#define MAIL_TEST(test) cmocka_unit_test_setup_teardown(test, begin_mail, end_mail)

#endif
