/* SPDX-License-Identifier: Apache-2.0 */
/* Checking the configuration as a whole, once all of it is read. */
#include "check.h"
#include "check_hook.h"

#include <stdio.h>
#include <http_log.h>
#include <http_config.h>
#include <http_core.h>
#include <unixd.h>
#include <apr_strings.h>
#include <unistd.h>

#include "base/seal.h"
#include "base/uri.h"
#include "check_mail.h"
#include "conftree.h"
#include "files.h"
#include "mod_p2p.h"
#include "oidc/target_client.h"
#include "pages.h"
#include "sign_in.h"
#include "trust_config.h"

APLOG_USE_MODULE(p2p);

typedef struct check_t {
    apr_pool_t *p; /* pconf */
    server_rec *s;
    p2p_config_t *config;
    int faults;
} check_t;

/* Logs "DIRECTIVE (line N of FILE): SENTENCE"; place may be NULL. */
static void fault_at(check_t *check, const char *name, const ap_directive_t *place, const char *sentence)
{
    const char *where = "";

    if (place) where = apr_psprintf(check->p, " (line %d of %s)", place->line_num, place->filename);
    check->faults++;
    ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_ERR, 0, check->s, "%s%s: %s", name, where, sentence);
}

static void fault(check_t *check, const char *name, const char *sentence)
{
    fault_at(check, name, apr_hash_get(check->config->places, name, APR_HASH_KEY_STRING), sentence);
}

/* For the checks of other files. */
static void told_fault(void *check, const char *name, const char *sentence)
{
    fault(check, name, sentence);
}

/* Reports the error of a check, if there is one. */
static int report(check_t *check, const char *name, const p2p_error_t *error)
{
    if (error) fault(check, name, error->sentence);
    return error != NULL;
}

static void check_target(check_t *check)
{
    p2p_spec_t *spec = &check->config->spec;
    p2p_error_t *error;

    if (!spec->target) {
        fault(check, "P2PTarget", "is missing: name the FHIR endpoint that members' records are written to, "
              "as in P2PTarget https://fhir.example.org/r4");
        return;
    }
    error = p2p_uri_check_base(check->p, spec->target, spec->allow_http);
    if (error) {
        int only_http = !spec->allow_http && !p2p_uri_check_base(check->p, spec->target, 1);

        fault(check, "P2PTarget", apr_pstrcat(check->p, error->sentence, only_http ?
              "; http beyond loopback also takes P2PAllowHttp On" : NULL, NULL));
    }
    spec->target = p2p_uri_trim(check->p, spec->target);
}

static p2p_error_t *read_basic(check_t *check, const char *path, const char **credential)
{
    P2P_TRY(p2p_file_line(check->p, path, credential));
    if (strchr(*credential, ':')) return NULL;
    return p2p_error_make(check->p, P2P_E_INVALID, "bad-file", "%s must hold one line, user:password", path);
}

static p2p_error_t *read_bearer(check_t *check, const char *path, const char **credential)
{
    P2P_TRY(p2p_file_line(check->p, path, credential));
    if (!strpbrk(*credential, " \t")) return NULL;
    return p2p_error_make(check->p, P2P_E_INVALID, "bad-file", "%s must hold the token alone, without white "
                          "space", path);
}

static p2p_error_t *read_certificate(check_t *check, p2p_spec_t *spec)
{
    const p2p_config_t *config = check->config;

    P2P_TRY(p2p_file_read(check->p, config->cert_file, 0, &spec->target_cert));
    P2P_TRY(p2p_file_check_cert(check->p, config->cert_file, spec->target_cert));
    P2P_TRY(p2p_file_read(check->p, config->key_file, 1, &spec->target_key));
    return p2p_file_check_key(check->p, config->key_file, spec->target_key, spec->target_cert);
}

/* All faults of the file, each with the member's name. */
static p2p_error_t *read_client(check_t *check)
{
    p2p_spec_t *spec = &check->config->spec;
    const char *path = check->config->auth_file;
    apr_array_header_t *errors = p2p_field_errors(check->p);

    P2P_TRY(p2p_file_read(check->p, path, 1, &spec->target_credential));
    p2p_target_client_read(check->p, spec->target_credential, spec->allow_http, errors);
    for (int i = 0; i < errors->nelts; i++) {
        const p2p_field_error_t *error = &APR_ARRAY_IDX(errors, i, p2p_field_error_t);
        const char *name = *error->pointer ? apr_pstrcat(check->p, ": ", error->pointer + 1, NULL) : "";

        fault(check, "P2PTargetAuth", apr_pstrcat(check->p, path, name, " ", error->detail, NULL));
    }
    return NULL;
}

