/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that root gives are carried out as httpd's User, as what httpd itself does is. */
#ifndef P2P_RUNNER_USER_H
#define P2P_RUNNER_USER_H

#include "model/spec.h"

/* Where root calls and the specification names httpd's user: gives up root for that user, its groups and
 * spec->group, and sets HOME to the user's. Otherwise does nothing. There is no way back: call it when what only
 * root may read was read, and before the database is opened. Errors: P2P_E_INVALID "bad-user". */
p2p_error_t *p2p_become_user(apr_pool_t *p, const p2p_spec_t *spec);

/* The name of the user who runs this program, or "#" and his number where he has none; in p. */
const char *p2p_caller_name(apr_pool_t *p);

#endif
