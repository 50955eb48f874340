/* SPDX-License-Identifier: Apache-2.0 */
/* The keys that a definition brings along: as text, or in a file of the directory that P2PKeyDir names. */
#ifndef P2P_OIDC_SERVER_KEYS_H
#define P2P_OIDC_SERVER_KEYS_H

#include "model/oidc_server.h"

/* Contents of a file that lies in dir itself, in p: no link is followed, and a name with a slash in it is none. Errors: P2P_E_INVALID "bad-keys";
 * the sentence goes on from the field's name ("names a file that …"), dir may be NULL where P2PKeyDir is not set. */
p2p_error_t *p2p_key_file_read(apr_pool_t *p, const char *dir, const char *name, const char **text, apr_size_t *len);

/* Are the key text and what the key file holds, where they are not "", keys that signatures can be verified with (oidc/jwk.h)? Faults are added
 * to errors, at keyText and keyFile under prefix. */
void p2p_oidc_server_check_keys(apr_pool_t *p, const p2p_oidc_server_t *server, const char *key_dir, const char *prefix,
                                apr_array_header_t *errors);

#endif
