/* SPDX-License-Identifier: Apache-2.0 */
/* Files that directives name: read by httpd's parent, as root where it is started so, and judged before
 * use. */
#ifndef P2P_MOD_FILES_H
#define P2P_MOD_FILES_H

#include <apr_pools.h>

#include "base/error.h"

#define P2P_FILE_MAX 65536 /* bytes; longer files are refused */

/* Contents of a file in p, NUL-terminated. With secret, it has to belong to root or to the user who starts
 * httpd and be readable by nobody else. Errors: P2P_E_INVALID "bad-file"; the sentence begins with the path
 * and says what to do. */
p2p_error_t *p2p_file_read(apr_pool_t *p, const char *path, int secret, const char **text);

/* The one line of a secret file, without white space around it. Errors as above, and for a line break or
 * control character inside. */
p2p_error_t *p2p_file_line(apr_pool_t *p, const char *path, const char **line);

/* Is the path a program that can be executed? */
p2p_error_t *p2p_file_check_program(apr_pool_t *p, const char *path);

/* Is the path a directory where the user that httpd's children and the runner work as can make files? */
p2p_error_t *p2p_file_check_dir(apr_pool_t *p, const char *path);

/* Does text, out of path, begin with a certificate in PEM? */
p2p_error_t *p2p_file_check_cert(apr_pool_t *p, const char *path, const char *text);

/* Is key, out of key_path, an unencrypted private key in PEM, that of the certificate cert? */
p2p_error_t *p2p_file_check_key(apr_pool_t *p, const char *key_path, const char *key, const char *cert);

#endif
