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
static const char *name_of(request_rec *r)
{
    const char *client = p2p_caller(r)->client;

    return *client ? apr_pstrcat(r->pool, "client ", client, NULL) : apr_pstrcat(r->pool, "address ", r->useragent_ip, NULL);
}

int p2p_limit_take(request_rec *r, const char *who, int per_second)
{
    p2p_shared_t *shared = p2p_config(r->server)->shared;
    p2p_clock_t clock = p2p_clock_system();
    apr_interval_time_t wait;

    if (!shared) return OK;
    wait = p2p_rate_take(shared->rates, P2P_SHARED_ROWS, p2p_shared_hash(shared, who), per_second, clock.monotonic(clock.baton));
    if (!wait) return OK;
    apr_table_setn(r->err_headers_out, "Retry-After",
                   apr_psprintf(r->pool, "%d", (int)apr_time_sec(wait + APR_USEC_PER_SEC - 1)));
    return p2p_problem(r, HTTP_TOO_MANY_REQUESTS, NULL, NULL);
}

int p2p_limit_check(request_rec *r)
{
    int limit = p2p_config(r->server)->rate_limit;

    return limit ? p2p_limit_take(r, name_of(r), limit) : OK;
}
