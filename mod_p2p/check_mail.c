/* SPDX-License-Identifier: Apache-2.0 */
/* Checking the directives of mail. */
#include "check_mail.h"

#include <http_log.h>
#include <apr_strings.h>

#include "base/mail_address.h"
#include "files.h"
#include "model/mail_template.h"
#include "net/smtp_server.h"

APLOG_USE_MODULE(p2p);

static p2p_error_t *bad(apr_pool_t *p, const char *sentence)
{
    return p2p_error_make(p, P2P_E_INVALID, "bad-mail", "%s", sentence);
}

/* With P2PMailStartTLS Off nothing stands between us and the server, which is right for one on this host. */
static void warn_of_plain(apr_pool_t *p, server_rec *s, const p2p_config_t *config, const p2p_smtp_server_t *server)
{
    if (server->tls || config->spec.mail_starttls || server->is_loopback) return;
    ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_WARNING, 0, s, "P2PMailStartTLS: is Off, so mail goes to %s in the clear, members' "
                 "addresses with it: let that server offer STARTTLS, or use smtps://", apr_pstrdup(p, server->url));
}

static p2p_error_t *check_server(apr_pool_t *p, server_rec *s, p2p_config_t *config)
{
    p2p_smtp_server_t server;

    P2P_TRY(p2p_smtp_server_parse(p, config->spec.mail_server, &server));
    config->spec.mail_server = server.url;
    if (!config->mail_auth_file || server.tls || config->spec.mail_starttls || server.is_loopback) {
        warn_of_plain(p, s, config, &server);
        return NULL;
    }
    return bad(p, "would be sent P2PMailAuth's password in the clear: set P2PMailStartTLS On, or use smtps://");
}

static p2p_error_t *check_from(apr_pool_t *p, const p2p_config_t *config)
{
    const char *from = config->spec.mail_from, *fault = from ? p2p_mail_address_check(from) : NULL;

    if (!from) return bad(p, "is missing: P2PMailServer needs the address that mail comes from");
    return fault ? bad(p, apr_pstrcat(p, "must be one plain address, such as p2p@example.org: it ", fault, NULL)) : NULL;
}

static p2p_error_t *check_admins(apr_pool_t *p, const p2p_config_t *config)
{
    char *rest, *word, *copy = apr_pstrdup(p, config->spec.mail_admins);
    int n = 1;

    for (word = apr_strtok(copy, " ", &rest); word; word = apr_strtok(NULL, " ", &rest), n++) {
        const char *fault = p2p_mail_address_check(word);
        if (fault) return bad(p, apr_psprintf(p, "must be plain addresses, parted by blanks: the one with number %d %s", n, fault));
    }
    return NULL;
}

static p2p_error_t *check_auth(apr_pool_t *p, p2p_config_t *config)
{
    const char *line, *colon;

    if (!config->mail_auth_file) return NULL;
    P2P_TRY(p2p_file_line(p, config->mail_auth_file, &line));
    colon = strchr(line, ':');
    if (!colon || colon == line || !colon[1])
        return bad(p, apr_pstrcat(p, config->mail_auth_file, " must hold one line, user:password", NULL));
    config->spec.mail_credential = line;
    return NULL;
}

static p2p_error_t *check_templates(apr_pool_t *p, const p2p_config_t *config)
{
    const char *dir = config->spec.mail_templates;

    if (!ap_is_directory(p, dir)) return bad(p, apr_pstrcat(p, dir, " is not a directory: name the one with the templates of mails", NULL));
    return p2p_mail_templates_check(p, dir);
}

void p2p_check_mail(apr_pool_t *p, server_rec *s, p2p_config_t *config, p2p_check_fault_fn *fault, void *baton)
{
    p2p_error_t *error;

    if (!config->spec.mail_server) return;
    if ((error = check_server(p, s, config))) fault(baton, "P2PMailServer", error->sentence);
    if ((error = check_from(p, config))) fault(baton, "P2PMailFrom", error->sentence);
    if ((error = check_admins(p, config))) fault(baton, "P2PMailAdmins", error->sentence);
    if ((error = check_auth(p, config))) fault(baton, "P2PMailAuth", error->sentence);
    if ((error = check_templates(p, config))) fault(baton, "P2PMailTemplates", error->sentence);
}
