/* SPDX-License-Identifier: Apache-2.0 */
/* Judging the keys of a definition when it is written. */
#include "oidc/server_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "oidc/jwk.h"

static p2p_error_t *bad(apr_pool_t *p, const char *what)
{
    return p2p_error_make(p, P2P_E_INVALID, "bad-keys", "names a file that %s", what);
}

/* What can be opened, but is a pipe or a device, must not make anybody wait. */
static int open_below(const char *dir, const char *name)
{
    int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), file, reason;

    if (at < 0) return -1;
    file = openat(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    reason = errno;
    close(at);
    errno = reason;
    return file;
}

static p2p_error_t *why(apr_pool_t *p)
{
    if (errno == ENOENT) return bad(p, "is not in P2PKeyDir");
    if (errno == ELOOP) return bad(p, "is a symbolic link: P2PKeyDir has to hold the file itself");
    if (errno == EACCES) return bad(p, "cannot be read by httpd's User");
    return bad(p, "cannot be read");
}

static p2p_error_t *read_open(apr_pool_t *p, int file, const char **text, apr_size_t *len)
{
    char *bytes = apr_palloc(p, P2P_JWK_SET_BYTES + 1);
    struct stat info;
    ssize_t got;

    if (fstat(file, &info) || !S_ISREG(info.st_mode)) return bad(p, "is no file");
    if (info.st_size > P2P_JWK_SET_BYTES) return bad(p, "is over 64 KiB long");
    for (*len = 0; *len < P2P_JWK_SET_BYTES; *len += (apr_size_t)got) {
        got = read(file, bytes + *len, P2P_JWK_SET_BYTES - *len);
        if (got < 0) return why(p);
        if (!got) break;
    }
    bytes[*len] = '\0';
    *text = bytes;
    return NULL;
}

p2p_error_t *p2p_key_file_read(apr_pool_t *p, const char *dir, const char *name, const char **text, apr_size_t *len)
{
    p2p_error_t *error;
    int file;

    if (!dir) return p2p_error_make(p, P2P_E_INVALID, "bad-keys", "cannot be used: P2PKeyDir is not set");
    if (strchr(name, '/')) return bad(p, "is not in P2PKeyDir");
    file = open_below(dir, name);
    if (file < 0) return why(p);
    error = read_open(p, file, text, len);
    close(file);
    return error;
}

static p2p_error_t *check_file(apr_pool_t *p, const char *dir, const char *name)
{
    p2p_jwk_set_t *set;
    p2p_error_t *error;
    const char *text = "";
    apr_size_t len = 0;

    P2P_TRY(p2p_key_file_read(p, dir, name, &text, &len));
    error = p2p_jwk_set_read(p, text, len, P2P_JWK_CONFIGURED, &set);
    return error ? bad(p, error->sentence) : NULL;
}

static void note(apr_array_header_t *errors, const char *prefix, const char *name, const p2p_error_t *error)
{
    if (error) p2p_field_error(errors, prefix, name, "%s", error->sentence);
}

void p2p_oidc_server_check_keys(apr_pool_t *p, const p2p_oidc_server_t *server, const char *key_dir, const char *prefix,
                                apr_array_header_t *errors)
{
    const char *text = server->key_text;
    p2p_jwk_set_t *set;

    if (*text) note(errors, prefix, "keyText", p2p_jwk_set_read(p, text, strlen(text), P2P_JWK_CONFIGURED, &set));
    if (*server->key_file) note(errors, prefix, "keyFile", check_file(p, key_dir, server->key_file));
}
