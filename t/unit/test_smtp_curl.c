/* SPDX-License-Identifier: Apache-2.0 */
/* Sending mail: what each answer of a server means, connections that are kept, and that nothing of it holds the loop up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <curl/curl.h>

#include "net/http_curl.h"
#include "net/smtp_curl.h"
#include "smtp_server.h"

#define PATIENCE apr_time_from_sec(60)

typedef struct fixture_t {
    apr_pool_t *p;
    p2p_clock_t clock;
    p2p_http_t *http;
    p2p_smtp_t *smtp;
} fixture_t;

typedef struct call_t {
    apr_pool_t *p;
    int done;
    p2p_smtp_outcome_t outcome;
    char code[40], sentence[300], detail[300];
} call_t;

static void make_client(fixture_t *f, int seconds)
{
    p2p_http_curl_settings_t http = {NULL, "p2p-test"};
    p2p_smtp_curl_settings_t settings = {.seconds = seconds};

    apr_pool_create(&f->p, NULL);
    f->clock = p2p_clock_system();
    settings.server = apr_psprintf(f->p, "smtp://127.0.0.1:%d", smtp->port);
    assert_null(p2p_http_curl_make(f->p, &http, &f->clock, &f->http));
    assert_null(p2p_smtp_curl_make(f->p, f->http, &settings, &f->smtp));
}

static int make(void **state)
{
    static fixture_t fixture;

    smtp_server_reset();
    make_client(&fixture, 30);
    *state = &fixture;
    return 0;
}

static int unmake(void **state)
{
    fixture_t *f = *state;

    apr_pool_destroy(f->p);
    return 0;
}

static void on_sent(void *baton, p2p_smtp_outcome_t outcome, const p2p_error_t *why)
{
    call_t *call = baton;

    call->done++;
    call->outcome = outcome;
    assert_int_equal(why == NULL, outcome == P2P_SMTP_SENT);
    if (!why) return;
    apr_cpystrn(call->code, why->code, sizeof call->code);
    apr_cpystrn(call->sentence, why->sentence, sizeof call->sentence);
    apr_cpystrn(call->detail, why->detail ? why->detail : "", sizeof call->detail);
}

static void begin_from(fixture_t *f, call_t *call, const char *from, const char *to)
{
    p2p_mail_t mail = {.from = from, .to = to, .message_id = "1@a.example", .subject = "S", .text = ".dot\n\n.\nend\n"};

    memset(call, 0, sizeof *call);
    apr_pool_create(&call->p, f->p);
    f->smtp->send(f->smtp, call->p, apr_pmemdup(call->p, &mail, sizeof mail), on_sent, call);
    assert_int_equal(call->done, 0);
}

static void begin(fixture_t *f, call_t *call, const char *to)
{
    begin_from(f, call, "us@a.example", to);
}

static void wait_for(fixture_t *f, const call_t *call)
{
    apr_time_t end = apr_time_now() + PATIENCE;

    while (!call->done && apr_time_now() < end) assert_null(f->http->poll(f->http, -1, apr_time_from_sec(1), NULL));
    assert_int_equal(call->done, 1);
}

static call_t sent_from(fixture_t *f, const char *from, const char *to)
{
    static call_t call;

    begin_from(f, &call, from, to);
    wait_for(f, &call);
    apr_pool_destroy(call.p);
    return call;
}

static call_t sent(fixture_t *f, const char *to)
{
    return sent_from(f, "us@a.example", to);
}

static void expect(fixture_t *f, const char *to, p2p_smtp_outcome_t outcome, const char *code)
{
    call_t call = sent(f, to);

    if (call.outcome != outcome || strcmp(call.code, code)) fail_msg("%s: %d %s: %s", to, (int)call.outcome, call.code, call.sentence);
    assert_null(strstr(call.sentence, "@"));
}

static void a_mail_is_taken(void **state)
{
    call_t call = sent(*state, "ok@b.example");

    assert_int_equal(call.outcome, P2P_SMTP_SENT);
    assert_string_equal(smtp->from, "MAIL FROM:<us@a.example>");
    assert_string_equal(smtp->to, "RCPT TO:<ok@b.example>");
    assert_non_null(strstr(smtp->message, "\r\nSubject: S\r\n"));
    assert_non_null(strstr(smtp->message, "\r\n\r\n=2Edot\r\n\r\n=2E\r\nend\r\n"));
    assert_null(strstr(smtp->message, "\r\n."));
}

static void answers_are_judged(void **state)
{
    call_t call;

    expect(*state, "rcpt-450@b.example", P2P_SMTP_LATER, "mail-later");
    expect(*state, "rcpt-550@b.example", P2P_SMTP_NEVER, "mail-recipient");
    expect(*state, "data-451@b.example", P2P_SMTP_LATER, "mail-later");
    expect(*state, "data-554@b.example", P2P_SMTP_NEVER, "mail-message");
    expect(*state, "message-452@b.example", P2P_SMTP_LATER, "mail-later");
    expect(*state, "message-554@b.example", P2P_SMTP_NEVER, "mail-message");
    expect(*state, "rcpt-200@b.example", P2P_SMTP_SENT, "");
    expect(*state, "data-250@b.example", P2P_SMTP_LATER, "mail-later");
    expect(*state, "rcpt-530@b.example", P2P_SMTP_FAULT, "mail-sign-in"); /* no recipient would do any better */
    call = sent_from(*state, "mail-550@a.example", "ok@b.example");
    assert_int_equal(call.outcome, P2P_SMTP_FAULT);
    assert_string_equal(call.code, "mail-sender");
    assert_string_equal(call.detail, "550 it is so");
    call = sent_from(*state, "mail-451@a.example", "ok@b.example");
    assert_int_equal(call.outcome, P2P_SMTP_LATER);
    assert_string_equal(call.code, "mail-later");
    assert_int_equal(smtp->connections, 2); /* data-250 was no SMTP: its connection was closed */
}

