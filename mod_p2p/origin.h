/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that a browser was made to send by somebody else's page. */
#ifndef P2P_MOD_ORIGIN_H
#define P2P_MOD_ORIGIN_H

#include <httpd.h>

/* OK; or 403 "cross-origin" for a method that changes something, from a caller whose credentials a browser sends by itself (caller.h: ambient),
 * with an Origin that is not the one that the request was sent to. Without an Origin no page sent it. */
int p2p_origin_check(request_rec *r);

#endif
