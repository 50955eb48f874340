/* SPDX-License-Identifier: Apache-2.0 */
/* What verifies each issuer's tokens, as it was when it was last looked up. A reader holds what it got until its request ends, whatever has come
 * in its place meanwhile. */
#include "trust.h"

#include <http_log.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include "base/sha256.h"
#include "dbd.h"
#include "mod_p2p.h"
#include "shared.h"
#include "store/jwks_store.h"
#include "supervise.h"
#include "trust_source.h"

APLOG_USE_MODULE(p2p);

#define REST apr_time_from_sec(5)   /* between two looks */
#define HASTE apr_time_from_sec(1)  /* ... while a runner is on its way for it */
#define HASTE_FOR apr_time_from_sec(15)

typedef struct slot_t slot_t;

/* Immutable, in a pool of its own, gone with the last who holds it. */
typedef struct kept_t {
    apr_pool_t *pool;
    slot_t *slot;
    int holders; /* the slot itself is one */
    p2p_trust_from_t from;
    const char *mark; /* hash over what it was made of */
    p2p_verifier_t verifier;
} kept_t;

struct slot_t {
    const p2p_trust_t *trust;
    apr_thread_mutex_t *lock;    /* over what follows */
    apr_thread_mutex_t *looking; /* one thread at a time looks it up */
    kept_t *kept;                /* NULL: nothing is known */
    p2p_trust_from_t from;       /* of what is kept, or waited for */
    int distrusted;
    apr_time_t looked, asked, haste; /* haste: until when to look often */
    apr_uint64_t definitions;    /* the shared generation when it was looked up */
    char complaint[160];         /* what the log was told last */
};

struct p2p_trust_store_t {
    slot_t *slots;
    int count;
    apr_thread_mutex_t *lock;
    apr_uint64_t generation; /* the last that was given, under lock */
};

void p2p_trust_child(apr_pool_t *p, server_rec *s)
{
    p2p_config_t *config = p2p_config(s);
    p2p_trust_store_t *store = apr_pcalloc(p, sizeof *store);

    store->count = config->spec.trusts->nelts;
    store->slots = apr_pcalloc(p, sizeof(slot_t) * (apr_size_t)store->count);
    if (apr_thread_mutex_create(&store->lock, APR_THREAD_MUTEX_DEFAULT, p)) return;
    for (int i = 0; i < store->count; i++) {
        slot_t *slot = &store->slots[i];

        slot->trust = &APR_ARRAY_IDX(config->spec.trusts, i, p2p_trust_t);
        if (apr_thread_mutex_create(&slot->lock, APR_THREAD_MUTEX_DEFAULT, p)) return;
        if (apr_thread_mutex_create(&slot->looking, APR_THREAD_MUTEX_DEFAULT, p)) return;
    }
    config->trust_store = store;
}

static apr_status_t release(void *data)
{
    kept_t *kept = data;
    slot_t *slot = kept->slot;
    int last;

    apr_thread_mutex_lock(slot->lock);
    last = !--kept->holders;
    apr_thread_mutex_unlock(slot->lock);
    if (last) apr_pool_destroy(kept->pool);
    return APR_SUCCESS;
}

/* What is kept, held until r ends; or NULL. distrusted may be NULL. */
static const kept_t *hold(request_rec *r, slot_t *slot, int *distrusted)
{
    kept_t *kept;

    apr_thread_mutex_lock(slot->lock);
    kept = slot->kept;
    if (distrusted) *distrusted = slot->distrusted;
    if (kept) kept->holders++;
    apr_thread_mutex_unlock(slot->lock);
    if (kept) apr_pool_cleanup_register(r->pool, kept, release, apr_pool_cleanup_null);
    return kept;
}

static void replace(slot_t *slot, kept_t *kept, int distrusted)
{
    kept_t *old;

    apr_thread_mutex_lock(slot->lock);
    old = slot->kept;
    slot->kept = kept;
    slot->distrusted = distrusted;
    apr_thread_mutex_unlock(slot->lock);
    if (old) release(old);
}

/* Tells the log what is wrong with an issuer, once for as long as it is the same. */
static void complain(request_rec *r, slot_t *slot, const char *what)
{
    char text[sizeof slot->complaint];
    int again;

    apr_cpystrn(text, what, sizeof text);
    apr_thread_mutex_lock(slot->lock);
    again = !strcmp(slot->complaint, text);
    apr_cpystrn(slot->complaint, text, sizeof slot->complaint);
    apr_thread_mutex_unlock(slot->lock);
    if (!again && *text) ap_log_error(APLOG_MARK, APLOG_ERR, 0, r->server, "P2PTrustIssuer %s: %s", slot->trust->issuer, text);
}

