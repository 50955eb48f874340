/* SPDX-License-Identifier: Apache-2.0 */
/* The directives: one table, a setter for each kind of value; what needs other directives or files is left to
 * check.c. */
#include "config.h"

#include <http_core.h>
#include <util_cfgtree.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "base/uri.h"
#include "trust_config.h"

#ifndef P2P_RUNNER_PATH
#define P2P_RUNNER_PATH "/usr/libexec/p2p-runner"
#endif
#ifndef P2P_STATE_DIR
#define P2P_STATE_DIR "/var/lib/p2p"
#endif
#ifndef P2P_MAIL_DIR
#define P2P_MAIL_DIR "/etc/apache2/p2p/mail"
#endif

#ifndef P2P_PAGES_DIR
#define P2P_PAGES_DIR "/usr/share/mod_p2p/pages"
#endif

#define KIB APR_INT64_C(1024)
#define MIB (KIB * KIB)
#define GIB (KIB * MIB)

typedef enum {
    KIND_TEXT, KIND_FILE, KIND_FILES, KIND_FLAG, KIND_NUMBER, KIND_SIZE, KIND_CHOICE, KIND_AUTH, KIND_SPOOL,
    KIND_ORIGINS, KIND_HEADER, KIND_MDM, KIND_WORDS, KIND_TRUST, KIND_SIGN_IN
} kind_t;

/* One directive: where in p2p_config_t its value goes (int, apr_int64_t or const char *, as its kind says)
 * and what is allowed. */
typedef struct setting_t {
    kind_t kind;
    apr_size_t offset;
    apr_int64_t low, high;  /* of a number or size */
    const char *choices[3]; /* of a choice; the value is the index */
} setting_t;

typedef const char *(*setter_fn)(cmd_parms *cmd, void *field, int argc, char *const argv[]);

/* A number of digits, at most 15 of them, times the unit that may follow; -1 for anything else. */
static apr_int64_t parse_number(const char *text, int with_unit)
{
    static const char units[] = "KMG";
    apr_int64_t value = 0;
    const char *at = text, *unit;

    while (apr_isdigit(*at) && at - text < 15) value = value * 10 + (*at++ - '0');
    if (at == text) return -1;
    if (!*at) return value;
    unit = with_unit ? strchr(units, apr_toupper(*at)) : NULL;
    if (!unit || at[1]) return -1;
    if (value > (APR_INT64_MAX >> (10 * (unit - units + 1)))) return -1;
    return value << (10 * (unit - units + 1));
}

static const char *size_text(apr_pool_t *p, apr_int64_t bytes)
{
    if (bytes % GIB == 0) return apr_psprintf(p, "%" APR_INT64_T_FMT "G", bytes / GIB);
    if (bytes % MIB == 0) return apr_psprintf(p, "%" APR_INT64_T_FMT "M", bytes / MIB);
    return apr_psprintf(p, "%" APR_INT64_T_FMT "K", bytes / KIB);
}

static const char *set_text(cmd_parms *cmd, void *field, int argc, char *const argv[])
{
    (void)argc;
    *(const char **)field = apr_pstrdup(cmd->pool, argv[0]);
    return NULL;
}

static const char *set_origins(cmd_parms *cmd, void *field, int argc, char *const argv[])
{
    const char *joined = "";

    for (int i = 0; i < argc; i++) joined = apr_pstrcat(cmd->pool, joined, i ? " " : "", argv[i], NULL);
    *(const char **)field = joined;
    return NULL;
}

/* One more of those that stand before it. */
static const char *set_header(cmd_parms *cmd, void *field, int argc, char *const argv[])
{
    const char **lines = field;

    (void)argc;
    if (strpbrk(argv[0], "\r\n")) return apr_psprintf(cmd->pool, "%s must be one line", cmd->cmd->name);
    *lines = apr_pstrcat(cmd->pool, *lines, **lines ? "\n" : "", argv[0], NULL);
    return NULL;
}

static const char *set_words(cmd_parms *cmd, void *field, int argc, char *const argv[])
{
    apr_array_header_t *words = apr_array_make(cmd->pool, argc, sizeof(const char *));

    for (int i = 0; i < argc; i++) APR_ARRAY_PUSH(words, const char *) = apr_pstrdup(cmd->pool, argv[i]);
    *(apr_array_header_t **)field = words;
    return NULL;
}

static const char *set_mdm(cmd_parms *cmd, void *field, int argc, char *const argv[])
{
    p2p_config_t *config = field;

    config->spec.mdm_system = apr_pstrdup(cmd->pool, argv[0]);
    if (argc > 1) config->spec.mdm_type = apr_pstrdup(cmd->pool, argv[1]);
    return NULL;
}

