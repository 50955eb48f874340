/* SPDX-License-Identifier: Apache-2.0 */
/* p2p-runner mail test: one mail, now, with what the runner would send with. */
#include "runner/commands.h"
#include <apr_strings.h>
#include <curl/curl.h>
#include <string.h>
#include <sysexits.h>
#include "base/clock.h"
#include "base/mail_address.h"
#include "model/mail_template.h"
#include "net/http_curl.h"
#include "runner/mail_server.h"
#include "runner/runner.h"
#include "runner/user.h"

#define LOOK apr_time_from_sec(1)

typedef struct test_t {
    int is_over;
    p2p_smtp_outcome_t outcome;
    p2p_error_t *error;
    apr_pool_t *pool;
} test_t;

static void sent(void *baton, p2p_smtp_outcome_t outcome, const p2p_error_t *why)
{
    test_t *test = baton;

    test->is_over = 1;
    test->outcome = outcome;
    test->error = p2p_error_copy(test->pool, why);
}

static p2p_error_t *make_mail(apr_pool_t *p, const p2p_spec_t *spec, const char *address, p2p_mail_t *mail)
{
    json_object *none = p2p_json_own(p, json_object_new_object());
    p2p_mail_text_t text;
    const char *uuid;

    P2P_TRY(p2p_mail_template_fill(p, spec->mail_templates, P2P_MAIL_TEMPLATE_TEST, none, &text));
    P2P_TRY(p2p_uuid4(p, &uuid));
    *mail = (p2p_mail_t){.from = spec->mail_from, .to = address, .subject = text.subject, .text = text.text, .html = text.html};
    mail->message_id = apr_pstrcat(p, uuid, strchr(spec->mail_from, '@'), NULL);
    mail->date = apr_time_now();
    return NULL;
}

static p2p_error_t *send_it(apr_pool_t *p, const p2p_spec_t *spec, const char *address, test_t *test)
{
    p2p_http_curl_settings_t settings = {.ca_file = spec->ca_file};
    p2p_clock_t clock = p2p_clock_system();
    p2p_http_t *http;
    p2p_smtp_t *smtp;
    p2p_mail_t mail;

    P2P_TRY(p2p_http_curl_make(p, &settings, &clock, &http));
    P2P_TRY(p2p_mail_server_make(p, http, spec, &smtp));
    if (!smtp)
        return p2p_error_make(p, P2P_E_INVALID, "no-mail-server", "P2PMailServer is not set, so nothing is mailed.");
    P2P_TRY(make_mail(p, spec, address, &mail));
    smtp->send(smtp, p, &mail, sent, test);
    while (!test->is_over) P2P_TRY(http->poll(http, -1, LOOK, NULL));
    return test->error;
}

static int refuse(const char *address)
{
    const char *fault = p2p_mail_address_check(address);

    if (!fault) return 0;
    fprintf(stderr, "p2p-runner: The address %s.\n", fault);
    return 1;
}

int p2p_command_mail_test(apr_pool_t *p, const p2p_spec_t *spec, const char *address, FILE *out)
{
    test_t test = {.outcome = P2P_SMTP_FAULT, .pool = p};
    apr_pool_t *own;
    p2p_error_t *error;

    if (refuse(address)) return EX_USAGE;
    error = p2p_become_user(p, spec);
    if (!error && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return EX_SOFTWARE;
    if (!error) {
        apr_pool_create(&own, p);
        error = p2p_error_copy(p, send_it(own, spec, address, &test));
        apr_pool_destroy(own); /* connections first, then the library under them */
        curl_global_cleanup();
    }
    if (error) {
        p2p_command_complain(error);
        return test.outcome == P2P_SMTP_FAULT ? EX_CONFIG : EX_UNAVAILABLE;
    }
    fputs("The mail server has taken the mail.\n", out);
    return p2p_command_done(out, EX_OK);
}
