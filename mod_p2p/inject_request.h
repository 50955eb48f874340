/* SPDX-License-Identifier: Apache-2.0 */
/* Which requests ask for Provenance, and what the server behind gets to see of them. */
#ifndef P2P_MOD_INJECT_REQUEST_H
#define P2P_MOD_INJECT_REQUEST_H

#include <httpd.h>

#define P2P_INJECT_FORM_MAX 65536 /* bytes of a form that are looked at */

typedef struct p2p_inject_request_t p2p_inject_request_t;

typedef enum { P2P_INJECT_NO, P2P_INJECT_YES, P2P_INJECT_UNKNOWN } p2p_inject_asked_t;

/* fixups hook: decides, as far as the URL tells, and takes ranges and conditions from the request: they mean the answer as the server behind
 * knows it. */
int p2p_inject_fixups(request_rec *r);

/* May r ask for Provenance? Its own record, or NULL. */
p2p_inject_request_t *p2p_inject_request(request_rec *r);

/* To be called as the filters of r are put together: watches the form of a POST as it passes. */
void p2p_inject_watch(request_rec *r);

/* Does it ask, now that its answer is there? UNKNOWN: its form could not be read. */
p2p_inject_asked_t p2p_inject_asked(request_rec *r);

/* The hook of mod_proxy, with the fields that go to the server behind: no coding is asked for that could not be undone here. */
int p2p_inject_proxy_fixups(request_rec *r);

/* Can gzip be undone here: is mod_deflate loaded? */
int p2p_inject_inflates(void);

/* Registers the filter that watches. */
void p2p_inject_request_register(void);

#endif