static const char *set_file(cmd_parms *cmd, void *field, int argc, char *const argv[])
{
    const char *path = ap_server_root_relative(cmd->pool, argv[0]);

    (void)argc;
    if (!path) return apr_psprintf(cmd->pool, "%s: \"%s\" is not a path", cmd->cmd->name, argv[0]);
    *(const char **)field = path;
    return NULL;
}

static const char *set_files(cmd_parms *cmd, void *field, int argc, char *const argv[])
{
    apr_array_header_t *files = apr_array_make(cmd->pool, argc, sizeof(const char *));
    const char *fault;

    for (int i = 0; i < argc; i++) {
        fault = set_file(cmd, apr_array_push(files), 1, argv + i);
        if (fault) return fault;
    }
    *(apr_array_header_t **)field = files;
    return NULL;
}

static const char *set_flag(cmd_parms *cmd, void *field, int argc, char *const argv[])
{
    int on = !ap_cstr_casecmp(argv[0], "on");

    (void)argc;
    if (!on && ap_cstr_casecmp(argv[0], "off")) {
        return apr_psprintf(cmd->pool, "%s must be On or Off, not \"%s\"", cmd->cmd->name, argv[0]);
    }
    *(int *)field = on;
    return NULL;
}

static const char *set_number(cmd_parms *cmd, void *field, int argc, char *const argv[])
{
    const setting_t *setting = cmd->info;
    apr_int64_t value = parse_number(argv[0], 0);

    (void)argc;
    if (value < setting->low || value > setting->high) {
        return apr_psprintf(cmd->pool, "%s must be a whole number from %d to %d, not \"%s\"", cmd->cmd->name,
                            (int)setting->low, (int)setting->high, argv[0]);
    }
    *(int *)field = (int)value;
    return NULL;
}

static const char *set_size(cmd_parms *cmd, void *field, int argc, char *const argv[])
{
    const setting_t *setting = cmd->info;
    apr_int64_t value = parse_number(argv[0], 1);

    (void)argc;
    if (value < setting->low || value > setting->high) {
        return apr_psprintf(cmd->pool, "%s must be a number of bytes from %s to %s (K, M or G may follow "
                            "it), not \"%s\"", cmd->cmd->name, size_text(cmd->pool, setting->low),
                            size_text(cmd->pool, setting->high), argv[0]);
    }
    *(apr_int64_t *)field = value;
    return NULL;
}

static const char *set_choice(cmd_parms *cmd, void *field, int argc, char *const argv[])
{
    const setting_t *setting = cmd->info;

    (void)argc;
    for (int i = 0; i < 3 && setting->choices[i]; i++) {
        if (ap_cstr_casecmp(argv[0], setting->choices[i])) continue;
        *(int *)field = i;
        return NULL;
    }
    return apr_psprintf(cmd->pool, "%s must be %s%s%s or %s, not \"%s\"", cmd->cmd->name, setting->choices[0],
                        setting->choices[2] ? ", " : "", setting->choices[2] ? setting->choices[1] : "",
                        setting->choices[setting->choices[2] ? 2 : 1], argv[0]);
}

/* The ways to authenticate at the target, with the number of files that follow. */
static const struct auth_way_t {
    const char *word;
    p2p_target_auth_kind_t kind;
    int files;
    const char *names;
} auth_ways[] = {
    { "none", P2P_AUTH_NONE, 0, "" },
    { "bearer", P2P_AUTH_BEARER, 1, " FILE" },
    { "basic", P2P_AUTH_BASIC, 1, " FILE" },
    { "client-credentials", P2P_AUTH_CLIENT_CREDENTIALS, 1, " FILE" },
    { "certificate", P2P_AUTH_CERTIFICATE, 2, " CERT KEY" },
};

static const struct auth_way_t *find_auth_way(const char *word)
{
    for (unsigned i = 0; i < sizeof auth_ways / sizeof *auth_ways; i++) {
        if (!ap_cstr_casecmp(word, auth_ways[i].word)) return &auth_ways[i];
    }
    return NULL;
}

