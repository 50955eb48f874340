/* SPDX-License-Identifier: Apache-2.0 */
/* Mails wait, get a connection, and are told how they ended. */
#include "net/smtp_curl.h"

#include <apr_strings.h>
#include <string.h>

#include "net/smtp_message.h"
#include "net/smtp_talk.h"

#define CONNECTIONS 4
#define KEPT apr_time_from_sec(30)

static p2p_http_timer_t *after(p2p_smtp_client_t *client, apr_interval_time_t delay, void (*fn)(void *baton), void *baton)
{
    return client->loop->http.after(&client->loop->http, delay, fn, baton);
}

static void take_turns(void *baton);

/* What changes libcurl's handles is done from the loop: send may be called, and a pool end, from within libcurl. */
static void ask_for_turn(p2p_smtp_client_t *client)
{
    if (!client->turn) client->turn = after(client, 0, take_turns, client);
}

static void append(p2p_smtp_client_t *client, p2p_smtp_sending_t *sending)
{
    sending->next = NULL;
    *(client->last ? &client->last->next : &client->first) = sending;
    client->last = sending;
}

static p2p_smtp_sending_t *take_first(p2p_smtp_client_t *client)
{
    p2p_smtp_sending_t *sending = client->first;

    if (!sending) return NULL;
    client->first = sending->next;
    if (!client->first) client->last = NULL;
    return sending;
}

static void unlink_waiting(p2p_smtp_client_t *client, p2p_smtp_sending_t *sending)
{
    p2p_smtp_sending_t *before = NULL, *s;

    for (s = client->first; s && s != sending; s = s->next) before = s;
    if (!s) return;
    *(before ? &before->next : &client->first) = s->next;
    if (client->last == s) client->last = before;
}

static void release(p2p_smtp_sending_t *sending)
{
    p2p_buf_free(&sending->message);
    apr_pool_destroy(sending->pool);
}

/* Whoever sent it has gone. */
static apr_status_t give_up(void *baton)
{
    p2p_smtp_sending_t *sending = baton;

    if (sending->connection) {
        sending->connection->sending = NULL;
        sending->connection->is_over = 1;
        ask_for_turn(sending->client);
    } else {
        unlink_waiting(sending->client, sending);
    }
    release(sending);
    return APR_SUCCESS;
}

static void tell(p2p_smtp_sending_t *sending, p2p_smtp_outcome_t outcome, p2p_error_t *error)
{
    apr_pool_cleanup_kill(sending->asked, sending, give_up);
    sending->fn(sending->baton, outcome, error);
    release(sending);
}

/* Connections. */

static void set_timer(p2p_smtp_connection_t *c, apr_interval_time_t delay, void (*fn)(void *baton))
{
    p2p_timers_cancel(c->timer);
    c->timer = fn ? after(c->client, delay, fn, c) : NULL;
}

static void close_connection(p2p_smtp_connection_t *c)
{
    p2p_smtp_connection_t **link = &c->client->connections;

    while (*link != c) link = &(*link)->next;
    *link = c->next;
    c->client->count--;
    set_timer(c, 0, NULL);
    p2p_curl_unwatch(&c->watch);
    if (c->easy) {
        curl_multi_remove_handle(c->client->loop->multi, c->easy);
        curl_easy_cleanup(c->easy);
    }
    apr_pool_destroy(c->pool);
}

/* Nobody waits for the answer. */
static void idle_for_too_long(void *baton)
{
    static const char quit[] = "QUIT\r\n";
    p2p_smtp_connection_t *c = baton;
    size_t n;

    c->timer = NULL;
    curl_easy_send(c->easy, quit, strlen(quit), &n);
    close_connection(c);
}

static void out_of_time(void *baton)
{
    p2p_smtp_connection_t *c = baton;
    const char *code = c->state == P2P_SMTP_CONNECTING ? P2P_SMTP_AWAY : "timed-out";

    c->timer = NULL;
    if (!c->sending) return;
    p2p_smtp_settle(c, P2P_SMTP_LATER, p2p_smtp_broken(c->sending->pool, c, code, "%s did not answer in time."), 0);
}

void p2p_smtp_settle(p2p_smtp_connection_t *c, p2p_smtp_outcome_t outcome, p2p_error_t *error, int keep)
{
    p2p_smtp_sending_t *sending = c->sending;

    c->sending = NULL;
    if (c->client->first) ask_for_turn(c->client);
    if (keep) {
        c->state = P2P_SMTP_IDLE;
        p2p_curl_unwatch(&c->watch);
        set_timer(c, KEPT, idle_for_too_long);
    } else {
        close_connection(c);
    }
    tell(sending, outcome, error);
}

void p2p_smtp_again(p2p_smtp_connection_t *c)
{
    p2p_smtp_client_t *client = c->client;
    p2p_smtp_sending_t *sending = c->sending;

    sending->connection = NULL;
    sending->next = client->first;
    client->first = sending;
    if (!client->last) client->last = sending;
    close_connection(c);
    ask_for_turn(client);
}

static void connected(p2p_curl_owner_t *owner, CURLcode result)
{
    p2p_smtp_connection_t *c = (p2p_smtp_connection_t *)owner;
    p2p_error_t *error;
    p2p_smtp_outcome_t outcome;

    if (c->is_over) return;
    if (result == CURLE_OK && p2p_smtp_is_signed_in(c)) {
        p2p_smtp_talk(c, 1);
        return;
    }
    outcome = p2p_smtp_judge_connect(c->sending->pool, c, result, &error);
    p2p_smtp_settle(c, outcome, error, 0);
}

