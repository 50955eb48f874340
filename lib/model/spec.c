/* SPDX-License-Identifier: Apache-2.0 */
/* The specification as JSON: one table says which member is which field. */
#include "model/spec.h"

#include <stddef.h>
#include <string.h>
#include <apr_strings.h>

typedef enum { TEXT, NUMBER, BIG, FLAG, AUTH, MAIL_MEMBER, KEYS, TRUSTS } kind_t;

typedef struct member_t {
    const char *name;
    kind_t kind;
    size_t offset;
} member_t;

#define MEMBER(name, kind, field) {name, kind, offsetof(p2p_spec_t, field)}

static const member_t members[] = {
    MEMBER("target", TEXT, target),
    MEMBER("targetAuth", AUTH, target_auth),
    MEMBER("targetCredential", TEXT, target_credential),
    MEMBER("targetCert", TEXT, target_cert),
    MEMBER("targetKey", TEXT, target_key),
    MEMBER("caFile", TEXT, ca_file),
    MEMBER("keys", KEYS, keyring),
    MEMBER("dbDriver", TEXT, db_driver),
    MEMBER("dbParams", TEXT, db_params),
    MEMBER("allowHttp", FLAG, allow_http),
    MEMBER("origins", TEXT, origins),
    MEMBER("conditionalIds", FLAG, conditional_ids),
    MEMBER("batch", FLAG, batch),
    MEMBER("mdmSystem", TEXT, mdm_system),
    MEMBER("mdmType", TEXT, mdm_type),
    MEMBER("retryFor", NUMBER, retry_for),
    MEMBER("keepJobs", NUMBER, keep_jobs),
    MEMBER("keepAudit", NUMBER, keep_audit),
    MEMBER("restartWithin", NUMBER, restart_within),
    MEMBER("bundleSize", NUMBER, bundle_size),
    MEMBER("bundleBytes", BIG, bundle_bytes),
    MEMBER("keepUnresolved", FLAG, keep_unresolved),
    MEMBER("followReferences", NUMBER, follow_references),
    MEMBER("versionedReferences", FLAG, versioned_references),
    MEMBER("recordRejected", FLAG, record_rejected),
    MEMBER("sourceConnections", NUMBER, source_connections),
    MEMBER("targetConnections", NUMBER, target_connections),
    MEMBER("jobsPerRunner", NUMBER, jobs_per_runner),
    MEMBER("memory", BIG, memory),
    MEMBER("spoolDir", TEXT, spool_dir),
    MEMBER("spoolBytes", BIG, spool_bytes),
    MEMBER("keyDir", TEXT, key_dir),
    MEMBER("bodyLimit", BIG, body_limit),
    MEMBER("hookUrl", TEXT, hook_url),
    MEMBER("subscriptionCriteria", TEXT, subscription_criteria),
    MEMBER("subscriptionPayload", TEXT, subscription_payload),
    MEMBER("subscriptionHeaders", TEXT, subscription_headers),
    MEMBER("mailServer", TEXT, mail_server),
    MEMBER("mailStartTls", FLAG, mail_starttls),
    MEMBER("mailFrom", TEXT, mail_from),
    MEMBER("mailAdmins", TEXT, mail_admins),
    MEMBER("mailCredential", TEXT, mail_credential),
    MEMBER("mailTemplates", TEXT, mail_templates),
    MEMBER("mailMember", MAIL_MEMBER, mail_member),
    MEMBER("trust", TRUSTS, trusts),
    MEMBER("signInIssuer", TEXT, sign_in_issuer),
    MEMBER("runners", NUMBER, runners),
    MEMBER("instance", TEXT, instance),
    MEMBER("slot", NUMBER, slot),
    MEMBER("logLevel", TEXT, log_level),
    MEMBER("user", TEXT, user),
    MEMBER("group", BIG, group),
};

