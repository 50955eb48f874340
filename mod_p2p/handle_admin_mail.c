/* SPDX-License-Identifier: Apache-2.0 */
/* The outbox, as administrators read it, and sending again. */
#include <httpd.h>
#include <apr_strings.h>

#include "audit.h"
#include "caller.h"
#include "dbd.h"
#include "handlers.h"
#include "mod_p2p.h"
#include "problem.h"
#include "query.h"
#include "reply.h"
#include "store/outbox_store.h"
#include "supervise.h"

#define PAGE_ROWS 100

typedef struct list_t {
    const char *state; /* NULL: any */
    apr_int64_t before;
    apr_array_header_t *mails;
    json_object *counts, *hold;
} list_t;

static const p2p_spec_t *spec_of(const request_rec *r)
{
    return &p2p_config(r->server)->spec;
}

/* Whose mail it is stands sealed in each row: who is limited to one member gets none. */
static int check_limit(request_rec *r)
{
    if (!p2p_caller(r)->patient) return OK;
    return p2p_problem(r, HTTP_FORBIDDEN, "other-patient", "These are mails about all members, and this token is limited to one.");
}

/* ---- A mail ---- */

/* The job that the event is about; 0 for others. */
static apr_int64_t job_of(apr_pool_t *p, const p2p_outbox_mail_t *mail)
{
    json_object *values;
    const char *job;

    if (!*mail->values || p2p_json_parse(p, mail->values, strlen(mail->values), &values)) return 0;
    job = p2p_json_str(values, "job");
    return job ? apr_strtoi64(job, NULL, 10) : 0;
}

static void add_or_null(json_object *doc, const char *name, const char *text)
{
    p2p_json_add_str(doc, name, *text ? text : NULL);
}

static json_object *mail_json(request_rec *r, const p2p_outbox_mail_t *mail)
{
    json_object *doc = json_object_new_object();
    apr_int64_t job = job_of(r->pool, mail);

    p2p_json_add_int(doc, "id", mail->id);
    p2p_json_add_str(doc, "template", mail->template);
    p2p_json_add_str(doc, "role", mail->role);
    p2p_json_add_str(doc, "state", mail->state);
    p2p_json_add_str(doc, "subject", mail->subject);
    p2p_json_add_str(doc, "status", mail->status);
    if (job) p2p_json_add_int(doc, "batchJobId", job);
    else p2p_json_add_str(doc, "batchJobId", NULL);
    add_or_null(doc, "address", mail->address);
    p2p_json_add_time(doc, "createTime", mail->create_time);
    p2p_json_add_time(doc, "due", mail->end_time ? 0 : mail->due);
    p2p_json_add_int(doc, "attempts", mail->attempts);
    add_or_null(doc, "code", mail->code);
    add_or_null(doc, "fault", mail->fault);
    add_or_null(doc, "detail", mail->detail);
    p2p_json_add_time(doc, "endTime", mail->end_time);
    return doc;
}

/* ---- The list ---- */

/* One more than a page holds tells whether there is a next page. */
static p2p_error_t *read_list(p2p_db_t *db, request_rec *r, void *baton)
{
    list_t *list = baton;
    const p2p_spec_t *spec = spec_of(r);

    P2P_TRY(p2p_outbox_counts(db, r->pool, spec->target, &list->counts));
    P2P_TRY(p2p_mail_hold_public(db, r->pool, spec->target, &list->hold));
    return p2p_outbox_list(db, r->pool, spec->keyring, spec->target, list->state, list->before, PAGE_ROWS + 1, &list->mails);
}

/* The query without its page; with that it is also what a cursor is good for. */
static const char *query_of(request_rec *r, const list_t *list)
{
    return p2p_query_pair(r->pool, "state", list->state);
}

static const char *scope_of(request_rec *r, const list_t *list)
{
    return apr_pstrcat(r->pool, "mail ", query_of(r, list), NULL);
}

static const p2p_outbox_mail_t *mail_at(const list_t *list, int i)
{
    return APR_ARRAY_IDX(list->mails, i, const p2p_outbox_mail_t *);
}

static const char *next_of(request_rec *r, const list_t *list)
{
    if (list->mails->nelts <= PAGE_ROWS) return NULL;
    return p2p_cursor_link(r, query_of(r, list), scope_of(r, list), &mail_at(list, PAGE_ROWS - 1)->id, 1);
}

