/* SPDX-License-Identifier: Apache-2.0 */
/* Life cycle 1: everything that can be wrong with the configuration, without the network. */
#ifndef P2P_MOD_CHECK_H
#define P2P_MOD_CHECK_H

#include <httpd.h>

/* Takes a fault that a check of another file has found in a directive. */
typedef void p2p_check_fault_fn(void *baton, const char *name, const char *sentence);

/* check_config hook: completes the settings (files read, keys in the ring, database known) and logs one
 * sentence for each fault, which names the directive, where it stands and the remedy. OK, or
 * HTTP_INTERNAL_SERVER_ERROR where there was one. */
int p2p_check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);

/* test_config hook: with -D P2P_DUMP_SPEC, writes the specification, secrets included, to standard output. */
void p2p_dump_spec(apr_pool_t *pconf, server_rec *s);

#endif