static const char *mark_of(apr_pool_t *p, const p2p_trust_source_t *source)
{
    const p2p_introspection_t *how = &source->introspection;
    const char *parts[] = { source->keys, how->endpoint, how->client_id, how->client_secret };
    p2p_sha256_t *sha256 = p2p_sha256_begin();

    p2p_sha256_add(sha256, &source->from, sizeof source->from);
    for (int i = 0; i < 4; i++) p2p_sha256_add(sha256, parts[i], strlen(parts[i]) + 1);
    return p2p_sha256_end(p, sha256);
}

static apr_uint64_t next_generation(p2p_trust_store_t *store)
{
    apr_uint64_t generation;

    apr_thread_mutex_lock(store->lock);
    generation = ++store->generation;
    apr_thread_mutex_unlock(store->lock);
    return generation;
}

static p2p_error_t *fill(kept_t *kept, const p2p_trust_source_t *source)
{
    p2p_verifier_t *verifier = &kept->verifier;
    const p2p_introspection_t *how = &source->introspection;
    p2p_jwk_set_t *set;

    kept->from = source->from;
    kept->mark = mark_of(kept->pool, source);
    if (source->from == P2P_FROM_ISSUER) {
        verifier->introspection.endpoint = apr_pstrdup(kept->pool, how->endpoint);
        verifier->introspection.client_id = apr_pstrdup(kept->pool, how->client_id);
        verifier->introspection.client_secret = apr_pstrdup(kept->pool, how->client_secret);
        return NULL;
    }
    P2P_TRY(p2p_jwk_set_read(kept->pool, source->keys, strlen(source->keys),
                             source->from == P2P_FROM_PUBLISHED ? P2P_JWK_PUBLISHED : P2P_JWK_CONFIGURED, &set));
    verifier->keys = set;
    return NULL;
}

/* Its pool has an allocator of its own: whichever thread lets go of it last destroys it. */
static void keep(request_rec *r, slot_t *slot, const p2p_trust_source_t *source)
{
    apr_pool_t *pool;
    kept_t *kept;
    p2p_error_t *error;

    if (apr_pool_create_unmanaged_ex(&pool, NULL, NULL)) return;
    kept = apr_pcalloc(pool, sizeof *kept);
    kept->pool = pool;
    kept->slot = slot;
    kept->holders = 1;
    kept->verifier.trust = slot->trust;
    error = fill(kept, source);
    if (error) {
        complain(r, slot, apr_pstrcat(r->pool, "its key set ", error->sentence, NULL));
        apr_pool_destroy(pool);
        return;
    }
    kept->verifier.generation = next_generation(p2p_config(r->server)->trust_store);
    complain(r, slot, "");
    replace(slot, kept, 0);
}

static void take(request_rec *r, slot_t *slot, const p2p_trust_source_t *source)
{
    const kept_t *kept = hold(r, slot, NULL);

    if (source->distrusted) {
        replace(slot, NULL, 1);
    } else if (source->unfetched) {
        replace(slot, NULL, 0);
    } else if (!kept || strcmp(kept->mark, mark_of(r->pool, source))) {
        keep(r, slot, source);
    }
}

/* The database may be away: then what is kept is kept on. */
static void look(request_rec *r, slot_t *slot)
{
    apr_uint64_t definitions = p2p_shared_generation(r->server);
    p2p_trust_source_t source;
    p2p_error_t *error = p2p_trust_read(r, slot->trust, &source);

    if (!error) take(r, slot, &source);
    else if (error->kind == P2P_E_INVALID) replace(slot, NULL, 0);
    if (error) complain(r, slot, error->sentence);
    apr_thread_mutex_lock(slot->lock);
    slot->looked = apr_time_now();
    slot->definitions = definitions;
    if (!error) slot->from = source.from;
    apr_thread_mutex_unlock(slot->lock);
    if (!error && source.unfetched) p2p_trust_ask(r, (int)(slot - p2p_config(r->server)->trust_store->slots));
}

