/* SPDX-License-Identifier: Apache-2.0 */
/* Fetching what a trusted issuer publishes: its discovery document, and the key set that this names; where people sign in, its
 * endpoints as well. */
#include <apr_strings.h>
#include <string.h>
#include "base/uri.h"
#include "oidc/discovery.h"
#include "oidc/jwk.h"
#include "runner/chore_run.h"
#include "runner/trusts.h"
#include "store/chore_store.h"
#include "store/jwks_store.h"
#include "store/oidc_server_store.h"

typedef struct refresh_t {
    p2p_chore_run_t run; /* first */
    const p2p_trust_t *trust;
    const char *document_url, *keys_url;
    const p2p_oidc_server_t *server; /* of a trusted definition */
    p2p_jwks_t found;
} refresh_t;

/* The row goes: what it was about is in p2p_jwks. */
static p2p_error_t *write_found(void *work, apr_pool_t *p)
{
    refresh_t *r = work;
    const p2p_exchange_context_t *context = r->run.context;

    if (r->trust) P2P_TRY(p2p_jwks_save(context->db, p, &r->found));
    return p2p_chore_forget(context->db, p, r->run.chore, context->owner);
}

static void end(refresh_t *r)
{
    const char *issuer = r->found.issuer;

    if (*r->found.fault)
        p2p_log(r->run.context->log, P2P_LOG_WARN, "What %s publishes cannot be had, and what is known of it stays: %s", p2p_uri_public(r->run.asking, issuer, issuer),
                r->found.fault);
    p2p_chore_run_end(&r->run, write_found);
}

static void fail(refresh_t *r, const p2p_error_t *error)
{
    r->found.fault = apr_pstrdup(r->run.pool, error->sentence);
    end(r);
}

static p2p_error_t *read_keys(refresh_t *r, int status, const char *body, apr_size_t len)
{
    apr_pool_t *p = r->run.asking;
    const char *shown = p2p_uri_public(p, r->keys_url, r->keys_url);
    p2p_jwk_set_t *set;
    p2p_error_t *error;

    P2P_TRY(p2p_discovery_answered(p, r->keys_url, status));
    error = p2p_jwk_set_read(p, body, len, P2P_JWK_PUBLISHED, &set);
    if (error) return p2p_error_make(p, P2P_E_INVALID, "bad-keys", "%s %s.", shown, error->sentence);
    r->found.document = apr_pstrmemdup(r->run.pool, body, len);
    return NULL;
}

static void on_keys(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len, const p2p_error_t *error)
{
    refresh_t *r = baton;

    (void)fields;
    if (!error) error = read_keys(r, status, body, len);
    if (error) fail(r, error);
    else end(r);
}

static void fetch_keys(refresh_t *r, const char *url)
{
    r->keys_url = apr_pstrdup(r->run.pool, url);
    p2p_chore_run_get(&r->run, r->keys_url, P2P_CHORE_KEYS, P2P_JWK_SET_BYTES, on_keys);
}

/* Where people sign in there is something to fetch that its tokens need not. */
static int is_signed_in_at(const refresh_t *r)
{
    return p2p_trust_is_signed_in_at(r->run.context->spec, r->trust);
}

static int has_own_keys(const refresh_t *r)
{
    return r->trust->kind == P2P_TRUST_KEYS || (r->server && (*r->server->key_text || *r->server->key_file));
}

/* Keys are what those are trusted by who are not asked about each token. */
static int needs_keys(const refresh_t *r)
{
    if (r->trust->kind == P2P_TRUST_PUBLISHED) return 1;
    return r->server && !*r->server->client_secret && !has_own_keys(r);
}

static int needs_introspection(const refresh_t *r)
{
    if (r->trust->kind == P2P_TRUST_INTROSPECTION) return !*r->trust->introspection_endpoint;
    return r->server && *r->server->client_secret && !has_own_keys(r);
}

static p2p_error_t *lacks(refresh_t *r, const char *what)
{
    return p2p_error_make(r->run.asking, P2P_E_INVALID, "discovery-unusable", "%s names no %s that can be used.",
                          p2p_uri_public(r->run.asking, r->document_url, r->document_url), what);
}

