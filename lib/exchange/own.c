/* SPDX-License-Identifier: Apache-2.0 */
/* By id, or by what identifies it. */
#include "exchange/own.h"

#include <string.h>

#include <apr_strings.h>

#include "exchange/retry.h"
#include "fhir/answer.h"

#define AGAIN apr_time_from_sec(1) /* times the number of attempts */

typedef struct writing_t {
    p2p_own_t own;
    apr_pool_t *pool;
    p2p_http_timer_t *timer;
    int attempts; /* at the Bundle */
} writing_t;

static void post(void *baton);

static apr_status_t cancel(void *data)
{
    writing_t *writing = data;

    if (writing->timer) writing->own.ask.http->cancel_timer(writing->timer);
    writing->timer = NULL;
    return APR_SUCCESS;
}

static void tell(const writing_t *writing, const char *id, int status, const char *body, apr_size_t len, const p2p_error_t *error)
{
    writing->own.fn(writing->own.baton, id, status, body, len, error);
}

static void on_put(void *baton, int status, const char *body, apr_size_t len, const p2p_error_t *error)
{
    writing_t *writing = baton;

    if (!error && (status == 404 || status == 410)) post(writing);
    else tell(writing, !error && (status == 200 || status == 201) ? writing->own.id : NULL, status, body, len, error);
}

static void put(writing_t *writing)
{
    p2p_ask_t ask = writing->own.ask;

    ask.method = "PUT";
    ask.url = apr_pstrcat(writing->pool, writing->own.target, "/", writing->own.type, "/", writing->own.id, NULL);
    ask.body = writing->own.print(writing->own.baton, writing->pool, writing->own.id, &ask.body_len);
    p2p_ask(writing->pool, &ask, on_put, writing);
}

/* ---- Through a Bundle ---- */

static void on_timer(void *baton)
{
    writing_t *writing = baton;

    writing->timer = NULL;
    post(writing);
}

/* An entry's status within a 200. */
static void on_entry(writing_t *writing, const p2p_answer_entry_t *entry)
{
    int may_pass = entry->status == 409 || entry->status == 412 || p2p_retry_status(entry->status);
    p2p_http_t *http = writing->own.ask.http;

    if (entry->status >= 200 && entry->status < 300 && entry->id)
        tell(writing, apr_pstrmemdup(writing->pool, entry->id, entry->id_len), 200, "", 0, NULL);
    else if (may_pass && writing->attempts < P2P_ATTEMPTS)
        writing->timer = http->after(http, AGAIN * writing->attempts, on_timer, writing);
    else tell(writing, NULL, entry->status, entry->outcome ? entry->outcome : "", entry->outcome_len, NULL);
}

static void on_post(void *baton, int status, const char *body, apr_size_t len, const p2p_error_t *error)
{
    writing_t *writing = baton;
    p2p_answer_entry_t *entries;
    int count;

    if (error || (status != 200 && status != 201)) tell(writing, NULL, status, body, len, error);
    else if (p2p_answer_read(writing->pool, body, len, &entries, &count) || count != 1) tell(writing, NULL, 0, body, len, NULL);
    else on_entry(writing, entries);
}

static void post(void *baton)
{
    writing_t *writing = baton;
    const p2p_own_t *own = &writing->own;
    p2p_ask_t ask = own->ask;
    apr_size_t len;
    const char *text = own->print(own->baton, writing->pool, NULL, &len);
    const char *request = own->create ? apr_pstrcat(writing->pool, "POST\",\"url\":\"", own->type, "\",\"ifNoneExist\":\"", own->query, NULL)
                          : apr_pstrcat(writing->pool, "PUT\",\"url\":\"", own->type, "?", own->query, NULL);

    writing->attempts++;
    ask.method = "POST";
    ask.url = own->target;
    ask.body = apr_pstrcat(writing->pool, "{\"resourceType\":\"Bundle\",\"type\":\"", own->batch ? "batch" : "transaction",
                           "\",\"entry\":[{\"resource\":", text, ",\"request\":{\"method\":\"", request, "\"}}]}", NULL);
    ask.body_len = strlen(ask.body);
    p2p_ask(writing->pool, &ask, on_post, writing);
}

void p2p_own_write(apr_pool_t *p, const p2p_own_t *own)
{
    writing_t *writing = apr_pcalloc(p, sizeof *writing);

    writing->own = *own;
    writing->pool = p;
    apr_pool_pre_cleanup_register(p, writing, cancel);
    if (own->id) put(writing);
    else post(writing);
}