static const char *set_auth(cmd_parms *cmd, void *field, int argc, char *const argv[])
{
    p2p_config_t *config = field;
    const struct auth_way_t *way = find_auth_way(argv[0]);
    const char *fault = NULL;

    if (!way) {
        return apr_psprintf(cmd->pool, "P2PTargetAuth must be none, bearer FILE, basic FILE, client-credentials FILE or "
                            "certificate CERT KEY, not \"%s\"", argv[0]);
    }
    if (argc - 1 != way->files) {
        return apr_psprintf(cmd->pool, "Write it as P2PTargetAuth %s%s", way->word, way->names);
    }
    config->spec.target_auth = way->kind;
    if (way->files == 1) fault = set_file(cmd, &config->auth_file, 1, argv + 1);
    if (way->files == 2) {
        fault = set_file(cmd, &config->cert_file, 1, argv + 1);
        if (!fault) fault = set_file(cmd, &config->key_file, 1, argv + 2);
    }
    return fault;
}

static const char *set_spool(cmd_parms *cmd, void *field, int argc, char *const argv[])
{
    p2p_config_t *config = field;
    const char *fault = set_file(cmd, &config->spec.spool_dir, 1, argv);

    if (fault || argc < 2) return fault;
    return set_size(cmd, &config->spec.spool_bytes, 1, argv + 1);
}

static const char *set_sign_in(cmd_parms *cmd, void *field, int argc, char *const argv[])
{
    p2p_config_t *config = field;

    config->spec.sign_in_issuer = p2p_uri_trim(cmd->pool, argv[0]);
    config->sign_in_client = apr_pstrdup(cmd->pool, argv[1]);
    return set_origins(cmd, &config->sign_in_scopes, argc - 2, argv + 2);
}

static const struct {
    setter_fn set;
    int least, most; /* arguments */
} kinds[] = {
    [KIND_TEXT] = { set_text, 1, 1 },
    [KIND_FILE] = { set_file, 1, 1 },
    [KIND_FILES] = { set_files, 1, 16 },
    [KIND_FLAG] = { set_flag, 1, 1 },
    [KIND_NUMBER] = { set_number, 1, 1 },
    [KIND_SIZE] = { set_size, 1, 1 },
    [KIND_CHOICE] = { set_choice, 1, 1 },
    [KIND_AUTH] = { set_auth, 1, 3 },
    [KIND_SPOOL] = { set_spool, 1, 2 },
    [KIND_ORIGINS] = { set_origins, 1, 64 },
    [KIND_HEADER] = { set_header, 1, 1 },
    [KIND_MDM] = { set_mdm, 1, 2 },
    [KIND_WORDS] = { set_words, 1, 64 },
    [KIND_TRUST] = { p2p_trust_set, 2, 16 },
    [KIND_SIGN_IN] = { set_sign_in, 3, 32 },
};

/* NULL where the directive may stand where it does. */
static const char *check_place(cmd_parms *cmd, const p2p_config_t *config)
{
    const ap_directive_t *before = apr_hash_get(config->places, cmd->cmd->name, APR_HASH_KEY_STRING);
    kind_t kind = ((const setting_t *)cmd->info)->kind;

    if (cmd->server->is_virtual || cmd->path) {
        return apr_psprintf(cmd->pool, "%s belongs in the main server configuration: move it out of the <%s> "
                            "section", cmd->cmd->name, cmd->path ? "Location" : "VirtualHost");
    }
    if (!before || kind == KIND_TRUST || kind == KIND_HEADER) return NULL;
    return apr_psprintf(cmd->pool, "%s stands twice: remove this one or the one in line %d of %s",
                        cmd->cmd->name, before->line_num, before->filename);
}

/* Takes every directive of the table. */
static const char *set(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    const setting_t *setting = cmd->info;
    p2p_config_t *config = ap_get_module_config(cmd->server->module_config, &p2p_module);
    const char *fault = check_place(cmd, config);

    (void)dir;
    if (fault) return fault;
    if (argc < kinds[setting->kind].least || argc > kinds[setting->kind].most) {
        return apr_psprintf(cmd->pool, "Write it as %s %s", cmd->cmd->name, cmd->cmd->errmsg);
    }
    apr_hash_set(config->places, cmd->cmd->name, APR_HASH_KEY_STRING, cmd->directive);
    return kinds[setting->kind].set(cmd, (char *)config + setting->offset, argc, argv);
}

static const char *check_handler_place(cmd_parms *cmd)
{
    const ap_directive_t *section = cmd->directive->parent;

    if (!cmd->path) return NULL;
    if (section && section->args[0] != '~' && !ap_cstr_casecmp(section->directive, "<Location")) return NULL;
    return "SetHandler p2p belongs in a virtual host, the main server configuration or a <Location> that is "
           "no pattern";
}

/* SetHandler is the core's; httpd shows it to us as well, so that we learn under which path our routes
 * begin. */
