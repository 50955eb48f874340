/* SPDX-License-Identifier: Apache-2.0 */
/* P2PTrustIssuer: taking its line apart, and judging it once the whole configuration is read. */
#ifndef P2P_MOD_TRUST_CONFIG_H
#define P2P_MOD_TRUST_CONFIG_H

#include <httpd.h>
#include <http_config.h>

#include "mod_p2p.h"

/* The setter of the directive: adds to the configuration's trusts, and to its trust_lines what p2p_trust_check needs. NULL or a sentence. */
const char *p2p_trust_set(cmd_parms *cmd, void *field, int argc, char *const argv[]);

/* Judges trust number i and completes it with what is in its files. Errors: P2P_E_INVALID, the first fault, as a sentence that goes on from
 * the directive's name. */
p2p_error_t *p2p_trust_check(apr_pool_t *p, const p2p_config_t *config, int i);

/* What trust_lines is before the first of them. */
apr_array_header_t *p2p_trust_lines(apr_pool_t *p);

/* Where it stands. */
const ap_directive_t *p2p_trust_place(const p2p_config_t *config, int i);

#endif
