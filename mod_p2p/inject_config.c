/* SPDX-License-Identifier: Apache-2.0 */
/* The directives of the source role: what they may say, and where. */
#include "inject_config.h"

#include <http_core.h>
#include <http_log.h>
#include <util_cfgtree.h>
#include <ap_provider.h>
#include <ap_socache.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "base/uri.h"
#include "conftree.h"
#include "mod_p2p.h"

APLOG_USE_MODULE(p2p);

#define SECONDS_MAX 604800

static p2p_inject_dir_t *here(void *dir)
{
    return &((p2p_dir_t *)dir)->inject;
}

const char *p2p_inject_set_on(cmd_parms *cmd, void *dir, int flag)
{
    (void)cmd;
    here(dir)->on = flag;
    return NULL;
}

/* What may stand as Provenance.agent.who (R4). */
static int is_agent(const char *type, apr_size_t len)
{
    static const char *const types[] = { "Organization", "Practitioner", "PractitionerRole", "RelatedPerson", "Patient", "Device" };

    for (unsigned i = 0; i < sizeof types / sizeof *types; i++) {
        if (strlen(types[i]) == len && !memcmp(types[i], type, len)) return 1;
    }
    return 0;
}

/* Does the text end with Type/id, and before that nothing, or the URL of a FHIR server? */
static int is_reference(apr_pool_t *p, const char *text)
{
    const char *id = strrchr(text, '/'), *type = id;

    if (!id || !p2p_is_fhir_id(id + 1, strlen(id + 1))) return 0;
    while (type > text && type[-1] != '/') type--;
    if (!is_agent(type, (apr_size_t)(id - type))) return 0;
    return type == text || !p2p_uri_check_base(p, text, 1);
}

const char *p2p_inject_set_who(cmd_parms *cmd, void *dir, const char *reference)
{
    if (!is_reference(cmd->temp_pool, reference)) {
        return apr_psprintf(cmd->pool, "P2PProvenanceWho must be a reference to who answers, as in P2PProvenanceWho Organization/123, not \"%s\"", reference);
    }
    here(dir)->who = reference;
    return NULL;
}

/* A URI that is not relative, without white space or quotes. */
static int is_uri(const char *text, apr_size_t len)
{
    const char *colon = memchr(text, ':', len);

    if (!colon || colon == text || colon + 1 == text + len || !apr_isalpha(*text)) return 0;
    for (apr_size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] <= ' ' || text[i] == '"' || text[i] == '\\') return 0;
    }
    return 1;
}

const char *p2p_inject_set_agent_type(cmd_parms *cmd, void *dir, const char *type)
{
    const char *bar = strchr(type, '|');

    if (!bar || !is_uri(type, (apr_size_t)(bar - type)) || !bar[1] || strpbrk(bar + 1, "|\" \t\\")) {
        return apr_psprintf(cmd->pool, "P2PProvenanceAgentType must be SYSTEM|CODE, as in P2PProvenanceAgentType "
                            "http://terminology.hl7.org/CodeSystem/provenance-participant-type|author, not \"%s\"", type);
    }
    here(dir)->agent_type = type;
    return NULL;
}

const char *p2p_inject_set_profile(cmd_parms *cmd, void *dir, const char *profile)
{
    if (!is_uri(profile, strlen(profile))) {
        return apr_psprintf(cmd->pool, "P2PProvenanceProfile must be the URL of a profile of Provenance, not \"%s\"", profile);
    }
    here(dir)->profile = profile;
    return NULL;
}

static const char *set_seconds(cmd_parms *cmd, p2p_inject_main_t *settings, const char *text)
{
    char *end;
    apr_int64_t seconds = apr_strtoi64(text, &end, 10);

    if (!apr_isdigit(*text) || *end || seconds < 1 || seconds > SECONDS_MAX) {
        return apr_psprintf(cmd->pool, "P2PProvenanceCache takes a whole number of seconds from 1 to %d, not \"%s\"", SECONDS_MAX, text);
    }
    settings->seconds = (int)seconds;
    return NULL;
}

