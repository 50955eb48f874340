/* SPDX-License-Identifier: Apache-2.0 */
/* Request bodies. */
#ifndef P2P_MOD_BODY_H
#define P2P_MOD_BODY_H

#include <httpd.h>

#include "base/buf.h"
#include "base/json.h"

/* Reads the body as a JSON object, at most P2PBodyLimit bytes. Returns OK and sets *doc (released with r), or
 * what the handler is to return: 413 too long, 415 another type, 400 malformed, 422 no object. */
int p2p_body(request_rec *r, json_object **doc);

/* Reads the body, of whatever type; *body is released with r. Where it is longer than P2PBodyLimit *is_cut is set and the rest is not read: the caller
 * sees to the connection. Returns OK, or a status where the body did not arrive. */
int p2p_body_bytes(request_rec *r, p2p_buf_t **body, int *is_cut);

#endif
