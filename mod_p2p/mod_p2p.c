/* SPDX-License-Identifier: Apache-2.0 */
/* mod_p2p: the module's record and its hooks. A request goes route, body, handler, reply or problem. */
#include "mod_p2p.h"

#include <http_config.h>
#include <http_protocol.h>
#include <http_request.h>
#include <mpm_common.h>

#include "audit.h"
#include "auth.h"
#include "check.h"
#include "config.h"
#include "cors.h"
#include "definition_cache.h"
#include "hook_secret.h"
#include "inject.h"
#include "introspect.h"
#include "overview_cache.h"
#include "pages.h"
#include "poll_cache.h"
#include "problem.h"
#include "route.h"
#include "shared.h"
#include "sign_in.h"
#include "supervise.h"

static void register_hooks(apr_pool_t *p)
{
    ap_hook_check_config(p2p_check_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_test_config(p2p_dump_spec, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(p2p_shared_open, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(p2p_pages_open, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(p2p_supervise_start, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_monitor(p2p_supervise_monitor, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(p2p_supervise_child, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(p2p_introspect_child, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(p2p_definition_cache_child, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(p2p_overview_cache_child, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(p2p_poll_child, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(p2p_hook_secret_child, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(p2p_sign_in_child, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_translate_name(p2p_route_translate, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_map_to_storage(p2p_route_no_file, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_type_checker(p2p_route_no_file, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_handler(p2p_route_handle, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_log_transaction(p2p_audit_log, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_insert_error_filter(p2p_problem_insert, NULL, NULL, APR_HOOK_LAST);
    p2p_cors_register();
    p2p_problem_register();
    p2p_auth_register(p);
    p2p_inject_register();
}

AP_DECLARE_MODULE(p2p) = {
    STANDARD20_MODULE_STUFF, p2p_dir_create, p2p_dir_merge, p2p_config_create, p2p_config_merge, p2p_commands,
    register_hooks, AP_MODULE_FLAG_NONE
};