static const char *see_handler(cmd_parms *cmd, void *record, const char *args)
{
    p2p_dir_t *dir = record;
    p2p_config_t *config = ap_get_module_config(cmd->server->module_config, &p2p_module);
    apr_size_t len;
    char *prefix;

    dir->set = 1;
    dir->enabled = !strcmp(ap_getword_conf(cmd->temp_pool, &args), "p2p");
    if (!dir->enabled) return NULL;
    config->handler_used = 1;
    prefix = apr_pstrdup(cmd->pool, cmd->path ? cmd->path : "");
    for (len = strlen(prefix); len && prefix[len - 1] == '/'; len--) prefix[len - 1] = '\0';
    dir->prefix = prefix;
    return check_handler_place(cmd);
}

/* ACCESS_CONF lets a <Location> through to check_place, whose sentence says more than httpd's "not allowed
 * here". */
#define SETTING(name, help, ...) \
    { name, { .take_argv = set }, (void *)&(const setting_t){ __VA_ARGS__ }, RSRC_CONF | ACCESS_CONF, \
      TAKE_ARGV, help }
#define AT(kind_name, member) .kind = KIND_##kind_name, .offset = offsetof(p2p_config_t, member)
#define RANGE(least, most) .low = (least), .high = (most)

const command_rec p2p_commands[] = {
    SETTING("P2PTarget", "URL", AT(TEXT, spec.target)),
    SETTING("P2PTargetAuth", "none | bearer FILE | basic FILE | client-credentials FILE | certificate CERT KEY", .kind = KIND_AUTH),
    SETTING("P2PCAFile", "FILE", AT(FILE, spec.ca_file)),
    SETTING("P2PSecretKeyFile", "FILE ...", AT(FILES, key_files)),
    SETTING("P2PRunner", "PATH", AT(FILE, runner)),
    SETTING("P2PRunners", "N", AT(NUMBER, spec.runners), RANGE(0, 64)),
    SETTING("P2PAllowHttp", "On | Off", AT(FLAG, spec.allow_http)),
    SETTING("P2POrigins", "ORIGIN ...", AT(ORIGINS, spec.origins)),
    SETTING("P2PResourceIds", "derive | conditional", AT(CHOICE, spec.conditional_ids),
            .choices = { "derive", "conditional" }),
    SETTING("P2PBundleType", "transaction | batch", AT(CHOICE, spec.batch), .choices = { "transaction", "batch" }),
    SETTING("P2PBundleSize", "N", AT(NUMBER, spec.bundle_size), RANGE(1, 1000)),
    SETTING("P2PBundleBytes", "N", AT(SIZE, spec.bundle_bytes), RANGE(64 * KIB, GIB)),
    SETTING("P2PUnresolvedReferences", "logical | keep", AT(CHOICE, spec.keep_unresolved),
            .choices = { "logical", "keep" }),
    SETTING("P2PFollowReferences", "N", AT(NUMBER, spec.follow_references), RANGE(0, 10000)),
    SETTING("P2PVersionedReferences", "On | Off", AT(FLAG, spec.versioned_references)),
    SETTING("P2PMdmIdentifier", "SYSTEM [TYPE]", .kind = KIND_MDM),
    SETTING("P2PRejected", "fail | record", AT(CHOICE, spec.record_rejected),
            .choices = { "fail", "record" }),
    SETTING("P2PSourceConnections", "N", AT(NUMBER, spec.source_connections), RANGE(1, 64)),
    SETTING("P2PTargetConnections", "N", AT(NUMBER, spec.target_connections), RANGE(1, 64)),
    SETTING("P2PJobsPerRunner", "N", AT(NUMBER, spec.jobs_per_runner), RANGE(1, 1000)),
    SETTING("P2PMemory", "N", AT(SIZE, spec.memory), RANGE(4 * MIB, 64 * GIB)),
    SETTING("P2PSpool", "DIR [N]", .kind = KIND_SPOOL, RANGE(MIB, 16384 * GIB)),
    SETTING("P2PRetryFor", "SECONDS", AT(NUMBER, spec.retry_for), RANGE(1, 604800)),
    SETTING("P2PRestartWithin", "DAYS", AT(NUMBER, spec.restart_within), RANGE(0, 365)),
    SETTING("P2PKeepJobs", "DAYS", AT(NUMBER, spec.keep_jobs), RANGE(1, 36500)),
    SETTING("P2PBodyLimit", "N", AT(SIZE, spec.body_limit), RANGE(KIB, GIB)),
    SETTING("P2PHookURL", "URL", AT(TEXT, spec.hook_url)),
    SETTING("P2PSubscriptionCriteria", "CRITERIA", AT(TEXT, spec.subscription_criteria)),
    SETTING("P2PSubscriptionPayload", "TYPE | none", AT(TEXT, spec.subscription_payload)),
    SETTING("P2PSubscriptionHeader", "HEADER", AT(HEADER, spec.subscription_headers)),
    SETTING("P2PMailServer", "URL", AT(TEXT, spec.mail_server)),
    SETTING("P2PMailStartTLS", "On | Off", AT(FLAG, spec.mail_starttls)),
    SETTING("P2PMailFrom", "ADDRESS", AT(TEXT, spec.mail_from)),
    SETTING("P2PMailAdmins", "ADDRESS ...", AT(ORIGINS, spec.mail_admins)),
    SETTING("P2PMailAuth", "FILE", AT(FILE, mail_auth_file)),
    SETTING("P2PMailTemplates", "DIR", AT(FILE, spec.mail_templates)),
    SETTING("P2PMailMember", "task | record | off", AT(CHOICE, spec.mail_member), .choices = { "task", "record", "off" }),
    SETTING("P2PTrustIssuer",
            "[definition] ISSUER [keys=FILE | jwks=URL | introspection[=URL] client=FILE] audience=AUD[,AUD] [portal=SCOPE[,SCOPE]] [administration=SCOPE[,SCOPE]]",
            .kind = KIND_TRUST),
    SETTING("P2PAdministrators", "NAME ...", AT(WORDS, administrators)),
    SETTING("P2PPatientClaim", "NAME | off", AT(TEXT, patient_claim)),
    SETTING("P2PKeyDir", "DIR", AT(FILE, key_dir)),
    SETTING("P2PCorsOrigins", "ORIGIN ...", AT(WORDS, cors_origins)),
    SETTING("P2PRateLimit", "N", AT(NUMBER, rate_limit), RANGE(0, 100000)),
    SETTING("P2PKeepAudit", "DAYS", AT(NUMBER, spec.keep_audit), RANGE(1, 36500)),
    SETTING("P2PSignIn", "ISSUER CLIENT_ID SCOPE ...", .kind = KIND_SIGN_IN),
    SETTING("P2PPages", "DIR", AT(FILE, pages_dir)),
    P2P_INJECT_COMMANDS,
    AP_INIT_RAW_ARGS("SetHandler", see_handler, NULL, OR_FILEINFO, "p2p: the routes of mod_p2p appear here"),
    { .name = NULL }
};

