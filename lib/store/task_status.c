/* SPDX-License-Identifier: Apache-2.0 */
/* Status, as far as Tasks are concerned. */
#include "store/task_status.h"

#include <string.h>

#include "store/subscription_store.h"

static void add_text(json_object *object, const char *name, const char *text)
{
    p2p_json_add_str(object, name, *text ? text : NULL);
}

/* *said: what the target said last; "" where nobody has asked it yet. */
static p2p_error_t *add_subscription(p2p_db_t *db, apr_pool_t *p, const char *target, const char *hook_url, json_object *status, const char **said)
{
    json_object *one;
    p2p_rows_t rows;

    *said = "";
    json_object_object_add(status, "subscription", NULL);
    if (!hook_url) return NULL;
    P2P_TRY(p2p_db_select(db, p, P2P_SQL_SUBSCRIPTION_STATUS, &rows, target, hook_url));
    if (rows.count) *said = rows.cell[0][0];
    one = json_object_new_object();
    json_object_object_add(status, "subscription", one);
    p2p_json_add_str(one, "endpoint", hook_url);
    add_text(one, "status", *said);
    add_text(one, "fault", rows.count ? rows.cell[0][1] : "");
    p2p_json_add_time(one, "checked", rows.count ? p2p_rows_int(&rows, 0, 2) : 0);
    return NULL;
}

static p2p_error_t *add_search(p2p_db_t *db, apr_pool_t *p, const char *target, json_object *status)
{
    p2p_rows_t rows;

    P2P_TRY(p2p_db_select(db, p, P2P_SQL_WATCH_STATUS, &rows, target));
    p2p_json_add_time(status, "lastSearch", rows.count ? p2p_rows_int(&rows, 0, 0) : 0);
    add_text(status, "fault", rows.count ? rows.cell[0][1] : "");
    P2P_TRY(p2p_db_select(db, p, P2P_SQL_HINT_COUNT, &rows, target));
    p2p_json_add_int(status, "waiting", p2p_rows_int(&rows, 0, 0));
    return NULL;
}

static const char *why_polling(const char *hook_url, const char *said)
{
    if (!hook_url) return "There is no P2PHookURL.";
    if (!strcmp(said, P2P_SUBSCRIPTION_REFUSED)) return "The target takes no Subscription.";
    return "The Subscription is not active.";
}

p2p_error_t *p2p_task_status(p2p_db_t *db, apr_pool_t *p, const char *target, const char *hook_url, int has_mail, json_object **status)
{
    json_object *made = p2p_json_own(p, json_object_new_object());
    const char *said;
    int is_active;

    *status = made;
    p2p_json_add_str(made, "way", "off");
    P2P_TRY(add_subscription(db, p, target, hook_url, made, &said));
    is_active = !strcmp(said, P2P_SUBSCRIPTION_ACTIVE);
    if (hook_url || has_mail) p2p_json_add_str(made, "way", is_active ? "subscription" : "polling");
    if ((hook_url || has_mail) && !is_active) p2p_json_add_str(made, "why", why_polling(hook_url, said));
    return add_search(db, p, target, made);
}
