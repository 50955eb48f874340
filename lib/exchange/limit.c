/* SPDX-License-Identifier: Apache-2.0 */
/* Was it the size, or one of the resources? Only the fate of all parts tells. */
#include "exchange/limit.h"

#include <stdlib.h>

/* Those that one refused Bundle was parted into. */
struct p2p_family_t {
    int alive, refused;
    int too_large;           /* the target called it so */
    apr_uint64_t bytes;      /* of the whole */
    int most;                /* entries that went in at once, */
    apr_uint64_t most_bytes; /* and their bytes */
};

void p2p_limit_parted(p2p_outgoing_t *outgoing, p2p_outgoing_t *second, int status)
{
    p2p_family_t *family = outgoing->family;

    if (!family) {
        family = calloc(1, sizeof *family);
        if (!family) abort();
        family->alive = 1;
        family->bytes = outgoing->bytes + second->bytes;
        family->too_large = status == 413;
        outgoing->family = family;
    }
    family->alive++;
    second->family = family;
}

void p2p_limit_shared(const p2p_outgoing_t *outgoing, p2p_outgoing_t *again)
{
    again->family = outgoing->family;
    if (again->family) again->family->alive++;
}

void p2p_limit_went_in(p2p_limit_t *limit, const p2p_outgoing_t *outgoing)
{
    p2p_family_t *family = outgoing->family;

    if (outgoing->bytes > limit->most_bytes) limit->most_bytes = outgoing->bytes;
    if (!family) return;
    if (outgoing->count > family->most) family->most = outgoing->count;
    if (outgoing->bytes > family->most_bytes) family->most_bytes = outgoing->bytes;
}

void p2p_limit_refused(const p2p_outgoing_t *outgoing)
{
    if (outgoing->family) outgoing->family->refused = 1;
}

static void conclude(p2p_limit_t *limit, const p2p_family_t *family)
{
    if (family->refused || !family->most) return;
    if (family->too_large && family->bytes > limit->most_bytes) {
        if (family->most_bytes < limit->bytes) limit->bytes = family->most_bytes;
    } else if (family->most < limit->entries) limit->entries = family->most; /* as many bytes as it had went in before */
}

void p2p_limit_ended(p2p_limit_t *limit, p2p_outgoing_t *outgoing)
{
    p2p_family_t *family = outgoing->family;

    outgoing->family = NULL;
    if (!family || --family->alive) return;
    conclude(limit, family);
    free(family);
}
