/* SPDX-License-Identifier: Apache-2.0 */
/* The specification: every setting that the runner gets from httpd's configuration, as JSON on fd 3. Secrets
 * are in it. */
#ifndef P2P_MODEL_SPEC_H
#define P2P_MODEL_SPEC_H

#include "base/json.h"
#include "base/log.h"
#include "base/seal.h"
#include "model/trust.h"

typedef enum { P2P_AUTH_NONE, P2P_AUTH_BEARER, P2P_AUTH_BASIC, P2P_AUTH_CERTIFICATE, P2P_AUTH_CLIENT_CREDENTIALS } p2p_target_auth_kind_t;

/* Where a member's address is taken from: from his Task or else his Patient, from his Patient alone; or he gets no mail. */
typedef enum { P2P_MAIL_MEMBER_TASK, P2P_MAIL_MEMBER_RECORD, P2P_MAIL_MEMBER_OFF } p2p_mail_member_t;

/* What the Subscription asks for where nothing else is said. */
#define P2P_SUBSCRIPTION_CRITERIA "Task?code=http://payer-to-payer-exchange/CodeSystem/p2p-internal-codes|p2p-request-add-provider-id"

/* Strings live as long as the structure's pool; NULL where a thing is not set. */
typedef struct p2p_spec_t {
    const char *target;                    /* P2PTarget, without trailing slash */
    p2p_target_auth_kind_t target_auth;    /* P2PTargetAuth */
    const char *target_credential;         /* contents of its file, trimmed: the token, "user:password", or a JSON object (oidc/target_client.h) */
    const char *target_cert, *target_key;  /* PEM text */
    const char *ca_file;                   /* P2PCAFile */
    p2p_keyring_t *keyring;                /* P2PSecretKeyFile */
    const char *db_driver, *db_params;     /* DBDriver, DBDParams */
    int allow_http;                        /* P2PAllowHttp */
    const char *origins;                   /* P2POrigins, parted by spaces, as they were written; "" for none */
    int conditional_ids;                   /* P2PResourceIds conditional */
    int batch;                             /* P2PBundleType batch */
    const char *mdm_system, *mdm_type;     /* P2PMdmIdentifier; mdm_type is "SYSTEM|CODE" or a bare code */
    int retry_for;                         /* P2PRetryFor: seconds that trouble which may pass may last, 3600 */
    int keep_jobs;                         /* P2PKeepJobs: days, 90 */
    int keep_audit;                        /* P2PKeepAudit: days, 2190 */
    int restart_within;                    /* P2PRestartWithin: days that a FAILED or STOPPED job keeps its refresh token, 7 */
    int bundle_size;                       /* P2PBundleSize: resources in a Bundle, 100 */
    apr_int64_t bundle_bytes;              /* P2PBundleBytes: 8 MiB */
    int keep_unresolved;                   /* P2PUnresolvedReferences keep */
    int follow_references;                 /* P2PFollowReferences: 200 a job */
    int versioned_references;              /* P2PVersionedReferences: On */
    int record_rejected;                   /* P2PRejected record */
    int source_connections, target_connections; /* 4, 4 */
    int jobs_per_runner;                   /* 16 */
    apr_int64_t memory;                    /* P2PMemory: 32 MiB */
    const char *spool_dir;                 /* P2PSpool */
    const char *key_dir;                   /* P2PKeyDir */
    apr_int64_t spool_bytes;               /* 2 GiB */
    apr_int64_t body_limit;                /* P2PBodyLimit: 1 MiB (httpd's own) */
    const char *hook_url;                  /* P2PHookURL; NULL: Tasks are searched for */
    const char *subscription_criteria;     /* P2PSubscriptionCriteria */
    const char *subscription_payload;      /* P2PSubscriptionPayload: a media type, or "none" */
    const char *subscription_headers;      /* P2PSubscriptionHeader: "Name: value" each, parted by line feeds; "" for none */
    const char *mail_server;               /* P2PMailServer: smtp[s]://host[:port]; NULL: nothing is mailed */
    int mail_starttls;                     /* P2PMailStartTLS: On */
    const char *mail_from;                 /* P2PMailFrom: an address */
    const char *mail_admins;               /* P2PMailAdmins: addresses, parted by spaces; "" for none */
    const char *mail_credential;           /* contents of P2PMailAuth's file, trimmed: "user:password" */
    const char *mail_templates;            /* P2PMailTemplates: the directory */
    p2p_mail_member_t mail_member;         /* P2PMailMember: task */
    apr_array_header_t *trusts;            /* P2PTrustIssuer: p2p_trust_t, none; through JSON go only those parts that a runner needs */
    const char *sign_in_issuer;            /* P2PSignIn: whose endpoints people sign in at, one of trusts; NULL: nobody's */
    int runners;                           /* P2PRunners: 1 (httpd's own) */
    const char *instance;                  /* a UUID of this httpd parent's life */
    int slot;                              /* which of its runners, from 0 */
    const char *log_level;                 /* httpd's word */
    const char *user;                      /* User: a name or "#uid"; NULL where httpd is not started by root, or has none */
    apr_int64_t group;                     /* Group, as a number; 0 where user is NULL */
} p2p_spec_t;

/* Every setting at its default, an empty key ring; in p. */
p2p_spec_t *p2p_spec_make(apr_pool_t *p);

/* As JSON text in p. */
const char *p2p_spec_print(apr_pool_t *p, const p2p_spec_t *spec);

/* Back again; errors: P2P_E_INVALID "bad-spec" naming the member. */
p2p_error_t *p2p_spec_parse(apr_pool_t *p, const char *text, apr_size_t len, p2p_spec_t **spec);

#endif