/* What the directive says stands still; a definition that this httpd has changed is looked up at once. */
static int is_due(request_rec *r, slot_t *slot, int *known)
{
    apr_uint64_t definitions = p2p_shared_generation(r->server);
    apr_time_t now = apr_time_now(), since;
    int due;

    apr_thread_mutex_lock(slot->lock);
    since = now - slot->looked;
    *known = slot->kept || slot->distrusted;
    due = since < 0 || since >= (slot->haste > now ? HASTE : REST);
    if (slot->trust->kind == P2P_TRUST_DEFINITION && slot->definitions != definitions) due = 1;
    if (slot->trust->kind == P2P_TRUST_KEYS && slot->kept) due = 0;
    apr_thread_mutex_unlock(slot->lock);
    return due;
}

/* Others go on with what is known while one thread looks; where nothing is they wait for it. */
static void look_if_due(request_rec *r, slot_t *slot)
{
    int known;

    if (!is_due(r, slot, &known)) return;
    if (known ? apr_thread_mutex_trylock(slot->looking) : apr_thread_mutex_lock(slot->looking)) return;
    if (is_due(r, slot, &known)) look(r, slot);
    apr_thread_mutex_unlock(slot->looking);
}

static slot_t *slot_of(const request_rec *r, int number)
{
    const p2p_trust_store_t *store = p2p_config(r->server)->trust_store;

    return store && number >= 0 && number < store->count ? &store->slots[number] : NULL;
}

int p2p_trust_of_issuer(request_rec *r, const char *issuer)
{
    const apr_array_header_t *trusts = p2p_config(r->server)->spec.trusts;

    for (int i = 0; i < trusts->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(trusts, i, p2p_trust_t).issuer, issuer)) return i;
    }
    return -1;
}

/* A definition may say that its issuer is to be asked. Where nothing can be read of it the answer is to be a 503, so it may as well be this one. */
static int is_asked(request_rec *r, int number)
{
    slot_t *slot = slot_of(r, number);
    int asked;

    if (!slot) return 0;
    look_if_due(r, slot);
    apr_thread_mutex_lock(slot->lock);
    asked = !slot->distrusted && (slot->from == P2P_FROM_ISSUER || slot->from == P2P_FROM_UNKNOWN);
    apr_thread_mutex_unlock(slot->lock);
    return asked;
}

int p2p_trust_of_opaque(request_rec *r)
{
    const apr_array_header_t *trusts = p2p_config(r->server)->spec.trusts;

    for (int i = 0; i < trusts->nelts; i++) {
        p2p_trust_kind_t kind = APR_ARRAY_IDX(trusts, i, p2p_trust_t).kind;

        if (kind == P2P_TRUST_INTROSPECTION || (kind == P2P_TRUST_DEFINITION && is_asked(r, i))) return i;
    }
    return -1;
}

p2p_error_t *p2p_trust_verifier(request_rec *r, int number, p2p_verifier_t *verifier)
{
    slot_t *slot = slot_of(r, number);
    const kept_t *kept;
    int distrusted;

    if (!slot) return p2p_error_make(r->pool, P2P_E_UNAVAILABLE, "keys-unknown", "This server cannot verify tokens now.");
    look_if_due(r, slot);
    kept = hold(r, slot, &distrusted);
    if (kept) {
        *verifier = kept->verifier;
        return NULL;
    }
    if (distrusted) return p2p_error_make(r->pool, P2P_E_REFUSED, "token-untrusted-issuer", "The token's issuer is not trusted here.");
    return p2p_error_make(r->pool, P2P_E_UNAVAILABLE, "keys-unknown", "What verifies the token is not known yet: try again in a moment.");
}

static p2p_error_t *ask(p2p_db_t *db, request_rec *r, void *baton)
{
    const slot_t *slot = baton;
    int asked;

    P2P_TRY(p2p_jwks_ask(db, r->pool, p2p_config(r->server)->spec.target, slot->trust->issuer, &asked));
    if (asked) p2p_wake(r->server);
    return NULL;
}

void p2p_trust_ask(request_rec *r, int number)
{
    slot_t *slot = slot_of(r, number);
    apr_time_t now = apr_time_now();
    int fresh;
    p2p_error_t *error;

    if (!slot || slot->trust->kind == P2P_TRUST_KEYS) return;
    apr_thread_mutex_lock(slot->lock);
    fresh = (!slot->kept || slot->kept->from == P2P_FROM_PUBLISHED) && now - slot->asked >= REST;
    if (fresh) {
        slot->asked = now;
        slot->haste = now + HASTE_FOR;
    }
    apr_thread_mutex_unlock(slot->lock);
    error = fresh ? p2p_dbd_with(r, ask, slot) : NULL;
    if (error) complain(r, slot, error->sentence);
}
