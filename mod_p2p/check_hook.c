/* SPDX-License-Identifier: Apache-2.0 */
/* What the Subscription at the target is made of. */
#include "check_hook.h"

#include <string.h>
#include <http_log.h>
#include <apr_strings.h>

#include "base/uri.h"

APLOG_USE_MODULE(p2p);

#define HOOK "/hooks/task"
#define TEXT_MAX 2000
/* RFC 9110, section 5.6.2 */
#define TOKEN "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

typedef struct checking_t {
    apr_pool_t *p;
    server_rec *s;
    const p2p_spec_t *spec;
    p2p_check_fault_fn *fault;
    void *baton;
} checking_t;

static void say(const checking_t *c, const char *name, const char *sentence)
{
    c->fault(c->baton, name, sentence);
}

static void check_url(const checking_t *c)
{
    const char *url = c->spec->hook_url;
    p2p_error_t *error = p2p_uri_check_base(c->p, url, c->spec->allow_http);
    apr_size_t len = strlen(url), end = strlen(HOOK);

    if (error) say(c, "P2PHookURL", error->sentence);
    else if (len < end || strcmp(url + len - end, HOOK))
        say(c, "P2PHookURL", "must end in " HOOK ", where deliveries are taken: as in https://p2p.example.org" HOOK);
}

static int is_printable(const char *text)
{
    for (; *text; text++) {
        if (*text < ' ' || *text > '~') return 0;
    }
    return 1;
}

static void check_criteria(const checking_t *c)
{
    const char *criteria = c->spec->subscription_criteria;

    if ((!strncmp(criteria, "Task?", 5) || !strcmp(criteria, "Task")) && is_printable(criteria) && strlen(criteria) <= TEXT_MAX) return;
    say(c, "P2PSubscriptionCriteria", "must be a search for Tasks in ASCII, as in " P2P_SUBSCRIPTION_CRITERIA);
}

static void check_payload(const checking_t *c)
{
    const char *payload = c->spec->subscription_payload;
    apr_size_t type = strspn(payload, TOKEN), subtype = payload[type] == '/' ? strspn(payload + type + 1, TOKEN) : 0;

    if (!strcmp(payload, "none") || (type && subtype && !payload[type + 1 + subtype])) return;
    say(c, "P2PSubscriptionPayload", "must be none, or a media type such as application/fhir+json");
}

/* Values may be secrets: none is repeated. */
static void check_header(const checking_t *c, const char *header)
{
    apr_size_t len = strspn(header, TOKEN);
    const char *value = header + len + (header[len] == ':'), *name = apr_pstrmemdup(c->p, header, len);

    value += strspn(value, " \t");
    if (!len || header[len] != ':' || !*value || !is_printable(value) || strlen(header) > TEXT_MAX)
        say(c, "P2PSubscriptionHeader", "must be a header, \"NAME: VALUE\" in ASCII");
    else if (!strcasecmp(name, "Authorization"))
        say(c, "P2PSubscriptionHeader", "must not be Authorization: that has the hook's secret");
    else if (strchr(value, ':'))
        ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_WARNING, 0, c->s,
                     "P2PSubscriptionHeader: the value of %s has a colon; Medplum breaks a header at each colon and sends another one", name);
}

static void check_headers(const checking_t *c)
{
    char *state, *header, *copy = apr_pstrdup(c->p, c->spec->subscription_headers);

    for (header = apr_strtok(copy, "\n", &state); header; header = apr_strtok(NULL, "\n", &state)) check_header(c, header);
}

void p2p_check_hook(apr_pool_t *p, server_rec *s, const p2p_spec_t *spec, p2p_check_fault_fn *fault, void *baton)
{
    checking_t c = {p, s, spec, fault, baton};

    if (spec->hook_url) check_url(&c);
    check_criteria(&c);
    check_payload(&c);
    check_headers(&c);
}
