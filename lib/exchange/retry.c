/* SPDX-License-Identifier: Apache-2.0 */
/* Back-off. */
#include "exchange/retry.h"

#include <openssl/rand.h>

#include "net/http.h"

#define FIRST apr_time_from_msec(500)
#define LONGEST apr_time_from_sec(300)
#define DOUBLINGS 10 /* lead beyond LONGEST */
#define TOLD_MAX apr_time_from_sec(60) /* of Retry-After, where attempts are counted */

int p2p_retry_status(int status)
{
    return p2p_http_may_pass(status);
}

static unsigned system_random(void *baton)
{
    unsigned short random = 0x8000;

    (void)baton;
    RAND_bytes((unsigned char *)&random, sizeof random);
    return random;
}

/* Three to five quarters of the delay. */
static apr_interval_time_t back_off(int attempts, unsigned random)
{
    apr_interval_time_t delay = FIRST << (attempts < 1 ? 0 : attempts > DOUBLINGS ? DOUBLINGS : attempts - 1);

    if (delay > LONGEST) delay = LONGEST;
    return delay * 3 / 4 + delay / 2 * random / 0xffff;
}

static apr_time_t monotonic(const p2p_trouble_t *trouble)
{
    return trouble->clock->monotonic(trouble->clock->baton);
}

apr_interval_time_t p2p_trouble_lasting(const p2p_trouble_t *trouble)
{
    return trouble->is_on ? monotonic(trouble) - trouble->since : 0;
}

void p2p_trouble_recall(p2p_trouble_t *trouble, apr_interval_time_t lasting)
{
    trouble->is_on = trouble->is_recalled = lasting > 0;
    trouble->since = monotonic(trouble) - lasting;
}

void p2p_trouble_over(p2p_trouble_t *trouble)
{
    if (!trouble->is_recalled) trouble->is_on = 0;
}

void p2p_trouble_landed(p2p_trouble_t *trouble)
{
    trouble->is_on = trouble->is_recalled = 0;
}

/* How long it may last from now on; nothing where that is over. */
static apr_interval_time_t begin_or_go_on(p2p_trouble_t *trouble, int attempts)
{
    if (!trouble->lasts) return attempts < P2P_ATTEMPTS ? TOLD_MAX : 0;
    if (!trouble->is_on) trouble->since = monotonic(trouble);
    trouble->is_on = 1;
    return trouble->lasts - p2p_trouble_lasting(trouble);
}

int p2p_trouble_next(p2p_trouble_t *trouble, int attempts, const apr_table_t *fields, apr_interval_time_t *delay)
{
    apr_time_t now = trouble->clock->now(trouble->clock->baton);
    unsigned random = trouble->random ? trouble->random(trouble->random_baton) : system_random(NULL);
    apr_interval_time_t left = begin_or_go_on(trouble, attempts), told;

    if (left <= 0) return 0;
    told = p2p_http_retry_after(fields, now, left);
    trouble->why = told >= 0 ? P2P_TROUBLE_ASKS : P2P_TROUBLE_FAILS;
    *delay = told >= 0 ? told : back_off(attempts, random);
    if (*delay < FIRST / 2) *delay = FIRST; /* a peer that says "at once" each time is not taken at its word */
    if (*delay > left) *delay = left;
    return 1;
}
