/* SPDX-License-Identifier: Apache-2.0 */
/* Request bodies. */
#ifndef P2P_MOD_BODY_H
#define P2P_MOD_BODY_H

#include <httpd.h>

#include "base/json.h"

/* Reads the body as a JSON object, at most P2PBodyLimit bytes. Returns OK and sets *doc (released with r), or
 * what the handler is to return: 413 too long, 415 another type, 400 malformed, 422 no object. */
int p2p_body(request_rec *r, json_object **doc);

#endif
