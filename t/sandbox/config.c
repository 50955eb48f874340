/* SPDX-License-Identifier: Apache-2.0 */
/* Directives: SandboxPayer names the payer of a virtual host or Location, those behind it describe it. */
#include <apr_file_info.h>
#include "search.h"
#include "told.h"

apr_array_header_t *sandbox_payers;

static sandbox_payer_t *make_payer(apr_pool_t *p, const char *name)
{
    sandbox_payer_t *payer = apr_pcalloc(p, sizeof(*payer));

    payer->name = name;
    payer->base = "/fhir";
    payer->token_path = "/token";
    payer->control_path = "/sandbox";
    payer->internal_base = "http://fhir.internal:8080/fhir";
    payer->fhir_version = "4.0.1";
    payer->patient_member = "patient";
    payer->client_auth = "any";
    payer->data = apr_array_make(p, 4, sizeof(char *));
    payer->grants = apr_array_make(p, 4, sizeof(char *));
    payer->faults = apr_array_make(p, 4, sizeof(char *));
    payer->without_types = apr_array_make(p, 4, sizeof(char *));
    payer->redirects = apr_array_make(p, 2, sizeof(char *));
    payer->origins = apr_array_make(p, 2, sizeof(char *));
    payer->clients = apr_table_make(p, 4);
    payer->seed = 1;
    payer->page_size = 50;
    payer->page_max = 1000;
    payer->token_lifetime = 3600;
    payer->activate_ms = 100;
    payer->delivery_tries = 20;
    payer->delivery_retry_ms = 250;
    payer->integrity = payer->client_ids = payer->rotate = 1;
    APR_ARRAY_PUSH(sandbox_payers, sandbox_payer_t *) = payer;
    return payer;
}

static const char *set_payer(cmd_parms *cmd, void *dir, const char *name)
{
    sandbox_conf_t *conf = dir;

    for (int i = 0; i < sandbox_payers->nelts; i++) {
        sandbox_payer_t *payer = APR_ARRAY_IDX(sandbox_payers, i, sandbox_payer_t *);

        if (strcmp(payer->name, name) == 0) conf->payer = payer;
    }
    if (!conf->payer || strcmp(conf->payer->name, name) != 0) conf->payer = make_payer(cmd->pool, name);
    return NULL;
}

static const char *nobody(cmd_parms *cmd, void *dir)
{
    const sandbox_conf_t *conf = dir;

    return conf->payer ? NULL : apr_pstrcat(cmd->pool, cmd->cmd->name, ": put SandboxPayer NAME before it",
                                            NULL);
}

/* The field that the directive's cmd_data points to. */
static void *field(cmd_parms *cmd, void *dir)
{
    return (char *)((sandbox_conf_t *)dir)->payer + (apr_size_t)cmd->info;
}

static const char *set_text(cmd_parms *cmd, void *dir, const char *text)
{
    const char *fault = nobody(cmd, dir);

    if (!fault) *(const char **)field(cmd, dir) = text;
    return fault;
}

static const char *set_number(cmd_parms *cmd, void *dir, const char *text)
{
    const char *fault = nobody(cmd, dir);

    if (fault) return fault;
    if (!apr_isdigit(text[*text == '-'])) return apr_pstrcat(cmd->pool, cmd->cmd->name, " takes a number", NULL);
    *(int *)field(cmd, dir) = atoi(text);
    return NULL;
}

static const char *set_flag(cmd_parms *cmd, void *dir, int on)
{
    const char *fault = nobody(cmd, dir);

    if (!fault) *(int *)field(cmd, dir) = on;
    return fault;
}

static const char *add_text(cmd_parms *cmd, void *dir, const char *text)
{
    const char *fault = nobody(cmd, dir);

    if (!fault) APR_ARRAY_PUSH(*(apr_array_header_t **)field(cmd, dir), const char *) = text;
    return fault;
}

static const char *add_data(cmd_parms *cmd, void *dir, const char *path)
{
    apr_finfo_t info;

    if (apr_stat(&info, path, APR_FINFO_TYPE, cmd->temp_pool) != APR_SUCCESS)
        return apr_psprintf(cmd->pool, "SandboxData: %s does not exist", path);
    return add_text(cmd, dir, path);
}

static const char *add_grant(cmd_parms *cmd, void *dir, const char *access, const char *refresh,
                             const char *patient)
{
    return add_text(cmd, dir, apr_pstrcat(cmd->pool, access, " ", refresh, patient ? " " : NULL, patient,
                                          NULL));
}

static const char *add_client(cmd_parms *cmd, void *dir, const char *id, const char *secret)
{
    const char *fault = nobody(cmd, dir);

    if (!fault) apr_table_set(((sandbox_conf_t *)dir)->payer->clients, id, secret ? secret : "");
    return fault;
}

