/* SPDX-License-Identifier: Apache-2.0 */
/* The directives and the records that they fill. */
#ifndef P2P_MOD_CONFIG_H
#define P2P_MOD_CONFIG_H

#include "mod_p2p.h"

/* The one table of directives. */
extern const command_rec p2p_commands[];

/* Callbacks of the module record. Every virtual host gets the main server's settings. */
void *p2p_config_create(apr_pool_t *p, server_rec *s);
void *p2p_config_merge(apr_pool_t *p, void *base, void *add);
void *p2p_dir_create(apr_pool_t *p, char *path);
void *p2p_dir_merge(apr_pool_t *p, void *base, void *add);

#endif
