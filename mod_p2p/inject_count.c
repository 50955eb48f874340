/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of the source role. */
#include "inject_count.h"

#include <http_log.h>
#include <http_protocol.h>
#include <mod_status.h>

#include "mod_p2p.h"
#include "shared.h"

APLOG_USE_MODULE(p2p);

/* In the log and in mod_status. */
static const char *word(int reason)
{
    static const char *const words[] = { "status", "type", "encoding", "form", "backend" };

    return reason < P2P_INJECT_WHY ? words[reason] : p2p_injection_why_word((p2p_injection_why_t)(reason - P2P_INJECT_WHY));
}

void p2p_inject_count(request_rec *r, int reason)
{
    p2p_shared_t *shared = p2p_config(r->server)->shared;

    if (shared) __atomic_add_fetch(&shared->injected[reason], 1, __ATOMIC_RELAXED);
    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, "Provenance asked for: %s", word(reason));
}

int p2p_inject_status(request_rec *r, int flags)
{
    const p2p_config_t *config = p2p_config(r->server);
    const char *format = flags & AP_STATUS_SHORT ? "P2PProvenance %s: %" APR_UINT64_T_FMT "\n" : "<dt>%s: %" APR_UINT64_T_FMT "</dt>\n";

    if (!config->inject.used || !config->shared) return OK;
    if (!(flags & AP_STATUS_SHORT)) ap_rputs("<hr />\n<h2>mod_p2p: answers that Provenance was asked for</h2>\n<dl>\n", r);
    for (int i = 0; i < P2P_INJECT_REASONS; i++) {
        ap_rprintf(r, format, word(i), __atomic_load_n(&config->shared->injected[i], __ATOMIC_RELAXED));
    }
    if (!(flags & AP_STATUS_SHORT)) ap_rputs("</dl>\n", r);
    return OK;
}