static const char *set_portal(cmd_parms *cmd, void *dir, const char *path, const char *folder)
{
    const char *fault = nobody(cmd, dir);
    sandbox_payer_t *payer = ((sandbox_conf_t *)dir)->payer;

    if (!fault) payer->portal_path = path, payer->portal_dir = folder;
    return fault;
}

static const char *set_order(cmd_parms *cmd, void *dir, const char *order, const char *seed)
{
    const char *fault = nobody(cmd, dir);
    sandbox_payer_t *payer = ((sandbox_conf_t *)dir)->payer;

    if (fault) return fault;
    if (seed) order = apr_pstrcat(cmd->temp_pool, order, " ", seed, NULL);
    if (sandbox_order_read(order, &payer->order, &payer->seed)) return NULL;
    return "SandboxOrder takes file, type, reverse-type or shuffled SEED";
}

static const char *set_choice(cmd_parms *cmd, void *dir, const char *word, const char *const *words)
{
    const char *fault = nobody(cmd, dir);

    if (fault) return fault;
    for (int i = 0; words[i]; i++) {
        if (strcmp(words[i], word) != 0) continue;
        *(int *)field(cmd, dir) = i;
        return NULL;
    }
    return apr_psprintf(cmd->pool, "%s does not take %s", cmd->cmd->name, word);
}

static const char *set_link(cmd_parms *cmd, void *dir, const char *word)
{
    static const char *const words[] = {"absolute", "relative", "query", "internal-host", NULL};

    return set_choice(cmd, dir, word, words);
}

static const char *set_total(cmd_parms *cmd, void *dir, const char *word)
{
    static const char *const words[] = {"all", "last", "none", NULL};

    return set_choice(cmd, dir, word, words);
}

static const char *set_client_ids(cmd_parms *cmd, void *dir, const char *word)
{
    static const char *const words[] = {"refuse", "accept", NULL};

    return set_choice(cmd, dir, word, words);
}

static const char *add_delivery(cmd_parms *cmd, void *dir, const char *word)
{
    const char *fault = nobody(cmd, dir);

    if (fault || sandbox_delivery_read(word, ((sandbox_conf_t *)dir)->payer)) return fault;
    return "SandboxDelivery takes put, post, empty or bundle, and whole, thrice or half";
}

#define FIELD(name) ((void *)offsetof(sandbox_payer_t, name))
#define WHERE (RSRC_CONF | ACCESS_CONF)
#define TEXT(name, member, help) AP_INIT_TAKE1(name, set_text, FIELD(member), WHERE, help)
#define NUMBER(name, member, help) AP_INIT_TAKE1(name, set_number, FIELD(member), WHERE, help)
#define FLAG(name, member, help) AP_INIT_FLAG(name, set_flag, FIELD(member), WHERE, help)

