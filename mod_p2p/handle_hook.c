/* SPDX-License-Identifier: Apache-2.0 */
/* /hooks/task: a Subscription of the target tells that a Task has changed. Nothing that it brings is believed: a hint is noted, and a runner reads the
 * Task from the target. Whoever has the secret can have that done, and nothing else. */
#include <httpd.h>
#include <http_log.h>
#include <http_protocol.h>
#include <apr_strings.h>

#include "base/clock.h"
#include "body.h"
#include "dbd.h"
#include "fhir/delivery.h"
#include "handlers.h"
#include "hook_secret.h"
#include "limit.h"
#include "mod_p2p.h"
#include "problem.h"
#include "reply.h"
#include "shared.h"
#include "store/task_hint_store.h"
#include "supervise.h"

APLOG_USE_MODULE(p2p);

#define SCHEME "Bearer"
#define DELIVERIES 100    /* a second, all together */
#define FAILURES 10       /* a second with a wrong secret, of one address */
#define BODY_LET_IN 65536 /* bytes that are read and dropped, so that the connection can stay */
#define TELL_EVERY apr_time_from_sec(10)

static const char outcome[] = "{\"resourceType\":\"OperationOutcome\",\"issue\":[{\"severity\":\"information\",\"code\":\"informational\","
    "\"diagnostics\":\"Noted.\"}]}";

/* HAPI reads the answer to a Bundle as that of a transaction, whatever is in it. */
static const char *const answers[] = {
    [P2P_DELIVERY_RESOURCE] = outcome,
    [P2P_DELIVERY_TRANSACTION] = "{\"resourceType\":\"Bundle\",\"type\":\"transaction-response\"}",
    [P2P_DELIVERY_BATCH] = "{\"resourceType\":\"Bundle\",\"type\":\"batch-response\"}",
};

/* A body that is not going to be read would be, by httpd, for the sake of the connection. */
static void leave_body(request_rec *r)
{
    const char *length = apr_table_get(r->headers_in, "Content-Length");

    if (apr_table_get(r->headers_in, "Transfer-Encoding") || (length && apr_strtoi64(length, NULL, 10) > BODY_LET_IN))
        r->connection->keepalive = AP_CONN_CLOSE;
}

/* One line for all of some time, of all children. */
static void log_refusal(request_rec *r)
{
    p2p_shared_t *shared = p2p_config(r->server)->shared;
    p2p_clock_t clock = p2p_clock_system();
    apr_uint64_t now = (apr_uint64_t)clock.monotonic(clock.baton), last, count;

    if (!shared) return;
    __atomic_add_fetch(&shared->hook_refused, 1, __ATOMIC_RELAXED);
    last = __atomic_load_n(&shared->hook_told, __ATOMIC_RELAXED);
    if (last && now - last < TELL_EVERY) return;
    if (!__atomic_compare_exchange_n(&shared->hook_told, &last, now, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) return;
    count = __atomic_exchange_n(&shared->hook_refused, 0, __ATOMIC_RELAXED);
    ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r, "%" APR_UINT64_T_FMT " more without the Subscription's secret at /hooks/task: refused", count);
}

static int refuse(request_rec *r, const char *text)
{
    int limit = p2p_limit_take(r, apr_pstrcat(r->pool, "hook ", r->useragent_ip, NULL), FAILURES);

    log_refusal(r);
    leave_body(r);
    if (limit != OK) return limit;
    apr_table_setn(r->err_headers_out, "WWW-Authenticate", *text ? SCHEME " realm=\"p2p hook\", error=\"invalid_token\"" : SCHEME " realm=\"p2p hook\"");
    return p2p_problem(r, HTTP_UNAUTHORIZED, "unauthorized", "A delivery brings the secret of the Subscription that this service has made.");
}

/* What stands behind "Bearer", or "". */
static const char *bearer_of(request_rec *r)
{
    const char *header = apr_table_get(r->headers_in, "Authorization");
    apr_size_t len;

    if (!header || ap_cstr_casecmpn(header, SCHEME " ", sizeof SCHEME)) return "";
    header += sizeof SCHEME;
    while (*header == ' ' || *header == '\t') header++;
    for (len = strlen(header); len && (header[len - 1] == ' ' || header[len - 1] == '\t'); ) len--;
    return apr_pstrmemdup(r->pool, header, len);
}

static int let_in(request_rec *r)
{
    const char *text = bearer_of(r);
    int is_good = 0;
    p2p_error_t *error = *text ? p2p_hook_secret_check(r, text, &is_good) : NULL;

    if (error) leave_body(r);
    if (error) return p2p_problem_error(r, error);
    if (!is_good) return refuse(r, text);
    if (p2p_limit_take(r, "hook", DELIVERIES) == OK) return OK;
    leave_body(r);
    return HTTP_TOO_MANY_REQUESTS;
}

static int read_delivery(request_rec *r, const p2p_match_t *match, p2p_delivery_t *delivery)
{
    p2p_buf_t *body;
    int is_cut, answer = p2p_body_bytes(r, &body, &is_cut);

    if (answer != OK) return answer;
    if (is_cut) r->connection->keepalive = AP_CONN_CLOSE;
    p2p_delivery_read(r->pool, match->tail, apr_table_get(r->headers_in, "X-Medplum-Deleted-Resource"), body->data, body->len, is_cut, delivery);
    return OK;
}

static p2p_error_t *note(p2p_db_t *db, request_rec *r, void *baton)
{
    const p2p_delivery_t *delivery = baton;

    return p2p_task_hint_add(db, r->pool, p2p_config(r->server)->spec.target, delivery->ids);
}

int p2p_handle_hook(request_rec *r, const p2p_match_t *match)
{
    p2p_delivery_t delivery;
    p2p_error_t *error;
    int answer;

    if (!p2p_config(r->server)->spec.hook_url) return p2p_problem(r, HTTP_NOT_FOUND, NULL, NULL);
    answer = let_in(r);
    if (answer == OK) answer = read_delivery(r, match, &delivery);
    if (answer != OK) return answer;
    error = p2p_dbd_with(r, note, &delivery);
    if (error) return p2p_problem_error(r, error);
    p2p_wake(r->server);
    return p2p_reply_as(r, HTTP_OK, "application/fhir+json", answers[delivery.form]);
}
