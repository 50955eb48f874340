/* SPDX-License-Identifier: Apache-2.0 */
/* The table p2p_subscription. */
#include "store/subscription_store.h"

#include <string.h>
#include <apr_strings.h>
#include <openssl/crypto.h>
#include "base/encode.h"
#include "store/sealed.h"

#define TABLE "p2p_subscription"

static p2p_error_t *open_secret(apr_pool_t *p, const p2p_keyring_t *keyring, const char *column, const char *endpoint, const char *sealed,
                                const char **secret)
{
    return p2p_unseal_column(p, keyring, TABLE, apr_pstrcat(p, column, "/", endpoint, NULL), 0, sealed, secret);
}

static p2p_error_t *seal_secret(apr_pool_t *p, const p2p_keyring_t *keyring, const char *column, const char *endpoint, const char *secret,
                                const char **sealed)
{
    return p2p_seal_column(p, keyring, TABLE, apr_pstrcat(p, column, "/", endpoint, NULL), 0, secret, sealed);
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
    s->written = rows.cell[0][7];
    s->attempts = p2p_rows_int(&rows, 0, 8);
    s->due = p2p_rows_int(&rows, 0, 9);
    P2P_TRY(open_secret(p, keyring, "secret", endpoint, rows.cell[0][3], &s->secret));
    s->secret_before = "";
    if (now < s->rotated + P2P_HOOK_SECRET_BEFORE)
        P2P_TRY(open_secret(p, keyring, "secret_before", endpoint, rows.cell[0][4], &s->secret_before));
    *subscription = s;
    return NULL;
}

static p2p_error_t *make_secret(apr_pool_t *p, const p2p_keyring_t *keyring, const char *endpoint, const char **sealed)
{
    unsigned char bytes[P2P_HOOK_SECRET_BYTES];
    p2p_error_t *error = p2p_random(p, bytes, sizeof bytes);

    if (!error) error = seal_secret(p, keyring, "secret", endpoint, p2p_base64url_encode(p, bytes, sizeof bytes), sealed);
    OPENSSL_cleanse(bytes, sizeof bytes);
    return error;
}

p2p_error_t *p2p_subscription_seed(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const char *target, const char *endpoint,
                                   p2p_subscription_t **subscription)
{
    const char *sealed;

    P2P_TRY(p2p_subscription_get(db, p, keyring, target, endpoint, subscription));
    if (*subscription) return NULL;
    P2P_TRY(make_secret(p, keyring, endpoint, &sealed));
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_SUBSCRIPTION_INSERT, NULL, target, endpoint, sealed));
    P2P_TRY(p2p_subscription_get(db, p, keyring, target, endpoint, subscription));
    if (*subscription) return NULL;
    return p2p_error_make(p, P2P_E_UNAVAILABLE, "database-away", "The hook's secret could not be stored.");
}

p2p_error_t *p2p_subscription_rotate(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const char *target, const char *endpoint)
{
    const char *secret, *made, *before;
    p2p_rows_t rows;
    int changed;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_SUBSCRIPTION_GET, &rows, target, endpoint));
    if (!rows.count)
        return p2p_error_make(p, P2P_E_NOT_FOUND, "no-subscription", "The hook of this P2PHookURL has no secret yet; a runner makes it.");
    P2P_TRY(open_secret(p, keyring, "secret", endpoint, rows.cell[0][3], &secret));
    P2P_TRY(seal_secret(p, keyring, "secret_before", endpoint, secret, &before));
    P2P_TRY(make_secret(p, keyring, endpoint, &made));
    P2P_TRY(p2p_db_exec(db, p, P2P_SQL_SUBSCRIPTION_ROTATE, &changed, made, before, target, endpoint, rows.cell[0][3]));
    if (changed) return NULL;
    return p2p_error_make(p, P2P_E_CONFLICT, "edit-conflict", "The secret was changed by somebody else just now; try again.");
}

p2p_error_t *p2p_subscription_note(p2p_db_t *db, apr_pool_t *p, const char *target, const char *endpoint, const p2p_subscription_t *found,
                                   apr_interval_time_t next)
{
    return p2p_db_exec(db, p, P2P_SQL_SUBSCRIPTION_NOTE, NULL, found->id, found->status, found->fault, found->written, found->attempts,
                       (apr_int64_t)next, target, endpoint);
}

p2p_error_t *p2p_subscription_fault(p2p_db_t *db, apr_pool_t *p, const char *target, const char *endpoint, const char *fault,
                                    apr_interval_time_t next)
{
    return p2p_db_exec(db, p, P2P_SQL_SUBSCRIPTION_FAULT, NULL, fault, (apr_int64_t)next, target, endpoint);
}

p2p_error_t *p2p_subscription_due(p2p_db_t *db, apr_pool_t *p, const char *target, const char *endpoint, int *due)
{
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_SUBSCRIPTION_LATER, &rows, target, endpoint));
    *due = !p2p_rows_int(&rows, 0, 0);
    return NULL;
}

p2p_error_t *p2p_subscription_is_active(p2p_db_t *db, apr_pool_t *p, const char *target, const char *endpoint, int *active)
{
    p2p_rows_t rows;

    *active = 0;
    if (!endpoint) return NULL;
    P2P_TRY(p2p_db_select(db, p, P2P_SQL_SUBSCRIPTION_IN, &rows, target, endpoint, P2P_SUBSCRIPTION_ACTIVE));
    *active = p2p_rows_int(&rows, 0, 0) > 0;
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
