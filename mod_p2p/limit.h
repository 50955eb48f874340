/* SPDX-License-Identifier: Apache-2.0 */
/* P2PRateLimit: how many requests a second one client may make. */
#ifndef P2P_MOD_LIMIT_H
#define P2P_MOD_LIMIT_H

#include <httpd.h>

/* Counts the request against its client, or its address where no client has a name: all children of this httpd count together, twice a second's
 * requests may come at once. OK, or 429 "too-many-requests" with Retry-After. */
int p2p_limit_check(request_rec *r);

/* The same for one bucket by name, whatever P2PRateLimit says. */
int p2p_limit_take(request_rec *r, const char *who, int per_second);

#endif
