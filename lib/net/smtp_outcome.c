/* SPDX-License-Identifier: Apache-2.0 */
/* What did not lead to a mail's being taken, judged: whose fault it is, and whether it is tried again. */
#include <apr_lib.h>
#include <apr_strings.h>
#include <string.h>
#include "net/smtp_talk.h"

typedef struct judgement_t {
    CURLcode result;
    p2p_smtp_outcome_t outcome;
    const char *code, *sentence; /* %s is the server */
} judgement_t;

/* No mail has been tried yet, so none is to blame. A reply of 4xx is "not now", whatever libcurl makes of it. */
static const judgement_t judgements[] = {
    {CURLE_COULDNT_RESOLVE_HOST, P2P_SMTP_LATER, P2P_SMTP_AWAY,
     "%s cannot be reached: its name is not known to the DNS. Check P2PMailServer and this host's resolver."},
    {CURLE_COULDNT_CONNECT, P2P_SMTP_LATER, P2P_SMTP_AWAY,
     "%s cannot be reached: it accepts no connection. Check that it is up and that no firewall is in between."},
    {CURLE_OPERATION_TIMEDOUT, P2P_SMTP_LATER, P2P_SMTP_AWAY, "%s did not answer in time."},
    {CURLE_LOGIN_DENIED, P2P_SMTP_FAULT, "mail-sign-in", "%s did not let us sign in. Check user and password in P2PMailAuth's file."},
    {CURLE_USE_SSL_FAILED, P2P_SMTP_FAULT, "tls-refused", "%s offers no STARTTLS, or refused it. Mend it, or name another P2PMailServer."},
    {CURLE_PEER_FAILED_VERIFICATION, P2P_SMTP_FAULT, "tls-refused",
     "The certificate of %s is not trusted, has run out or names another host. Mend it, or name its authority with P2PCAFile."},
    {CURLE_SSL_CACERT_BADFILE, P2P_SMTP_FAULT, "tls-refused", "%s was not asked: the file of trusted certificates cannot be read. Check P2PCAFile."},
    {CURLE_SSL_CONNECT_ERROR, P2P_SMTP_FAULT, "tls-refused",
     "%s and this program found no way to speak TLS (1.2 or later). Check that smtp:// or smtps:// and the port are right."},
    {CURLE_WEIRD_SERVER_REPLY, P2P_SMTP_FAULT, "mail-refused", "%s does not take mail from here. Check P2PMailServer."},
    {CURLE_REMOTE_ACCESS_DENIED, P2P_SMTP_FAULT, "mail-refused", "%s does not take mail from here. Check P2PMailServer."},
    {CURLE_OK, P2P_SMTP_LATER, P2P_SMTP_AWAY, "The connection to %s broke before a mail could be sent."},
};
static const judgement_t not_now = {CURLE_OK, P2P_SMTP_LATER, P2P_SMTP_AWAY, "%s lets nobody in now."};

static const judgement_t not_asked = {CURLE_OK, P2P_SMTP_FAULT, "mail-sign-in",
    "%s offers no way to sign in, although there is P2PMailAuth. Check the port and TLS of P2PMailServer, or take P2PMailAuth out."};

#define SIGNED_IN 235 /* RFC 4954, section 4 */

/* The server's last line without control characters, and libcurl's words. */
static const char *detail_of(apr_pool_t *p, const p2p_smtp_connection_t *c, const char *more)
{
    char *line = apr_pstrdup(p, c->said);

    for (char *at = line; *at; at++)
        if (apr_iscntrl(*at) || (unsigned char)*at >= 0x80) *at = '?';
    if (!more) return line;
    return *line ? apr_pstrcat(p, line, " (", more, ")", NULL) : more;
}

p2p_error_t *p2p_smtp_broken(apr_pool_t *p, const p2p_smtp_connection_t *c, const char *code, const char *sentence)
{
    const char *server = c->client->server.url, *at = strstr(sentence, "%s");
    const char *text = apr_pstrcat(p, apr_pstrmemdup(p, sentence, (apr_size_t)(at - sentence)), server, at + 2, NULL);

    return p2p_error_detail(p, p2p_error_make(p, P2P_E_UNAVAILABLE, code, "%s", text), detail_of(p, c, NULL));
}

static int last_code(const p2p_smtp_connection_t *c)
{
    const char *said = c->said;

    if (!apr_isdigit(said[0]) || !apr_isdigit(said[1]) || !apr_isdigit(said[2])) return 0;
    return (said[0] - '0') * 100 + (said[1] - '0') * 10 + said[2] - '0';
}

int p2p_smtp_is_signed_in(const p2p_smtp_connection_t *c)
{
    return !c->client->user || last_code(c) == SIGNED_IN;
}

p2p_smtp_outcome_t p2p_smtp_judge_connect(apr_pool_t *p, const p2p_smtp_connection_t *c, CURLcode result, p2p_error_t **error)
{
    const judgement_t *j = judgements;
    const char *words = c->curl_said[0] ? c->curl_said : curl_easy_strerror(result);

    if (result == CURLE_OK) j = &not_asked;
    while (j->result != result && j->result != CURLE_OK) j++;
    if (last_code(c) / 100 == 4) j = &not_now;
    *error = p2p_error_detail(p, p2p_smtp_broken(p, c, j->code, j->sentence),
                              detail_of(p, c, apr_psprintf(p, "%s, curl %d", words, (int)result)));
    return j->outcome;
}

p2p_smtp_outcome_t p2p_smtp_judge_reply(apr_pool_t *p, const p2p_smtp_connection_t *c, int code, p2p_error_t **error)
{
    if (code / 100 != 5) {
        *error = p2p_smtp_broken(p, c, "mail-later", "%s does not take the mail now.");
        return P2P_SMTP_LATER;
    }
    if (code == 530) { /* RFC 4954 section 6, RFC 3207 section 4: to any command */
        *error = p2p_smtp_broken(p, c, "mail-sign-in", "%s takes no mail before we sign in, or turn to TLS. Check P2PMailAuth and P2PMailStartTLS.");
        return P2P_SMTP_FAULT;
    }
    if (c->state == P2P_SMTP_MAIL) {
        *error = p2p_smtp_broken(p, c, "mail-sender", "%s does not take mail from this sender. Check P2PMailFrom and P2PMailAuth.");
        return P2P_SMTP_FAULT;
    }
    *error = c->state == P2P_SMTP_RCPT ? p2p_smtp_broken(p, c, "mail-recipient", "%s does not take mail for this recipient.")
                                       : p2p_smtp_broken(p, c, "mail-message", "%s does not take this mail.");
    return P2P_SMTP_NEVER;
}
