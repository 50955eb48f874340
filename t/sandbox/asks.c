/* SPDX-License-Identifier: Apache-2.0 */
/* Authorization requests: who asks for what, who has signed in, and the code, which is good once and for a minute. */
#include <apr_general.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include "base/encode.h"
#include "door.h"

#define ASKS 128
#define ASK_SECONDS 600
#define CODE_SECONDS 60
#define CODE_FORGOTTEN 600 /* until then a code that comes again ends what was made of it */

typedef struct kept_t {
    sandbox_ask_t ask;
    apr_pool_t *pool;
} kept_t;

typedef struct sandbox_asks_t {
    kept_t kept[ASKS];
    unsigned next;
} sandbox_asks_t;

void sandbox_asks_make(sandbox_payer_t *payer, apr_pool_t *pool)
{
    payer->asks = apr_pcalloc(pool, sizeof(*payer->asks));
    for (int i = 0; i < ASKS; i++) apr_pool_create(&payer->asks->kept[i].pool, pool);
}

int sandbox_has_word(const char *words, const char *word)
{
    apr_size_t len = strlen(word);

    while (words && *words) {
        apr_size_t n = strcspn(words, " ");

        if (n == len && memcmp(words, word, n) == 0) return 1;
        words += n + strspn(words + n, " ");
    }
    return 0;
}

static const char *random_text(apr_pool_t *pool)
{
    unsigned char bytes[24];

    apr_generate_random_bytes(bytes, sizeof(bytes));
    return p2p_base64url_encode(pool, bytes, sizeof(bytes));
}

static void copy_texts(apr_pool_t *pool, sandbox_ask_t *to, const sandbox_ask_t *from)
{
    *to = *from;
    for (int i = 0; i < SANDBOX_ASK_TEXTS; i++) to->text[i] = apr_pstrdup(pool, from->text[i]);
}

const char *sandbox_ask_add(sandbox_payer_t *payer, apr_pool_t *pool, const sandbox_ask_t *ask)
{
    const char *id = random_text(pool);
    kept_t *kept;

    apr_thread_mutex_lock(payer->mutex);
    kept = &payer->asks->kept[payer->asks->next++ % ASKS];
    apr_pool_clear(kept->pool);
    copy_texts(kept->pool, &kept->ask, ask);
    kept->ask.text[SANDBOX_ASK_ID] = apr_pstrdup(kept->pool, id);
    kept->ask.expires = apr_time_now() + apr_time_from_sec(ASK_SECONDS);
    apr_thread_mutex_unlock(payer->mutex);
    return id;
}

/* Under the mutex: by its id or its code. */
static kept_t *find(sandbox_payer_t *payer, sandbox_ask_text_t which, const char *text)
{
    apr_time_t now = apr_time_now();

    for (int i = 0; text && i < ASKS; i++) {
        kept_t *kept = &payer->asks->kept[i];
        const char *own = kept->ask.text[which];

        if (own && kept->ask.expires > now && strcmp(own, text) == 0) return kept;
    }
    return NULL;
}

int sandbox_ask_find(sandbox_payer_t *payer, apr_pool_t *pool, const char *id, sandbox_ask_t *copy)
{
    kept_t *kept;

    apr_thread_mutex_lock(payer->mutex);
    kept = find(payer, SANDBOX_ASK_ID, id);
    if (kept) copy_texts(pool, copy, &kept->ask);
    apr_thread_mutex_unlock(payer->mutex);
    return kept != NULL;
}

void sandbox_ask_sign_in(sandbox_payer_t *payer, const char *id, const char *member)
{
    kept_t *kept;

    apr_thread_mutex_lock(payer->mutex);
    kept = find(payer, SANDBOX_ASK_ID, id);
    if (kept) kept->ask.text[SANDBOX_ASK_MEMBER] = apr_pstrdup(kept->pool, member);
    apr_thread_mutex_unlock(payer->mutex);
}

const char *sandbox_ask_end(sandbox_payer_t *payer, apr_pool_t *pool, const char *id, int allow)
{
    const char *code = random_text(pool);
    kept_t *kept;

    apr_thread_mutex_lock(payer->mutex);
    kept = find(payer, SANDBOX_ASK_ID, id);
    if (kept) kept->ask.text[SANDBOX_ASK_ID] = NULL;
    if (kept && allow) {
        kept->ask.text[SANDBOX_ASK_CODE] = apr_pstrdup(kept->pool, code);
        kept->ask.expires = apr_time_now() + apr_time_from_sec(CODE_SECONDS);
    }
    apr_thread_mutex_unlock(payer->mutex);
    return kept && allow ? code : NULL;
}

static int same(const char *a, const char *b)
{
    return a && b && strlen(a) == strlen(b) && CRYPTO_memcmp(a, b, strlen(a)) == 0;
}

/* RFC 7636: 43 to 128 characters whose SHA-256, base64url, is the challenge. */
static int verifies(apr_pool_t *pool, const char *challenge, const char *verifier)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    if (!challenge) return !verifier;
    if (!verifier || strlen(verifier) < 43 || strlen(verifier) > 128) return 0;
    if (!EVP_Digest(verifier, strlen(verifier), digest, &len, EVP_sha256(), NULL)) return 0;
    return same(challenge, p2p_base64url_encode(pool, digest, len));
}

static const char *fault_of(sandbox_call_t *call, const sandbox_ask_t *ask, const char *form, const char *client)
{
    apr_pool_t *pool = call->r->pool;

    if (!same(ask->text[SANDBOX_ASK_CLIENT], client)) return "the code is another client's";
    if (!same(ask->text[SANDBOX_ASK_REDIRECT], sandbox_param(pool, form, "redirect_uri")))
        return "redirect_uri is not the one of the authorization request";
    if (!verifies(pool, ask->text[SANDBOX_ASK_CHALLENGE], sandbox_param(pool, form, "code_verifier")))
        return "code_verifier does not fit code_challenge";
    return NULL;
}

sandbox_ask_t *sandbox_ask_redeem(sandbox_call_t *call, const char *form, const char *client, const char **why)
{
    kept_t *kept = find(call->payer, SANDBOX_ASK_CODE, sandbox_param(call->r->pool, form, "code"));

    *why = "the code is not known, or its time is over";
    if (!kept) return NULL;
    if (kept->ask.grant) {
        *why = "a code that was used already: what was made of it is revoked";
        return &kept->ask;
    }
    *why = fault_of(call, &kept->ask, form, client);
    if (*why) kept->ask.text[SANDBOX_ASK_CODE] = NULL;
    else kept->ask.expires = apr_time_now() + apr_time_from_sec(CODE_FORGOTTEN);
    return *why ? NULL : &kept->ask;
}
