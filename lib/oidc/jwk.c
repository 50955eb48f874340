/* SPDX-License-Identifier: Apache-2.0 */
/* JWK sets: judged member by member, then given to cjose as numbers, so that its own reading of JSON never sees them. */
#include "oidc/jwk_private.h"
#include <apr_strings.h>
#include <cjose/cjose.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <string.h>
#include "base/encode.h"
#include "base/json.h"

#define RSA_LEAST 2048
#define RSA_MOST 4096
#define EXPONENT_BITS 32
#define RSA_KEY "must be an RSA key of 2048 to 4096 bits, its exponent odd, from 3 and below 2^32"
#define EC_KEY "must be a point on the curve P-256, P-384 or P-521"

struct p2p_jwk_set_t {
    int count;
    p2p_jwk_t keys[P2P_JWK_SET_KEYS];
};

static const struct {
    const char *name;
    p2p_jwk_kind_t kind;
} algorithms[] = {
    {"RS256", P2P_JWK_RSA},  {"RS384", P2P_JWK_RSA},  {"RS512", P2P_JWK_RSA},
    {"PS256", P2P_JWK_RSA},  {"PS384", P2P_JWK_RSA},  {"PS512", P2P_JWK_RSA},
    {"ES256", P2P_JWK_P256}, {"ES384", P2P_JWK_P384}, {"ES512", P2P_JWK_P521},
};

