/* SPDX-License-Identifier: Apache-2.0 */
/* Mail while a key, the database, the lease or the runner is lost: nothing is sent twice that is known to be sent, and nothing is lost. */
#include "mail_fixture.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        MAIL_TEST(unopenable), MAIL_TEST(noted_later), MAIL_TEST(another_has_it), MAIL_TEST(ending), MAIL_TEST(abandoned), MAIL_TEST(just_missed),
        MAIL_TEST(off),
    };

    return run_group("mail_trouble", tests, sizeof tests / sizeof *tests);
}