void *p2p_config_create(apr_pool_t *p, server_rec *s)
{
    p2p_config_t *config = apr_pcalloc(p, sizeof *config);

    (void)s;
    config->spec = *p2p_spec_make(p);
    if (!config->spec.spool_dir) config->spec.spool_dir = P2P_STATE_DIR;
    config->spec.mail_templates = P2P_MAIL_DIR;
    config->pages_dir = P2P_PAGES_DIR;
    config->runner = P2P_RUNNER_PATH;
    config->key_files = apr_array_make(p, 1, sizeof(const char *));
    config->trust_lines = p2p_trust_lines(p);
    config->administrators = apr_array_make(p, 1, sizeof(const char *));
    config->cors_origins = apr_array_make(p, 1, sizeof(const char *));
    config->patient_claim = "patient";
    config->places = apr_hash_make(p);
    return config;
}

void *p2p_config_merge(apr_pool_t *p, void *base, void *add)
{
    p2p_config_t *main_config = base;

    (void)p;
    if (add) main_config->handler_used |= ((p2p_config_t *)add)->handler_used;
    return main_config;
}

void *p2p_dir_create(apr_pool_t *p, char *path)
{
    p2p_dir_t *dir = apr_pcalloc(p, sizeof *dir);

    (void)path;
    dir->prefix = "";
    dir->inject.on = -1;
    return dir;
}

void *p2p_dir_merge(apr_pool_t *p, void *base, void *add)
{
    const p2p_dir_t *above = base, *below = add;
    p2p_dir_t *dir = apr_pmemdup(p, below->set ? below : above, sizeof *dir);

    dir->inject = p2p_inject_merge(&above->inject, &below->inject);
    return dir;
}

p2p_config_t *p2p_config(const server_rec *s)
{
    return ap_get_module_config(s->module_config, &p2p_module);
}

p2p_state_t *p2p_state(request_rec *r)
{
    p2p_state_t *state = ap_get_module_config(r->request_config, &p2p_module);

    if (state) return state;
    state = apr_pcalloc(r->pool, sizeof *state);
    ap_set_module_config(r->request_config, &p2p_module, state);
    return state;
}

const p2p_dir_t *p2p_dir(const request_rec *r)
{
    return ap_get_module_config(r->per_dir_config, &p2p_module);
}