static const struct {
    const char *name;
    p2p_jwk_kind_t kind;
    cjose_jwk_ec_curve curve;
    apr_size_t bytes; /* of a coordinate */
} curves[] = {
    {"P-256", P2P_JWK_P256, CJOSE_JWK_EC_P_256, 32},
    {"P-384", P2P_JWK_P384, CJOSE_JWK_EC_P_384, 48},
    {"P-521", P2P_JWK_P521, CJOSE_JWK_EC_P_521, 66},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A number's bytes, big-endian. */
typedef struct number_t {
    unsigned char *bytes;
    apr_size_t len;
} number_t;

static int algorithm_index(const char *name)
{
    for (apr_size_t i = 0; i < COUNT(algorithms); i++)
        if (!strcmp(name, algorithms[i].name)) return (int)i;
    return -1;
}

int p2p_jwk_algorithm(const char *name)
{
    return algorithm_index(name) >= 0;
}

int p2p_jwk_fits(const p2p_jwk_t *key, const char *algorithm)
{
    int i = algorithm_index(algorithm);

    return i >= 0 && algorithms[i].kind == key->kind && (!*key->algorithm || !strcmp(key->algorithm, algorithm));
}

int p2p_jwk_set_count(const p2p_jwk_set_t *set)
{
    return set->count;
}

const p2p_jwk_t *p2p_jwk_at(const p2p_jwk_set_t *set, int i)
{
    return &set->keys[i];
}

int p2p_jwk_verifies(const p2p_jwk_t *key, const char *jws, apr_size_t len)
{
    cjose_jws_t *read = cjose_jws_import(jws, len, NULL);
    int good = read && cjose_jws_verify(read, key->jose, NULL);

    if (read) cjose_jws_release(read);
    ERR_clear_error();
    return good;
}

static p2p_error_t *bad(apr_pool_t *p, const char *what)
{
    return p2p_error_make(p, P2P_E_INVALID, "bad-keys", "%s", what);
}

int p2p_jwk_text(json_object *key, const char *name, const char **text)
{
    *text = "";
    if (!json_object_object_get_ex(key, name, NULL)) return 1;
    *text = p2p_json_str(key, name);
    return *text != NULL;
}

static int get_number(apr_pool_t *p, json_object *key, const char *name, number_t *out)
{
    const char *text = p2p_json_str(key, name);

    return text && p2p_base64url_decode(p, text, &out->bytes, &out->len) && out->len > 0;
}

/* How many bits the number has; 0 where it is even. */
static int odd_bits(const number_t *number)
{
    BIGNUM *n = BN_bin2bn(number->bytes, (int)number->len, NULL);
    int bits = n && BN_is_odd(n) ? BN_num_bits(n) : 0;

    BN_free(n);
    return bits;
}

static const char *read_rsa(apr_pool_t *p, json_object *doc, p2p_jwk_t *key)
{
    cjose_jwk_rsa_keyspec spec = {0};
    number_t n, e;
    int bits;

    if (!get_number(p, doc, "n", &n) || !get_number(p, doc, "e", &e)) return RSA_KEY;
    bits = odd_bits(&n);
    if (bits < RSA_LEAST || bits > RSA_MOST || odd_bits(&e) < 2 || odd_bits(&e) > EXPONENT_BITS) return RSA_KEY;
    spec.n = n.bytes, spec.nlen = n.len;
    spec.e = e.bytes, spec.elen = e.len;
    key->kind = P2P_JWK_RSA;
    key->signature = ((apr_size_t)bits + 7) / 8;
    key->jose = cjose_jwk_create_RSA_spec(&spec, NULL);
    return key->jose ? NULL : RSA_KEY;
}

static const char *read_ec(apr_pool_t *p, json_object *doc, p2p_jwk_t *key)
{
    const char *curve = p2p_json_str(doc, "crv");
    cjose_jwk_ec_keyspec spec = {0};
    number_t x, y;
    apr_size_t i = 0;

    while (i < COUNT(curves) && (!curve || strcmp(curve, curves[i].name))) i++;
    if (i == COUNT(curves) || !get_number(p, doc, "x", &x) || !get_number(p, doc, "y", &y)) return EC_KEY;
    if (x.len != curves[i].bytes || y.len != curves[i].bytes) return EC_KEY;
    spec.crv = curves[i].curve;
    spec.x = x.bytes, spec.xlen = x.len;
    spec.y = y.bytes, spec.ylen = y.len;
    key->kind = curves[i].kind;
    key->signature = 2 * curves[i].bytes;
    key->jose = cjose_jwk_create_EC_spec(&spec, NULL);
    return key->jose ? NULL : EC_KEY;
}

/* Does key_ops allow what we do? Missing, it does. */
static int may_verify(json_object *doc)
{
    json_object *operations = NULL;

    if (!json_object_object_get_ex(doc, "key_ops", &operations)) return 1;
    if (!json_object_is_type(operations, json_type_array)) return 0;
    for (size_t i = 0; i < json_object_array_length(operations); i++) {
        json_object *one = json_object_array_get_idx(operations, i);

        if (json_object_is_type(one, json_type_string) && !strcmp(json_object_get_string(one), "verify")) return 1;
    }
    return 0;
}

/* Fills key, or says why it cannot be used; what cjose made is the set's from then on. */
static const char *read_key(apr_pool_t *p, json_object *doc, p2p_jwk_t *key)
{
    const char *kty = p2p_json_str(doc, "kty"), *use, *id, *algorithm, *wrong;

    if (!kty || (strcmp(kty, "RSA") && strcmp(kty, "EC"))) return "must be of the kty RSA or EC";
    if (!p2p_jwk_text(doc, "use", &use) || (*use && strcmp(use, "sig")) || !may_verify(doc))
        return "must be for signatures: its use \"sig\", its key_ops with \"verify\", or without them";
    if (!p2p_jwk_text(doc, "kid", &id)) return "must have a text as kid";
    if (!p2p_jwk_text(doc, "alg", &algorithm)) return "must have a text as alg";
    wrong = !strcmp(kty, "RSA") ? read_rsa(p, doc, key) : read_ec(p, doc, key);
    if (wrong) return wrong;
    key->algorithm = "";
    key->key_id = apr_pstrdup(p, id);
    if (!*algorithm) return NULL;
    if (!p2p_jwk_fits(key, algorithm))
        return "must have an alg that goes with its kty and curve: RS256, RS384, RS512, PS256, PS384, PS512, ES256, "
               "ES384 or ES512";
    key->algorithm = apr_pstrdup(p, algorithm);
    return NULL;
}

/* What must not be given away, whatever kind of key it belongs to. */
static const char *secret_of(json_object *key)
{
    static const char *const names[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "priv"};
    const char *kty = p2p_json_str(key, "kty");

    if (json_object_object_get_ex(key, "k", NULL) || (kty && !strcmp(kty, "oct")))
        return "has a symmetric key: only public keys belong here";
    for (apr_size_t i = 0; i < COUNT(names); i++)
        if (json_object_object_get_ex(key, names[i], NULL)) return "has a private key: only public keys belong here";
    return NULL;
}

/* The keys of the document: those of a set, or the one that it is. */
static json_object *key_of(json_object *doc, json_object *keys, size_t i)
{
    return keys ? json_object_array_get_idx(keys, i) : doc;
}

static p2p_error_t *refuse_secrets(apr_pool_t *p, json_object *doc, json_object *keys, size_t count)
{
    const char *wrong = secret_of(doc);

    for (size_t i = 0; i < count && !wrong; i++) wrong = secret_of(key_of(doc, keys, i));
    return wrong ? bad(p, wrong) : NULL;
}

static int is_known_id(const p2p_jwk_set_t *set, const char *id)
{
    for (int i = 0; *id && i < set->count; i++)
        if (!strcmp(set->keys[i].key_id, id)) return 1;
    return 0;
}

static p2p_error_t *take_key(apr_pool_t *p, json_object *doc, size_t number, p2p_jwk_source_t source,
                             p2p_jwk_set_t *set)
{
    p2p_jwk_t *key = &set->keys[set->count];
    const char *wrong = json_object_is_type(doc, json_type_object) ? read_key(p, doc, key) : "must be an object";

    /* An issuer may publish one key several times, for an alg each. */
    if (!wrong && source == P2P_JWK_CONFIGURED && is_known_id(set, key->key_id)) wrong = "must have a kid of its own";
    if (!wrong) {
        set->count++;
        return NULL;
    }
    if (key->jose) cjose_jwk_release(key->jose);
    memset(key, 0, sizeof *key);
    if (source == P2P_JWK_PUBLISHED) return NULL;
    return p2p_error_make(p, P2P_E_INVALID, "bad-keys", "has a key that cannot be used: number %d %s", (int)number, wrong);
}

static apr_status_t release(void *baton)
{
    p2p_jwk_set_t *set = baton;

    for (int i = 0; i < set->count; i++) cjose_jwk_release(set->keys[i].jose);
    return APR_SUCCESS;
}

static p2p_error_t *take_keys(apr_pool_t *p, json_object *doc, json_object *keys, p2p_jwk_source_t source,
                              p2p_jwk_set_t *set)
{
    size_t count = keys ? json_object_array_length(keys) : 1;

    if (count > P2P_JWK_SET_KEYS)
        return p2p_error_make(p, P2P_E_INVALID, "bad-keys", "must not have more than %d keys", P2P_JWK_SET_KEYS);
    P2P_TRY(refuse_secrets(p, doc, keys, count));
    for (size_t i = 0; i < count; i++) P2P_TRY(take_key(p, key_of(doc, keys, i), i + 1, source, set));
    if (set->count) return NULL;
    return bad(p, "must have a key that can be used: RSA of 2048 to 4096 bits, or EC on P-256, P-384 or P-521, for signatures");
}

p2p_error_t *p2p_jwk_set_read(apr_pool_t *p, const char *text, apr_size_t len, p2p_jwk_source_t source,
                              p2p_jwk_set_t **out)
{
    p2p_jwk_set_t *set = apr_pcalloc(p, sizeof *set);
    json_object *doc = NULL, *keys = NULL;
    p2p_error_t *e;

    *out = NULL;
    if (len > P2P_JWK_SET_BYTES)
        return p2p_error_make(p, P2P_E_INVALID, "bad-keys", "must not be longer than %d bytes", P2P_JWK_SET_BYTES);
    if ((e = p2p_json_parse(p, text, len, &doc)))
        return p2p_error_detail(p, bad(p, "must be a JWK or a JWK set in JSON"), e->sentence);
    if (!json_object_is_type(doc, json_type_object)) return bad(p, "must be a JWK or a JWK set in JSON");
    if (json_object_object_get_ex(doc, "keys", &keys) && !json_object_is_type(keys, json_type_array))
        return bad(p, "must have an array as keys");
    apr_pool_cleanup_register(p, set, release, apr_pool_cleanup_null);
    e = take_keys(p, doc, keys, source, set);
    ERR_clear_error();
    if (!e) *out = set;
    return e;
}
