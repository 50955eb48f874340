/* SPDX-License-Identifier: Apache-2.0 */
/* mod_p2p_sandbox: a FHIR R4 payer for quickstart, tests and benchmarks, never for production. */
#include <malloc.h>
#include <curl/curl.h>
#include "door.h"
#include "search.h"
#include "told.h"

static int pre_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    (void)plog;
    (void)ptemp;
    sandbox_payers = apr_array_make(pconf, 4, sizeof(sandbox_payer_t *));
    return OK;
}

static int start_payer(sandbox_payer_t *payer, apr_pool_t *pool, server_rec *s)
{
    const char *fault;

    apr_thread_mutex_create(&payer->mutex, APR_THREAD_MUTEX_DEFAULT, pool);
    sandbox_tokens_make(payer, pool);
    sandbox_faults_make(payer, pool);
    sandbox_log_make(payer, pool);
    sandbox_deliveries_make(payer, pool);
    sandbox_asks_make(payer, pool);
    payer->store = sandbox_store_make();
    fault = sandbox_load_all(payer, payer->store, pool);
    if (!fault) fault = sandbox_portal_make(payer, pool);
    if (!fault && !sandbox_key_make(payer, pool)) fault = "OpenSSL made no key";
    if (!fault) return 1;
    ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s, "sandbox payer %s cannot load: %s", payer->name, fault);
    return 0;
}

/* Loaded in the parent, which can still read what only root can: the one child gets it all with the fork. */
static int post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    (void)plog;
    (void)ptemp;
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) return OK;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    mallopt(M_MMAP_THRESHOLD, 16 << 20); /* bodies and pages come and go: their memory stays */
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
    for (int i = 0; i < sandbox_payers->nelts; i++)
        if (!start_payer(APR_ARRAY_IDX(sandbox_payers, i, sandbox_payer_t *), pconf, s))
            return HTTP_INTERNAL_SERVER_ERROR;
    return OK;
}

static void child_init(apr_pool_t *pchild, server_rec *s)
{
    (void)s;
    for (int i = 0; i < sandbox_payers->nelts; i++)
        sandbox_deliveries_begin(APR_ARRAY_IDX(sandbox_payers, i, sandbox_payer_t *), pchild);
}

typedef struct sandbox_hold_t {
    sandbox_payer_t *payer;
    sandbox_store_t *store;
} sandbox_hold_t;

static void let_go(sandbox_payer_t *payer, sandbox_store_t *store)
{
    int left;

    apr_thread_mutex_lock(payer->mutex);
    left = --store->refs;
    apr_thread_mutex_unlock(payer->mutex);
    if (!left) sandbox_store_free(store);
}

static apr_status_t release(void *data)
{
    sandbox_hold_t *hold = data;

    let_go(hold->payer, hold->store);
    return APR_SUCCESS;
}

sandbox_store_t *sandbox_store_hold(sandbox_payer_t *payer, apr_pool_t *pool)
{
    sandbox_hold_t *hold = apr_palloc(pool, sizeof(*hold));

    apr_thread_mutex_lock(payer->mutex);
    hold->payer = payer;
    hold->store = payer->store;
    hold->store->refs++;
    apr_thread_mutex_unlock(payer->mutex);
    apr_pool_cleanup_register(pool, hold, release, apr_pool_cleanup_null);
    return hold->store;
}

void sandbox_store_swap(sandbox_payer_t *payer, sandbox_store_t *fresh)
{
    sandbox_store_t *old;

    apr_thread_mutex_lock(payer->mutex);
    old = payer->store;
    payer->store = fresh;
    apr_thread_mutex_unlock(payer->mutex);
    let_go(payer, old);
}

/* What follows prefix in path, or NULL where path is neither it nor below it. */
static const char *below(const char *path, const char *prefix)
{
    apr_size_t len = strlen(prefix);

    if (strncmp(path, prefix, len) != 0) return NULL;
    return path[len] == '/' || !path[len] ? path + len : NULL;
}

static int is_open(const char *path)
{
    return strcmp(path, "/metadata") == 0 || strncmp(path, "/.well-known/", 13) == 0;
}

static int serve_fhir(sandbox_call_t *call)
{
    int refused;

    if (!is_open(call->path)) {
        refused = sandbox_token_check(call);
        if (refused) return sandbox_outcome(call, refused, "a valid access token is needed");
    }
    switch (call->r->method_number) {
    case M_GET: return sandbox_get(call);
    case M_POST:
    case M_PUT:
    case M_DELETE: return sandbox_write(call);
    default: return sandbox_outcome(call, HTTP_METHOD_NOT_ALLOWED, "not with this method");
    }
}

