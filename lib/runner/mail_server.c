/* SPDX-License-Identifier: Apache-2.0 */
/* From P2PMail… to a client that sends. */
#include "runner/mail_server.h"
#include "base/mail_address.h"
#include "net/smtp_curl.h"

p2p_error_t *p2p_mail_server_make(apr_pool_t *p, p2p_http_t *http, const p2p_spec_t *spec, p2p_smtp_t **smtp)
{
    p2p_smtp_curl_settings_t settings = {.server = spec->mail_server, .starttls = spec->mail_starttls, .credential = spec->mail_credential,
                                         .ca_file = spec->ca_file};

    *smtp = NULL;
    if (!spec->mail_server) return NULL;
    if (!spec->mail_from || p2p_mail_address_check(spec->mail_from) || !spec->mail_templates)
        return p2p_error_make(p, P2P_E_INVALID, "no-sender", "P2PMailServer is set, but no P2PMailFrom or no P2PMailTemplates that can be used.");
    return p2p_smtp_curl_make(p, http, &settings, smtp);
}