static int read_query(request_rec *r, list_t *list)
{
    static const char *const names[] = { "state", "page", NULL };
    apr_table_t *query;
    const char *page;
    int answer = p2p_query(r, names, &query), known = 0;

    if (answer != OK) return answer;
    list->state = apr_table_get(query, "state");
    for (const char *const *state = p2p_mail_states; list->state && *state; state++) known |= !strcmp(*state, list->state);
    if (list->state && !known)
        return p2p_problem(r, HTTP_BAD_REQUEST, "bad-query", "state has to be queued, sent, undeliverable or refused.");
    list->before = APR_INT64_MAX;
    page = apr_table_get(query, "page");
    return page ? p2p_cursor_read(r, scope_of(r, list), page, &list->before, 1) : OK;
}

int p2p_handle_admin_mails(request_rec *r, const p2p_match_t *match)
{
    json_object *doc = p2p_json_own(r->pool, json_object_new_object()), *mails = json_object_new_array();
    list_t list = { 0 };
    p2p_error_t *error = NULL;
    int answer = check_limit(r);

    (void)match;
    json_object_object_add(doc, "mails", mails);
    if (answer == OK) answer = read_query(r, &list);
    if (answer == OK) error = p2p_dbd_with(r, read_list, &list);
    if (answer != OK || error) return answer != OK ? answer : p2p_problem_error(r, error);
    for (int i = 0; i < list.mails->nelts && i < PAGE_ROWS; i++) json_object_array_add(mails, mail_json(r, mail_at(&list, i)));
    p2p_json_add_bool(doc, "on", spec_of(r)->mail_server != NULL);
    json_object_object_add(doc, "hold", json_object_get(list.hold));
    json_object_object_add(doc, "counts", json_object_get(list.counts));
    p2p_json_add_str(doc, "next", next_of(r, &list));
    return p2p_reply(r, HTTP_OK, doc, p2p_etag_doc(r->pool, doc));
}

/* ---- One ---- */

typedef struct one_t {
    apr_int64_t id;
    p2p_outbox_mail_t *mail;
} one_t;

/* What no key opens is no reason to hide it. */
static p2p_error_t *read_one(p2p_db_t *db, request_rec *r, void *baton)
{
    one_t *one = baton;
    p2p_error_t *error = p2p_outbox_get(db, r->pool, spec_of(r)->keyring, spec_of(r)->target, one->id, &one->mail);

    return error && p2p_is_unopenable(error) ? NULL : error;
}

static int reply_one(request_rec *r, int status, const one_t *one)
{
    return p2p_reply(r, status, p2p_json_own(r->pool, mail_json(r, one->mail)), p2p_etag_version(r->pool, one->mail->version));
}

int p2p_handle_admin_mail(request_rec *r, const p2p_match_t *match)
{
    one_t one = { .id = match->ids[0] };
    p2p_error_t *error;
    int answer = check_limit(r);

    if (answer != OK) return answer;
    error = p2p_dbd_with(r, read_one, &one);
    return error ? p2p_problem_error(r, error) : reply_one(r, HTTP_OK, &one);
}

/* That somebody is to send it is no change of the caller's: a runner would find it by itself, a little later. */
static p2p_error_t *resend(p2p_db_t *db, request_rec *r, void *baton)
{
    const one_t *one = baton;

    p2p_audit_status(r, HTTP_ACCEPTED);
    P2P_TRY(p2p_outbox_resend(db, r->pool, spec_of(r)->target, one->id));
    p2p_db_witness(db, NULL, NULL);
    if (spec_of(r)->mail_server) p2p_outbox_ask(db, r->pool, spec_of(r)->target, NULL);
    return read_one(db, r, baton);
}

int p2p_handle_admin_mail_resend(request_rec *r, const p2p_match_t *match)
{
    one_t one = { .id = match->ids[0] };
    p2p_error_t *error;
    int answer = check_limit(r);

    if (answer != OK) return answer;
    error = p2p_dbd_with(r, resend, &one);
    if (error) return p2p_problem_error(r, error);
    p2p_wake(r->server);
    apr_table_setn(r->headers_out, "Location",
                   apr_psprintf(r->pool, "%s/admin/mail/%" APR_INT64_T_FMT, p2p_dir(r)->prefix, one.id));
    return reply_one(r, HTTP_ACCEPTED, &one);
}
