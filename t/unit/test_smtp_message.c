/* SPDX-License-Identifier: Apache-2.0 */
/* Mails as bytes: headers that end where they should, lines that are short, bodies that come through whole. And the mail server's URL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <apr_base64.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "net/smtp_message.h"
#include "net/smtp_server.h"

static apr_pool_t *pool;

static const char *header(const char *text)
{
    p2p_buf_t out;
    const char *line;

    p2p_buf_init(&out, 100000);
    p2p_smtp_header_write(&out, "Subject", text);
    line = apr_pstrdup(pool, out.data);
    p2p_buf_free(&out);
    return line;
}

/* What a reader makes of "Subject: …": encoded words joined, the folding between them left out. */
static const char *read_words(const char *line)
{
    static const char begin[] = " =?UTF-8?B?";
    const char *text = "";

    assert_int_equal(strncmp(line, "Subject:", 8), 0);
    for (line += 8; *line;) {
        const char *end = strstr(line, "?=\r\n");
        char bytes[100];
        int n;
        assert_int_equal(strncmp(line, begin, strlen(begin)), 0);
        assert_non_null(end);
        assert_true(end + 2 - line <= 76 && end + 2 - line - 1 <= 75); /* the line; the word */
        n = apr_base64_decode(bytes, apr_pstrmemdup(pool, line + strlen(begin), (apr_size_t)(end - line) - strlen(begin)));
        for (int i = 0; i < n;) {
            apr_size_t one = p2p_utf8_sequence(bytes + i, (apr_size_t)(n - i));
            assert_true(one > 0); /* no character is cut */
            i += (int)one;
        }
        text = apr_pstrcat(pool, text, apr_pstrmemdup(pool, bytes, (apr_size_t)n), NULL);
        line = end + 4;
    }
    return text;
}

static void expect_words(const char *text)
{
    assert_string_equal(read_words(header(text)), text);
}

static void subjects(void **state)
{
    char text[1000] = "";

    (void)state;
    assert_string_equal(header("A plain one"), "Subject: A plain one\r\n");
    expect_words("Z\xC3\xBCrich");
    expect_words("=?utf-8?q?not_ours?=");
    expect_words(" blanks around ");
    expect_words("a\r\nBcc: x@y.example");
    expect_words("tab\there");
    for (int i = 0; i < 5; i++) strcat(text, "\xF0\x9F\x98\x80\xE2\x82\xAC" "ab\xC3\xA9");
    for (int i = 0; i < 12; i++) expect_words(text + 0), expect_words(apr_pstrcat(pool, apr_pstrmemdup(pool, "xxxxxxxxxxxx", (apr_size_t)i), text, NULL));
    memset(text, 'a', 900);
    text[900] = '\0';
    expect_words(text);
}

static const char *quoted(const char *text)
{
    p2p_buf_t out;
    const char *body;

    p2p_buf_init(&out, 1000000);
    p2p_smtp_quoted_write(&out, text);
    body = apr_pstrmemdup(pool, out.data ? out.data : "", out.len);
    p2p_buf_free(&out);
    return body;
}

static void bodies(void **state)
{
    (void)state;
    assert_string_equal(quoted("plain\n"), "plain\r\n");
    assert_string_equal(quoted("no end"), "no end\r\n");
    assert_string_equal(quoted("a\r\nb\n"), "a\r\nb\r\n");
    assert_string_equal(quoted("a\rb"), "a=0Db\r\n");
    assert_string_equal(quoted("1=1"), "1=3D1\r\n");
    assert_string_equal(quoted("end \nend\t\nin side"), "end=20\r\nend=09\r\nin side\r\n");
    assert_string_equal(quoted("end \r\nx"), "end=20\r\nx\r\n");
    assert_string_equal(quoted(".\n..\na.b\n"), "=2E\r\n=2E.\r\na.b\r\n");
    assert_string_equal(quoted("\xC3\xA9\x01\x7f"), "=C3=A9=01=7F\r\n");
    assert_string_equal(quoted(""), "");
}

static void long_lines(void **state)
{
    static const char signs[] = "aaaaaaaaaaaa.....=== \xC3\xA9";
    char text[5001], back[5001];
    size_t n = 0;

    (void)state;
    for (size_t i = 0; i < sizeof text - 1; i++) text[i] = signs[(i * 7 + i / 11) % (sizeof signs - 1)];
    text[sizeof text - 1] = '\0';
    for (const char *line = quoted(text); *line;) {
        const char *end = strstr(line, "\r\n"), *c;
        assert_non_null(end);
        assert_true(end - line <= 76);
        assert_true(*line != '.');
        for (c = line; c < end; c++) {
            unsigned byte = (unsigned char)*c;
            assert_true(byte >= ' ' && byte <= '~');
            if (byte == '=' && c + 1 == end) continue;
            if (byte == '=' && sscanf(c + 1, "%2X", &byte) == 1) c += 2;
            back[n++] = (char)byte;
        }
        line = end + 2;
    }
    back[n] = '\0';
    assert_string_equal(back, text);
}

