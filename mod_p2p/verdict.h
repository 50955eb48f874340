/* SPDX-License-Identifier: Apache-2.0 */
/* What a bearer token is worth here. */
#ifndef P2P_MOD_VERDICT_H
#define P2P_MOD_VERDICT_H

#include <httpd.h>

#include "base/error.h"
#include "token_cache.h"

/* Judges a token by its issuer's keys or word, or by what was found out a moment ago; strings of *verdict live as long as r.
 * Errors, P2P_E_UNAVAILABLE: "keys-unknown", "introspection-away". */
p2p_error_t *p2p_verdict(request_rec *r, const char *token, p2p_verdict_t *verdict);

#endif
