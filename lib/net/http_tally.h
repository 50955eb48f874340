/* SPDX-License-Identifier: Apache-2.0 */
/* Counting the trouble that one peer gives, of many that a loop talks to. */
#ifndef P2P_NET_HTTP_TALLY_H
#define P2P_NET_HTTP_TALLY_H

#include "net/http.h"

/* The same loop; what is asked through it is counted in *tally where it comes to trouble: an answer that may be another one later
 * (p2p_http_may_pass), or none that is whole. In p, with which it goes; loop and tally live as long. */
p2p_http_t *p2p_http_tally_make(apr_pool_t *p, p2p_http_t *loop, apr_int64_t *tally);

/* Counts one that only its reader knows to be trouble, where anything is counted: http may be any. */
void p2p_http_tally_add(p2p_http_t *http);

/* How a transfer ended that is counted in *tally (NULL: in nothing), for loops. */
void p2p_http_tally_end(apr_int64_t *tally, int status, const p2p_error_t *error);

#endif
