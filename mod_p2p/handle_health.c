/* SPDX-License-Identifier: Apache-2.0 */
/* GET /health, open to everyone: it says nothing but whether the service works. */
#include <httpd.h>
#include <http_log.h>

#include "dbd.h"
#include "handlers.h"
#include "mod_p2p.h"
#include "problem.h"
#include "reply.h"
#include "store/migrate.h"

APLOG_USE_MODULE(p2p);

static p2p_error_t *check_schema(p2p_db_t *db, request_rec *r, void *baton)
{
    (void)baton;
    return p2p_schema_check(db, r->pool);
}

int p2p_handle_health(request_rec *r, const p2p_match_t *match)
{
    json_object *doc = p2p_json_own(r->pool, json_object_new_object());
    p2p_error_t *error = p2p_dbd_with(r, check_schema, NULL);

    (void)match;
    if (error) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "/health: %s (%s)", error->sentence, error->code);
        apr_table_setn(r->err_headers_out, "Retry-After", "5");
        return p2p_problem(r, HTTP_SERVICE_UNAVAILABLE, NULL, NULL);
    }
    p2p_json_add_str(doc, "status", "ok");
    return p2p_reply(r, HTTP_OK, doc, NULL);
}
