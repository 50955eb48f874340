/* SPDX-License-Identifier: Apache-2.0 */
/* The back-off of runners that die. */
#include "respawn.h"

#define QUICK apr_time_from_sec(60)
#define GOOD apr_time_from_sec(600)
#define LONGEST apr_time_from_sec(300)

apr_interval_time_t p2p_respawn_delay(p2p_respawn_t *respawn, apr_interval_time_t uptime, unsigned random)
{
    apr_interval_time_t delay = apr_time_from_sec(1);

    if (uptime >= GOOD) respawn->quick_deaths = 0;
    if (uptime > QUICK || !respawn->quick_deaths++) return 0;
    for (int i = 1; i < respawn->quick_deaths && delay < LONGEST; i++) delay *= 2;
    if (delay > LONGEST) delay = LONGEST;
    return delay - random % (delay / 2);
}
