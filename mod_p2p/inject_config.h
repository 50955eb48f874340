/* SPDX-License-Identifier: Apache-2.0 */
/* The directives of the source role. Unlike all others they hold where they stand: in a virtual host, a Location, a Directory or the main server;
 * but for P2PProvenanceCache, which belongs to the main server. */
#ifndef P2P_MOD_INJECT_CONFIG_H
#define P2P_MOD_INJECT_CONFIG_H

#include <httpd.h>
#include <http_config.h>

/* What holds where they stand. Texts are NULL where nothing is said. */
typedef struct p2p_inject_dir_t {
    int on;              /* P2PProvenanceInjection: -1 where nothing is said */
    const char *who;     /* P2PProvenanceWho */
    const char *agent_type; /* P2PProvenanceAgentType */
    const char *profile; /* P2PProvenanceProfile */
} p2p_inject_dir_t;

/* What holds for all of one httpd. */
typedef struct p2p_inject_main_t {
    int used;             /* P2PProvenanceInjection On stands somewhere; from check_config on */
    const char *provider; /* P2PProvenanceCache: a provider of mod_socache, */
    const char *args;     /* and what it is told; NULL: its own defaults */
    int seconds;          /* how long it keeps a next link; 0: P2P_INJECT_SECONDS */
    struct p2p_inject_cache_t *cache; /* inject_cache.c; NULL where nothing is injected */
} p2p_inject_main_t;

#define P2P_INJECT_PROVIDER "shmcb"
#define P2P_INJECT_SECONDS 3600

/* Setters of the directives. */
const char *p2p_inject_set_on(cmd_parms *cmd, void *dir, int flag);
const char *p2p_inject_set_who(cmd_parms *cmd, void *dir, const char *reference);
const char *p2p_inject_set_agent_type(cmd_parms *cmd, void *dir, const char *type);
const char *p2p_inject_set_profile(cmd_parms *cmd, void *dir, const char *profile);
const char *p2p_inject_set_cache(cmd_parms *cmd, void *dir, const char *provider, const char *seconds);

/* Their rows of the module's table: name and syntax. */
#define P2P_INJECT_COMMANDS \
    AP_INIT_FLAG("P2PProvenanceInjection", p2p_inject_set_on, NULL, RSRC_CONF | ACCESS_CONF, "On | Off"), \
    AP_INIT_TAKE1("P2PProvenanceWho", p2p_inject_set_who, NULL, RSRC_CONF | ACCESS_CONF, "REFERENCE"), \
    AP_INIT_TAKE1("P2PProvenanceAgentType", p2p_inject_set_agent_type, NULL, RSRC_CONF | ACCESS_CONF, "SYSTEM|CODE"), \
    AP_INIT_TAKE1("P2PProvenanceProfile", p2p_inject_set_profile, NULL, RSRC_CONF | ACCESS_CONF, "URL"), \
    AP_INIT_TAKE12("P2PProvenanceCache", p2p_inject_set_cache, NULL, RSRC_CONF | ACCESS_CONF, "PROVIDER[:ARGUMENTS] [SECONDS]")

/* What holds where add stands below base. */
p2p_inject_dir_t p2p_inject_merge(const p2p_inject_dir_t *base, const p2p_inject_dir_t *add);

/* Checks them all, once the configuration is read, and notes whether anything is injected. Returns the number of faults; each is in the log. */
int p2p_inject_check(apr_pool_t *pconf, server_rec *s);

#endif
