/* SPDX-License-Identifier: Apache-2.0 */
/* Key sets of issuers, and who fetches them when. */
#include "store/jwks_store.h"

#include "store/chore_store.h"

p2p_error_t *p2p_jwks_get(p2p_db_t *db, apr_pool_t *p, const char *issuer, p2p_jwks_t **jwks)
{
    p2p_jwks_t *found;
    p2p_rows_t rows;

    *jwks = NULL;
    P2P_TRY(p2p_db_select(db, p, P2P_SQL_JWKS_GET, &rows, issuer));
    if (!rows.count) return NULL;
    found = apr_pcalloc(p, sizeof *found);
    found->issuer = rows.cell[0][0];
    found->document = rows.cell[0][1];
    found->introspection_endpoint = rows.cell[0][2];
    found->fault = rows.cell[0][3];
    found->fetched = p2p_rows_int(&rows, 0, 4);
    found->version = p2p_rows_int(&rows, 0, 5);
    found->source = rows.cell[0][6];
    found->authorization_endpoint = rows.cell[0][7];
    found->token_endpoint = rows.cell[0][8];
    found->names_issuer = p2p_rows_int(&rows, 0, 9) != 0;
    *jwks = found;
    return NULL;
}

p2p_error_t *p2p_jwks_save(p2p_db_t *db, apr_pool_t *p, const p2p_jwks_t *jwks)
{
    if (jwks->fault && *jwks->fault) return p2p_db_exec(db, p, P2P_SQL_JWKS_FAULT, NULL, jwks->issuer, jwks->fault);
    return p2p_db_exec(db, p, P2P_SQL_JWKS_SAVE, NULL, jwks->issuer, jwks->source, jwks->document, jwks->introspection_endpoint,
                       jwks->authorization_endpoint, jwks->token_endpoint, (apr_int64_t)jwks->names_issuer);
}

/* A flood of tokens with unknown keys only reads: one caller a minute gets beyond the first question. */
static p2p_error_t *ask(p2p_db_t *db, apr_pool_t *p, const p2p_chore_order_t *order, apr_interval_time_t age, int *asked)
{
    apr_int64_t rest = P2P_JWKS_REST;
    p2p_chore_t *chore;
    p2p_rows_t rows;
    int again;

    *asked = 0;
    P2P_TRY(p2p_db_select(db, p, P2P_SQL_JWKS_RESTS, &rows, order->subject, rest, (apr_int64_t)age));
    if (p2p_rows_int(&rows, 0, 0)) return NULL;
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_JWKS_ASK, asked, order->subject, rest, (apr_int64_t)age));
    if (!*asked) return NULL;
    P2P_TRY(p2p_chore_enqueue(db, p, order, &chore, &again));
    *asked = !again;
    return NULL;
}

p2p_error_t *p2p_jwks_ask(p2p_db_t *db, apr_pool_t *p, const char *target, const char *issuer, int *asked)
{
    p2p_chore_order_t order = {.kind = P2P_KIND_REFRESH, .target = target, .subject = issuer, .client = ""};

    return ask(db, p, &order, P2P_JWKS_REST, asked);
}

p2p_error_t *p2p_jwks_ask_old(p2p_db_t *db, apr_pool_t *p, const char *target, const char *issuer, int *asked)
{
    p2p_chore_order_t order = {.kind = P2P_KIND_REFRESH, .target = target, .subject = issuer, .client = ""};

    return ask(db, p, &order, P2P_JWKS_AGE, asked);
}
