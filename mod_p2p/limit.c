/* SPDX-License-Identifier: Apache-2.0 */
/* Counting requests in the memory that httpd's children share. */
#include "limit.h"

#include <http_protocol.h>
#include <apr_strings.h>

#include "base/clock.h"
#include "caller.h"
#include "mod_p2p.h"
#include "problem.h"
#include "shared.h"

/* A name and an address never meet, whatever somebody is called. */
static apr_uint64_t hash_of(request_rec *r, const p2p_shared_t *shared)
{
    const char *client = p2p_caller(r)->client;
    const char *who = *client ? apr_pstrcat(r->pool, "client ", client, NULL) : apr_pstrcat(r->pool, "address ", r->useragent_ip, NULL);

    return p2p_shared_hash(shared, who);
}

int p2p_limit_check(request_rec *r)
{
    const p2p_config_t *config = p2p_config(r->server);
    p2p_clock_t clock = p2p_clock_system();
    apr_interval_time_t wait;

    if (!config->rate_limit || !config->shared) return OK;
    wait = p2p_rate_take(config->shared->rates, P2P_SHARED_ROWS, hash_of(r, config->shared), config->rate_limit, clock.monotonic(clock.baton));
    if (!wait) return OK;
    apr_table_setn(r->err_headers_out, "Retry-After",
                   apr_psprintf(r->pool, "%d", (int)apr_time_sec(wait + APR_USEC_PER_SEC - 1)));
    return p2p_problem(r, HTTP_TOO_MANY_REQUESTS, NULL, NULL);
}
