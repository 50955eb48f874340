/* SPDX-License-Identifier: Apache-2.0 */
/* The report of a job: each part that came, and each resource that did not go in, with the target's own words: it is
 * for whoever may ask for the member's record itself. What belongs to somebody else is told by its type alone. */
#include <apr_lib.h>
#include <apr_strings.h>

#include "base/clock.h"
#include "base/uri.h"
#include "dbd.h"
#include "handlers.h"
#include "mod_p2p.h"
#include "problem.h"
#include "reply.h"
#include "store/job_store.h"
#include "store/oidc_server_store.h"

#define PAGE_ROWS 100
#define LAST_PAGE 1000000

typedef struct report_t {
    apr_int64_t server_id, job_id;
    int page;
    p2p_oidc_server_t *server;
    p2p_job_t *job;
    apr_array_header_t *parts, *rejected;
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
    { "not-received", "Something refers to it, and the source does not give it." },
    { "not-fhir", "The source sent something that is no usable FHIR resource." },
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

    P2P_TRY(p2p_job_get(db, r->pool, report->server_id, report->job_id, &report->job));
    P2P_TRY(p2p_oidc_server_get(db, r->pool, NULL, report->server_id, &report->server));
    return p2p_job_report(db, r->pool, p2p_config(r->server)->spec.keyring, report->job_id,
                          (report->page - 1) * PAGE_ROWS, PAGE_ROWS + 1, &report->parts, &report->rejected);
}

static void add_time(apr_pool_t *p, json_object *doc, const char *name, apr_time_t time)
{
    p2p_json_add_str(doc, name, time ? p2p_time_iso(p, time) : NULL);
}

static json_object *part_json(apr_pool_t *p, const p2p_part_t *part, const char *endpoint)
{
    json_object *doc = json_object_new_object();

    p2p_json_add_int(doc, "request", part->request);
    p2p_json_add_int(doc, "part", part->number);
    p2p_json_add_str(doc, "url", p2p_uri_public(p, part->url, endpoint));
    p2p_json_add_bool(doc, "landed", part->landed);
    add_time(p, doc, "receivedTime", part->received);
    add_time(p, doc, "mappedTime", part->mapped);
    add_time(p, doc, "landedTime", part->landed_at);
    p2p_json_add_int(doc, "retrieved", part->retrieved);
    p2p_json_add_int(doc, "written", part->written);
    p2p_json_add_int(doc, "duplicate", part->duplicate);
    p2p_json_add_int(doc, "skipped", part->skipped);
    p2p_json_add_int(doc, "rejected", part->rejected);
    p2p_json_add_int(doc, "bytes", part->bytes);
    return doc;
}

static json_object *rejected_json(const p2p_rejected_t *rejected)
{
    json_object *doc = json_object_new_object();
    int is_skipped = !strcmp(rejected->outcome, "skipped"), is_outcome = !strcmp(rejected->code, "outcome");

    p2p_json_add_int(doc, "request", rejected->request);
    p2p_json_add_int(doc, "part", rejected->part);
    p2p_json_add_str(doc, "outcome", rejected->outcome);
    p2p_json_add_str(doc, "type", *rejected->type ? rejected->type : NULL);
    p2p_json_add_str(doc, "id", !is_skipped && *rejected->source_id ? rejected->source_id : NULL);
    p2p_json_add_str(doc, "code", rejected->code);
    p2p_json_add_str(doc, "reason", reason_of(rejected->code));
    p2p_json_add_str(doc, "detail", (!is_skipped || is_outcome) && *rejected->detail ? rejected->detail : NULL);
    return doc;
}

static json_object *parts_json(apr_pool_t *p, const report_t *report)
{
    json_object *list = json_object_new_array();

    for (int i = 0; i < report->parts->nelts && i < PAGE_ROWS; i++) {
        const p2p_part_t *part = &APR_ARRAY_IDX(report->parts, i, p2p_part_t);

        json_object_array_add(list, part_json(p, part, report->server->fhir_endpoint));
    }
    return list;
}

static json_object *resources_json(const report_t *report)
{
    json_object *list = json_object_new_array();

    for (int i = 0; i < report->rejected->nelts && i < PAGE_ROWS; i++) {
        json_object_array_add(list, rejected_json(&APR_ARRAY_IDX(report->rejected, i, p2p_rejected_t)));
    }
    return list;
}

static json_object *report_json(request_rec *r, const report_t *report)
{
    json_object *doc = p2p_json_own(r->pool, json_object_new_object());
    int more = report->parts->nelts > PAGE_ROWS || report->rejected->nelts > PAGE_ROWS;
    const char *next = more ? apr_psprintf(r->pool, "%s?page=%d", r->uri, report->page + 1) : NULL;

    p2p_json_add_int(doc, "batchJobId", report->job->id);
    p2p_json_add_str(doc, "batchStatus", p2p_job_status_name(report->job->status));
    p2p_json_add_int(doc, "page", report->page);
    p2p_json_add_str(doc, "next", next);
    json_object_object_add(doc, "parts", parts_json(r->pool, report));
    json_object_object_add(doc, "resources", resources_json(report));
    return doc;
}

/* The page that the query names: 1 without a query, 0 for what is no page. */
static int page_of(const request_rec *r)
{
    const char *at = r->args;
    int page = 0;

    if (!at || !*at) return 1;
    if (strncmp(at, "page=", 5)) return 0;
    for (at += 5; apr_isdigit(*at) && page < LAST_PAGE; at++) page = page * 10 + (*at - '0');
    return *at || page > LAST_PAGE ? 0 : page;
}

int p2p_handle_report(request_rec *r, const p2p_match_t *match)
{
    report_t report = { .server_id = match->ids[0], .job_id = match->ids[1], .page = page_of(r) };
    p2p_error_t *error;
    json_object *doc;

    if (!report.page) return p2p_problem(r, HTTP_BAD_REQUEST, "bad-page", "The query may be page=N, from 1.");
    error = p2p_dbd_with(r, read_report, &report);
    if (error) return p2p_problem_error(r, error);
    doc = report_json(r, &report);
    return p2p_reply(r, HTTP_OK, doc, p2p_etag_doc(r->pool, doc));
}
