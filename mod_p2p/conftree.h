/* SPDX-License-Identifier: Apache-2.0 */
/* What the configuration tree tells of directives that belong to other modules. */
#ifndef P2P_MOD_CONFTREE_H
#define P2P_MOD_CONFTREE_H

#include <apr_pools.h>
#include <util_cfgtree.h>

/* The last directive of that name at the level of siblings that node begins, containers other than virtual
 * hosts and Locations included; or NULL. */
const ap_directive_t *p2p_conftree_find(const ap_directive_t *node, const char *name);

/* The first argument of a directive, without quotes, in p. */
const char *p2p_conftree_arg(apr_pool_t *p, const ap_directive_t *directive);

/* The first virtual host with SetHandler p2p in it that has a DBDriver or DBDParams other than driver and
 * params: that directive; or NULL. */
const ap_directive_t *p2p_conftree_other_database(apr_pool_t *p, const char *driver, const char *params);

#endif
