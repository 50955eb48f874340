/* SPDX-License-Identifier: Apache-2.0 */
/* An order becomes a job: binding, grant, job and requests in one transaction. Rows are taken in this order,
 * here as in job_end.c, so that two transactions wait for each other and never deadlock. */
#include "store/job_store.h"

#include <string.h>
#include <apr_strings.h>
#include "store/grant_private.h"
#include "store/hash_keys.h"
#include "store/job_private.h"
#include "store/oidc_server_store.h"
#include "store/sealed.h"

typedef struct enqueue_t {
    p2p_job_member_t member;
    const p2p_oidc_server_t *server;
    const p2p_job_order_t *order;
    const char *client;    /* who asked for it; or the runner that holds the lease of epoch */
    const char *key;       /* that makes it once; "" for none */
    apr_int64_t epoch;
    apr_int64_t job_id, grant_id; /* taken beforehand */
    const char *uuid;
    p2p_job_t **job;
    int again;             /* the key had its job already */
} enqueue_t;

const char *p2p_job_source_hash(apr_pool_t *p, const p2p_job_member_t *member, int key)
{
    if (!*member->source_patient) return "";
    return p2p_keyed_hash(p, member->hashes, key, "source-patient",
                          apr_psprintf(p, "%" APR_INT64_T_FMT " %s", member->server_id, member->source_patient));
}

/* Is the source patient bound already, and to whom? *found is 0 where not. */
static p2p_error_t *check_binding(p2p_db_t *db, apr_pool_t *p, const p2p_job_member_t *m, int *found)
{
    p2p_rows_t rows;
    const char *bound;

    *found = 0;
    for (int key = 0; !*found && key < p2p_keyring_count(m->hashes); key++) {
        P2P_TRY(p2p_db_select(db, p, P2P_SQL_BINDING_GET, &rows, m->target, m->server_id, p2p_job_source_hash(p, m, key)));
        *found = rows.count;
    }
    if (!*found) return NULL;
    P2P_TRY(p2p_unseal_column(p, m->keyring, "p2p_binding", "target_patient", p2p_rows_int(&rows, 0, 0), rows.cell[0][1], &bound));
    if (!strcmp(bound, m->target_patient)) return NULL;
    return p2p_error_make(p, P2P_E_CONFLICT, "bound-to-another",
                          "The source patient is bound to another target patient; an administrator can unbind it.");
}

p2p_error_t *p2p_job_bind(p2p_db_t *db, apr_pool_t *p, const p2p_job_member_t *m)
{
    const char *sealed;
    int found, changed;

    P2P_TRY(check_binding(db, p, m, &found));
    if (found) return NULL;
    P2P_TRY(p2p_seal_column(p, m->keyring, "p2p_binding", "target_patient", m->binding_id, m->target_patient, &sealed));
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_BINDING_INSERT, &changed, m->binding_id, m->target, m->server_id,
                        p2p_job_source_hash(p, m, 0), sealed));
    return changed ? NULL : check_binding(db, p, m, &found);
}

p2p_error_t *p2p_job_check_running(p2p_db_t *db, apr_pool_t *p, const p2p_job_member_t *m, p2p_job_t **running)
{
    p2p_rows_t rows;

    for (int key = 0; key < p2p_keyring_count(m->hashes); key++) {
        P2P_TRY(p2p_db_select(db, p, P2P_SQL_JOB_ACTIVE, &rows, m->target, m->server_id, p2p_job_source_hash(p, m, key)));
        if (!rows.count) continue;
        *running = p2p_job_from_row(p, &rows, 0);
        return p2p_error_make(p, P2P_E_CONFLICT, "already-running", "An exchange of this member from this source payer is under way.");
    }
    return NULL;
}

/* The grant was there before: held until the end of the transaction, so that no ending job erases it
 * meanwhile. */
static p2p_error_t *join_grant(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, apr_int64_t id, const char *access_token)
{
    p2p_grant_t *grant;

    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_GRANT_LOCK, NULL, id));
    P2P_TRY(p2p_grant_get(db, p, keyring, id, &grant));
    if (grant->ended) {
        return p2p_error_make(p, P2P_E_INVALID, "grant-ended",
                              "This refresh token was used up by an earlier job: the member has to authorise again.");
    }
    if (*grant->access_token || !*access_token) return NULL;
    return p2p_grant_set_access(db, p, keyring, id, access_token);
}

