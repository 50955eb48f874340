/* SPDX-License-Identifier: Apache-2.0 */
/* Life cycle 2, 6 and 7: httpd's parent starts the runners, starts them again when they die, and httpd's
 * children wake them. */
#ifndef P2P_MOD_SUPERVISE_H
#define P2P_MOD_SUPERVISE_H

#include <httpd.h>

/* post_config hook, last: starts P2PRunners runners. Nothing is started in the first configuration pass or
 * with -X. */
int p2p_supervise_start(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);

/* monitor hook, every ten seconds or so in the parent: starts runners whose time has come. */
int p2p_supervise_monitor(apr_pool_t *p, server_rec *s);

/* child_init hook: a child of httpd only writes to the wake pipes. */
void p2p_supervise_child(apr_pool_t *p, server_rec *s);

/* Life cycle 4: tells every runner of this httpd to look at the queue. Never blocks. */
void p2p_wake(const server_rec *s);

#endif
