/* SPDX-License-Identifier: Apache-2.0 */
/* Templates of mails: what is put in stays a value, and what is wrong with a file is said with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <apr_file_io.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/mail_template.h"
#include "model/task_event.h"

static apr_pool_t *pool;
static char dir[] = "/tmp/p2p-template-XXXXXX";

static const char *path(const char *name)
{
    return apr_pstrcat(pool, dir, "/", name, NULL);
}

static void write_file(const char *name, const char *text, size_t len)
{
    FILE *file = fopen(path(name), "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    fclose(file);
}

static void write_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text));
}

static json_object *values(const char *payer)
{
    json_object *values = p2p_json_own(pool, json_object_new_object());

    p2p_json_add_str(values, "payer", payer);
    p2p_json_add_str(values, "job", "7");
    return values;
}

static p2p_mail_text_t filled(const char *payer)
{
    p2p_mail_text_t mail;
    p2p_error_t *error = p2p_mail_template_fill(pool, dir, "a", values(payer), &mail);

    if (error) fail_msg("%s", error->sentence);
    return mail;
}

/* The sentence is "The template DIR/a…" and what. */
static void expect_fault(const char *what)
{
    p2p_mail_text_t mail;
    p2p_error_t *error = p2p_mail_template_fill(pool, dir, "a", values("x"), &mail);
    const char *begin = apr_pstrcat(pool, "The template ", dir, "/a", NULL);

    if (!error) fail_msg("taken, not: %s", what);
    assert_string_equal(error->code, "mail-template");
    assert_int_equal(error->kind, P2P_E_INVALID);
    if (strncmp(error->sentence, begin, strlen(begin)) || !strstr(error->sentence, what)) fail_msg("%s, not: %s", error->sentence, what);
}

static int clean(void **state)
{
    (void)state;
    remove(path("a.txt"));
    remove(path("a.html"));
    return 0;
}

static void values_are_put_in(void **state)
{
    p2p_mail_text_t mail;

    (void)state;
    write_text("a.txt", "Subject: Job {{job}} of {{payer}}\n\nFrom {{payer}}{{payer}}.\n");
    mail = filled("P");
    assert_string_equal(mail.subject, "Job 7 of P");
    assert_string_equal(mail.text, "From PP.\n");
    assert_null(mail.html);
    write_text("a.html", "<p>{{payer}}</p>");
    assert_string_equal(filled("P").html, "<p>P</p>");
    write_text("a.txt", "\xEF\xBB\xBFSubject:   other  \r\n\r\n\r\nline\r\nline\r\n");
    mail = filled("P");
    assert_string_equal(mail.subject, "other");
    assert_string_equal(mail.text, "line\nline\n");
    write_text("a.txt", "Subject: x\nno empty line {braces} }} { {");
    assert_string_equal(filled("P").text, "no empty line {braces} }} { {");
}

static void values_stay_values(void **state)
{
    p2p_mail_text_t mail;

    (void)state;
    write_text("a.txt", "Subject: {{payer}}!\n\n{{payer}}\n");
    write_text("a.html", "<b title=\"{{payer}}\">");
    mail = filled("<b>&\"'{{job}}\r\nBcc: x@y.example\x01\x7f\tend");
    assert_string_equal(mail.subject, "<b>&\"'{{job}}  Bcc: x@y.example   end!");
    assert_string_equal(mail.text, "<b>&\"'{{job}}  Bcc: x@y.example   end\n");
    assert_string_equal(mail.html, "<b title=\"&lt;b&gt;&amp;&quot;&#39;{{job}}  Bcc: x@y.example   end\">");
    mail = filled("a\xC2\x85" "b\xE2\x80\xA8" "c\xE2\x80\xAE" "d\xE2\x81\xA6" "e\xE2\x80\x8F" "f\xC2\xA0\xC3\xA9");
    assert_string_equal(mail.text, "a b c d e f\xC2\xA0\xC3\xA9\n");
    assert_string_equal(filled("a\xFF" "b\xC3").text, "a?b?\n");
    write_text("a.txt", "Subject: {{payer}}x\n\n{{payer}}\n");
    assert_string_equal(filled("").subject, "x");
}

static void subjects_are_bounded(void **state)
{
    char text[2000];
    const char *subject;

    (void)state;
    write_text("a.txt", "Subject: a{{payer}}\n\nx\n");
    for (size_t i = 0; i + 2 < sizeof text; i += 2) memcpy(text + i, "\xC3\xA9", 3);
    subject = filled(text).subject;
    assert_int_equal(strlen(subject), 399);
}