static int ends(const char *path, const char *suffix)
{
    apr_size_t len = strlen(path), tail = strlen(suffix);

    return len >= tail && strcmp(path + len - tail, suffix) == 0;
}

/* What stands beside the FHIR base: 1 where it is this that is asked for. */
static int serve_door(sandbox_call_t *call, int *rv)
{
    sandbox_payer_t *payer = call->payer;
    const char *uri = call->r->uri, *what = payer->portal_path ? below(uri, payer->portal_path) : NULL;

    if ((strcmp(uri, payer->token_path) == 0 || strstr(uri, "/.well-known/")) && sandbox_cors(call, rv)) return 1;
    if (strcmp(uri, payer->token_path) == 0) *rv = sandbox_token_endpoint(call);
    else if (strcmp(uri, sandbox_beside_token(call, "authorize")) == 0) *rv = sandbox_authorize(call);
    else if (strcmp(uri, sandbox_beside_token(call, "authorize.css")) == 0) *rv = sandbox_authorize_style(call);
    else if (strcmp(uri, sandbox_beside_token(call, "jwks")) == 0) *rv = sandbox_jwks(call);
    else if (ends(uri, "/.well-known/openid-configuration")) *rv = sandbox_well_known(call, 0);
    else if (what) *rv = sandbox_portal(call, what);
    else return 0;
    return 1;
}

static int serve(sandbox_call_t *call)
{
    sandbox_payer_t *payer = call->payer;
    int rv;

    sandbox_faults_meet(call);
    if (payer->delay_ms) sandbox_sleep(call->r, payer->delay_ms);
    if (sandbox_faults_before(call, &rv)) return rv;
    if (serve_door(call, &rv)) return rv;
    call->path = below(call->r->uri, payer->base);
    if (!call->path) return sandbox_outcome(call, HTTP_NOT_FOUND, "HAPI-0302: Unknown resource path");
    return serve_fhir(call);
}

static int handler(request_rec *r)
{
    sandbox_conf_t *conf = ap_get_module_config(r->per_dir_config, &p2p_sandbox_module);
    sandbox_call_t *call;
    const char *what;
    int rv;

    if (!r->handler || strcmp(r->handler, "p2p-sandbox") != 0) return DECLINED;
    if (!conf->payer) return HTTP_INTERNAL_SERVER_ERROR;
    call = apr_pcalloc(r->pool, sizeof(*call));
    call->r = r;
    call->payer = conf->payer;
    call->path = "";
    r->request_time += apr_time_from_sec(conf->payer->clock_s); /* what httpd makes the Date header of */
    call->store = sandbox_store_hold(conf->payer, r->pool);
    what = below(r->uri, conf->payer->control_path);
    if (what) return sandbox_control(call, what);
    sandbox_log_begin(call);
    rv = serve(call);
    sandbox_log_end(call, rv == OK ? r->status : rv, 0);
    return rv;
}

/* No file stands behind a payer's URLs: nothing is to be looked for. */
static int no_file(request_rec *r)
{
    sandbox_conf_t *conf = ap_get_module_config(r->per_dir_config, &p2p_sandbox_module);

    if (!conf->payer) return DECLINED;
    r->filename = r->uri;
    return OK;
}

static void *make_conf(apr_pool_t *p, char *dir)
{
    (void)dir;
    return apr_pcalloc(p, sizeof(sandbox_conf_t));
}

static void *merge_conf(apr_pool_t *p, void *above, void *here)
{
    sandbox_conf_t *conf = apr_palloc(p, sizeof(*conf));

    conf->payer = ((sandbox_conf_t *)here)->payer;
    if (!conf->payer) conf->payer = ((sandbox_conf_t *)above)->payer;
    return conf;
}

static void register_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_pre_config(pre_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(post_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(child_init, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_translate_name(no_file, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_map_to_storage(no_file, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_handler(handler, NULL, NULL, APR_HOOK_FIRST);
}

AP_DECLARE_MODULE(p2p_sandbox) = {
    STANDARD20_MODULE_STUFF, make_conf, merge_conf, NULL, NULL, sandbox_commands, register_hooks, 0};
