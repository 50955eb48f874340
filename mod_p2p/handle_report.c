/* SPDX-License-Identifier: Apache-2.0 */
/* The report of a job: each part that came, and each resource that did not go in, with the target's own words: it is
 * for whoever may ask for the member's record itself. What belongs to somebody else is told by its type alone. */
#include <apr_strings.h>

#include "base/uri.h"
#include "dbd.h"
#include "handlers.h"
#include "job_reply.h"
#include "mod_p2p.h"
#include "problem.h"
#include "query.h"
#include "reply.h"
#include "store/job_store.h"
#include "store/oidc_server_store.h"

#define PAGE_ROWS 100
#define POSITION 6 /* numbers of p2p_report_at_t */

typedef struct report_t {
    const p2p_job_way_t *way;
    p2p_report_at_t at;
    p2p_oidc_server_t *server;
    p2p_job_t *job;
    p2p_report_t rows;
} report_t;

/* What a code of p2p_rejected_t means. */
static const struct {
    const char *code, *sentence;
} reasons[] = {
    { "refused", "The target refused this resource." },
    { "other-patient", "This belongs to another patient and is never stored." },
    { "outcome", "The source says something about the search with it; it is not part of the record." },
    { "server-resource", "It tells a server how to behave and is no part of a member's record." },
    { "expired", "The source's link to this page was not good any more: its request was begun anew." },
    { "total-differs", "The source told another number of matches than it gave." },
    { "follow-limit", "P2PFollowReferences does not allow more resources to be fetched." },
    { "reference-left-open", "These keep logical references to what came after them: their pages could not be had again." },
    { "not-received", "Something refers to it, and the source does not give it." },
    { "not-fhir", "The source sent something that is no usable FHIR resource." },
    { "not-json", "The source sent something that is no JSON." },
    { "too-large", "It is larger than what is taken." },
};

static const char *reason_of(const char *code)
{
    for (unsigned i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        if (!strcmp(reasons[i].code, code)) return reasons[i].sentence;
    }
    return NULL;
}

/* One row more than a page holds is asked for: it tells whether there is a next page. */
static p2p_error_t *read_report(p2p_db_t *db, request_rec *r, void *baton)
{
    report_t *report = baton;

    p2p_viewer_t viewer = p2p_job_viewer(r, report->way);

    P2P_TRY(p2p_job_find(db, r->pool, &viewer, report->way->server_id, report->way->id, &report->job));
    /* A job that is about no definition has no requests either. */
    if (report->job->oidc_server_id) P2P_TRY(p2p_oidc_server_get(db, r->pool, NULL, report->job->oidc_server_id, &report->server));
    return p2p_job_report(db, r->pool, p2p_config(r->server)->spec.keyring, report->job->id,
                          &report->at, PAGE_ROWS + 1, &report->rows);
}

static json_object *part_json(apr_pool_t *p, const p2p_part_t *part, const char *endpoint)
{
    json_object *doc = json_object_new_object();

    p2p_json_add_int(doc, "request", part->request);
    p2p_json_add_int(doc, "part", part->number);
    p2p_json_add_str(doc, "url", p2p_uri_public(p, part->url, endpoint));
    p2p_json_add_bool(doc, "landed", part->landed);
    p2p_json_add_time(doc, "receivedTime", part->received);
    p2p_json_add_time(doc, "mappedTime", part->mapped);
    p2p_json_add_time(doc, "landedTime", part->landed_at);
    p2p_json_add_int(doc, "retrieved", part->retrieved);
    p2p_json_add_int(doc, "written", part->written);
    p2p_json_add_int(doc, "duplicate", part->duplicate);
    p2p_json_add_int(doc, "skipped", part->skipped);
    p2p_json_add_int(doc, "rejected", part->rejected);
    p2p_json_add_int(doc, "bytes", part->bytes);
    return doc;
}

static json_object *resource_json(const p2p_rejected_t *resource)
{
    json_object *doc = json_object_new_object();
    int is_skipped = !strcmp(resource->outcome, "skipped"), is_outcome = !strcmp(resource->code, "outcome");

    p2p_json_add_int(doc, "request", resource->request);
    p2p_json_add_int(doc, "part", resource->part);
    p2p_json_add_str(doc, "outcome", resource->again ? "retrying" : resource->outcome);
    p2p_json_add_str(doc, "type", *resource->type ? resource->type : NULL);
    p2p_json_add_str(doc, "id", !is_skipped && *resource->source_id ? resource->source_id : NULL);
    p2p_json_add_str(doc, "code", resource->code);
    p2p_json_add_str(doc, "reason", reason_of(resource->code));
    p2p_json_add_str(doc, "detail", (!is_skipped || is_outcome) && *resource->detail ? resource->detail : NULL);
    return doc;
}

static json_object *request_json(apr_pool_t *p, const p2p_request_t *request, const char *endpoint)
{
    json_object *doc = json_object_new_object();

    p2p_json_add_int(doc, "request", request->number);
    p2p_json_add_str(doc, "kind", request->kind);
    p2p_json_add_str(doc, "url", *request->url ? p2p_uri_public(p, request->url, endpoint) : NULL);
    return doc;
}

/* The first rows of a list that has one more than a page where it goes on. */
static int rows_of(const apr_array_header_t *list)
{
    return list->nelts < PAGE_ROWS ? list->nelts : PAGE_ROWS;
}

static json_object *requests_json(apr_pool_t *p, const report_t *report)
{
    json_object *list = json_object_new_array();

    for (int i = 0; i < rows_of(report->rows.requests); i++)
        json_object_array_add(list, request_json(p, &APR_ARRAY_IDX(report->rows.requests, i, p2p_request_t),
                                                 report->server->fhir_endpoint));
    return list;
}

