/* SPDX-License-Identifier: Apache-2.0 */
/* GET /admin/overview: what the console shows first. */
#include "caller.h"
#include "dbd.h"
#include "handlers.h"
#include "mod_p2p.h"
#include "overview_cache.h"
#include "problem.h"
#include "reply.h"
#include "store/overview_store.h"

typedef struct read_t {
    json_object *doc;
    apr_time_t now;
} read_t;

static p2p_error_t *read_overview(p2p_db_t *db, request_rec *r, void *baton)
{
    read_t *read = baton;

    return p2p_overview(db, r->pool, &p2p_config(r->server)->spec, &read->doc, &read->now);
}

/* With the time before all else; its ETag says nothing of that, so that what stays as it is has the same. */
static void print(request_rec *r, const read_t *read, p2p_overview_doc_t *doc)
{
    json_object *timed = p2p_json_own(r->pool, json_object_new_object());

    doc->etag = p2p_etag_doc(r->pool, read->doc);
    p2p_json_add_time(timed, "time", read->now);
    json_object_object_foreach(read->doc, name, value) json_object_object_add(timed, name, json_object_get(value));
    doc->text = p2p_json_print(r->pool, timed, &doc->len);
}

int p2p_handle_overview(request_rec *r, const p2p_match_t *match)
{
    p2p_overview_doc_t doc;
    read_t read = { 0 };
    p2p_error_t *error;

    (void)match;
    if (p2p_caller(r)->patient)
        return p2p_problem(r, HTTP_FORBIDDEN, "other-patient", "This is about all members' exchanges, and this token is limited to one member.");
    if (p2p_overview_cache_get(r, &doc)) return p2p_reply_text(r, HTTP_OK, doc.text, doc.len, doc.etag);
    error = p2p_dbd_with(r, read_overview, &read);
    if (error) return p2p_problem_error(r, error);
    print(r, &read, &doc);
    p2p_overview_cache_put(r, &doc);
    return p2p_reply_text(r, HTTP_OK, doc.text, doc.len, doc.etag);
}