const char *p2p_inject_set_cache(cmd_parms *cmd, void *dir, const char *provider, const char *seconds)
{
    p2p_inject_main_t *settings = &p2p_config(cmd->server)->inject;
    const char *colon = strchr(provider, ':');

    (void)dir;
    if (cmd->server->is_virtual || cmd->path) {
        return apr_psprintf(cmd->pool, "P2PProvenanceCache belongs in the main server configuration: move it out of the <%s> section",
                            cmd->path ? "Location" : "VirtualHost");
    }
    if (settings->provider) return "P2PProvenanceCache stands twice: remove one of them";
    settings->provider = colon ? apr_pstrmemdup(cmd->pool, provider, (apr_size_t)(colon - provider)) : provider;
    if (colon && colon[1]) settings->args = colon + 1;
    return seconds ? set_seconds(cmd, settings, seconds) : NULL;
}

p2p_inject_dir_t p2p_inject_merge(const p2p_inject_dir_t *base, const p2p_inject_dir_t *add)
{
    return (p2p_inject_dir_t){
        .on = add->on < 0 ? base->on : add->on,
        .who = add->who ? add->who : base->who,
        .agent_type = add->agent_type ? add->agent_type : base->agent_type,
        .profile = add->profile ? add->profile : base->profile,
    };
}

/* ---- The configuration as a whole ---- */

static int fault(apr_pool_t *p, server_rec *s, const ap_directive_t *place, const char *name, const char *sentence)
{
    const char *where = place ? apr_psprintf(p, " (line %d of %s)", place->line_num, place->filename) : "";

    ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_ERR, 0, s, "%s%s: %s", name, where, sentence);
    return 1;
}

/* In the section where the directive stands, or in one around it. */
static int has_who(const ap_directive_t *directive)
{
    const ap_directive_t *section = directive->parent;

    for (; section; section = section->parent) {
        if (p2p_conftree_find(section->first_child, "P2PProvenanceWho")) return 1;
    }
    return p2p_conftree_find(ap_conftree, "P2PProvenanceWho") != NULL;
}

static int is_on(apr_pool_t *p, const ap_directive_t *directive)
{
    return !ap_cstr_casecmp(directive->directive, "P2PProvenanceInjection") && !ap_cstr_casecmp(p2p_conftree_arg(p, directive), "on");
}

/* Every place where injection is switched on: how often, and how many of them do not say who answers. */
static int check_places(apr_pool_t *p, server_rec *s, const ap_directive_t *node, int *used)
{
    int faults = 0;

    for (; node; node = node->next) {
        if (node->first_child) faults += check_places(p, s, node->first_child, used);
        if (!is_on(p, node)) continue;
        *used = 1;
        if (has_who(node)) continue;
        faults += fault(p, s, node, "P2PProvenanceInjection", "takes P2PProvenanceWho in the same section, or around it: who answers, as in "
                        "P2PProvenanceWho Organization/123");
    }
    return faults;
}

static int check_cache(apr_pool_t *p, server_rec *s, const p2p_inject_main_t *settings)
{
    const ap_directive_t *place = p2p_conftree_find(ap_conftree, "P2PProvenanceCache");
    const char *name = settings->provider ? settings->provider : P2P_INJECT_PROVIDER, *sentence;
    const ap_socache_provider_t *provider = ap_lookup_provider(AP_SOCACHE_PROVIDER_GROUP, name, AP_SOCACHE_PROVIDER_VERSION);
    ap_socache_instance_t *instance;

    if (!provider) {
        return fault(p, s, place, "P2PProvenanceCache", apr_psprintf(p, "takes mod_socache_%s, which is not loaded: load it (a2enmod socache_%s), or name "
                                                                     "another provider", name, name));
    }
    sentence = provider->create(&instance, settings->args, p, p);
    return sentence ? fault(p, s, place, "P2PProvenanceCache", apr_psprintf(p, "%s says: %s", name, sentence)) : 0;
}

int p2p_inject_check(apr_pool_t *pconf, server_rec *s)
{
    p2p_inject_main_t *settings = &p2p_config(s)->inject;
    int faults = check_places(pconf, s, ap_conftree, &settings->used);

    if (!settings->used) return faults;
    return faults + check_cache(pconf, s, settings);
}