p2p_error_t *p2p_job_take_grant(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const p2p_keyring_t *hashes,
                                apr_int64_t server_id, const char *access_token, const char *refresh_token, apr_int64_t *grant_id)
{
    p2p_grant_t grant = {.id = *grant_id, .oidc_server_id = server_id, .kind = "refresh-token",
                         .access_token = access_token, .refresh_token = refresh_token};
    apr_int64_t known = 0;
    int changed = 1;

    P2P_TRY(p2p_grant_find(db, p, hashes, server_id, refresh_token, &known));
    if (!known && *refresh_token) {
        P2P_TRY(p2p_db_exec(db, p, P2P_SQL_ALIAS_INSERT, &changed, p2p_grant_alias(p, hashes, 0, server_id, refresh_token), *grant_id));
        /* Another job with the same token was faster. */
        if (!changed) P2P_TRY(p2p_grant_find(db, p, hashes, server_id, refresh_token, &known));
    }
    if (!known) return p2p_grant_create(db, p, keyring, &grant);
    *grant_id = known;
    return join_grant(db, p, keyring, known, access_token);
}

/* ---- Once for a key ---- */

/* What is ordered, whatever it is written like; tokens aside. */
static const char *order_hash(apr_pool_t *p, const enqueue_t *e, int key)
{
    const p2p_job_order_t *order = e->order;
    const char *text = apr_pstrcat(p, order->source_patient, "\n", order->target_patient, "\n", order->organization, NULL);

    return p2p_keyed_hash(p, e->member.hashes, key, "idempotency-order",
                          apr_pstrcat(p, text, "\n", apr_array_pstrcat(p, order->urls, '\n'), NULL));
}

static const char *key_hash(apr_pool_t *p, const enqueue_t *e, int key)
{
    return p2p_keyed_hash(p, e->member.hashes, key, "idempotency-key", e->key);
}

/* Sets *e->job, and e->again, where the key has its job. */
static p2p_error_t *look_for_key(p2p_db_t *db, apr_pool_t *p, enqueue_t *e)
{
    p2p_rows_t rows;

    for (int key = 0; key < p2p_keyring_count(e->member.hashes); key++) {
        P2P_TRY(p2p_db_select(db, p, P2P_SQL_IDEMPOTENCY_GET, &rows, e->client, e->server->pid, key_hash(p, e, key)));
        if (!rows.count) continue;
        e->again = 1;
        if (!strcmp(rows.cell[0][0], order_hash(p, e, key)))
            return p2p_job_get(db, p, e->server->pid, p2p_rows_int(&rows, 0, 1), e->job);
        return p2p_error_make(p, P2P_E_INVALID, "idempotency-key-reused",
                              "This Idempotency-Key came with another order before: use a new one for each order.");
    }
    return NULL;
}

static p2p_error_t *take_key(p2p_db_t *db, apr_pool_t *p, enqueue_t *e)
{
    int changed;

    if (!*e->key) return NULL;
    P2P_TRY(look_for_key(db, p, e));
    if (e->again) return NULL;
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_IDEMPOTENCY_INSERT, &changed, e->client, e->server->pid, key_hash(p, e, 0),
                        order_hash(p, e, 0), e->job_id));
    /* Where another request with the same key was faster, it has ended by now. */
    return changed ? NULL : look_for_key(db, p, e);
}

/* ---- The job ---- */

static p2p_error_t *insert_job(p2p_db_t *db, apr_pool_t *p, const enqueue_t *e)
{
    const p2p_job_order_t *order = e->order;
    const p2p_job_member_t *m = &e->member;
    const char *source, *target, *patient = p2p_job_patient_hash(p, m->hashes, 0, m->target, order->target_patient);
    int changed;

    P2P_TRY(p2p_seal_column(p, m->keyring, P2P_JOB_TABLE, "source_patient", e->job_id, order->source_patient, &source));
    P2P_TRY(p2p_seal_column(p, m->keyring, P2P_JOB_TABLE, "target_patient", e->job_id, order->target_patient, &target));
    for (int i = 0; i < 3; i++) {
        P2P_TRY(p2p_db_exec(db, p, P2P_SQL_JOB_INSERT, &changed, e->job_id, e->uuid, P2P_KIND_EXCHANGE, m->target, e->server->pid, e->grant_id,
                            e->client, p2p_job_source_hash(p, m, 0), source, target, order->organization, patient));
        if (changed) return NULL;
        /* Somebody else's job for the same member came in between; where it has ended already, the way is
         * free. */
        P2P_TRY(p2p_job_check_running(db, p, m, e->job));
    }
    return p2p_error_make(p, P2P_E_UNAVAILABLE, "database-away", "The job could not be stored; try again.");
}