static p2p_error_t *read_document(refresh_t *r, int status, const char *body, apr_size_t len, p2p_discovery_t *said)
{
    apr_pool_t *p = r->run.asking;

    P2P_TRY(p2p_discovery_answered(p, r->document_url, status));
    P2P_TRY(p2p_discovery_read(p, r->document_url, body, len, said));
    if (!p2p_discovery_is_issuer(p, said->issuer, r->found.issuer))
        return p2p_error_make(p, P2P_E_INVALID, "discovery-unusable", "%s is the document of another issuer.",
                              p2p_uri_public(p, r->document_url, r->document_url));
    if (needs_keys(r) && !*said->jwks_uri && !*r->trust->jwks_uri) return lacks(r, "jwks_uri");
    if (needs_introspection(r) && !*said->introspection_endpoint) return lacks(r, "introspection_endpoint");
    return NULL;
}

/* Keys go on to be fetched where nobody can sign in. */
static const p2p_error_t *take_endpoints(refresh_t *r, const p2p_discovery_t *said)
{
    if (!is_signed_in_at(r)) return NULL;
    if (!*said->authorization_endpoint) return lacks(r, "authorization_endpoint");
    if (!*said->token_endpoint) return lacks(r, "token_endpoint");
    r->found.authorization_endpoint = apr_pstrdup(r->run.pool, said->authorization_endpoint);
    r->found.token_endpoint = apr_pstrdup(r->run.pool, said->token_endpoint);
    r->found.names_issuer = said->names_issuer;
    return NULL;
}

/* Is there nothing else to be had, now that the document was read (or not, by this error)? A key set that the directive names needs none. */
static int is_all_for_sign_in(const refresh_t *r, const p2p_error_t *error)
{
    if (*r->trust->jwks_uri) return 0;
    return error || (!needs_keys(r) && !needs_introspection(r));
}

static void on_document(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len, const p2p_error_t *error)
{
    refresh_t *r = baton;
    p2p_discovery_t said;

    const p2p_error_t *no_sign_in;

    (void)fields;
    if (!error) error = read_document(r, status, body, len, &said);
    no_sign_in = error ? error : take_endpoints(r, &said);
    if (!error) r->found.introspection_endpoint = apr_pstrdup(r->run.pool, said.introspection_endpoint);
    if (is_all_for_sign_in(r, error) && no_sign_in) {
        fail(r, no_sign_in);
        return;
    }
    if (no_sign_in)
        p2p_log(r->run.context->log, P2P_LOG_WARN, "People cannot sign in with what there is now (P2PSignIn): %s", no_sign_in->sentence);
    if (*r->trust->jwks_uri) fetch_keys(r, r->trust->jwks_uri);
    else if (needs_keys(r)) fetch_keys(r, said.jwks_uri);
    else end(r);
}

/* Where a definition's document is, its own or the issuer's. */
static p2p_error_t *find_server(refresh_t *r)
{
    p2p_oidc_server_t *server = NULL;
    const p2p_exchange_context_t *context = r->run.context;

    if (r->trust->kind != P2P_TRUST_DEFINITION) return NULL;
    P2P_TRY(p2p_oidc_server_find(context->db, r->run.pool, context->spec->keyring, r->found.issuer, &server));
    if (!server || server->archived)
        return p2p_error_make(r->run.pool, P2P_E_NOT_FOUND, "no-such-server", "There is no definition of this issuer.");
    r->server = server;
    return NULL;
}

static void ask_source(refresh_t *r)
{
    r->found.source = r->document_url = p2p_discovery_source(r->run.pool, r->trust, r->server ? r->server->auth_well_known : "");
    if (*r->trust->jwks_uri) r->document_url = p2p_discovery_of_issuer(r->run.pool, r->trust->issuer);
    if (*r->trust->jwks_uri && !is_signed_in_at(r)) fetch_keys(r, r->trust->jwks_uri);
    else p2p_chore_run_get(&r->run, r->document_url, P2P_CHORE_JSON, P2P_DISCOVERY_BYTES, on_document);
}

static void start(void *work)
{
    refresh_t *r = work;
    const p2p_error_t *error = NULL;

    r->found = (p2p_jwks_t){.issuer = r->run.chore->subject, .source = "", .document = "", .introspection_endpoint = "", .authorization_endpoint = "",
                            .token_endpoint = "", .fault = ""};
    r->trust = p2p_trust_of(r->run.context->spec, r->run.chore->subject);
    if (r->trust) error = find_server(r);
    if (error) fail(r, error);
    else if (!r->trust) end(r); /* by another configuration */
    else ask_source(r);
}

static void *begin(p2p_exchange_context_t *context, const p2p_chore_t *job, void (*ended)(void *baton), void *baton)
{
    return p2p_chore_run_make(sizeof(refresh_t), context, job, start, ended, baton);
}

const p2p_work_kind_t p2p_work_refresh = {P2P_KIND_REFRESH, begin, p2p_chore_run_tick, p2p_chore_run_busy, p2p_chore_run_destroy};
