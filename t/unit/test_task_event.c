/* SPDX-License-Identifier: Apache-2.0 */
/* Who is told of what, and what mails may say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "model/task_event.h"

static apr_pool_t *pool;
static p2p_spec_t *spec;

static p2p_task_event_t event_of(p2p_event_kind_t kind, const char *status)
{
    p2p_task_event_t event = {.kind = kind, .subject = "Task/7", .status = status, .task_id = "7", .patient = "p", .email = "anna@example.org",
                              .payer = "Payer <b>", .member_name = "Anna", .member_phone = "1", .reason = "The source is away.", .job = 17};

    if (kind == P2P_EVENT_ADD_PAYER) event.job = 0;
    return event;
}

/* The mails in a line: template, role and address of each. */
static const char *mails_of(const p2p_task_event_t *event)
{
    apr_array_header_t *mails = p2p_task_event_mails(pool, spec, event);
    const char *line = "";

    for (int i = 0; i < mails->nelts; i++) {
        const p2p_mail_order_t *mail = &APR_ARRAY_IDX(mails, i, p2p_mail_order_t);
        line = apr_pstrcat(pool, line, *line ? "; " : "", mail->template, " ", mail->role, " ", mail->address, NULL);
    }
    return line;
}

static void expect(p2p_event_kind_t kind, const char *status, const char *mails)
{
    p2p_task_event_t event = event_of(kind, status);

    assert_string_equal(mails_of(&event), mails);
}

static int begin(void **state)
{
    (void)state;
    spec = p2p_spec_make(pool);
    spec->mail_server = "smtp://mail.example";
    spec->mail_admins = "one@payer.example two@payer.example";
    return 0;
}

static void add_payer(void **state)
{
    static const char *const told[] = {"received", "accepted", "rejected", "ready", "cancelled", "in-progress", "on-hold", "failed", "completed"};
    static const char *const silent[] = {"draft", "entered-in-error", "", "requested ", "Requested", "<b>completed</b>"};

    (void)state;
    expect(P2P_EVENT_ADD_PAYER, "requested", "add-payer-administrator administrator one@payer.example; "
           "add-payer-administrator administrator two@payer.example; add-payer-member member anna@example.org");
    for (apr_size_t i = 0; i < sizeof told / sizeof *told; i++)
        expect(P2P_EVENT_ADD_PAYER, told[i], "add-payer-status-member member anna@example.org");
    for (apr_size_t i = 0; i < sizeof silent / sizeof *silent; i++) expect(P2P_EVENT_ADD_PAYER, silent[i], "");
}

static void exchange(void **state)
{
    (void)state;
    expect(P2P_EVENT_EXCHANGE, "completed", "exchange-completed-member member anna@example.org");
    expect(P2P_EVENT_EXCHANGE, "failed", "exchange-failed-administrator administrator one@payer.example; "
           "exchange-failed-administrator administrator two@payer.example; exchange-failed-member member anna@example.org");
    expect(P2P_EVENT_EXCHANGE, "on-hold", "");
    expect(P2P_EVENT_EXCHANGE, "in-progress", "");
    expect(P2P_EVENT_EXCHANGE, "requested", "");
}

/* Where a member's address is taken from. */
static void addresses(void **state)
{
    p2p_task_event_t event = event_of(P2P_EVENT_EXCHANGE, "completed");

    (void)state;
    event.email = "";
    assert_string_equal(mails_of(&event), "exchange-completed-member member ");
    event.email = "anna@example.org";
    spec->mail_member = P2P_MAIL_MEMBER_RECORD;
    assert_string_equal(mails_of(&event), "exchange-completed-member member ");
    spec->mail_member = P2P_MAIL_MEMBER_OFF;
    assert_string_equal(mails_of(&event), "");
    spec->mail_member = P2P_MAIL_MEMBER_TASK;
    event.patient = "";
    assert_string_equal(mails_of(&event), "");
    event.status = "failed";
    spec->mail_admins = "";
    assert_string_equal(mails_of(&event), "");
    spec->mail_admins = "one@payer.example";
    assert_string_equal(mails_of(&event), "exchange-failed-administrator administrator one@payer.example");
    spec->mail_server = NULL;
    assert_string_equal(mails_of(&event), "");
}

static const char *values_of(const p2p_task_event_t *event, const char *role)
{
    apr_size_t len;
    const char *text = p2p_task_event_values(pool, event, role, &len);

    assert_int_equal(len, strlen(text));
    return text;
}

static void values(void **state)
{
    p2p_task_event_t asked = event_of(P2P_EVENT_ADD_PAYER, "requested"), failed = event_of(P2P_EVENT_EXCHANGE, "failed");

    (void)state;
    assert_string_equal(values_of(&asked, P2P_TO_MEMBER), "{\"status\":\"requested\",\"job\":\"\"}");
    assert_string_equal(values_of(&failed, P2P_TO_MEMBER), "{\"status\":\"failed\",\"job\":\"17\",\"payer\":\"Payer <b>\"}");
    assert_string_equal(values_of(&asked, P2P_TO_ADMINISTRATOR),
        "{\"status\":\"requested\",\"job\":\"\",\"payer\":\"Payer <b>\",\"member-name\":\"Anna\",\"member-phone\":\"1\",\"task-id\":\"7\","
        "\"reason\":\"The source is away.\"}");
    assert_string_equal(values_of(&failed, P2P_TO_ADMINISTRATOR),
        "{\"status\":\"failed\",\"job\":\"17\",\"payer\":\"Payer <b>\",\"member-name\":\"Anna\",\"member-phone\":\"1\",\"task-id\":\"7\","
        "\"reason\":\"The source is away.\"}");
}

/* Long texts end behind a whole character. */
static void long_values(void **state)
{
    static const char *const characters[] = {"a", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    p2p_task_event_t event = event_of(P2P_EVENT_ADD_PAYER, "requested");

    (void)state;
    for (apr_size_t i = 0; i < sizeof characters / sizeof *characters; i++) {
        const char *exact = "", *name, *found;
        json_object *doc;
        apr_size_t len;

        for (int n = 0; n < P2P_MAIL_VALUE; n++) exact = apr_pstrcat(pool, exact, characters[i], NULL);
        for (name = exact; strlen(name) < 10000; name = apr_pstrcat(pool, name, exact, NULL)) {}
        event.member_name = name;
        event.payer = exact;
        found = p2p_task_event_values(pool, &event, P2P_TO_ADMINISTRATOR, &len);
        assert_null(p2p_json_parse(pool, found, len, &doc));
        assert_string_equal(p2p_json_str(doc, "member-name"), exact);
        assert_string_equal(p2p_json_str(doc, "payer"), exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(add_payer, begin), cmocka_unit_test_setup(exchange, begin), cmocka_unit_test_setup(addresses, begin),
        cmocka_unit_test_setup(values, begin), cmocka_unit_test_setup(long_values, begin),
    };
    int failures;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    failures = cmocka_run_group_tests_name("task_event", tests, NULL, NULL);
    apr_pool_destroy(pool);
    apr_terminate();
    return failures;
}