/* One word of P2POrigins or P2PCorsOrigins in its canonical form. */
static p2p_error_t *read_origin(check_t *check, const char *word, const char **origin)
{
    p2p_uri_t uri;

    P2P_TRY(p2p_uri_check_base(check->p, word, check->config->spec.allow_http));
    P2P_TRY(p2p_uri_parse(check->p, word, &uri));
    *origin = p2p_uri_origin(check->p, &uri);
    if (strcmp(uri.path, "/") == 0) return NULL;
    return p2p_error_make(check->p, P2P_E_INVALID, "bad-url", "must be an origin, without a path: %s", *origin);
}

static void check_origins(check_t *check)
{
    p2p_spec_t *spec = &check->config->spec;
    char *state, *word, *copy = apr_pstrdup(check->p, spec->origins);
    const char *all = "", *origin;

    for (word = apr_strtok(copy, " ", &state); word; word = apr_strtok(NULL, " ", &state)) {
        p2p_error_t *error = read_origin(check, word, &origin);

        if (error) fault(check, "P2POrigins", apr_pstrcat(check->p, word, " ", error->sentence, NULL));
        else all = apr_pstrcat(check->p, all, *all ? " " : "", origin, NULL);
    }
    spec->origins = all;
}

static void check_cors_origins(check_t *check)
{
    apr_array_header_t *origins = check->config->cors_origins;

    for (int i = 0; i < origins->nelts; i++) {
        const char **word = &APR_ARRAY_IDX(origins, i, const char *), *origin;
        p2p_error_t *error = read_origin(check, *word, &origin);

        if (error) fault(check, "P2PCorsOrigins", apr_pstrcat(check->p, *word, " ", error->sentence, NULL));
        else *word = origin;
    }
}

static void check_target_auth(check_t *check)
{
    p2p_config_t *config = check->config;
    p2p_error_t *error = NULL;

    if (config->spec.target_auth == P2P_AUTH_BEARER) {
        error = read_bearer(check, config->auth_file, &config->spec.target_credential);
    } else if (config->spec.target_auth == P2P_AUTH_BASIC) {
        error = read_basic(check, config->auth_file, &config->spec.target_credential);
    } else if (config->spec.target_auth == P2P_AUTH_CERTIFICATE) {
        error = read_certificate(check, &config->spec);
    } else if (config->spec.target_auth == P2P_AUTH_CLIENT_CREDENTIALS) {
        error = read_client(check);
    }
    report(check, "P2PTargetAuth", error);
}

/* The system's bundle is longer than what p2p_file_read takes, so only its beginning is looked at. */
static p2p_error_t *check_ca(apr_pool_t *p, const char *path)
{
    apr_file_t *file;
    char head[16384];
    apr_size_t len = 0;
    apr_status_t rv = apr_file_open(&file, path, APR_FOPEN_READ, 0, p);

    if (rv) {
        apr_strerror(rv, head, sizeof head);
        return p2p_error_make(p, P2P_E_INVALID, "bad-file", "%s cannot be read: %s", path, head);
    }
    apr_file_read_full(file, head, sizeof head - 1, &len);
    apr_file_close(file);
    head[len] = '\0';
    return p2p_file_check_cert(p, path, head);
}

static p2p_error_t *add_key(check_t *check, const char *path)
{
    const char *text;
    p2p_error_t *error;

    P2P_TRY(p2p_file_read(check->p, path, 1, &text));
    error = p2p_keyring_add(check->config->spec.keyring, text);
    if (!error) return NULL;
    return p2p_error_make(check->p, P2P_E_INVALID, "bad-file", "%s is no key file: %s (p2p-runner keygen "
                          "makes one)", path, error->sentence);
}

static void check_keys(check_t *check)
{
    const apr_array_header_t *files = check->config->key_files;

    if (!files->nelts) {
        fault(check, "P2PSecretKeyFile", "is missing: name the file that p2p-runner keygen made, owned by "
              "root, with mode 0600");
    }
    for (int i = 0; i < files->nelts; i++) {
        if (report(check, "P2PSecretKeyFile", add_key(check, APR_ARRAY_IDX(files, i, const char *)))) return;
    }
}

static void check_trusts(check_t *check)
{
    for (int i = 0; i < check->config->spec.trusts->nelts; i++) {
        p2p_error_t *error = p2p_trust_check(check->p, check->config, i);

        if (error) fault_at(check, "P2PTrustIssuer", p2p_trust_place(check->config, i), error->sentence);
    }
}

static p2p_error_t *check_sign_in(check_t *check)
{
    const p2p_config_t *config = check->config;
    const apr_array_header_t *trusts = config->spec.trusts;
    int i = 0;

    while (i < trusts->nelts && strcmp(APR_ARRAY_IDX(trusts, i, p2p_trust_t).issuer, config->spec.sign_in_issuer)) i++;
    if (i == trusts->nelts)
        return p2p_error_make(check->p, P2P_E_INVALID, "bad-sign-in", "%s is none of P2PTrustIssuer: its tokens would not count; add it there",
                              config->spec.sign_in_issuer);
    return p2p_sign_in_check(check->p, config->sign_in_client, config->sign_in_scopes);
}