static const char *const auth_names[] = {
    [P2P_AUTH_NONE] = "none", [P2P_AUTH_BEARER] = "bearer", [P2P_AUTH_BASIC] = "basic",
    [P2P_AUTH_CERTIFICATE] = "certificate", [P2P_AUTH_CLIENT_CREDENTIALS] = "client-credentials",
};

static const char *const mail_member_names[] = {
    [P2P_MAIL_MEMBER_TASK] = "task", [P2P_MAIL_MEMBER_RECORD] = "record", [P2P_MAIL_MEMBER_OFF] = "off",
};

p2p_spec_t *p2p_spec_make(apr_pool_t *p)
{
    p2p_spec_t *spec = apr_pcalloc(p, sizeof *spec);

    spec->keyring = p2p_keyring_make(p);
    spec->trusts = apr_array_make(p, 2, sizeof(p2p_trust_t));
    spec->origins = "";
    spec->subscription_criteria = P2P_SUBSCRIPTION_CRITERIA;
    spec->subscription_payload = "application/fhir+json";
    spec->subscription_headers = "";
    spec->mail_starttls = 1;
    spec->mail_admins = "";
    spec->retry_for = 3600;
    spec->keep_jobs = 90;
    spec->keep_audit = 2190;
    spec->restart_within = 7;
    spec->bundle_size = 100;
    spec->bundle_bytes = 8 << 20;
    spec->follow_references = 200;
    spec->versioned_references = 1;
    spec->source_connections = 4;
    spec->target_connections = 4;
    spec->jobs_per_runner = 16;
    spec->memory = 32 << 20;
    spec->spool_bytes = (apr_int64_t)2 << 30;
    spec->body_limit = 1 << 20;
    spec->runners = 1;
    return spec;
}

static json_object *print_keys(apr_pool_t *p, const p2p_keyring_t *ring)
{
    json_object *keys = json_object_new_array();

    for (int i = 0; i < p2p_keyring_count(ring); i++) {
        json_object_array_add(keys, json_object_new_string(p2p_keyring_text(p, ring, i)));
    }
    return keys;
}

static void print_member(apr_pool_t *p, json_object *doc, const member_t *member, const void *field)
{
    switch (member->kind) {
    case TEXT:
        if (*(const char *const *)field) p2p_json_add_str(doc, member->name, *(const char *const *)field);
        break;
    case NUMBER:
        p2p_json_add_int(doc, member->name, *(const int *)field);
        break;
    case BIG:
        p2p_json_add_int(doc, member->name, *(const apr_int64_t *)field);
        break;
    case FLAG:
        p2p_json_add_bool(doc, member->name, *(const int *)field);
        break;
    case AUTH:
        p2p_json_add_str(doc, member->name, auth_names[*(const p2p_target_auth_kind_t *)field]);
        break;
    case MAIL_MEMBER:
        p2p_json_add_str(doc, member->name, mail_member_names[*(const p2p_mail_member_t *)field]);
        break;
    case KEYS:
        json_object_object_add(doc, member->name, print_keys(p, *(p2p_keyring_t *const *)field));
        break;
    case TRUSTS:
        json_object_object_add(doc, member->name, json_object_get(p2p_trust_print(p, *(apr_array_header_t *const *)field)));
        break;
    }
}

const char *p2p_spec_print(apr_pool_t *p, const p2p_spec_t *spec)
{
    json_object *doc = json_object_new_object();
    const char *text;

    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        print_member(p, doc, &members[i], (const char *)spec + members[i].offset);
    }
    text = p2p_json_print(p, doc, NULL);
    json_object_put(doc);
    return text;
}

static p2p_error_t *bad(apr_pool_t *p, const char *name)
{
    return p2p_error_make(p, P2P_E_INVALID, "bad-spec", "The specification's member %s cannot be used.",
                          name);
}

