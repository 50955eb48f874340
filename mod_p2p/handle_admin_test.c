/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of a definition: one is asked for here, a runner does it, and here is what came of it. */
#include <httpd.h>
#include <apr_strings.h>

#include "audit.h"
#include "caller.h"
#include "dbd.h"
#include "handlers.h"
#include "mod_p2p.h"
#include "problem.h"
#include "reply.h"
#include "store/chore_store.h"
#include "store/oidc_server_store.h"
#include "supervise.h"

typedef struct test_t {
    apr_int64_t server_id, id;
    p2p_chore_t *chore;
    int again; /* it was under way already */
} test_t;

static p2p_error_t *ask(p2p_db_t *db, request_rec *r, void *baton)
{
    test_t *test = baton;
    p2p_oidc_server_t *server;
    p2p_chore_order_t order = { .kind = P2P_KIND_TEST, .target = p2p_config(r->server)->spec.target, .subject = "",
                                .client = p2p_caller(r)->client, .server_id = test->server_id };

    P2P_TRY(p2p_oidc_server_get_active(db, r->pool, test->server_id, &server));
    p2p_audit_status(r, HTTP_ACCEPTED);
    return p2p_chore_enqueue(db, r->pool, &order, &test->chore, &test->again);
}

static int reply(request_rec *r, int status, const p2p_chore_t *chore)
{
    return p2p_reply(r, status, p2p_chore_public(r->pool, chore), p2p_etag_version(r->pool, chore->job.version));
}

int p2p_handle_admin_test_post(request_rec *r, const p2p_match_t *match)
{
    test_t test = { .server_id = match->ids[0] };
    p2p_error_t *error = p2p_dbd_with(r, ask, &test);

    if (error) return p2p_problem_error(r, error);
    p2p_wake(r->server);
    apr_table_setn(r->headers_out, "Location",
                   apr_psprintf(r->pool, "%s/admin/oidc_servers/%" APR_INT64_T_FMT "/test/%" APR_INT64_T_FMT, p2p_dir(r)->prefix,
                                test.server_id, test.chore->job.id));
    apr_table_setn(r->headers_out, "Retry-After", "1");
    return reply(r, HTTP_ACCEPTED, test.chore);
}

static p2p_error_t *read_test(p2p_db_t *db, request_rec *r, void *baton)
{
    test_t *test = baton;

    return p2p_chore_get(db, r->pool, P2P_KIND_TEST, test->server_id, test->id, &test->chore);
}

int p2p_handle_admin_test(request_rec *r, const p2p_match_t *match)
{
    test_t test = { .server_id = match->ids[0], .id = match->ids[1] };
    p2p_error_t *error = p2p_dbd_with(r, read_test, &test);

    if (error) return p2p_problem_error(r, error);
    if (!p2p_job_ended(test.chore->job.status)) apr_table_setn(r->headers_out, "Retry-After", "1");
    return reply(r, HTTP_OK, test.chore);
}