static void faults(void **state)
{
    char *large = malloc(P2P_MAIL_TEMPLATE_BYTES + 10);

    (void)state;
    expect_fault(".txt cannot be read: No such file");
    write_text("a.txt", "");
    expect_fault(".txt, line 1, does not begin with Subject:.");
    write_text("a.txt", "\nSubject: x\n\nx");
    expect_fault(".txt, line 1, does not begin with Subject:.");
    write_text("a.txt", "Subject:\n\nx");
    expect_fault(".txt, line 1, has an empty subject.");
    write_text("a.txt", "Subject: x\n\n");
    expect_fault(".txt has no text behind its subject.");
    write_text("a.txt", "Subject: a\x01\n\nx");
    expect_fault(".txt, line 1, has a control character in its subject.");
    write_text("a.txt", "Subject: {{nobody}}\n\nx");
    expect_fault(".txt, line 1, names {{nobody}}, which it is not given (it is given payer, job).");
    write_text("a.txt", "Subject: x\n\none\ntwo {{payer}}\nthree {{nobody}}\n");
    expect_fault(".txt, line 5, names {{nobody}}");
    write_text("a.txt", "Subject: x\n\none\n{{ payer }}\n");
    expect_fault(".txt, line 4, has a {{ without a name and }} behind it.");
    write_text("a.txt", "Subject: x\n\none {{payer");
    expect_fault(".txt, line 3, has a {{");
    write_text("a.txt", "Subject: x\n\none\n\xFF\n");
    expect_fault(".txt, line 4, is not UTF-8.");
    write_file("a.txt", "Subject: x\n\n\0x", 15);
    expect_fault(".txt holds a NUL byte");
    memset(large, 'x', P2P_MAIL_TEMPLATE_BYTES + 10);
    write_file("a.txt", large, P2P_MAIL_TEMPLATE_BYTES + 10);
    expect_fault(".txt is over 256 KiB long.");
    memcpy(large, "Subject: x\n\n{{payer}}{{payer}}", 30);
    write_file("a.txt", large, P2P_MAIL_TEMPLATE_BYTES);
    filled("x");
    write_text("a.txt", "Subject: x\n\nx\n");
    write_text("a.html", "<p>\n{{nobody}}");
    expect_fault(".html, line 2, names {{nobody}}");
    free(large);
}

static void what_is_filled_is_bounded(void **state)
{
    p2p_mail_text_t mail;
    char value[1001], text[6000] = "Subject: x\n\n";
    p2p_error_t *error;

    (void)state;
    memset(value, '"', 1000);
    value[1000] = '\0';
    for (int i = 0; i < 270; i++) strcat(text, "{{payer}}");
    write_text("a.txt", text);
    error = p2p_mail_template_fill(pool, dir, "a", values(value), &mail);
    assert_non_null(error);
    assert_non_null(strstr(error->sentence, "is over 256 KiB long when it is filled"));
}

/* Whatever lies there, we do not wait for it. */
static void no_file(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(path("a.txt"), 0600), 0);
    expect_fault(".txt is not a file.");
    remove(path("a.txt"));
    assert_int_equal(symlink("/dev/zero", path("a.txt")), 0);
    expect_fault(".txt is not a file.");
    remove(path("a.txt"));
    assert_int_equal(mkdir(path("a.txt"), 0700), 0);
    expect_fault(".txt is not a file.");
    rmdir(path("a.txt"));
    write_text("a.txt", "Subject: x\n\nx");
    assert_int_equal(mkfifo(path("a.html"), 0600), 0);
    expect_fault(".html is not a file.");
}

/* What is shipped can be used with the values that it is given. */
static void shipped_ones(void **state)
{
    const char *source = getenv("P2P_SRCDIR");
    p2p_error_t *error = p2p_mail_templates_check(pool, apr_pstrcat(pool, source ? source : ".", "/conf/mail", NULL));

    (void)state;
    if (error) fail_msg("%s", error->sentence);
    assert_non_null(p2p_mail_templates_check(pool, dir));
}

/* What the outbox puts in for a template is what the check of templates, and docs, know of. */
static void values_of_events(void **state)
{
    (void)state;
    for (const p2p_mail_template_t *t = p2p_mail_templates; strcmp(t->name, P2P_MAIL_TEMPLATE_TEST); t++) {
        p2p_task_event_t event = {.kind = strncmp(t->name, "exchange-", 9) ? P2P_EVENT_ADD_PAYER : P2P_EVENT_EXCHANGE, .subject = "s", .status = "s",
                                  .task_id = "t", .patient = "p", .email = "e", .payer = "y", .member_name = "n", .member_phone = "1", .reason = "r"};
        const char *role = strstr(t->name, "-member") ? P2P_TO_MEMBER : P2P_TO_ADMINISTRATOR, *text;
        apr_size_t len;
        json_object *values;
        int count = 0;

        text = p2p_task_event_values(pool, &event, role, &len);
        assert_null(p2p_json_parse(pool, text, len, &values));
        json_object_object_foreach(values, name, value) {
            (void)value;
            count++;
            if (!strstr(apr_pstrcat(pool, " ", t->values, " ", NULL), apr_pstrcat(pool, " ", name, " ", NULL))) fail_msg("%s: %s", t->name, name);
        }
        for (const char *c = t->values; *c; c++) count -= *c == ' ';
        assert_int_equal(count, 1);
    }
}

static int set_up(void **state)
{
    (void)state;
    apr_initialize();
    apr_pool_create(&pool, NULL);
    return mkdtemp(dir) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    rmdir(dir);
    apr_terminate();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(values_are_put_in, clean),         cmocka_unit_test_teardown(values_stay_values, clean),
        cmocka_unit_test_teardown(subjects_are_bounded, clean),      cmocka_unit_test_teardown(faults, clean),
        cmocka_unit_test_teardown(what_is_filled_is_bounded, clean), cmocka_unit_test_teardown(no_file, clean),
        cmocka_unit_test_teardown(shipped_ones, clean),              cmocka_unit_test(values_of_events),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
