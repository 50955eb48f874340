/* SPDX-License-Identifier: Apache-2.0 */
/* The mail server of a specification. */
#ifndef P2P_RUNNER_MAIL_SERVER_H
#define P2P_RUNNER_MAIL_SERVER_H

#include "model/spec.h"
#include "net/http.h"
#include "net/smtp.h"

/* Makes the client of P2PMailServer in p, in the loop of http (net/http_curl.h); *smtp is NULL where none is set. Errors: P2P_E_INVALID, as
 * p2p_smtp_curl_make, and "no-sender". */
p2p_error_t *p2p_mail_server_make(apr_pool_t *p, p2p_http_t *http, const p2p_spec_t *spec, p2p_smtp_t **smtp);

#endif
