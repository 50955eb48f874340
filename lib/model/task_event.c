/* SPDX-License-Identifier: Apache-2.0 */
/* Who is told of what. */
#include "model/task_event.h"

#include <apr_strings.h>
#include <string.h>

#define ADD_PAYER_ADMINISTRATOR "add-payer-administrator"
#define ADD_PAYER_MEMBER "add-payer-member"
#define ADD_PAYER_STATUS "add-payer-status-member"
#define COMPLETED_MEMBER "exchange-completed-member"
#define FAILED_MEMBER "exchange-failed-member"
#define FAILED_ADMINISTRATOR "exchange-failed-administrator"

/* FHIR's statuses of a Task (R4, TaskStatus) that a member hears of. Any other text is a stranger's. */
static const char *const told[] = {"received", "accepted", "rejected", "ready", "cancelled", "in-progress", "on-hold", "failed", "completed"};

static int is_told(const char *status)
{
    for (apr_size_t i = 0; i < sizeof told / sizeof *told; i++)
        if (!strcmp(told[i], status)) return 1;
    return 0;
}

static void add(apr_array_header_t *mails, const char *template, const char *role, const char *address)
{
    p2p_mail_order_t *mail = apr_array_push(mails);

    *mail = (p2p_mail_order_t){.template = template, .role = role, .address = address};
}

static void add_administrators(apr_array_header_t *mails, const p2p_spec_t *spec, const char *template)
{
    char *rest, *address, *text = apr_pstrdup(mails->pool, spec->mail_admins ? spec->mail_admins : "");

    for (address = apr_strtok(text, " ", &rest); address; address = apr_strtok(NULL, " ", &rest))
        add(mails, template, P2P_TO_ADMINISTRATOR, address);
}

static void add_member(apr_array_header_t *mails, const p2p_spec_t *spec, const p2p_task_event_t *event, const char *template)
{
    if (spec->mail_member == P2P_MAIL_MEMBER_OFF || !*event->patient) return;
    add(mails, template, P2P_TO_MEMBER, spec->mail_member == P2P_MAIL_MEMBER_TASK ? apr_pstrdup(mails->pool, event->email) : "");
}

static void add_payer(apr_array_header_t *mails, const p2p_spec_t *spec, const p2p_task_event_t *event)
{
    if (!strcmp(event->status, "requested")) {
        add_administrators(mails, spec, ADD_PAYER_ADMINISTRATOR);
        add_member(mails, spec, event, ADD_PAYER_MEMBER);
    } else if (is_told(event->status)) {
        add_member(mails, spec, event, ADD_PAYER_STATUS);
    }
}

static void exchange(apr_array_header_t *mails, const p2p_spec_t *spec, const p2p_task_event_t *event)
{
    if (!strcmp(event->status, "completed")) add_member(mails, spec, event, COMPLETED_MEMBER);
    if (strcmp(event->status, "failed")) return;
    add_administrators(mails, spec, FAILED_ADMINISTRATOR);
    add_member(mails, spec, event, FAILED_MEMBER);
}

apr_array_header_t *p2p_task_event_mails(apr_pool_t *p, const p2p_spec_t *spec, const p2p_task_event_t *event)
{
    apr_array_header_t *mails = apr_array_make(p, 4, sizeof(p2p_mail_order_t));

    if (!spec->mail_server) return mails;
    if (event->kind == P2P_EVENT_ADD_PAYER) add_payer(mails, spec, event);
    else exchange(mails, spec, event);
    return mails;
}

/* At most P2P_MAIL_VALUE characters, the last one whole; ASCII and continuation bytes are as they are in UTF-8. */
static const char *clip(apr_pool_t *p, const char *text)
{
    const char *end = text;

    for (int n = 0; *end; end++)
        if ((*end & 0xc0) != 0x80 && ++n > P2P_MAIL_VALUE) break;
    return apr_pstrmemdup(p, text, (apr_size_t)(end - text));
}

static void say(apr_pool_t *p, json_object *values, const char *name, const char *text)
{
    p2p_json_add_str(values, name, clip(p, text));
}

const char *p2p_task_event_values(apr_pool_t *p, const p2p_task_event_t *event, const char *role, apr_size_t *len)
{
    json_object *values = p2p_json_own(p, json_object_new_object());
    int member = strcmp(role, P2P_TO_ADMINISTRATOR) != 0;

    say(p, values, "status", event->status);
    say(p, values, "job", event->job ? apr_psprintf(p, "%" APR_INT64_T_FMT, event->job) : "");
    if (!member || event->kind == P2P_EVENT_EXCHANGE) say(p, values, "payer", event->payer);
    if (!member) {
        say(p, values, "member-name", event->member_name);
        say(p, values, "member-phone", event->member_phone);
        say(p, values, "task-id", event->task_id);
        say(p, values, "reason", event->reason);
    }
    return p2p_json_print(p, values, len);
}
