/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the SMTP client share; nobody else includes it. */
#ifndef P2P_NET_SMTP_TALK_H
#define P2P_NET_SMTP_TALK_H

#include "base/buf.h"
#include "net/http_curl_loop.h"
#include "net/smtp_curl.h"
#include "net/smtp_server.h"

#define P2P_SMTP_LINE_BYTES 512 /* of a reply's line, RFC 5321 4.5.3.1.5; what is longer is cut */

typedef struct p2p_smtp_client_t p2p_smtp_client_t;
typedef struct p2p_smtp_connection_t p2p_smtp_connection_t;

/* One mail: waiting, or on a connection. */
typedef struct p2p_smtp_sending_t {
    struct p2p_smtp_sending_t *next; /* while it waits */
    p2p_smtp_client_t *client;
    p2p_smtp_connection_t *connection;
    apr_pool_t *pool, *asked;        /* its own; that of whoever sends, who may give it up by it */
    const char *from, *to;
    p2p_buf_t message;               /* with the dot that ends it */
    p2p_error_t *error;              /* it cannot be sent as it is */
    p2p_smtp_fn fn;
    void *baton;
} p2p_smtp_sending_t;

/* What a connection waits for. */
typedef enum {
    P2P_SMTP_CONNECTING, /* libcurl: greeting, EHLO, STARTTLS, AUTH */
    P2P_SMTP_RSET,       /* the answer to it, before a further mail: does the connection still work? */
    P2P_SMTP_MAIL,
    P2P_SMTP_RCPT,
    P2P_SMTP_DATA,
    P2P_SMTP_MESSAGE,
    P2P_SMTP_IDLE        /* nothing: the next mail */
} p2p_smtp_state_t;

struct p2p_smtp_connection_t {
    p2p_curl_owner_t owner; /* first */
    p2p_smtp_connection_t *next;
    p2p_smtp_client_t *client;
    apr_pool_t *pool;
    CURL *easy;
    p2p_curl_watch_t watch;
    p2p_smtp_state_t state;
    p2p_smtp_sending_t *sending;
    int is_over;            /* it was given up: closed at the next turn */
    p2p_http_timer_t *timer; /* for the mail, or until it has been idle for too long */
    char command[600];
    const char *out;        /* what is left to be sent */
    apr_size_t out_len;
    char line[P2P_SMTP_LINE_BYTES], said[P2P_SMTP_LINE_BYTES]; /* the line that comes in; the last one that came */
    apr_size_t line_len, reply_bytes;
    char curl_said[CURL_ERROR_SIZE];
};

struct p2p_smtp_client_t {
    p2p_smtp_t smtp; /* first */
    apr_pool_t *pool;
    p2p_curl_loop_t *loop;
    p2p_smtp_curl_settings_t settings;
    p2p_smtp_server_t server;
    const char *user, *password;
    p2p_smtp_sending_t *first, *last; /* that wait */
    p2p_smtp_connection_t *connections;
    int count;
    p2p_http_timer_t *turn; /* mails that wait get connections then */
};

/* The mail on the connection is through, with an outcome; the connection is kept for the next one, or closed. connection and sending are not to be used
 * any more by the caller. */
void p2p_smtp_settle(p2p_smtp_connection_t *c, p2p_smtp_outcome_t outcome, p2p_error_t *error, int keep);

/* The connection was no good any more when the mail was to go: it gets another one. */
void p2p_smtp_again(p2p_smtp_connection_t *c);

/* The connection can be talked on: says the first command of its mail. */
void p2p_smtp_talk(p2p_smtp_connection_t *c, int is_new);

/* An easy handle with everything set. NULL where there is no memory. */
CURL *p2p_smtp_setup(p2p_smtp_connection_t *c);

/* Of a connection that stands: has the server taken user and password, where there are any? libcurl goes on without where it is not asked for them. */
int p2p_smtp_is_signed_in(const p2p_smtp_connection_t *c);

/* How a try to connect ended that did not succeed, or (CURLE_OK) did without our being signed in; error in p. */
p2p_smtp_outcome_t p2p_smtp_judge_connect(apr_pool_t *p, const p2p_smtp_connection_t *c, CURLcode result, p2p_error_t **error);

/* How a reply that is not the one that was hoped for ends the mail. */
p2p_smtp_outcome_t p2p_smtp_judge_reply(apr_pool_t *p, const p2p_smtp_connection_t *c, int code, p2p_error_t **error);

/* What ended the mail was not a reply; sentence has %s for the server. */
p2p_error_t *p2p_smtp_broken(apr_pool_t *p, const p2p_smtp_connection_t *c, const char *code, const char *sentence);

#endif
