/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks and those who are told of them: search, meta, Subscriptions, deliveries. */
#ifndef P2P_SANDBOX_TOLD_H
#define P2P_SANDBOX_TOLD_H

#include <json-c/json.h>
#include "sandbox.h"

/* ---- task.c ---- */

/* Are its meta.versionId and meta.lastUpdated this server's? (Task and Subscription; all else is given out as it came.) */
int sandbox_has_meta(const sandbox_resource_t *res);
/* The bytes without those two, in the store; the same where they have none. */
sandbox_str_t sandbox_meta_drop(sandbox_store_t *store, sandbox_str_t bytes);
/* Appends a version as it is given out, those two put in. */
void sandbox_meta_add(p2p_buf_t *buf, const sandbox_version_t *version);
/* The same where they are to be put in, else the stored bytes. */
void sandbox_out_version(sandbox_out_t *out, const sandbox_resource_t *res, const sandbox_version_t *version);
/* Does the Task fit code, status, requester and owner, or the Subscription url, status, type and criteria, as far as args has them? */
int sandbox_told_fits(apr_pool_t *pool, const char *type, const sandbox_version_t *version, const char *args);
/* "" where the member is missing or no string; path: names with dots between. Owned by object. */
const char *sandbox_member(json_object *object, const char *path);
json_object *sandbox_read_json(const char *bytes, apr_size_t len); /* NULL where it is none */

/* ---- subscription.c ---- */

/* The status with which this type is refused, or 0. */
int sandbox_refuses(const sandbox_payer_t *payer, sandbox_str_t type);
/* A sentence where a Subscription of these bytes is none that this server serves, else NULL. */
const char *sandbox_subscription_fault(apr_pool_t *pool, sandbox_str_t bytes);
/* A new version of the resource is there: whoever is to be told will be. The store is locked for writing. */
void sandbox_tell(sandbox_apply_t *apply, sandbox_resource_t *res);
/* Changes the status of the Subscription (NULL: of all), where it is from (NULL: any); counts them. Locks the payer's store. */
int sandbox_subscription_set(sandbox_payer_t *payer, const char *key, const char *from, const char *status);
int sandbox_subscriptions(sandbox_call_t *call); /* control */

/* ---- deliver.c ---- */

typedef enum { SANDBOX_TELL_PUT, SANDBOX_TELL_POST, SANDBOX_TELL_EMPTY, SANDBOX_TELL_BUNDLE } sandbox_form_t;

/* One way to be told, made by sandbox_delivery_make, then filled in (texts by strdup) and given to sandbox_deliver. */
typedef struct sandbox_delivery_t sandbox_delivery_t;
struct sandbox_delivery_t {
    sandbox_delivery_t *next;
    apr_time_t due;
    char *subscription;                  /* Subscription/id */
    char *task;                          /* Task/id; NULL: the Subscription is to become active */
    char *url, *body;
    const char *method;
    struct curl_slist *headers;
    int tries;
};

/* put, post, empty, bundle, whole, thrice or half, several with a blank between; 0 where it is none. */
int sandbox_delivery_read(const char *words, sandbox_payer_t *payer);
void sandbox_deliveries_make(sandbox_payer_t *payer, apr_pool_t *pool);
/* In the child: its threads end with the pool. */
void sandbox_deliveries_begin(sandbox_payer_t *payer, apr_pool_t *pchild);
sandbox_delivery_t *sandbox_delivery_make(const char *subscription, const char *task);
void sandbox_delivery_header(sandbox_delivery_t *delivery, const char *line);
void sandbox_delivery_free(sandbox_delivery_t *delivery);
/* Takes it over, to be made ms from now on. */
void sandbox_deliver(sandbox_payer_t *payer, sandbox_delivery_t *delivery, int ms);
void sandbox_deliveries_drop(sandbox_payer_t *payer); /* those that wait */
int sandbox_deliveries(sandbox_call_t *call);         /* control */

#endif
