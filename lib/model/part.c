/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds of requests, and the sums of parts. */
#include "model/part.h"

#include <string.h>

int p2p_request_is_again(const char *kind)
{
    return !strcmp(kind, P2P_REQUEST_AGAIN) || !strcmp(kind, P2P_REQUEST_AGAIN_ALL);
}

void p2p_part_count(p2p_job_counts_t *sum, const p2p_part_t *part)
{
    sum->retrieved += part->retrieved;
    sum->written += part->written;
    sum->duplicate += part->duplicate;
    sum->skipped += part->skipped;
    sum->rejected += part->rejected;
}

void p2p_part_count_landed(p2p_job_counts_t *sum, const p2p_part_t *part)
{
    p2p_part_count(sum, part);
    sum->parts++;
    sum->bytes += part->bytes;
}
