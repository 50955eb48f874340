/* SPDX-License-Identifier: Apache-2.0 */
/* GET /health, open to everyone: it says nothing but whether the service works. */
#include <httpd.h>
#include <http_log.h>

#include "dbd.h"
#include "handlers.h"
#include "mod_p2p.h"
#include "problem.h"
#include "reply.h"
#include "store/hash_keys.h"
#include "store/migrate.h"

APLOG_USE_MODULE(p2p);

/* Where the keys of hashes open, the sealing key that they need is here, and no other was needed when they were sealed. */
static p2p_error_t *check(p2p_db_t *db, request_rec *r, void *baton)
{
    p2p_keyring_t *hashes;

    (void)baton;
    P2P_TRY(p2p_schema_check(db, r->pool));
    return p2p_hash_keys(db, r->pool, p2p_config(r->server)->spec.keyring, &hashes);
}

int p2p_handle_health(request_rec *r, const p2p_match_t *match)
{
    json_object *doc = p2p_json_own(r->pool, json_object_new_object());
    p2p_error_t *error = p2p_dbd_with(r, check, NULL);

    (void)match;
    if (error) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "/health: %s (%s)", error->sentence, error->code);
        apr_table_setn(r->err_headers_out, "Retry-After", "5");
        return p2p_problem(r, HTTP_SERVICE_UNAVAILABLE, NULL, NULL);
    }
    p2p_json_add_str(doc, "status", "ok");
    return p2p_reply(r, HTTP_OK, doc, NULL);
}
