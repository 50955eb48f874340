/* SPDX-License-Identifier: Apache-2.0 */
/* The memory that httpd's children share. */
#include "shared.h"

#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <apr_general.h>
#include <apr_shm.h>
#include <apr_siphash.h>
#include <apr_strings.h>

#include "mod_p2p.h"

APLOG_USE_MODULE(p2p);

/* In the process pool: children of before a restart share it with those of after it. A program that lays it out in another way has another
 * name for it. */
static const char *key_of(apr_pool_t *p)
{
    return apr_psprintf(p, "p2p_shared_1_%" APR_SIZE_T_FMT, sizeof(p2p_shared_t));
}

static apr_status_t make(apr_pool_t *process, p2p_shared_t **shared)
{
    apr_shm_t *shm;
    apr_status_t rv = apr_shm_create(&shm, sizeof **shared, NULL, process);

    if (rv) return rv;
    *shared = apr_shm_baseaddr_get(shm);
    memset(*shared, 0, sizeof **shared);
    (*shared)->generation = 1;
    return apr_generate_random_bytes((*shared)->hash_key, sizeof (*shared)->hash_key);
}

int p2p_shared_open(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    p2p_config_t *config = p2p_config(s);
    apr_pool_t *process = s->process->pool;
    const char *key = key_of(process);
    void *found = NULL;
    apr_status_t rv;

    (void)pconf, (void)plog, (void)ptemp;
    if ((!config->handler_used && !config->inject.used) || ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) return OK;
    apr_pool_userdata_get(&found, key, process);
    config->shared = found;
    if (found) return OK;
    rv = make(process, &config->shared);
    if (!rv) {
        apr_pool_userdata_setn(config->shared, key, apr_pool_cleanup_null, process);
        return OK;
    }
    config->shared = NULL;
    ap_log_error(APLOG_MARK, APLOG_WARNING, rv, s, "no memory that httpd's children could share: P2PRateLimit counts nothing, and every "
                 "definition is read from the database each time");
    return OK;
}

void p2p_shared_bump(const server_rec *s)
{
    p2p_shared_t *shared = p2p_config(s)->shared;

    if (shared) __atomic_add_fetch(&shared->generation, 1, __ATOMIC_ACQ_REL);
}

apr_uint64_t p2p_shared_generation(const server_rec *s)
{
    const p2p_shared_t *shared = p2p_config(s)->shared;

    return shared ? __atomic_load_n(&shared->generation, __ATOMIC_ACQUIRE) : 0;
}

apr_uint64_t p2p_shared_hash(const p2p_shared_t *shared, const char *text)
{
    return apr_siphash24(text, strlen(text), shared->hash_key);
}
