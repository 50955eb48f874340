/* SPDX-License-Identifier: Apache-2.0 */
/* The Subscription of a target, and the secret that its deliveries bring. */
#ifndef P2P_STORE_SUBSCRIPTION_STORE_H
#define P2P_STORE_SUBSCRIPTION_STORE_H

#include <apr_time.h>
#include "base/seal.h"
#include "store/db.h"

#define P2P_HOOK_SECRET_BYTES 32                         /* random; in base64url in the header */
#define P2P_HOOK_SECRET_BEFORE apr_time_from_sec(86400)  /* so long the old one is good after a rotation */

typedef struct p2p_subscription_t {
    const char *id;            /* at the target; "" until it is there */
    const char *status;        /* what it said there last; "refused" where the target takes none; "" not known yet */
    const char *fault;         /* a sentence; "" where all is well */
    const char *secret;        /* opened; "" until it is made */
    const char *secret_before; /* opened; "" where there is none that is still good */
    apr_time_t rotated, checked; /* the database's times; 0: never */
} p2p_subscription_t;

/* That of a target that delivers to endpoint (P2PHookURL); *subscription is NULL where nothing is known of it. */
p2p_error_t *p2p_subscription_get(p2p_db_t *db, apr_pool_t *p, const p2p_keyring_t *keyring, const char *target, const char *endpoint,
                                  p2p_subscription_t **subscription);

/* Is this one of its secrets? Takes the same time for any text of a length. */
int p2p_subscription_secret_is(const p2p_subscription_t *subscription, const char *text);

#endif
