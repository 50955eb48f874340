/* SPDX-License-Identifier: Apache-2.0 */
/* The audit, as administrators read it. */
#include <apr_strings.h>

#include "dbd.h"
#include "handlers.h"
#include "problem.h"
#include "query.h"
#include "reply.h"
#include "store/audit_store.h"

#define PAGE_ROWS 100

typedef struct list_t {
    const char *object, *client; /* NULL: any */
    apr_int64_t before;
    apr_array_header_t *rows;
} list_t;

/* One more than a page holds tells whether there is a next page. */
static p2p_error_t *read_list(p2p_db_t *db, request_rec *r, void *baton)
{
    list_t *list = baton;

    return p2p_audit_list(db, r->pool, list->object, list->client, list->before, PAGE_ROWS + 1, &list->rows);
}

/* The query without its page; with that it is also what a cursor is good for. */
static const char *query_of(request_rec *r, const list_t *list)
{
    return apr_pstrcat(r->pool, p2p_query_pair(r->pool, "object", list->object), p2p_query_pair(r->pool, "client", list->client), NULL);
}

static const char *scope_of(request_rec *r, const list_t *list)
{
    return apr_pstrcat(r->pool, "audit ", query_of(r, list), NULL);
}

static const p2p_audit_row_t *row_at(const list_t *list, int i)
{
    return &APR_ARRAY_IDX(list->rows, i, const p2p_audit_row_t);
}

static const char *next_of(request_rec *r, const list_t *list)
{
    if (list->rows->nelts <= PAGE_ROWS) return NULL;
    return p2p_cursor_link(r, query_of(r, list), scope_of(r, list), &row_at(list, PAGE_ROWS - 1)->id, 1);
}

static json_object *row_json(const p2p_audit_row_t *row)
{
    json_object *doc = json_object_new_object();

    p2p_json_add_int(doc, "id", row->id);
    p2p_json_add_time(doc, "time", row->time);
    p2p_json_add_str(doc, "client", row->client);
    p2p_json_add_str(doc, "role", row->role);
    p2p_json_add_str(doc, "address", row->address);
    p2p_json_add_str(doc, "action", row->action);
    p2p_json_add_str(doc, "object", row->object);
    p2p_json_add_int(doc, "status", row->status);
    p2p_json_add_str(doc, "code", *row->code ? row->code : NULL);
    return doc;
}

static int read_query(request_rec *r, list_t *list)
{
    static const char *const names[] = { "object", "client", "page", NULL };
    apr_table_t *query;
    const char *page;
    int answer = p2p_query(r, names, &query);

    if (answer != OK) return answer;
    list->object = apr_table_get(query, "object");
    list->client = apr_table_get(query, "client");
    list->before = APR_INT64_MAX;
    page = apr_table_get(query, "page");
    return page ? p2p_cursor_read(r, scope_of(r, list), page, &list->before, 1) : OK;
}

int p2p_handle_audit(request_rec *r, const p2p_match_t *match)
{
    json_object *doc = p2p_json_own(r->pool, json_object_new_object()), *entries = json_object_new_array();
    list_t list = { 0 };
    p2p_error_t *error = NULL;
    int answer = read_query(r, &list);

    (void)match;
    json_object_object_add(doc, "entries", entries);
    if (answer == OK) error = p2p_dbd_with(r, read_list, &list);
    if (answer != OK || error) return answer != OK ? answer : p2p_problem_error(r, error);
    for (int i = 0; i < list.rows->nelts && i < PAGE_ROWS; i++) json_object_array_add(entries, row_json(row_at(&list, i)));
    p2p_json_add_str(doc, "next", next_of(r, &list));
    return p2p_reply(r, HTTP_OK, doc, p2p_etag_doc(r->pool, doc));
}