static p2p_mail_t mail(void)
{
    p2p_mail_t mail = {.from = "us@a.example", .to = "you@b.example", .message_id = "abc@a.example", .subject = "Hi", .text = "one\n", .html = "<p>two</p>\n",
                       .date = apr_time_from_sec(1795424750)};

    return mail;
}

static const char *message(const p2p_mail_t *mail)
{
    p2p_buf_t out;
    const char *text;

    p2p_buf_init(&out, P2P_SMTP_MESSAGE_BYTES);
    p2p_smtp_message_write(&out, mail);
    text = apr_pstrmemdup(pool, out.data, out.len);
    p2p_buf_free(&out);
    return text;
}

#define HEAD "Date: Mon, 23 Nov 2026 09:05:50 +0000\r\nFrom: us@a.example\r\nTo: you@b.example\r\nSubject: Hi\r\nMessage-ID: <abc@a.example>\r\n" \
    "MIME-Version: 1.0\r\nAuto-Submitted: auto-generated\r\n"
#define PART "; charset=UTF-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"

static void messages(void **state)
{
    p2p_mail_t m = mail();

    (void)state;
    assert_string_equal(message(&m), HEAD "Content-Type: multipart/alternative; boundary=\"=_p2p-alternative\"\r\n\r\n--=_p2p-alternative\r\n"
                        "Content-Type: text/plain" PART "one\r\n\r\n--=_p2p-alternative\r\nContent-Type: text/html" PART
                        "<p>two</p>\r\n\r\n--=_p2p-alternative--\r\n");
    m.html = NULL;
    m.text = "--=_p2p-alternative--";
    assert_string_equal(message(&m), HEAD "Content-Type: text/plain" PART "--=3D_p2p-alternative--\r\n");
}

static void expect_refused(const p2p_mail_t *m)
{
    p2p_error_t *error = p2p_smtp_message_check(pool, m);

    assert_non_null(error);
    assert_string_equal(error->code, "mail-address");
    assert_null(strchr(error->sentence, '@'));
}

static void checks(void **state)
{
    static const char *const ids[] = {"", "a b@c", "a>@c", "a@c\r\nX: y", "a@\xC3\xA9", "<a@c>"};
    p2p_mail_t m = mail();

    (void)state;
    assert_null(p2p_smtp_message_check(pool, &m));
    m.to = "a@b.example\r\nBcc: c@d.example";
    expect_refused(&m);
    m = mail();
    m.from = "A <a@b.example>";
    expect_refused(&m);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        m = mail();
        m.message_id = ids[i];
        expect_refused(&m);
    }
}

static void expect_server(const char *text, const char *url, int tls, int is_loopback)
{
    p2p_smtp_server_t server;
    p2p_error_t *error = p2p_smtp_server_parse(pool, text, &server);

    if (error) fail_msg("%s: %s", text, error->sentence);
    assert_string_equal(server.url, url);
    assert_int_equal(server.tls, tls);
    assert_int_equal(server.is_loopback, is_loopback);
}

static void servers(void **state)
{
    static const char *const bad[] = {"", "smtp", "smtp:", "smtp://", "smtps:///", "http://a.example", "mail.example", "smtp://a.example/x", "smtp://a.example?x",
                                      "smtp://a.example#x", "smtp://u:p@a.example", "smtp://a.example:0", "smtp://a.example:99999", "smtp://a b", "smtp://a\r\nb",
                                      "smtp+tls://a.example"};
    p2p_smtp_server_t server;

    (void)state;
    expect_server("smtp://Mail.Example", "smtp://mail.example:25", 0, 0);
    expect_server("smtp://mail.example:587/", "smtp://mail.example:587", 0, 0);
    expect_server("SMTPS://mail.example", "smtps://mail.example:465", 1, 0);
    expect_server("smtp://mail.example:80", "smtp://mail.example:80", 0, 0);
    expect_server("smtp://127.0.0.1:2525", "smtp://127.0.0.1:2525", 0, 1);
    expect_server("smtp://localhost", "smtp://localhost:25", 0, 1);
    expect_server("smtps://[::1]", "smtps://[::1]:465", 1, 1);
    expect_server("smtp://[2001:db8::1]:587", "smtp://[2001:db8::1]:587", 0, 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        p2p_error_t *error = p2p_smtp_server_parse(pool, bad[i], &server);
        if (!error) fail_msg("accepted: %s", bad[i]);
        assert_null(strstr(error->sentence, "u:p"));
    }
}

static int set_up(void **state)
{
    (void)state;
    apr_initialize();
    return apr_pool_create(&pool, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    apr_terminate();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subjects), cmocka_unit_test(bodies), cmocka_unit_test(long_lines),
        cmocka_unit_test(messages), cmocka_unit_test(checks), cmocka_unit_test(servers),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
