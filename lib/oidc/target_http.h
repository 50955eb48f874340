/* SPDX-License-Identifier: Apache-2.0 */
/* The way to the target: a loop like the one below it, whose requests carry what P2PTargetAuth says. */
#ifndef P2P_OIDC_TARGET_HTTP_H
#define P2P_OIDC_TARGET_HTTP_H

#include "base/clock.h"
#include "model/spec.h"
#include "net/http.h"

/* Makes one in p on the loop given, which must outlive it; requests started with it are cancelled and resumed
 * with it, and name no auth of their own. Timers and poll are the loop's.
 *
 * With client credentials all requests share one access token, fetched when one needs it and renewed ahead of
 * its end; requests wait for it. A 401 to one makes a new token and is asked once more, before the caller sees
 * anything of it. Where no token is to be had, requests end with P2P_E_UNAVAILABLE "token-endpoint-unreachable",
 * or P2P_E_REFUSED "target-token-refused". Errors: P2P_E_INVALID "bad-spec" (spec->target_credential). */
p2p_error_t *p2p_target_http_make(apr_pool_t *p, p2p_http_t *loop, const p2p_clock_t *clock, const p2p_log_t *log,
                                  const p2p_spec_t *spec, p2p_http_t **http);

#endif
