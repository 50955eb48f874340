/* SPDX-License-Identifier: Apache-2.0 */
/* What needs a person: a few of each kind, so that one kind never hides another. */
#include "store/attention.h"

#include <string.h>
#include <apr_strings.h>
#include "model/trust.h"
#include "store/outbox_store.h"
#include "store/subscription_store.h"

/* The most of each kind: 20 in all. */
#define UNSERVED 2
#define ISSUERS 3
#define FAILED 5
#define UNDELIVERABLE 3
#define TESTS 3
#define LOOKED_AT 50 /* mails, or tests, of which only some count */

#define DAY apr_time_from_sec(86400)

typedef struct attention_t {
    p2p_db_t *db;
    apr_pool_t *p;
    const p2p_spec_t *spec;
    apr_time_t now;
    json_object *list;
} attention_t;

/* object: "batch_job/17" and the like; NULL: none. time 0: not known. */
static void add(attention_t *a, const char *kind, const char *object, apr_time_t time, const char *sentence)
{
    json_object *one = json_object_new_object();

    p2p_json_add_str(one, "kind", kind);
    p2p_json_add_str(one, "sentence", sentence);
    p2p_json_add_str(one, "object", object);
    p2p_json_add_time(one, "time", time);
    json_object_array_add(a->list, one);
}

static const char *object_of(attention_t *a, const char *what, const char *id)
{
    return apr_pstrcat(a->p, what, "/", id, NULL);
}

/* ---- What stops everything ---- */

static p2p_error_t *look_at_runners(attention_t *a, int alive)
{
    p2p_rows_t rows;

    if (!alive)
        add(a, "no-runner", NULL, 0, "No runner is alive, so that exchanges only wait. Start httpd, and see in its error log why p2p-runner ended.");
    P2P_TRY(p2p_db_select(a->db, a->p, P2P_SQL_SEEN_UNSERVED, &rows, a->spec->target, (apr_int64_t)UNSERVED));
    for (int i = 0; i < rows.count; i++)
        add(a, "jobs-unserved", NULL, 0,
            apr_psprintf(a->p, "Jobs wait that are for the target %s, which no runner serves. Start the httpd whose P2PTarget it is, or stop them.",
                         rows.cell[i][0]));
    return NULL;
}

static p2p_error_t *look_at_hold(attention_t *a)
{
    p2p_mail_hold_t *hold;

    if (!a->spec->mail_server) return NULL;
    P2P_TRY(p2p_mail_hold_get(a->db, a->p, a->spec->target, &hold));
    if (hold) add(a, "mail-hold", NULL, hold->since, apr_pstrcat(a->p, "No mail goes out for now. ", hold->fault, NULL));
    return NULL;
}

/* ---- What is told by others late, or not at all ---- */

static p2p_error_t *look_at_subscription(attention_t *a)
{
    const char *fault;
    p2p_rows_t rows;

    if (!a->spec->hook_url) return NULL;
    P2P_TRY(p2p_db_select(a->db, a->p, P2P_SQL_SUBSCRIPTION_STATUS, &rows, a->spec->target, a->spec->hook_url));
    if (!rows.count) return NULL;
    fault = rows.cell[0][1];
    if (!*fault && strcmp(rows.cell[0][0], P2P_SUBSCRIPTION_REFUSED)) return NULL;
    if (!*fault) fault = "The target takes none; Tasks are searched for instead, and heard of later. Remove P2PHookURL where that is meant.";
    add(a, "subscription", NULL, p2p_rows_int(&rows, 0, 2), apr_pstrcat(a->p, "The Subscription at the target is not as it should be. ", fault, NULL));
    return NULL;
}

static p2p_error_t *look_at_searches(attention_t *a)
{
    p2p_rows_t rows;

    if (!a->spec->hook_url && !a->spec->mail_server) return NULL;
    P2P_TRY(p2p_db_select(a->db, a->p, P2P_SQL_WATCH_STATUS, &rows, a->spec->target));
    if (rows.count && *rows.cell[0][1])
        add(a, "task-search", NULL, p2p_rows_int(&rows, 0, 0), apr_pstrcat(a->p, "The target's Tasks cannot be searched for. ", rows.cell[0][1], NULL));
    return NULL;
}

static int is_trusted(const attention_t *a, const char *issuer)
{
    for (int i = 0; i < a->spec->trusts->nelts; i++)
        if (!strcmp(APR_ARRAY_IDX(a->spec->trusts, i, p2p_trust_t).issuer, issuer)) return 1;
    return 0;
}