static p2p_smtp_connection_t *make_connection(p2p_smtp_client_t *client)
{
    p2p_smtp_connection_t *c;
    apr_pool_t *pool;

    apr_pool_create(&pool, client->pool);
    c = apr_pcalloc(pool, sizeof *c);
    c->owner.ended = connected;
    c->client = client;
    c->pool = pool;
    c->next = client->connections;
    client->connections = c;
    client->count++;
    return c;
}

static void give_to(p2p_smtp_connection_t *c, p2p_smtp_sending_t *sending)
{
    int seconds = c->client->settings.seconds;

    c->sending = sending;
    sending->connection = c;
    set_timer(c, apr_time_from_sec(seconds), out_of_time);
}

static void connect_for(p2p_smtp_client_t *client, p2p_smtp_sending_t *sending)
{
    p2p_smtp_connection_t *c = make_connection(client);

    give_to(c, sending);
    c->easy = p2p_smtp_setup(c);
    if (c->easy && curl_multi_add_handle(client->loop->multi, c->easy) == CURLM_OK) return;
    p2p_smtp_settle(c, P2P_SMTP_LATER, p2p_smtp_broken(sending->pool, c, P2P_SMTP_AWAY, "No connection to %s could be made."), 0);
}

static p2p_smtp_connection_t *find_idle(const p2p_smtp_client_t *client)
{
    p2p_smtp_connection_t *c = client->connections;

    while (c && (c->state != P2P_SMTP_IDLE || c->is_over)) c = c->next;
    return c;
}

static void close_given_up(p2p_smtp_client_t *client)
{
    p2p_smtp_connection_t *c, *next;

    for (c = client->connections; c; c = next) {
        next = c->next;
        if (c->is_over) close_connection(c);
    }
}

static void start(p2p_smtp_client_t *client, p2p_smtp_sending_t *sending, p2p_smtp_connection_t *idle)
{
    if (sending->error) {
        tell(sending, P2P_SMTP_NEVER, sending->error);
    } else if (idle) {
        give_to(idle, sending);
        p2p_smtp_talk(idle, 0);
    } else {
        connect_for(client, sending);
    }
}

static void take_turns(void *baton)
{
    p2p_smtp_client_t *client = baton;
    p2p_smtp_connection_t *idle;

    client->turn = NULL;
    close_given_up(client);
    while (client->first) {
        idle = find_idle(client);
        if (!idle && client->count >= CONNECTIONS) return;
        start(client, take_first(client), idle);
    }
}

static void client_send(p2p_smtp_t *smtp, apr_pool_t *p, const p2p_mail_t *mail, p2p_smtp_fn fn, void *baton)
{
    p2p_smtp_client_t *client = (p2p_smtp_client_t *)smtp;
    p2p_smtp_sending_t *sending;
    apr_pool_t *pool;

    apr_pool_create(&pool, client->pool);
    sending = apr_pcalloc(pool, sizeof *sending);
    sending->client = client;
    sending->pool = pool;
    sending->asked = p;
    sending->from = mail->from;
    sending->to = mail->to;
    sending->fn = fn;
    sending->baton = baton;
    p2p_buf_init(&sending->message, P2P_SMTP_MESSAGE_BYTES);
    sending->error = p2p_smtp_message_check(pool, mail);
    if (!sending->error) p2p_smtp_message_write(&sending->message, mail);
    p2p_buf_puts(&sending->message, ".\r\n");
    if (sending->message.overflow)
        sending->error = p2p_error_make(pool, P2P_E_INVALID, "too-large", "The mail was not sent: it is too large.");
    append(client, sending);
    apr_pool_cleanup_register(p, sending, give_up, apr_pool_cleanup_null);
    ask_for_turn(client);
}

/* Making and ending. */

static void drop_sending(p2p_smtp_sending_t *sending)
{
    apr_pool_cleanup_kill(sending->asked, sending, give_up);
    release(sending);
}

static apr_status_t client_end(void *baton)
{
    p2p_smtp_client_t *client = baton;

    p2p_timers_cancel(client->turn);
    while (client->first) drop_sending(take_first(client));
    while (client->connections) {
        if (client->connections->sending) drop_sending(client->connections->sending);
        close_connection(client->connections);
    }
    return APR_SUCCESS;
}

static p2p_error_t *read_settings(p2p_smtp_client_t *client)
{
    const p2p_smtp_curl_settings_t *settings = &client->settings;
    const char *colon = settings->credential ? strchr(settings->credential, ':') : NULL;

    P2P_TRY(p2p_smtp_server_parse(client->pool, settings->server, &client->server));
    if (!colon) return NULL;
    if (!client->server.tls && !settings->starttls && !client->server.is_loopback)
        return p2p_error_make(client->pool, P2P_E_INVALID, "bad-url", "The password for %s would go there in the clear: use STARTTLS or smtps://.",
                              client->server.url);
    client->user = apr_pstrmemdup(client->pool, settings->credential, (apr_size_t)(colon - settings->credential));
    client->password = colon + 1;
    return NULL;
}

p2p_error_t *p2p_smtp_curl_make(apr_pool_t *p, p2p_http_t *http, const p2p_smtp_curl_settings_t *settings, p2p_smtp_t **smtp)
{
    p2p_smtp_client_t *client = apr_pcalloc(p, sizeof *client);

    client->smtp.send = client_send;
    client->pool = p;
    client->loop = (p2p_curl_loop_t *)http;
    client->settings = *settings;
    if (!client->settings.seconds) client->settings.seconds = P2P_SMTP_SECONDS;
    P2P_TRY(read_settings(client));
    apr_pool_pre_cleanup_register(p, client, client_end);
    *smtp = &client->smtp;
    return NULL;
}