static p2p_error_t *parse_text(apr_pool_t *p, const char *name, json_object *value, const char **field)
{
    if (!json_object_is_type(value, json_type_string)) return bad(p, name);
    if (strlen(json_object_get_string(value)) != (size_t)json_object_get_string_len(value)) return bad(p, name);
    *field = apr_pstrdup(p, json_object_get_string(value));
    return NULL;
}

static p2p_error_t *parse_number(apr_pool_t *p, const char *name, json_object *value, apr_int64_t max,
                                 apr_int64_t *out)
{
    *out = json_object_get_int64(value);
    return json_object_is_type(value, json_type_int) && *out >= 0 && *out <= max ? NULL : bad(p, name);
}

/* *index is that of the word among names. */
static p2p_error_t *parse_word(apr_pool_t *p, const char *name, json_object *value, const char *const *names, size_t count, size_t *index)
{
    const char *word = "";

    P2P_TRY(parse_text(p, name, value, &word));
    for (*index = 0; *index < count && strcmp(names[*index], word); ++*index) continue;
    return *index < count ? NULL : bad(p, name);
}

#define COUNT(names) (sizeof(names) / sizeof *(names))

static p2p_error_t *parse_auth(apr_pool_t *p, const char *name, json_object *value, p2p_target_auth_kind_t *field)
{
    size_t i = 0;

    P2P_TRY(parse_word(p, name, value, auth_names, COUNT(auth_names), &i));
    *field = (p2p_target_auth_kind_t)i;
    return NULL;
}

static p2p_error_t *parse_mail_member(apr_pool_t *p, const char *name, json_object *value, p2p_mail_member_t *field)
{
    size_t i = 0;

    P2P_TRY(parse_word(p, name, value, mail_member_names, COUNT(mail_member_names), &i));
    *field = (p2p_mail_member_t)i;
    return NULL;
}

static p2p_error_t *parse_keys(apr_pool_t *p, const char *name, json_object *value, p2p_keyring_t *ring)
{
    const char *text;

    if (!json_object_is_type(value, json_type_array)) return bad(p, name);
    for (size_t i = 0; i < json_object_array_length(value); i++) {
        P2P_TRY(parse_text(p, name, json_object_array_get_idx(value, i), &text));
        P2P_TRY(p2p_keyring_add(ring, text));
    }
    return NULL;
}

static p2p_error_t *parse_member(apr_pool_t *p, const member_t *member, json_object *value, void *field)
{
    apr_int64_t number = 0;

    switch (member->kind) {
    case TEXT:
        return parse_text(p, member->name, value, field);
    case NUMBER:
        P2P_TRY(parse_number(p, member->name, value, APR_INT32_MAX, &number));
        *(int *)field = (int)number;
        return NULL;
    case BIG:
        return parse_number(p, member->name, value, APR_INT64_MAX, field);
    case FLAG:
        if (!json_object_is_type(value, json_type_boolean)) return bad(p, member->name);
        *(int *)field = json_object_get_boolean(value);
        return NULL;
    case AUTH:
        return parse_auth(p, member->name, value, field);
    case MAIL_MEMBER:
        return parse_mail_member(p, member->name, value, field);
    case KEYS:
        return parse_keys(p, member->name, value, *(p2p_keyring_t **)field);
    case TRUSTS:
        return p2p_trust_parse(p, value, field);
    }
    return NULL;
}

p2p_error_t *p2p_spec_parse(apr_pool_t *p, const char *text, apr_size_t len, p2p_spec_t **out)
{
    p2p_spec_t *spec = p2p_spec_make(p);
    json_object *doc, *value;

    P2P_TRY(p2p_json_parse(p, text, len, &doc));
    if (!json_object_is_type(doc, json_type_object)) {
        return p2p_error_make(p, P2P_E_INVALID, "bad-spec", "The specification has to be a JSON object.");
    }
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        if (!json_object_object_get_ex(doc, members[i].name, &value) || !value) continue;
        P2P_TRY(parse_member(p, &members[i], value, (char *)spec + members[i].offset));
    }
    *out = spec;
    return NULL;
}
