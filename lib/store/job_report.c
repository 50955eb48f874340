/* SPDX-License-Identifier: Apache-2.0 */
/* The report: requests, parts, and what did not go in. */
#include "store/job_store.h"

#include <apr_strings.h>
#include "store/job_private.h"
#include "store/sealed.h"

typedef struct reading_t {
    const p2p_keyring_t *keyring;
    apr_int64_t job_id;
    const p2p_report_at_t *at;
    apr_int64_t limit;
} reading_t;

static p2p_error_t *read_requests(p2p_db_t *db, apr_pool_t *p, const reading_t *reading, apr_array_header_t *requests)
{
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_REQUEST_REPORT, &rows, reading->job_id, reading->at->request, reading->limit));
    for (int i = 0; i < rows.count; i++) {
        p2p_request_t *request = apr_array_push(requests);

        request->number = (int)p2p_rows_int(&rows, i, 0);
        request->kind = rows.cell[i][1];
        request->parts = NULL;
        P2P_TRY(p2p_unseal_column(p, reading->keyring, "p2p_request", p2p_column_below(p, "url", request->number, -1),
                                  reading->job_id, rows.cell[i][2], &request->url));
    }
    return NULL;
}

static p2p_error_t *read_parts(p2p_db_t *db, apr_pool_t *p, const reading_t *reading, apr_array_header_t *parts)
{
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_PART_REPORT, &rows, reading->job_id, reading->at->part_request, reading->at->part,
                          reading->limit));
    for (int i = 0; i < rows.count; i++)
        P2P_TRY(p2p_part_from_row(p, reading->keyring, reading->job_id, &rows, i, apr_array_push(parts)));
    return NULL;
}

static p2p_error_t *resource_from_row(apr_pool_t *p, const reading_t *reading, const p2p_rows_t *rows, int row, p2p_rejected_t *r)
{
    const char **cell = rows->cell[row];
    const char *place = apr_pstrcat(p, "/", cell[0], "/", cell[1], "/", cell[2], NULL);

    r->request = (int)p2p_rows_int(rows, row, 0);
    r->part = (int)p2p_rows_int(rows, row, 1);
    r->number = (int)p2p_rows_int(rows, row, 2);
    r->outcome = cell[3];
    r->type = cell[4];
    r->code = cell[6];
    r->again = p2p_rows_int(rows, row, 8) != 0;
    r->body = NULL;
    r->body_len = 0;
    P2P_TRY(p2p_unseal_column(p, reading->keyring, "p2p_rejected", apr_pstrcat(p, "source_id", place, NULL), reading->job_id,
                              cell[5], &r->source_id));
    return p2p_unseal_column(p, reading->keyring, "p2p_rejected", apr_pstrcat(p, "detail", place, NULL), reading->job_id,
                             cell[7], &r->detail);
}

static p2p_error_t *read_resources(p2p_db_t *db, apr_pool_t *p, const reading_t *reading, apr_array_header_t *resources)
{
    const p2p_report_at_t *at = reading->at;
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_REJECTED_REPORT, &rows, reading->job_id, at->resource_request, at->resource_part,
                          at->resource, reading->limit));
    for (int i = 0; i < rows.count; i++) P2P_TRY(resource_from_row(p, reading, &rows, i, apr_array_push(resources)));
    return NULL;
}

static p2p_error_t *read_sum(p2p_db_t *db, apr_pool_t *p, const reading_t *reading, p2p_job_counts_t *sum)
{
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_PART_SUM, &rows, reading->job_id));
    *sum = (p2p_job_counts_t){.retrieved = p2p_rows_int(&rows, 0, 0), .written = p2p_rows_int(&rows, 0, 1),
                              .duplicate = p2p_rows_int(&rows, 0, 2), .skipped = p2p_rows_int(&rows, 0, 3),
                              .rejected = p2p_rows_int(&rows, 0, 4)};
    return NULL;
}

p2p_error_t *p2p_job_report(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, apr_int64_t job_id,
                            const p2p_report_at_t *at, int limit, p2p_report_t *report)
{
    reading_t reading = {keyring, job_id, at, limit};

    report->requests = apr_array_make(p, 16, sizeof(p2p_request_t));
    report->parts = apr_array_make(p, 16, sizeof(p2p_part_t));
    report->resources = apr_array_make(p, 16, sizeof(p2p_rejected_t));
    P2P_TRY(read_requests(db, p, &reading, report->requests));
    P2P_TRY(read_parts(db, p, &reading, report->parts));
    P2P_TRY(read_resources(db, p, &reading, report->resources));
    return read_sum(db, p, &reading, &report->sum);
}