static p2p_error_t *enqueue(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    enqueue_t *e = baton;
    const apr_array_header_t *urls = e->order->urls;

    P2P_TRY(take_key(db, p, e));
    if (e->again) return NULL;
    P2P_TRY(p2p_oidc_server_hold(db, p, e->server->pid));
    if (*e->order->source_patient) {
        P2P_TRY(p2p_job_bind(db, p, &e->member));
        P2P_TRY(p2p_job_check_running(db, p, &e->member, e->job));
    }
    P2P_TRY(p2p_job_take_grant(db, p, e->member.keyring, e->member.hashes, e->server->pid, e->order->access_token, e->order->refresh_token,
                               &e->grant_id));
    P2P_TRY(insert_job(db, p, e));
    for (int i = 0; i < urls->nelts; i++) {
        P2P_TRY(p2p_job_insert_request(db, p, e->member.keyring, e->job_id, i, P2P_REQUEST_PAGES,
                                       APR_ARRAY_IDX(urls, i, const char *)));
    }
    return p2p_job_get(db, p, e->server->pid, e->job_id, e->job);
}

/* The same rules as at the beginning, under the lease. */
static p2p_error_t *bind_late(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    const enqueue_t *e = baton;
    const char *source;
    int changed;

    P2P_TRY(p2p_job_bind(db, p, &e->member));
    P2P_TRY(p2p_job_check_running(db, p, &e->member, e->job));
    P2P_TRY(p2p_seal_column(p, e->member.keyring, P2P_JOB_TABLE, "source_patient", e->job_id, e->order->source_patient, &source));
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_JOB_SET_PATIENT, &changed, p2p_job_source_hash(p, &e->member, 0), source, e->job_id, e->client,
                        e->epoch));
    return changed ? NULL : p2p_job_lost(p);
}

p2p_error_t *p2p_job_bind_patient(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const p2p_job_t *job,
                                  const char *owner, const p2p_oidc_server_t *server, const p2p_job_order_t *order)
{
    p2p_job_t *running = NULL;
    enqueue_t e = {.member = {keyring, NULL, job->target, server->pid, order->source_patient, order->target_patient, 0},
                   .server = server, .order = order, .client = owner, .job_id = job->id, .epoch = job->epoch, .job = &running};

    P2P_TRY(p2p_hash_keys(db, p, keyring, &e.member.hashes));
    P2P_TRY(p2p_db_next_id(db, p, "binding", &e.member.binding_id));
    return p2p_db_transaction(db, p, bind_late, &e);
}

p2p_error_t *p2p_job_enqueue_once(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const char *target,
                                  const p2p_oidc_server_t *server, const p2p_job_order_t *order, const char *client,
                                  const char *key, p2p_job_t **job, int *again)
{
    enqueue_t e = {.member = {keyring, NULL, target, server->pid, order->source_patient, order->target_patient, 0},
                   .server = server, .order = order, .client = client, .key = key, .job = job};

    *job = NULL;
    P2P_TRY(p2p_hash_keys(db, p, keyring, &e.member.hashes));
    P2P_TRY(p2p_uuid4(p, &e.uuid));
    /* Outside the transaction, so that counters are not what requests queue up for. */
    P2P_TRY(p2p_db_next_id(db, p, "binding", &e.member.binding_id));
    P2P_TRY(p2p_db_next_id(db, p, "grant", &e.grant_id));
    P2P_TRY(p2p_db_next_id(db, p, "job", &e.job_id));
    P2P_TRY(p2p_db_transaction(db, p, enqueue, &e));
    *again = e.again;
    return NULL;
}

p2p_error_t *p2p_job_enqueue(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const char *target,
                             const p2p_oidc_server_t *server, const p2p_job_order_t *order, const char *client,
                             p2p_job_t **job)
{
    int again;

    return p2p_job_enqueue_once(db, p, keyring, target, server, order, client, "", job, &again);
}