const command_rec sandbox_commands[] = {
    AP_INIT_TAKE1("SandboxPayer", set_payer, NULL, WHERE, "the payer served here, by name"),
    TEXT("SandboxBase", base, "path of the FHIR base (/fhir)"),
    TEXT("SandboxBaseUrl", base_url, "service base in fullUrl and links (made from the request)"),
    TEXT("SandboxImplementationUrl", implementation_url,
         "implementation.url of the CapabilityStatement (the base)"),
    TEXT("SandboxInternalBase", internal_base, "base in next links of the kind internal-host"),
    TEXT("SandboxFhirVersion", fhir_version, "fhirVersion of the CapabilityStatement (4.0.1)"),
    TEXT("SandboxToken", token_path, "path of the token endpoint (/token)"),
    TEXT("SandboxControl", control_path, "path of the control resources (/sandbox)"),
    TEXT("SandboxIssuer", issuer, "issuer in the well-known documents (the origin)"),
    TEXT("SandboxPatientMember", patient_member, "member of the token answer that names the patient (patient)"),
    TEXT("SandboxTokenRequire", token_require, "NAME=VALUE that every token request must carry"),
    TEXT("SandboxKeepBundles", keep_bundles, "folder that Bundles are written to before they are answered"),
    TEXT("SandboxClientAuth", client_auth, "any, basic, post or none"),
    TEXT("SandboxMember", member, "id of the Patient offered first at the sign-in page, whom the portal plays"),
    TEXT("SandboxApi", api, "URL of the mod_p2p that the portal calls"),
    TEXT("SandboxAudience", audience, "aud of the portal's API tokens (SandboxApi)"),
    TEXT("SandboxOrganization", organization, "this payer's own identifier, which the portal's orders name"),
    AP_INIT_TAKE2("SandboxPortal", set_portal, NULL, WHERE, "path of the member portal, and the folder of its files"),
    AP_INIT_ITERATE("SandboxRedirect", add_text, FIELD(redirects), WHERE, "redirect_uri that sign-ins may lead back to"),
    AP_INIT_ITERATE("SandboxOrigins", add_text, FIELD(origins), WHERE, "origins whose pages may ask the token endpoint"),
    AP_INIT_ITERATE("SandboxData", add_data, FIELD(data), WHERE, "files and folders to load"),
    AP_INIT_ITERATE("SandboxEverythingWithout", add_text, FIELD(without_types), WHERE,
                    "types $everything leaves out"),
    AP_INIT_ITERATE("SandboxFault", add_text, FIELD(faults), WHERE, "a fault rule (JSON) from the start"),
    AP_INIT_TAKE23("SandboxGrant", add_grant, FIELD(grants), WHERE,
                   "ACCESS REFRESH [PATIENT]; - for no token"),
    AP_INIT_TAKE12("SandboxClient", add_client, NULL, WHERE, "ID [SECRET]"),
    AP_INIT_TAKE12("SandboxOrder", set_order, NULL, WHERE, "file, type, reverse-type or shuffled SEED"),
    AP_INIT_TAKE1("SandboxNextLink", set_link, FIELD(next_link), WHERE,
                  "absolute, relative, query or internal-host"),
    AP_INIT_TAKE1("SandboxTotal", set_total, FIELD(total), WHERE, "Bundle.total on pages: all, last or none"),
    AP_INIT_TAKE1("SandboxClientIds", set_client_ids, FIELD(client_ids), WHERE, "accept or refuse"),
    NUMBER("SandboxNextPad", next_pad, "bytes by which next links are longer"),
    NUMBER("SandboxPageSize", page_size, "entries of a page without _count (50)"),
    NUMBER("SandboxPageMax", page_max, "most entries of a page (1000)"),
    NUMBER("SandboxRepeat", repeat, "entries of the page before that a page repeats (0)"),
    NUMBER("SandboxMaxEntries", max_entries, "larger Bundles are refused with 413 (0: no limit)"),
    NUMBER("SandboxMaxBody", max_body, "larger bodies are refused with 413 (0: no limit)"),
    NUMBER("SandboxTokenLifetime", token_lifetime, "seconds an access token lives (3600; 0: for ever)"),
    NUMBER("SandboxDelay", delay_ms, "milliseconds before every answer (0)"),
    NUMBER("SandboxBundleDelay", bundle_delay_ms, "milliseconds more for every Bundle written (0)"),
    NUMBER("SandboxBundlesAtOnce", bundles_at_once, "so many are under way at a time, others wait their turn (0: any)"),
    NUMBER("SandboxClock", clock_s, "seconds by which its clock is ahead (0)"),
    NUMBER("SandboxStaleSearch", stale_s, "seconds for which a search is answered from memory, unless no-cache is asked for (0)"),
    NUMBER("SandboxRefuseTasks", refuse_tasks, "the status with which Tasks are refused (0: they are taken)"),
    NUMBER("SandboxRefuseSubscriptions", refuse_subscriptions, "the same of Subscriptions (0)"),
    NUMBER("SandboxActivate", activate_ms, "milliseconds until a requested Subscription is active (100; -1: never)"),
    AP_INIT_ITERATE("SandboxDelivery", add_delivery, NULL, WHERE, "put, post, empty or bundle; whole, thrice or half"),
    NUMBER("SandboxDeliveryDelay", delivery_delay_ms, "milliseconds before a delivery (0)"),
    NUMBER("SandboxDeliveryTries", delivery_tries, "times that a delivery is tried (20)"),
    NUMBER("SandboxDeliveryRetry", delivery_retry_ms, "milliseconds between them (250)"),
    TEXT("SandboxDeliveryCA", delivery_ca, "certificates trusted where deliveries go (the system's)"),
    FLAG("SandboxDeliverDeletes", deliver_deletes, "deletions are delivered too (Off)"),
    FLAG("SandboxOffWhenFailed", off_when_failed, "a Subscription is off after a delivery that was tried in vain (Off)"),
    FLAG("SandboxKeepUrn", keep_urn, "keep urn:uuid of loaded Bundles in fullUrl and references (Off)"),
    FLAG("SandboxReferentialIntegrity", integrity, "refuse references to nothing (On)"),
    FLAG("SandboxBareEtag", bare_etag, "etag of entries as HAPI writes it (Off)"),
    FLAG("SandboxLinkLast", link_last, "Bundle.link behind the entries (Off)"),
    FLAG("SandboxBearer", bearer, "demand a token on everything but metadata (Off)"),
    FLAG("SandboxRotate", rotate, "a new refresh token at each use (On)"),
    {NULL, {NULL}, NULL, 0, RAW_ARGS, NULL}};
