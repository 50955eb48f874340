/* SPDX-License-Identifier: Apache-2.0 */
/* The commands that work on keys, schema and definitions. */
#include "runner/commands.h"
#include <apr_hash.h>
#include <apr_strings.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include "oidc/server_keys.h"
#include "runner/runner.h"
#include "runner/spec_source.h"
#include "runner/user.h"
#include "store/hash_keys.h"
#include "store/migrate.h"
#include "store/oidc_server_store.h"
#include "store/outbox_store.h"
#include "store/runner_store.h"
#include "store/task_status.h"

#define DEFINITIONS_BYTES (16 * 1024 * 1024)

void p2p_command_complain(const p2p_error_t *error)
{
    fprintf(stderr, "p2p-runner: %s (%s)\n", error->sentence, error->code);
    if (error->detail && *error->detail) fprintf(stderr, "%s\n", error->detail);
}

static int failed(const p2p_error_t *error)
{
    p2p_command_complain(error);
    return p2p_exit_code(error);
}

int p2p_command_done(FILE *out, int code)
{
    if (!fflush(out) && !ferror(out)) return code;
    perror("p2p-runner: standard output");
    return EX_IOERR;
}

int p2p_command_keygen(apr_pool_t *p, FILE *out)
{
    const char *text;
    p2p_error_t *error = p2p_key_generate(p, &text);

    if (error) return failed(error);
    fputs(text, out);
    return p2p_command_done(out, EX_OK);
}

/* Root's work ends here: an SQLite file is httpd's User's, and PostgreSQL may ask who connects. */
static p2p_error_t *open_as_user(apr_pool_t *p, const p2p_spec_t *spec, const p2p_log_t *log, p2p_db_t **db)
{
    P2P_TRY(p2p_become_user(p, spec));
    return p2p_db_open(p, spec->db_driver, spec->db_params, log, db);
}

int p2p_command_migrate(apr_pool_t *p, const p2p_spec_t *spec, const p2p_log_t *log, FILE *out)
{
    p2p_keyring_t *hashes;
    p2p_db_t *db;
    int from, to;
    p2p_error_t *error = open_as_user(p, spec, log, &db);

    if (!error) error = p2p_migrate(db, p, &from, &to);
    if (!error) error = p2p_hash_keys(db, p, spec->keyring, &hashes); /* so that every database has a sealed value from the beginning */
    if (error) return failed(error);
    if (from == to) fprintf(out, "The schema is at version %d; nothing was to be done.\n", to);
    else if (!from) fprintf(out, "The schema was created at version %d.\n", to);
    else fprintf(out, "The schema was upgraded from version %d to %d.\n", from, to);
    return p2p_command_done(out, EX_OK);
}

p2p_error_t *p2p_command_open(apr_pool_t *p, const p2p_spec_t *spec, const p2p_log_t *log, p2p_db_t **db)
{
    P2P_TRY(open_as_user(p, spec, log, db));
    return p2p_schema_check(*db, p);
}

/* Of this configuration's target, and only where it mails. */
static p2p_error_t *add_mail(p2p_db_t *db, apr_pool_t *p, const p2p_spec_t *spec, json_object *status)
{
    json_object *mail;

    if (spec->mail_server) {
        P2P_TRY(p2p_outbox_status(db, p, spec->target, &mail));
        json_object_object_add(status, "mail", json_object_get(mail));
    } else {
        p2p_json_add_str(status, "mail", "off");
    }
    return NULL;
}

static p2p_error_t *add_tasks(p2p_db_t *db, apr_pool_t *p, const p2p_spec_t *spec, json_object *status)
{
    json_object *tasks;

    P2P_TRY(p2p_task_status(db, p, spec->target, spec->hook_url, spec->mail_server != NULL, &tasks));
    json_object_object_add(status, "tasks", json_object_get(tasks));
    return NULL;
}

