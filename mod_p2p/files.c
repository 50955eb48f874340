/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and judging the files that directives name. */
#include "files.h"

#include <httpd.h>
#include <unixd.h>
#include <apr_file_io.h>
#include <apr_file_info.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_user.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <unistd.h>

#define WANTED (APR_FINFO_TYPE | APR_FINFO_PROT | APR_FINFO_OWNER | APR_FINFO_SIZE)
#define OTHERS (APR_FPROT_GREAD | APR_FPROT_GWRITE | APR_FPROT_GEXECUTE | \
                APR_FPROT_WREAD | APR_FPROT_WWRITE | APR_FPROT_WEXECUTE)

static p2p_error_t *fault(apr_pool_t *p, const char *path, const char *what)
{
    return p2p_error_make(p, P2P_E_INVALID, "bad-file", "%s %s", path, what);
}

static p2p_error_t *fault_status(apr_pool_t *p, const char *path, apr_status_t rv)
{
    char reason[120];

    apr_strerror(rv, reason, sizeof reason);
    return p2p_error_make(p, P2P_E_INVALID, "bad-file", "%s cannot be read: %s", path, reason);
}

/* The mode as chmod takes it: APR has a hexadecimal digit where chmod has an octal one. */
static unsigned octal_mode(apr_fileperms_t perms)
{
    return ((perms >> 8 & 7) << 6) | ((perms >> 4 & 7) << 3) | (perms & 7);
}

static const char *owner_of(apr_pool_t *p, apr_uid_t uid)
{
    char *name;

    return apr_uid_name_get(&name, uid, p) ? apr_psprintf(p, "user %ld", (long)uid) : name;
}

static p2p_error_t *check_secret(apr_pool_t *p, const char *path, const apr_finfo_t *info)
{
    const char *owner = owner_of(p, info->user);

    if (info->user != 0 && info->user != geteuid()) {
        return p2p_error_make(p, P2P_E_INVALID, "bad-file", "%s belongs to %s, who could change it: let root "
                              "own it (chown root %s)", path, owner, path);
    }
    if (!(info->protection & OTHERS)) return NULL;
    return p2p_error_make(p, P2P_E_INVALID, "bad-file", "%s (owner %s, mode %04o) is open to others than its "
                          "owner: run chmod 600 %s", path, owner, octal_mode(info->protection), path);
}

static p2p_error_t *read_open(apr_pool_t *p, const char *path, apr_file_t *file, int secret,
                              const char **text)
{
    apr_finfo_t info;
    apr_size_t len;
    apr_status_t rv = apr_file_info_get(&info, WANTED, file);
    char *bytes;

    if (rv) return fault_status(p, path, rv);
    if (info.filetype != APR_REG) return fault(p, path, "is not a file");
    if (secret) P2P_TRY(check_secret(p, path, &info));
    if (info.size == 0) return fault(p, path, "is empty");
    if (info.size > P2P_FILE_MAX) return fault(p, path, "is over 64 KiB long: this cannot be the right file");
    bytes = apr_palloc(p, (apr_size_t)info.size + 1);
    rv = apr_file_read_full(file, bytes, (apr_size_t)info.size, &len);
    if (rv) return fault_status(p, path, rv);
    bytes[len] = '\0';
    if (strlen(bytes) != len) return fault(p, path, "holds a NUL byte: this cannot be the right file");
    *text = bytes;
    return NULL;
}

p2p_error_t *p2p_file_read(apr_pool_t *p, const char *path, int secret, const char **text)
{
    apr_file_t *file;
    p2p_error_t *error;
    apr_status_t rv = apr_file_open(&file, path, APR_FOPEN_READ, 0, p);

    if (rv) return fault_status(p, path, rv);
    error = read_open(p, path, file, secret, text);
    apr_file_close(file);
    return error;
}

p2p_error_t *p2p_file_line(apr_pool_t *p, const char *path, const char **line)
{
    const char *text = "";
    apr_size_t len;

    P2P_TRY(p2p_file_read(p, path, 1, &text));
    while (apr_isspace(*text)) text++;
    for (len = strlen(text); len && apr_isspace(text[len - 1]); ) len--;
    if (!len) return fault(p, path, "is empty");
    for (apr_size_t i = 0; i < len; i++) {
        if (apr_iscntrl(text[i])) return fault(p, path, "must hold one line, without control characters");
    }
    *line = apr_pstrmemdup(p, text, len);
    return NULL;
}

p2p_error_t *p2p_file_check_program(apr_pool_t *p, const char *path)
{
    apr_finfo_t info;
    apr_status_t rv = apr_stat(&info, path, WANTED, p);

    if (APR_STATUS_IS_ENOENT(rv)) return fault(p, path, "does not exist");
    if (rv && rv != APR_INCOMPLETE) return fault_status(p, path, rv);
    if (info.filetype != APR_REG) return fault(p, path, "is not a file");
    if (access(path, X_OK)) return fault(p, path, "is not executable (chmod 755)");
    return NULL;
}

/* httpd as root works as the user of the User directive; else as whoever starts it. */
static int may_write(const char *path, const apr_finfo_t *info)
{
    int shift = 0;

    if (geteuid()) return access(path, W_OK | X_OK) == 0;
    if (info->user == ap_unixd_config.user_id) shift = 8;
    else if (info->group == ap_unixd_config.group_id) shift = 4;
    return (info->protection >> shift & 3) == 3;
}

p2p_error_t *p2p_file_check_dir(apr_pool_t *p, const char *path)
{
    apr_finfo_t info;
    apr_status_t rv = apr_stat(&info, path, WANTED | APR_FINFO_GROUP, p);

    if (APR_STATUS_IS_ENOENT(rv)) return fault(p, path, "does not exist: make it, owned by httpd's User");
    if (rv && rv != APR_INCOMPLETE) return fault_status(p, path, rv);
    if (info.filetype != APR_DIR) return fault(p, path, "is not a directory");
    if (!may_write(path, &info)) {
        return fault(p, path, "cannot be written by httpd's User: let that user own it, with mode 0700");
    }
    return NULL;
}

static X509 *read_cert(const char *text)
{
    BIO *bio = BIO_new_mem_buf(text, -1);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);

    BIO_free(bio);
    return cert;
}

/* An encrypted key would make OpenSSL ask at the terminal: no passphrase is the answer. */
static int no_passphrase(char *buffer, int size, int writing, void *baton)
{
    (void)buffer, (void)size, (void)writing, (void)baton;
    return -1;
}

static EVP_PKEY *read_key(const char *text)
{
    BIO *bio = BIO_new_mem_buf(text, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);

    BIO_free(bio);
    return key;
}

p2p_error_t *p2p_file_check_cert(apr_pool_t *p, const char *path, const char *text)
{
    X509 *cert = read_cert(text);
    int found = cert != NULL;

    X509_free(cert);
    ERR_clear_error();
    return found ? NULL : fault(p, path, "holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)");
}

p2p_error_t *p2p_file_check_key(apr_pool_t *p, const char *key_path, const char *key, const char *cert)
{
    EVP_PKEY *private_key = read_key(key);
    X509 *certificate = read_cert(cert);
    int read = private_key != NULL;
    int fits = read && certificate && X509_check_private_key(certificate, private_key) == 1;

    EVP_PKEY_free(private_key);
    X509_free(certificate);
    ERR_clear_error();
    if (!read) return fault(p, key_path, "holds no private key in PEM form without a passphrase");
    if (!fits) return fault(p, key_path, "is not the key of the certificate named before it");
    return NULL;
}
