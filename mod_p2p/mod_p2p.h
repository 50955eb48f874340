/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the module share: its record, its server settings and its settings where SetHandler p2p
 * stands. */
#ifndef P2P_MOD_P2P_H
#define P2P_MOD_P2P_H

#include <httpd.h>
#include <http_config.h>
#include <apr_hash.h>
#include <apr_tables.h>

#include "inject_config.h"
#include "model/spec.h"

extern module AP_MODULE_DECLARE_DATA p2p_module;

typedef struct p2p_supervisor_t p2p_supervisor_t;

/* The settings of one httpd: one record for all its virtual hosts, in pconf. Files named here are read by
 * check_config. */
typedef struct p2p_config_t {
    p2p_spec_t spec;
    const char *auth_file;         /* P2PTargetAuth bearer and basic */
    const char *cert_file, *key_file; /* P2PTargetAuth certificate */
    const char *mail_auth_file;    /* P2PMailAuth */
    apr_array_header_t *key_files; /* P2PSecretKeyFile: const char * */
    const char *sign_in_client, *sign_in_scopes; /* P2PSignIn, with spec.sign_in_issuer */
    struct p2p_sign_in_kept_t *sign_in; /* sign_in.c, of this child */
    const char *pages_dir;         /* P2PPages */
    apr_hash_t *pages;             /* what it holds (pages.h); NULL without SetHandler p2p */
    const char *runner;            /* P2PRunner */
    apr_array_header_t *administrators; /* P2PAdministrators: const char *, names as httpd's own authentication tells them */
    apr_array_header_t *trust_lines; /* P2PTrustIssuer as written, one for each of spec.trusts (trust_config.c) */
    const char *patient_claim;     /* P2PPatientClaim: "off" for none */
    const char *key_dir;           /* P2PKeyDir; NULL: no key files */
    apr_array_header_t *cors_origins; /* P2PCorsOrigins: const char * */
    int rate_limit;                /* P2PRateLimit: requests a second of one client; 0: any number */
    apr_hash_t *places;            /* directive to the ap_directive_t where it stands */
    int handler_used;              /* SetHandler p2p stands somewhere */
    p2p_inject_main_t inject;      /* the source role */
    p2p_supervisor_t *supervisor;  /* NULL unless this process is the parent of runners, or its child */
    struct p2p_trust_store_t *trust_store; /* trust.c, of this child */
    struct p2p_token_cache_t *token_cache; /* token_cache.c, of this child */
    struct p2p_auth_log_t *auth_log;       /* auth.c, of this child */
    struct p2p_introspector_t *introspector; /* introspect.c, of this child */
    struct p2p_definition_cache_t *definition_cache; /* definition_cache.c, of this child */
    struct p2p_overview_cache_t *overview_cache;     /* overview_cache.c, of this child */
    struct p2p_poll_cache_t *poll_cache;             /* poll_cache.c, of this child */
    struct p2p_hook_secret_t *hook_secret; /* hook_secret.c, of this child */
    struct p2p_shared_t *shared;   /* NULL where there is none */
} p2p_config_t;

/* What a server or Location says about SetHandler, and about the source role. */
typedef struct p2p_dir_t {
    int set;            /* SetHandler stands here */
    int enabled;        /* and it says p2p */
    const char *prefix; /* path of the Location, "" for a whole server; never ends in a slash */
    p2p_inject_dir_t inject;
} p2p_dir_t;

/* What the files of the module keep of one request; each part belongs to one of them. */
typedef struct p2p_state_t {
    struct p2p_problem_t *problem; /* problem.c */
    struct p2p_caller_t *caller;   /* caller.c */
    struct p2p_audit_t *audit;     /* audit.c */
    struct p2p_bearer_t *bearer;   /* auth.c; NULL: he came without a token */
    struct p2p_inject_request_t *inject; /* inject_request.c; NULL: nothing is injected */
} p2p_state_t;

/* The request's own, made when first asked for. */
p2p_state_t *p2p_state(request_rec *r);

/* The settings, the same record whichever server s is. */
p2p_config_t *p2p_config(const server_rec *s);

/* What holds for the request. */
const p2p_dir_t *p2p_dir(const request_rec *r);

#endif