int p2p_command_status(apr_pool_t *p, const p2p_spec_t *spec, const p2p_log_t *log, FILE *out)
{
    json_object *status;
    p2p_db_t *db;
    p2p_error_t *error = p2p_command_open(p, spec, log, &db);

    if (!error) error = p2p_runner_status(db, p, &status);
    if (!error) error = add_tasks(db, p, spec, status);
    if (!error) error = add_mail(db, p, spec, status);
    if (error) return failed(error);
    fprintf(out, "%s\n", p2p_json_print(p, status, NULL));
    return p2p_command_done(out, EX_OK);
}

static void read_definition(apr_pool_t *p, json_object *doc, const p2p_spec_t *spec, int number, apr_array_header_t *servers,
                            apr_hash_t *issuers, apr_array_header_t *errors)
{
    p2p_oidc_server_t *server = apr_array_push(servers);
    const char *prefix = apr_psprintf(p, "/%d", number);

    memset(server, 0, sizeof *server);
    if (!json_object_is_type(doc, json_type_object)) {
        p2p_field_error(errors, prefix, "", "must be a JSON object");
        return;
    }
    p2p_oidc_server_read(p, doc, spec->allow_http, prefix, server, errors);
    p2p_oidc_server_check_keys(p, server, spec->key_dir, prefix, errors);
    if (!server->issuer || !*server->issuer) return;
    if (apr_hash_get(issuers, server->issuer, APR_HASH_KEY_STRING))
        p2p_field_error(errors, prefix, "issuer", "stands in this file twice");
    apr_hash_set(issuers, server->issuer, APR_HASH_KEY_STRING, server);
}

static p2p_error_t *read_definitions(apr_pool_t *p, const char *path, const p2p_spec_t *spec, apr_array_header_t *servers,
                                     apr_array_header_t *errors)
{
    apr_hash_t *issuers = apr_hash_make(p);
    json_object *doc;
    const char *text;
    apr_size_t len;

    P2P_TRY(p2p_read_file(p, path, DEFINITIONS_BYTES, &text, &len));
    P2P_TRY(p2p_json_parse(p, text, len, &doc));
    if (!json_object_is_type(doc, json_type_array))
        return p2p_error_make(p, P2P_E_INVALID, "bad-definitions", "%s has to be a JSON array of definitions.", path);
    for (size_t i = 0; i < json_object_array_length(doc); i++)
        read_definition(p, json_object_array_get_idx(doc, i), spec, (int)i, servers, issuers, errors);
    return NULL;
}

static int data_error(const p2p_error_t *error)
{
    p2p_command_complain(error);
    return error->kind == P2P_E_NOT_FOUND ? EX_NOINPUT : EX_DATAERR;
}

int p2p_command_import(apr_pool_t *p, const p2p_spec_t *spec, const p2p_log_t *log, const char *path, FILE *out)
{
    apr_array_header_t *servers = apr_array_make(p, 16, sizeof(p2p_oidc_server_t)), *errors = p2p_field_errors(p);
    int created = 0, updated = 0;
    const char *who = p2p_caller_name(p); /* before he becomes httpd's User */
    p2p_db_t *db;
    p2p_error_t *error = read_definitions(p, path, spec, servers, errors);

    if (error) return data_error(error);
    for (int i = 0; i < errors->nelts; i++) {
        const p2p_field_error_t *e = &APR_ARRAY_IDX(errors, i, p2p_field_error_t);
        fprintf(stderr, "%s: %s\n", e->pointer, e->detail);
    }
    if (errors->nelts) {
        fprintf(stderr, "p2p-runner: nothing was imported.\n");
        return EX_DATAERR;
    }
    error = p2p_command_open(p, spec, log, &db);
    if (!error) error = p2p_oidc_server_import_by(db, p, spec->keyring, who, servers, &created, &updated);
    if (error) return failed(error);
    fprintf(out, "%d created, %d updated, %d unchanged\n", created, updated, servers->nelts - created - updated);
    return p2p_command_done(out, EX_OK);
}
