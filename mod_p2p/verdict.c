/* SPDX-License-Identifier: Apache-2.0 */
/* A token's way: whose it claims to be, what verifies that one's tokens, what its claims mean here. */
#include "verdict.h"

#include <http_log.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <openssl/evp.h>

#include "base/uri.h"
#include "introspect.h"
#include "mod_p2p.h"
#include "oidc/token.h"
#include "trust.h"

APLOG_USE_MODULE(p2p);

#define GOOD_FOR apr_time_from_sec(60)
#define ASKED_FOR apr_time_from_sec(30) /* what an issuer said of a token; it may take it back */
#define BAD_FOR apr_time_from_sec(10)

static p2p_error_t *refused(apr_pool_t *p, const char *code, const char *sentence)
{
    return p2p_error_make(p, P2P_E_REFUSED, code, "%s", sentence);
}

static void hash_of(const char *token, unsigned char *hash)
{
    if (!EVP_Digest(token, strlen(token), hash, NULL, EVP_sha256(), NULL)) abort();
}

/* Whose token is it? */
static p2p_error_t *find_issuer(request_rec *r, const char *token, int *number)
{
    p2p_token_peek_t peek;

    if (strlen(token) > P2P_TOKEN_BYTES) return refused(r->pool, "token-malformed", "The token is longer than 16 KiB.");
    if (p2p_token_is_cut(r->pool, token)) return refused(r->pool, "token-malformed", "The token is a signed one that was cut short. Send it whole.");
    if (!p2p_token_is_jwt(token)) {
        *number = p2p_trust_of_opaque(r);
        return *number >= 0 ? NULL : refused(r->pool, "token-opaque", "The token is not a signed one (JWT), and no issuer is asked about others here.");
    }
    P2P_TRY(p2p_token_peek(r->pool, token, &peek));
    *number = p2p_trust_of_issuer(r, peek.issuer);
    return *number >= 0 ? NULL : refused(r->pool, "token-untrusted-issuer", "The token's issuer is not trusted here.");
}

/* Signature or introspection, and the rules. */
static p2p_error_t *verify(request_rec *r, const char *token, const p2p_verifier_t *verifier, p2p_token_claims_t *claims)
{
    p2p_token_rules_t rules = { verifier->trust->issuer, verifier->trust->audiences, apr_time_now() };
    json_object *answer;
    p2p_error_t *error;
    int checks = 0;

    if (!verifier->keys) {
        P2P_TRY(p2p_introspect(r, &verifier->introspection, token, &answer));
        return p2p_token_judge(r->pool, answer, 1, &rules, claims);
    }
    error = p2p_token_verify(r->pool, token, verifier->keys, &rules, claims, &checks);
    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, "a bearer token took %d signature checks", checks);
    return error;
}

static p2p_role_t role_of(const p2p_trust_t *trust, const p2p_token_claims_t *claims)
{
    if (p2p_token_has_scope(claims, trust->administrator_scopes)) return P2P_ROLE_ADMINISTRATOR;
    return p2p_token_has_scope(claims, trust->portal_scopes) ? P2P_ROLE_PORTAL : P2P_ROLE_NONE;
}

/* The member that a token is limited to. What is there but cannot be understood limits to nobody knows whom: such a token is refused. */
static p2p_error_t *read_patient(request_rec *r, const p2p_token_claims_t *claims, const char **patient)
{
    static const char type[] = "Patient/";
    const char *name = p2p_config(r->server)->patient_claim, *text;
    json_object *value;
    apr_size_t len;

    *patient = NULL;
    if (!ap_cstr_casecmp(name, "off") || !json_object_object_get_ex(claims->all, name, &value)) return NULL;
    text = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
    len = *text ? (apr_size_t)json_object_get_string_len(value) : 0;
    if (!strncmp(text, type, sizeof type - 1)) text += sizeof type - 1, len -= sizeof type - 1;
    if (!p2p_is_fhir_id(text, len)) return refused(r->pool, "token-patient", "The token's patient claim is not the id of one Patient.");
    *patient = text;
    return NULL;
}

/* A name that goes into a column, into logs and into the environment of others. */
static p2p_error_t *check_client(apr_pool_t *p, const char *client)
{
    apr_size_t len = strlen(client);

    for (apr_size_t i = 0; i < len && i <= P2P_TOKEN_CLIENT; i++) {
        if (apr_iscntrl(client[i])) len = 0;
    }
    if (len && len <= P2P_TOKEN_CLIENT) return NULL;
    return refused(p, "token-client", "The token's client id is empty, longer than 255 bytes or has control characters.");
}

static p2p_error_t *judge(request_rec *r, const char *token, p2p_verdict_t *verdict)
{
    p2p_verifier_t verifier;
    p2p_token_claims_t claims;
    apr_time_t now = apr_time_now();

    P2P_TRY(find_issuer(r, token, &verdict->trust));
    P2P_TRY(p2p_trust_verifier(r, verdict->trust, &verifier));
    verdict->generation = verifier.generation;
    P2P_TRY(verify(r, token, &verifier, &claims));
    P2P_TRY(check_client(r->pool, claims.client_id));
    P2P_TRY(read_patient(r, &claims, &verdict->patient));
    verdict->client = claims.client_id;
    verdict->role = role_of(verifier.trust, &claims);
    verdict->until = now + (verifier.keys ? GOOD_FOR : ASKED_FOR);
    if (claims.expires < verdict->until) verdict->until = claims.expires;
    return NULL;
}

/* Was it found out with the keys that are still in use? A definition that is not trusted any more ends what it verified. */
static int still_holds(request_rec *r, const p2p_verdict_t *verdict)
{
    p2p_verifier_t verifier;

    if (verdict->trust < 0 || !verdict->generation) return 1; /* it took no keys to find out */
    return !p2p_trust_verifier(r, verdict->trust, &verifier) && verifier.generation == verdict->generation;
}

p2p_error_t *p2p_verdict(request_rec *r, const char *token, p2p_verdict_t *verdict)
{
    p2p_token_cache_t *cache = p2p_config(r->server)->token_cache;
    unsigned char hash[P2P_TOKEN_HASH];
    p2p_error_t *error;

    hash_of(token, hash);
    if (cache && p2p_token_cache_get(cache, r->pool, hash, verdict) && still_holds(r, verdict)) return NULL;
    *verdict = (p2p_verdict_t){ .trust = -1 };
    error = judge(r, token, verdict);
    if (error && error->kind != P2P_E_REFUSED) return error;
    if (error) {
        verdict->refusal = error->code;
        verdict->sentence = error->sentence;
        verdict->until = apr_time_now() + BAD_FOR;
        if (!strcmp(error->code, "token-unknown-key")) p2p_trust_ask(r, verdict->trust);
    }
    if (cache) p2p_token_cache_put(cache, hash, verdict);
    return NULL;
}