static void broken_servers(void **state)
{
    expect(*state, "rcpt-421@b.example", P2P_SMTP_LATER, "mail-later");
    expect(*state, "rcpt-drop@b.example", P2P_SMTP_LATER, "cut-short");
    expect(*state, "message-drop@b.example", P2P_SMTP_LATER, "cut-short");
    expect(*state, "rcpt-junk@b.example", P2P_SMTP_LATER, "bad-answer");
    expect(*state, "rcpt-flood@b.example", P2P_SMTP_LATER, "cut-short");
    expect(*state, "rcpt-slow@b.example", P2P_SMTP_SENT, "");
    expect(*state, "ok@b.example", P2P_SMTP_SENT, "");
}

static void greetings(void **state)
{
    strcpy(smtp->greeting, "421 busy");
    expect(*state, "ok@b.example", P2P_SMTP_LATER, P2P_SMTP_AWAY);
    strcpy(smtp->greeting, "554 go away");
    expect(*state, "ok@b.example", P2P_SMTP_FAULT, "mail-refused");
    strcpy(smtp->greeting, "");
    expect(*state, "ok@b.example", P2P_SMTP_LATER, P2P_SMTP_AWAY);
    strcpy(smtp->greeting, "220 hello");
    expect(*state, "ok@b.example", P2P_SMTP_SENT, "");
}

/* What is refused spoils nothing for the next mail. */
static void connections_are_kept(void **state)
{
    expect(*state, "ok@b.example", P2P_SMTP_SENT, "");
    expect(*state, "rcpt-550@b.example", P2P_SMTP_NEVER, "mail-recipient");
    expect(*state, "ok@b.example", P2P_SMTP_SENT, "");
    assert_int_equal(smtp->connections, 1);
    expect(*state, "message-bye@b.example", P2P_SMTP_SENT, ""); /* and it hangs up */
    expect(*state, "ok@b.example", P2P_SMTP_SENT, "");
    assert_int_equal(smtp->connections, 2);
    expect(*state, "message-tired@b.example", P2P_SMTP_SENT, ""); /* 421 to what is said next */
    expect(*state, "ok@b.example", P2P_SMTP_SENT, "");
    assert_int_equal(smtp->connections, 3);
}

static void many_at_a_time(void **state)
{
    fixture_t *f = *state;
    call_t calls[30];

    for (int i = 0; i < 30; i++) begin(f, &calls[i], i % 3 ? "ok@b.example" : "rcpt-550@b.example");
    for (int i = 0; i < 30; i++) wait_for(f, &calls[i]);
    for (int i = 0; i < 30; i++) assert_int_equal(calls[i].outcome, i % 3 ? P2P_SMTP_SENT : P2P_SMTP_NEVER);
    assert_int_equal(smtp->taken, 20);
    assert_in_range(smtp->connections, 1, 4);
}

/* A pool that ends gives its mail up, wherever that is. */
static void given_up(void **state)
{
    fixture_t *f = *state;
    call_t calls[6], last;

    for (int i = 0; i < 6; i++) begin(f, &calls[i], "rcpt-stall@b.example");
    apr_pool_destroy(calls[5].p); /* waits */
    while (smtp->stalled < 4) assert_null(f->http->poll(f->http, -1, apr_time_from_msec(50), NULL));
    for (int i = 0; i < 5; i++) apr_pool_destroy(calls[i].p);
    begin(f, &last, "ok@b.example");
    wait_for(f, &last);
    assert_int_equal(last.outcome, P2P_SMTP_SENT);
    for (int i = 0; i < 6; i++) assert_int_equal(calls[i].done, 0);
}

