/* SPDX-License-Identifier: Apache-2.0 */
/* Life cycle 1, the part of it that is about mail. */
#ifndef P2P_MOD_CHECK_MAIL_H
#define P2P_MOD_CHECK_MAIL_H

#include "check.h"
#include "mod_p2p.h"

/* Checks P2PMail… where P2PMailServer is set, and completes the specification: the server's URL in one form, user and password. Mail that would go in the
 * clear is a line in the log. */
void p2p_check_mail(apr_pool_t *p, server_rec *s, p2p_config_t *config, p2p_check_fault_fn *fault, void *baton);

#endif