static p2p_error_t *look_at_issuers(attention_t *a)
{
    p2p_rows_t rows;
    int count = 0;

    P2P_TRY(p2p_db_select(a->db, a->p, P2P_SQL_JWKS_STATUS, &rows));
    for (int i = 0; i < rows.count && count < ISSUERS; i++) {
        if (!*rows.cell[i][2] || !is_trusted(a, rows.cell[i][0])) continue;
        add(a, "issuer", NULL, p2p_rows_int(&rows, i, 1),
            apr_psprintf(a->p, "What %s publishes cannot be had, so that its tokens are refused sooner or later. %s", rows.cell[i][0], rows.cell[i][2]));
        count++;
    }
    return NULL;
}

/* ---- What did not go well ---- */

/* Errors of jobs may end without one; more follows. */
static const char *full_stop_after(const char *sentence)
{
    return *sentence && sentence[strlen(sentence) - 1] == '.' ? "" : ".";
}

static const char *name_or(const char *name)
{
    return *name ? name : "a payer that is not known any more";
}

static p2p_error_t *look_at_failed(attention_t *a)
{
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(a->db, a->p, P2P_SQL_SEEN_FAILED, &rows, a->spec->target, (apr_int64_t)(a->now - DAY), (apr_int64_t)FAILED));
    for (int i = 0; i < rows.count; i++)
        add(a, "exchange-failed", object_of(a, "batch_job", rows.cell[i][0]), p2p_rows_int(&rows, i, 4),
            apr_psprintf(a->p, "Exchange %s with %s has failed: %s%s See its report, and restart it when the cause is mended.", rows.cell[i][0],
                         name_or(rows.cell[i][2]), rows.cell[i][3], full_stop_after(rows.cell[i][3])));
    return NULL;
}

/* Nobody mends what nobody has sent again for a week. */
static p2p_error_t *look_at_mails(attention_t *a)
{
    p2p_rows_t rows;
    int count = 0;

    if (!a->spec->mail_server) return NULL;
    P2P_TRY(p2p_db_select(a->db, a->p, P2P_SQL_SEEN_UNDELIVERABLE, &rows, a->spec->target, (apr_int64_t)LOOKED_AT));
    for (int i = 0; i < rows.count && count < UNDELIVERABLE; i++) {
        if (p2p_rows_int(&rows, i, 3) < a->now - 7 * DAY) continue;
        add(a, "mail-undeliverable", object_of(a, "mail", rows.cell[i][0]), p2p_rows_int(&rows, i, 3),
            apr_psprintf(a->p, "A mail to %s could not be delivered. %s Mend the cause, then send it again.",
                         strcmp(rows.cell[i][1], "member") ? "an administrator" : "a member", rows.cell[i][2]));
        count++;
    }
    return NULL;
}

static int went_well(apr_pool_t *p, const char *status, const char *result)
{
    json_object *doc, *ok;

    if (strcmp(status, "COMPLETED") || p2p_json_parse(p, result, strlen(result), &doc)) return 0;
    return json_object_object_get_ex(doc, "ok", &ok) && json_object_get_boolean(ok);
}

/* Of each definition the last one alone says something. */
static p2p_error_t *look_at_tests(attention_t *a)
{
    apr_table_t *seen = apr_table_make(a->p, LOOKED_AT);
    p2p_rows_t rows;
    int count = 0;

    P2P_TRY(p2p_db_select(a->db, a->p, P2P_SQL_SEEN_TESTS, &rows, a->spec->target, (apr_int64_t)(a->now - 7 * DAY), (apr_int64_t)LOOKED_AT));
    for (int i = 0; i < rows.count && count < TESTS; i++) {
        if (apr_table_get(seen, rows.cell[i][0])) continue;
        apr_table_setn(seen, rows.cell[i][0], "");
        if (went_well(a->p, rows.cell[i][2], rows.cell[i][3])) continue;
        add(a, "definition-test", object_of(a, "oidc_server", rows.cell[i][0]), p2p_rows_int(&rows, i, 4),
            apr_psprintf(a->p, "The last test of %s did not go well. Mend its definition, or what that leads to, and have it tested again.", rows.cell[i][1]));
        count++;
    }
    return NULL;
}

p2p_error_t *p2p_attention(p2p_db_t *db, apr_pool_t *p, const p2p_spec_t *spec, apr_time_t now, int runners, json_object **list)
{
    attention_t a = {db, p, spec, now, p2p_json_own(p, json_object_new_array())};

    *list = a.list;
    P2P_TRY(look_at_runners(&a, runners));
    P2P_TRY(look_at_hold(&a));
    P2P_TRY(look_at_subscription(&a));
    P2P_TRY(look_at_searches(&a));
    P2P_TRY(look_at_issuers(&a));
    P2P_TRY(look_at_failed(&a));
    P2P_TRY(look_at_mails(&a));
    return look_at_tests(&a);
}
