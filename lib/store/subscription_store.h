/* SPDX-License-Identifier: Apache-2.0 */
/* The Subscription of a target, and the secret that its deliveries bring. */
#ifndef P2P_STORE_SUBSCRIPTION_STORE_H
#define P2P_STORE_SUBSCRIPTION_STORE_H

#include <apr_time.h>
#include "base/json.h"
#include "base/seal.h"
#include "store/db.h"

#define P2P_HOOK_SECRET_BYTES 32                         /* random; in base64url in the header */
#define P2P_HOOK_SECRET_BEFORE apr_time_from_sec(86400)  /* so long the old one is good after a rotation */

#define P2P_SUBSCRIPTION_ACTIVE "active"
#define P2P_SUBSCRIPTION_REFUSED "refused"

typedef struct p2p_subscription_t {
    const char *id;            /* at the target; "" until it is there */
    const char *status;        /* what it said there last; "refused" where the target takes none; "" not known yet */
    const char *fault;         /* a sentence; "" where all is well */
    const char *written;       /* fingerprints of what was asked for last and of what the target made of it; "" never */
    const char *secret;        /* opened; "" until it is made */
    const char *secret_before; /* opened; "" where there is none that is still good */
    apr_int64_t attempts;      /* how often in a row it was not as it should be */
    apr_time_t rotated, checked, due; /* the database's times; 0: never, due: now */
} p2p_subscription_t;

/* That of a target that delivers to endpoint (P2PHookURL); *subscription is NULL where nothing is known of it. */
p2p_error_t *p2p_subscription_get(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const char *target, const char *endpoint,
                                  p2p_subscription_t **subscription);

/* The same, with a new secret where there is none: of several callers the first one's. */
p2p_error_t *p2p_subscription_seed(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const char *target, const char *endpoint,
                                   p2p_subscription_t **subscription);

/* Gives it a new secret, which the next check, due at once, tells the target; the old one is good for P2P_HOOK_SECRET_BEFORE. Errors:
 * P2P_E_NOT_FOUND "no-subscription", P2P_E_CONFLICT "edit-conflict". */
p2p_error_t *p2p_subscription_rotate(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const char *target, const char *endpoint);

/* Notes what a check came to: id, status, fault, written and attempts of found; the next is due after so long. */
p2p_error_t *p2p_subscription_note(p2p_db_t *db, apr_pool_t *p, const char *target, const char *endpoint, const p2p_subscription_t *found,
                                   apr_interval_time_t next);

/* Notes that it cannot even be read, and when that is tried again. */
p2p_error_t *p2p_subscription_fault(p2p_db_t *db, apr_pool_t *p, const char *target, const char *endpoint, const char *fault,
                                    apr_interval_time_t next);

/* Is it to be checked now, or not there yet? */
p2p_error_t *p2p_subscription_due(p2p_db_t *db, apr_pool_t *p, const char *target, const char *endpoint, int *due);

/* Is it active, so that Tasks need not be searched for often? endpoint may be NULL. */
p2p_error_t *p2p_subscription_is_active(p2p_db_t *db, apr_pool_t *p, const char *target, const char *endpoint, int *active);

/* Is this one of its secrets? Takes the same time for any text of a length. */
int p2p_subscription_secret_is(const p2p_subscription_t *subscription, const char *text);

#endif
