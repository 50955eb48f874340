/* SPDX-License-Identifier: Apache-2.0 */
/* One mail on a connection (RFC 5321): MAIL, RCPT, DATA, the message; each reply decides what comes next. Nothing here waits. */
#include "net/smtp_talk.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <string.h>

#define REPLY_BYTES 65536 /* of one reply, all its lines */
#define READ_BYTES 4096

/* What is said then, and what kind of reply (its first digit) leads on. */
typedef struct step_t {
    int good;
    p2p_smtp_state_t next;
} step_t;

static const step_t steps[] = {
    [P2P_SMTP_RSET] = {2, P2P_SMTP_MAIL}, [P2P_SMTP_MAIL] = {2, P2P_SMTP_RCPT},    [P2P_SMTP_RCPT] = {2, P2P_SMTP_DATA},
    [P2P_SMTP_DATA] = {3, P2P_SMTP_MESSAGE}, [P2P_SMTP_MESSAGE] = {2, P2P_SMTP_IDLE},
};

static void broke(p2p_smtp_connection_t *c)
{
    if (c->state == P2P_SMTP_RSET) {
        p2p_smtp_again(c);
        return;
    }
    p2p_smtp_settle(c, P2P_SMTP_LATER, p2p_smtp_broken(c->sending->pool, c, "cut-short", "The connection to %s broke before the mail was taken."), 0);
}

/* Sends what is left. Returns 0 where the connection is gone by now. */
static int flush(p2p_smtp_connection_t *c)
{
    while (c->out_len) {
        size_t n = 0;
        CURLcode result = curl_easy_send(c->easy, c->out, c->out_len, &n);
        if (result == CURLE_AGAIN) {
            p2p_curl_watch(c->client->loop, &c->watch, CURL_WAIT_POLLIN | CURL_WAIT_POLLOUT);
            return 1;
        }
        if (result != CURLE_OK) {
            broke(c);
            return 0;
        }
        c->out += n;
        c->out_len -= n;
    }
    p2p_curl_watch(c->client->loop, &c->watch, CURL_WAIT_POLLIN);
    return 1;
}

/* Addresses have been checked: they cannot end a command. */
static const char *command_of(p2p_smtp_connection_t *c, p2p_smtp_state_t state)
{
    const p2p_smtp_sending_t *sending = c->sending;

    switch (state) {
    case P2P_SMTP_RSET: return "RSET\r\n";
    case P2P_SMTP_DATA: return "DATA\r\n";
    case P2P_SMTP_MAIL: apr_snprintf(c->command, sizeof c->command, "MAIL FROM:<%s>\r\n", sending->from); break;
    case P2P_SMTP_RCPT: apr_snprintf(c->command, sizeof c->command, "RCPT TO:<%s>\r\n", sending->to); break;
    default: return sending->message.data;
    }
    return c->command;
}

static int say(p2p_smtp_connection_t *c, p2p_smtp_state_t state)
{
    c->state = state;
    c->out = command_of(c, state);
    c->out_len = state == P2P_SMTP_MESSAGE ? c->sending->message.len : strlen(c->out);
    c->line_len = c->reply_bytes = 0;
    return flush(c);
}

/* Returns 0 where the connection has no mail any more. */
static int take_reply(p2p_smtp_connection_t *c, int code)
{
    const step_t *step = &steps[c->state];
    int is_early = c->out_len > 0;
    p2p_smtp_outcome_t outcome;
    p2p_error_t *error;

    if (code / 100 == step->good && !is_early) {
        if (step->next != P2P_SMTP_IDLE) return say(c, step->next);
        p2p_smtp_settle(c, P2P_SMTP_SENT, NULL, 1);
        return 0;
    }
    if (c->state == P2P_SMTP_RSET) {
        p2p_smtp_again(c);
        return 0;
    }
    outcome = p2p_smtp_judge_reply(c->sending->pool, c, code, &error);
    p2p_smtp_settle(c, outcome, error, !is_early && code != 421 && code >= 400);
    return 0;
}

static int take_line(p2p_smtp_connection_t *c)
{
    const char *line = c->line;
    int code;

    while (c->line_len && apr_isspace(line[c->line_len - 1])) c->line_len--;
    c->line[c->line_len] = '\0';
    memcpy(c->said, c->line, c->line_len + 1);
    c->line_len = 0;
    if (line[0] < '2' || line[0] > '5' || !apr_isdigit(line[1]) || !apr_isdigit(line[2]) || (line[3] && !strchr(" -", line[3]))) {
        p2p_smtp_settle(c, P2P_SMTP_LATER, p2p_smtp_broken(c->sending->pool, c, "bad-answer", "%s sent an answer that is not SMTP."), 0);
        return 0;
    }
    if (line[3] == '-') return 1;
    code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + line[2] - '0';
    c->reply_bytes = 0;
    return take_reply(c, code);
}

static int take_bytes(p2p_smtp_connection_t *c, const char *bytes, size_t len)
{
    c->reply_bytes += len;
    if (c->reply_bytes > REPLY_BYTES) {
        broke(c);
        return 0;
    }
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == '\n') {
            if (!take_line(c)) return 0;
        } else if (c->line_len < sizeof c->line - 1) {
            c->line[c->line_len++] = bytes[i] ? bytes[i] : '?';
        }
    }
    return 1;
}

/* TLS may hold more than the socket tells of, so all of it is read. */
static void take_answer(void *baton)
{
    p2p_smtp_connection_t *c = baton;
    char bytes[READ_BYTES];
    CURLcode result = CURLE_OK;
    size_t n = 0;

    if (c->is_over) return;
    while ((result = curl_easy_recv(c->easy, bytes, sizeof bytes, &n)) == CURLE_OK && n > 0)
        if (!take_bytes(c, bytes, n)) return;
    if (result != CURLE_AGAIN) broke(c);
    else if (c->out_len) flush(c);
}

void p2p_smtp_talk(p2p_smtp_connection_t *c, int is_new)
{
    if (is_new) {
        if (curl_easy_getinfo(c->easy, CURLINFO_ACTIVESOCKET, &c->watch.fd) != CURLE_OK || c->watch.fd == CURL_SOCKET_BAD) {
            broke(c);
            return;
        }
        c->watch.ready = take_answer;
        c->watch.baton = c;
    }
    say(c, is_new ? P2P_SMTP_MAIL : P2P_SMTP_RSET);
}
