/* SPDX-License-Identifier: Apache-2.0 */
/* Back-off. */
#include "exchange/retry.h"

#include <openssl/rand.h>

#include "net/http.h"

#define RETRY_AFTER_MAX apr_time_from_sec(60)

int p2p_retry_status(int status)
{
    return status == 408 || status == 425 || status == 429 || status == 500 || (status >= 502 && status <= 504);
}

apr_interval_time_t p2p_retry_delay(int attempts, const apr_table_t *fields, apr_time_t now)
{
    apr_interval_time_t told = fields ? p2p_http_retry_after(fields, now, RETRY_AFTER_MAX) : -1;
    apr_interval_time_t delay = apr_time_from_msec(500) << (attempts < 6 ? attempts - 1 : 5);
    unsigned short random = 0x8000;

    if (told >= 0) return told;
    RAND_bytes((unsigned char *)&random, sizeof random);
    return delay * 3 / 4 + delay / 2 * random / 0xffff;
}
