/* SPDX-License-Identifier: Apache-2.0 */
/* How people come in: the sign-in page with its consent, the key that signs, and the member portal. */
#ifndef P2P_SANDBOX_DOOR_H
#define P2P_SANDBOX_DOOR_H

#include "sandbox.h"

/* ---- asks.c: authorization requests, from the first page until their code is spent ---- */

typedef enum {
    SANDBOX_ASK_ID, SANDBOX_ASK_CLIENT, SANDBOX_ASK_REDIRECT, SANDBOX_ASK_STATE, SANDBOX_ASK_SCOPE, SANDBOX_ASK_CHALLENGE,
    SANDBOX_ASK_NONCE, SANDBOX_ASK_MEMBER, SANDBOX_ASK_CODE, SANDBOX_ASK_TEXTS
} sandbox_ask_text_t;

typedef struct sandbox_ask_t {
    const char *text[SANDBOX_ASK_TEXTS]; /* NULL where there is none */
    apr_time_t expires;
    struct sandbox_grant_t *grant; /* made of its code, which is spent then */
} sandbox_ask_t;

void sandbox_asks_make(sandbox_payer_t *payer, apr_pool_t *pool);
/* Keeps a copy for ten minutes, and returns its id, in pool. The oldest goes where there are too many. */
const char *sandbox_ask_add(sandbox_payer_t *payer, apr_pool_t *pool, const sandbox_ask_t *ask);
/* A copy in pool of the one that waits for its member's word; 0 where there is none of this id. */
int sandbox_ask_find(sandbox_payer_t *payer, apr_pool_t *pool, const char *id, sandbox_ask_t *copy);
/* Notes who has signed in. */
void sandbox_ask_sign_in(sandbox_payer_t *payer, const char *id, const char *member);
/* Ends the request; with allow it has a code from now on, for a minute: in pool, or NULL where it is gone. */
const char *sandbox_ask_end(sandbox_payer_t *payer, apr_pool_t *pool, const char *id, int allow);
/* Under the payer's mutex: whom the code of a token request was made for; any attempt spends it. Where ask->grant is
 * set it was spent before. NULL, and why. */
sandbox_ask_t *sandbox_ask_redeem(sandbox_call_t *call, const char *form, const char *client, const char **why);
int sandbox_has_word(const char *words, const char *word);

/* ---- sign_in.c and html.c ---- */

/* GET shows who may sign in, POST takes that and the consent, and leads back to the client. */
int sandbox_authorize(sandbox_call_t *call);
int sandbox_authorize_style(sandbox_call_t *call);
/* Where it is: name beside the token endpoint. */
const char *sandbox_beside_token(const sandbox_call_t *call, const char *name);

typedef struct sandbox_member_t {
    const char *id, *name, *born;
} sandbox_member_t;

/* The Patients that the payer holds, by name, SandboxMember first: at most limit of them, in the request's pool. */
apr_array_header_t *sandbox_members(sandbox_call_t *call, int limit);
/* 1 where there is such a Patient; *member is filled in. */
int sandbox_member_find(sandbox_call_t *call, const char *id, sandbox_member_t *member);

/* Appends text for HTML, as content or as a quoted attribute. */
void sandbox_html(p2p_buf_t *buf, const char *text);
/* Begins a page; form_origin: whereto its forms may lead besides, or NULL for none. */
void sandbox_html_begin(sandbox_out_t *out, sandbox_call_t *call, const char *title, const char *form_origin);
int sandbox_html_end(sandbox_out_t *out, int status);

/* ---- issuer.c: the payer's signing key, made at the start ---- */

int sandbox_key_make(sandbox_payer_t *payer, apr_pool_t *pool); /* 0: OpenSSL failed */
int sandbox_jwks(sandbox_call_t *call);
const char *sandbox_issuer(sandbox_call_t *call);
/* A JWT (ES256) of these claims, a JSON object; typ such as "at+jwt". NULL: OpenSSL failed. */
const char *sandbox_sign(sandbox_call_t *call, const char *typ, const char *claims);
/* The ID token of an authorization request. */
const char *sandbox_id_token(sandbox_call_t *call, const sandbox_ask_t *ask);

/* ---- portal.c: the member portal's files, and what it is told of its member ---- */

/* Reads the files of SandboxPortal. NULL or a sentence. */
const char *sandbox_portal_make(sandbox_payer_t *payer, apr_pool_t *pool);
/* what: behind SandboxPortal's path. */
int sandbox_portal(sandbox_call_t *call, const char *what);

/* ---- cors.c ---- */

/* Lets the pages of SandboxOrigins read this answer. 1 where the request was a preflight, and *rv is what the handler returns. */
int sandbox_cors(sandbox_call_t *call, int *rv);

#endif
