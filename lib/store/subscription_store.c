/* SPDX-License-Identifier: Apache-2.0 */
/* The table p2p_subscription. */
#include "store/subscription_store.h"

#include <string.h>
#include <apr_strings.h>
#include <openssl/crypto.h>
#include "store/sealed.h"

#define TABLE "p2p_subscription"

static p2p_error_t *open_secret(apr_pool_t *p, const p2p_keyring_t *keyring, const char *column, const char *endpoint, const char *sealed,
                                const char **secret)
{
    return p2p_unseal_column(p, keyring, TABLE, apr_pstrcat(p, column, "/", endpoint, NULL), 0, sealed, secret);
}

p2p_error_t *p2p_subscription_get(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const char *target, const char *endpoint,
                                  p2p_subscription_t **subscription)
{
    p2p_subscription_t *s = apr_pcalloc(p, sizeof *s);
    apr_time_t now;
    p2p_rows_t rows;

    *subscription = NULL;
    P2P_TRY(p2p_db_select(db, p, P2P_SQL_SUBSCRIPTION_GET, &rows, target, endpoint));
    if (!rows.count) return NULL;
    P2P_TRY(p2p_db_now(db, p, &now));
    s->id = rows.cell[0][0];
    s->status = rows.cell[0][1];
    s->fault = rows.cell[0][2];
    s->rotated = p2p_rows_int(&rows, 0, 5);
    s->checked = p2p_rows_int(&rows, 0, 6);
    P2P_TRY(open_secret(p, keyring, "secret", endpoint, rows.cell[0][3], &s->secret));
    s->secret_before = "";
    if (now < s->rotated + P2P_HOOK_SECRET_BEFORE)
        P2P_TRY(open_secret(p, keyring, "secret_before", endpoint, rows.cell[0][4], &s->secret_before));
    *subscription = s;
    return NULL;
}

static int is(const char *secret, const char *text, apr_size_t len)
{
    return *secret && strlen(secret) == len && !CRYPTO_memcmp(secret, text, len);
}

int p2p_subscription_secret_is(const p2p_subscription_t *subscription, const char *text)
{
    apr_size_t len = strlen(text);

    return is(subscription->secret, text, len) | is(subscription->secret_before, text, len);
}