/* Commands of the runner read it as well. */
static void check_key_dir(check_t *check)
{
    p2p_config_t *config = check->config;

    config->spec.key_dir = config->key_dir;
    if (!config->key_dir || ap_is_directory(check->p, config->key_dir)) return;
    fault(check, "P2PKeyDir", apr_pstrcat(check->p, config->key_dir, " is not a directory: make it, for root to write and httpd's User to "
                                          "read", NULL));
}

/* What only the runner needs is no fault where this httpd starts none. */
static void check_runner(check_t *check)
{
    const p2p_config_t *config = check->config;

    if (config->spec.bundle_bytes > config->spec.memory) {
        fault(check, "P2PBundleBytes", "is more than P2PMemory: lower it, or raise P2PMemory");
    }
    if (!config->spec.runners) return;
    report(check, "P2PRunner", p2p_file_check_program(check->p, config->runner));
    report(check, "P2PSpool", p2p_file_check_dir(check->p, config->spec.spool_dir));
}

/* The main server's DBDriver or DBDParams, or NULL after a sentence. */
static const char *database_word(check_t *check, const char *name, const char *remedy)
{
    const ap_directive_t *directive = p2p_conftree_find(ap_conftree, name);

    if (directive) return p2p_conftree_arg(check->p, directive);
    fault(check, name, remedy);
    return NULL;
}

static void check_database(check_t *check)
{
    p2p_spec_t *spec = &check->config->spec;
    const ap_directive_t *other;

    if (!ap_find_linked_module("mod_dbd.c")) {
        fault(check, "LoadModule dbd_module", "is missing: mod_p2p keeps its data through it (a2enmod dbd)");
        return;
    }
    spec->db_driver = database_word(check, "DBDriver", "is missing in the main server configuration: write "
                                    "DBDriver pgsql, or DBDriver sqlite3");
    spec->db_params = database_word(check, "DBDParams", "is missing in the main server configuration: name "
                                    "the database, as in DBDParams \"host=/run/postgresql dbname=p2p\"");
    if (!spec->db_driver || !spec->db_params) return;
    if (strcmp(spec->db_driver, "pgsql") && strcmp(spec->db_driver, "sqlite3")) {
        fault_at(check, "DBDriver", p2p_conftree_find(ap_conftree, "DBDriver"),
                 "must be pgsql or sqlite3 for mod_p2p");
    }
    other = p2p_conftree_other_database(check->p, spec->db_driver, spec->db_params);
    if (other) {
        fault_at(check, other->directive, other, "a virtual host with SetHandler p2p must not have a "
                 "database of its own: write DBDriver and DBDParams once, in the main server configuration");
    }
}

/* httpd's word for the level of our log lines, which the runner's keep to as well. */
static const char *log_word(const server_rec *s)
{
    static const char *const words[] = {
        "emerg", "alert", "crit", "error", "warn", "notice", "info", "debug",
        "trace1", "trace2", "trace3", "trace4", "trace5", "trace6", "trace7", "trace8"
    };
    int level = ap_get_server_module_loglevel(s, p2p_module.module_index);

    return words[level < 0 ? 0 : level > APLOG_TRACE8 ? APLOG_TRACE8 : level];
}

/* Whom commands that root gives become; httpd without a User directive has the number -1. */
static void name_user(p2p_spec_t *spec)
{
    if (geteuid() != 0 || ap_unixd_config.user_id == (uid_t)-1) return;
    spec->user = ap_unixd_config.user_name;
    spec->group = ap_unixd_config.group_id;
}

int p2p_check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    check_t check = { pconf, s, p2p_config(s), p2p_inject_check(pconf, s) };
    p2p_config_t *config = check.config;

    (void)plog, (void)ptemp;
    if (!config->handler_used && !apr_hash_count(config->places)) return check.faults ? HTTP_INTERNAL_SERVER_ERROR : OK; /* the source role at most */
    config->spec.log_level = log_word(s);
    name_user(&config->spec);
    check_target(&check);
    check_target_auth(&check);
    check_origins(&check);
    check_cors_origins(&check);
    if (config->spec.ca_file) report(&check, "P2PCAFile", check_ca(pconf, config->spec.ca_file));
    check_keys(&check);
    check_trusts(&check);
    if (config->spec.sign_in_issuer) report(&check, "P2PSignIn", check_sign_in(&check));
    check_key_dir(&check);
    p2p_check_mail(pconf, s, config, told_fault, &check);
    p2p_check_hook(pconf, s, &config->spec, told_fault, &check);
    if (config->handler_used) report(&check, "P2PPages", p2p_pages_read(pconf, config->pages_dir, &config->pages));
    check_runner(&check);
    check_database(&check);
    return check.faults ? HTTP_INTERNAL_SERVER_ERROR : OK;
}

void p2p_dump_spec(apr_pool_t *pconf, server_rec *s)
{
    if (!ap_exists_config_define("P2P_DUMP_SPEC")) return;
    puts(p2p_spec_print(pconf, &p2p_config(s)->spec));
    fflush(stdout);
}
