/* SPDX-License-Identifier: Apache-2.0 */
/* A connection to the mail server as libcurl sees it. */
#include <string.h>
#include "net/smtp_talk.h"

#define SET(option, value)                                             \
    do {                                                               \
        CURLcode set_ = curl_easy_setopt(c->easy, option, value);      \
        if (set_ != CURLE_OK) return set_;                             \
    } while (0)

/* Each reply while connecting: the last one tells why it was refused. What we say never comes here. */
static size_t on_reply_line(char *line, size_t one, size_t len, void *baton)
{
    p2p_smtp_connection_t *c = baton;
    apr_size_t n = len < sizeof c->said ? len : sizeof c->said - 1;

    (void)one;
    while (n && (unsigned char)line[n - 1] <= ' ') n--;
    memcpy(c->said, line, n);
    c->said[n] = '\0';
    return len;
}

static size_t on_body(char *bytes, size_t one, size_t len, void *baton)
{
    (void)bytes, (void)one, (void)baton;
    return len;
}

/* Whatever the environment may say, it goes where the URL says. libcurl leaves the connection to us when it stands. */
static CURLcode set_connection(p2p_smtp_connection_t *c)
{
    SET(CURLOPT_URL, c->client->server.url);
    SET(CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    SET(CURLOPT_CONNECT_ONLY, 1L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_CONNECTTIMEOUT, (long)P2P_SMTP_CONNECT_SECONDS);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_PRIVATE, &c->owner);
    SET(CURLOPT_ERRORBUFFER, c->curl_said);
    SET(CURLOPT_HEADERFUNCTION, on_reply_line);
    SET(CURLOPT_HEADERDATA, c);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    return CURLE_OK;
}

static CURLcode set_tls(p2p_smtp_connection_t *c)
{
    const p2p_smtp_client_t *client = c->client;

    SET(CURLOPT_USE_SSL, client->settings.starttls && !client->server.tls ? (long)CURLUSESSL_ALL : (long)CURLUSESSL_NONE);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_CAPATH, NULL);
    if (client->settings.ca_file) SET(CURLOPT_CAINFO, client->settings.ca_file);
    return CURLE_OK;
}

static CURLcode set_credential(p2p_smtp_connection_t *c)
{
    if (!c->client->user) return CURLE_OK;
    SET(CURLOPT_USERNAME, c->client->user);
    SET(CURLOPT_PASSWORD, c->client->password);
    return CURLE_OK;
}

CURL *p2p_smtp_setup(p2p_smtp_connection_t *c)
{
    CURLcode code;

    c->easy = curl_easy_init();
    if (!c->easy) return NULL;
    code = set_connection(c);
    if (code == CURLE_OK) code = set_tls(c);
    if (code == CURLE_OK) code = set_credential(c);
    if (code == CURLE_OK) return c->easy;
    curl_easy_cleanup(c->easy);
    c->easy = NULL;
    return NULL;
}
