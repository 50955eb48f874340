/* SPDX-License-Identifier: Apache-2.0 */
/* One question to an introspection endpoint, by libcurl, in the thread of the caller. */
#ifndef P2P_MOD_INTROSPECT_CALL_H
#define P2P_MOD_INTROSPECT_CALL_H

#include <curl/curl.h>

#include "introspect.h"

typedef struct p2p_introspect_call_t {
    apr_pool_t *pool;
    const p2p_introspection_t *how;
    const char *token;
    const char *ca_file; /* NULL: the system's */
    int allow_http;

    json_object *answer; /* what it said, an object; or NULL */
    const char *wrong;   /* else why, without a word of the token, the client or the answer: "answered with the status 500" */
    int refused;         /* it answered, and has something against us: nobody is any the better for leaving it alone */
    const char *body;    /* private from here */
    char *bytes;         /* private from here */
    apr_size_t len, head_bytes;
    struct curl_slist *fields;
} p2p_introspect_call_t;

/* Asks, within P2P_INTROSPECT_TIME, with a handle that is kept for its connections. */
void p2p_introspect_ask(p2p_introspect_call_t *call, CURL *easy);

#endif