static void the_client_ends_first(void **state)
{
    fixture_t *f = *state;
    call_t calls[6];

    for (int i = 0; i < 6; i++) begin(f, &calls[i], "rcpt-stall@b.example");
    while (smtp->stalled < 4) assert_null(f->http->poll(f->http, -1, apr_time_from_msec(50), NULL));
    apr_pool_destroy(f->p);
    for (int i = 0; i < 6; i++) assert_int_equal(calls[i].done, 0);
    make_client(f, 30);
}

static void time_runs_out(void **state)
{
    fixture_t *f = *state;

    apr_pool_destroy(f->p);
    make_client(f, 1);
    expect(f, "rcpt-stall@b.example", P2P_SMTP_LATER, "timed-out");
    expect(f, "message-stall@b.example", P2P_SMTP_LATER, "timed-out");
    apr_pool_destroy(f->p);
    make_client(f, 30);
    expect(f, "ok@b.example", P2P_SMTP_SENT, "");
}

static void on_tick(void *baton)
{
    ++*(int *)baton;
}

/* The server thinks about a message for longer than this: libcurl's own way to send would not return until then. */
static void the_loop_goes_on(void **state)
{
    fixture_t *f = *state;
    call_t call;
    int ticks = 0;

    begin(f, &call, "message-stall@b.example");
    while (!smtp->stalled) assert_null(f->http->poll(f->http, -1, apr_time_from_msec(50), NULL));
    for (int i = 1; i <= 3; i++) {
        f->http->after(f->http, apr_time_from_msec(10), on_tick, &ticks);
        while (ticks < i) assert_null(f->http->poll(f->http, -1, apr_time_from_sec(1), NULL));
    }
    assert_int_equal(call.done, 0);
    apr_pool_destroy(call.p);
}

static void nobody_there(void **state)
{
    fixture_t *f = *state;
    p2p_smtp_curl_settings_t settings = {.server = "smtp://127.0.0.1:1"};

    assert_null(p2p_smtp_curl_make(f->p, f->http, &settings, &f->smtp));
    expect(f, "ok@b.example", P2P_SMTP_LATER, P2P_SMTP_AWAY);
}

static void no_way_to_sign_in_the_clear(void **state)
{
    fixture_t *f = *state;
    p2p_smtp_curl_settings_t settings = {.server = "smtp://mail.example", .credential = "u:secret"};
    p2p_error_t *error = p2p_smtp_curl_make(f->p, f->http, &settings, &f->smtp);

    assert_non_null(error);
    assert_null(strstr(error->sentence, "secret"));
    settings.starttls = 1;
    assert_null(p2p_smtp_curl_make(f->p, f->http, &settings, &f->smtp));
    settings = (p2p_smtp_curl_settings_t){.server = apr_psprintf(f->p, "smtp://127.0.0.1:%d", smtp->port), .starttls = 1};
    assert_null(p2p_smtp_curl_make(f->p, f->http, &settings, &f->smtp));
    expect(f, "ok@b.example", P2P_SMTP_FAULT, "tls-refused"); /* it offers no STARTTLS */
    assert_int_equal(smtp->taken, 0);
}

static void bad_addresses_never_leave(void **state)
{
    fixture_t *f = *state;
    call_t call = sent(f, "a@b.example>\r\nRCPT TO:<c@d.example");

    assert_int_equal(call.outcome, P2P_SMTP_NEVER);
    assert_string_equal(call.code, "mail-address");
    assert_int_equal(smtp->connections, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_mail_is_taken, make, unmake),
        cmocka_unit_test_setup_teardown(answers_are_judged, make, unmake),
        cmocka_unit_test_setup_teardown(broken_servers, make, unmake),
        cmocka_unit_test_setup_teardown(greetings, make, unmake),
        cmocka_unit_test_setup_teardown(connections_are_kept, make, unmake),
        cmocka_unit_test_setup_teardown(many_at_a_time, make, unmake),
        cmocka_unit_test_setup_teardown(given_up, make, unmake),
        cmocka_unit_test_setup_teardown(the_client_ends_first, make, unmake),
        cmocka_unit_test_setup_teardown(time_runs_out, make, unmake),
        cmocka_unit_test_setup_teardown(the_loop_goes_on, make, unmake),
        cmocka_unit_test_setup_teardown(nobody_there, make, unmake),
        cmocka_unit_test_setup_teardown(no_way_to_sign_in_the_clear, make, unmake),
        cmocka_unit_test_setup_teardown(bad_addresses_never_leave, make, unmake),
    };
    int failed;

    apr_initialize();
    curl_global_init(CURL_GLOBAL_DEFAULT);
    failed = cmocka_run_group_tests(tests, smtp_server_start, smtp_server_stop);
    curl_global_cleanup();
    apr_terminate();
    return failed;
}
