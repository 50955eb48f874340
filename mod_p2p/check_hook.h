/* SPDX-License-Identifier: Apache-2.0 */
/* Life cycle 1, what concerns the Subscription: P2PHookURL and P2PSubscription*. */
#ifndef P2P_MOD_CHECK_HOOK_H
#define P2P_MOD_CHECK_HOOK_H

#include "check.h"
#include "mod_p2p.h"

/* Checks them and tells each fault, the directive's name with it. What is no fault but unwise is logged as a warning. */
void p2p_check_hook(apr_pool_t *p, server_rec *s, const p2p_spec_t *spec, p2p_check_fault_fn *fault, void *baton);

#endif