static json_object *parts_json(apr_pool_t *p, const report_t *report)
{
    json_object *list = json_object_new_array();

    for (int i = 0; i < rows_of(report->rows.parts); i++)
        json_object_array_add(list, part_json(p, &APR_ARRAY_IDX(report->rows.parts, i, p2p_part_t), report->server->fhir_endpoint));
    return list;
}

static json_object *resources_json(const report_t *report)
{
    json_object *list = json_object_new_array();

    for (int i = 0; i < rows_of(report->rows.resources); i++)
        json_object_array_add(list, resource_json(&APR_ARRAY_IDX(report->rows.resources, i, p2p_rejected_t)));
    return list;
}

/* The sums of all parts: they balance, and at the end they are the job's. */
static json_object *accounting_json(const report_t *report)
{
    const p2p_job_counts_t *sum = &report->rows.sum, *job = &report->job->counts;
    apr_int64_t settled = sum->written + sum->duplicate + sum->skipped + sum->rejected;
    json_object *doc = json_object_new_object();

    p2p_json_add_int(doc, "retrieved", sum->retrieved + job->waiting);
    p2p_json_add_int(doc, "written", sum->written);
    p2p_json_add_int(doc, "duplicate", sum->duplicate);
    p2p_json_add_int(doc, "skipped", sum->skipped);
    p2p_json_add_int(doc, "rejected", sum->rejected);
    p2p_json_add_int(doc, "waiting", job->waiting);
    p2p_json_add_bool(doc, "balanced", sum->retrieved == settled
                      && (!p2p_job_ended(report->job->status) || sum->retrieved == job->retrieved));
    return doc;
}

/* Its Task at the target, and why that is not as it should be. */
static json_object *task_json(const p2p_job_t *job)
{
    json_object *doc = json_object_new_object();

    p2p_json_add_str(doc, "id", *job->task_id ? job->task_id : NULL);
    p2p_json_add_str(doc, "fault", *job->task_fault ? job->task_fault : NULL);
    return doc;
}

/* ---- Pages ---- */

static const char *scope_of(request_rec *r, const report_t *report)
{
    return apr_psprintf(r->pool, "report %" APR_INT64_T_FMT, report->way->id);
}

/* Each list goes on behind its last row; one that is at its end stays there. */
static const char *next_of(request_rec *r, const report_t *report)
{
    const apr_array_header_t *requests = report->rows.requests, *parts = report->rows.parts, *resources = report->rows.resources;
    p2p_report_at_t at = report->at;

    if (requests->nelts <= PAGE_ROWS && parts->nelts <= PAGE_ROWS && resources->nelts <= PAGE_ROWS) return NULL;
    if (requests->nelts) at.request = APR_ARRAY_IDX(requests, rows_of(requests) - 1, p2p_request_t).number;
    if (parts->nelts) {
        at.part_request = APR_ARRAY_IDX(parts, rows_of(parts) - 1, p2p_part_t).request;
        at.part = APR_ARRAY_IDX(parts, rows_of(parts) - 1, p2p_part_t).number;
    }
    if (resources->nelts) {
        const p2p_rejected_t *last = &APR_ARRAY_IDX(resources, rows_of(resources) - 1, p2p_rejected_t);

        at.resource_request = last->request;
        at.resource_part = last->part;
        at.resource = last->number;
    }
    return p2p_cursor_link(r, "", scope_of(r, report), (apr_int64_t[POSITION]){ at.request, at.part_request, at.part,
                           at.resource_request, at.resource_part, at.resource }, POSITION);
}

static int read_page(request_rec *r, report_t *report)
{
    static const char *const names[] = { "page", NULL };
    apr_int64_t at[POSITION] = { -1, -1, -1, -1, -1, -1 };
    apr_table_t *query;
    const char *page;
    int answer = p2p_query(r, names, &query);

    if (answer != OK) return answer;
    page = apr_table_get(query, "page");
    if (page) answer = p2p_cursor_read(r, scope_of(r, report), page, at, POSITION);
    report->at = (p2p_report_at_t){ at[0], at[1], at[2], at[3], at[4], at[5] };
    return answer;
}

static json_object *report_json(request_rec *r, const report_t *report)
{
    json_object *doc = p2p_json_own(r->pool, json_object_new_object());

    p2p_json_add_int(doc, "batchJobId", report->job->id);
    p2p_json_add_str(doc, "batchStatus", p2p_job_status_name(report->job->status));
    p2p_json_add_int(doc, "attempt", report->job->attempt);
    json_object_object_add(doc, "accounting", accounting_json(report));
    json_object_object_add(doc, "task", task_json(report->job));
    p2p_json_add_str(doc, "next", next_of(r, report));
    json_object_object_add(doc, "requests", requests_json(r->pool, report));
    json_object_object_add(doc, "parts", parts_json(r->pool, report));
    json_object_object_add(doc, "resources", resources_json(report));
    return doc;
}

int p2p_job_show_report(request_rec *r, const p2p_job_way_t *way)
{
    report_t report = { .way = way };
    p2p_error_t *error;
    json_object *doc;
    int answer = read_page(r, &report);

    if (answer != OK) return answer;
    error = p2p_dbd_with(r, read_report, &report);
    if (error) return p2p_problem_error(r, error);
    doc = report_json(r, &report);
    return p2p_reply(r, HTTP_OK, doc, p2p_etag_doc(r->pool, doc));
}

int p2p_handle_report(request_rec *r, const p2p_match_t *match)
{
    return p2p_job_show_report(r, &(p2p_job_way_t){ .server_id = match->ids[0], .id = match->ids[1] });
}
