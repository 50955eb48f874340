/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 7662 section 2: a form with the token and who we are, answered with a JSON object. */
#include "introspect_call.h"

#include <apr_strings.h>

#include "base/uri.h"
#include "oidc/token_form.h"

#define ANSWER_BYTES 65536
#define HEAD_BYTES 65536
#define CONNECT_MS 2000L
#define LIBCURL_QUICK_EXIT 0x075700 /* the first with CURLOPT_QUICK_EXIT */

static size_t on_body(char *bytes, size_t one, size_t len, void *baton)
{
    p2p_introspect_call_t *call = baton;

    (void)one; /* always 1 */
    if (len > ANSWER_BYTES - call->len) {
        call->wrong = "answered with more than 65,536 bytes";
        return CURL_WRITEFUNC_ERROR;
    }
    memcpy(call->bytes + call->len, bytes, len);
    call->len += len;
    return len;
}

static size_t on_head(char *line, size_t one, size_t len, void *baton)
{
    p2p_introspect_call_t *call = baton;

    (void)line, (void)one;
    call->head_bytes += len;
    if (call->head_bytes <= HEAD_BYTES) return len;
    call->wrong = "answered with more than 65,536 bytes of header fields";
    return CURL_WRITEFUNC_ERROR;
}

#define SET(option, value)                                        \
    do {                                                          \
        CURLcode set_ = curl_easy_setopt(easy, option, value);    \
        if (set_ != CURLE_OK) return set_;                        \
    } while (0)

/* Whatever the environment or the endpoint may say, the token goes where the URL says and nowhere else. */
static CURLcode set_connection(p2p_introspect_call_t *call, CURL *easy)
{
    SET(CURLOPT_URL, call->how->endpoint);
    SET(CURLOPT_PROTOCOLS_STR, "http,https"); /* p2p_uri_check_endpoint has the say */
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_TIMEOUT_MS, (long)apr_time_as_msec(P2P_INTROSPECT_TIME));
    SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_CAPATH, NULL);
    if (call->ca_file) SET(CURLOPT_CAINFO, call->ca_file);
#if LIBCURL_VERSION_NUM >= LIBCURL_QUICK_EXIT
    SET(CURLOPT_QUICK_EXIT, 1L); /* else a resolver that hangs would be waited for beyond the time limit */
#endif
    return CURLE_OK;
}

static CURLcode set_question(p2p_introspect_call_t *call, CURL *easy)
{
    p2p_token_form_t form = {NULL, NULL};

    p2p_token_form_add(call->pool, &form, "token", call->token);
    p2p_token_form_add(call->pool, &form, "token_type_hint", "access_token");
    p2p_token_form_client(call->pool, &form, call->how->client_id, call->how->client_secret, P2P_CLIENT_SECRET_BASIC);
    SET(CURLOPT_POSTFIELDS, form.body);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(form.body));
    if (form.basic) {
        SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        SET(CURLOPT_USERPWD, form.basic);
    }
    return CURLE_OK;
}

static CURLcode set_rest(p2p_introspect_call_t *call, CURL *easy)
{
    struct curl_slist *expect;

    call->fields = curl_slist_append(NULL, "Accept: application/json");
    expect = call->fields ? curl_slist_append(call->fields, "Expect:") : NULL;
    if (!expect) return CURLE_OUT_OF_MEMORY;
    SET(CURLOPT_HTTPHEADER, call->fields);
    SET(CURLOPT_USERAGENT, "mod_p2p/" P2P_VERSION);
    SET(CURLOPT_HEADERFUNCTION, on_head);
    SET(CURLOPT_HEADERDATA, call);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, call);
    return CURLE_OK;
}

static void read_answer(p2p_introspect_call_t *call, long status)
{
    json_object *doc = NULL;

    call->refused = status >= 400 && status < 500 && status != 429;
    if (status != 200) {
        call->wrong = apr_psprintf(call->pool, status == 401 ? "refuses our client id and secret (status %ld)" : "answered with the status %ld", status);
    } else if (p2p_json_parse(call->pool, call->bytes, call->len, &doc) || !json_object_is_type(doc, json_type_object)) {
        call->wrong = "answered with what is no JSON object";
    } else {
        call->answer = doc;
    }
}

static void perform(p2p_introspect_call_t *call, CURL *easy)
{
    CURLcode code = set_connection(call, easy);
    long status = 0;

    if (code == CURLE_OK) code = set_question(call, easy);
    if (code == CURLE_OK) code = set_rest(call, easy);
    if (code == CURLE_OK) code = curl_easy_perform(easy);
    if (code == CURLE_OK) code = curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_OK) read_answer(call, status);
    else if (!call->wrong) call->wrong = apr_psprintf(call->pool, "cannot be asked: %s", curl_easy_strerror(code));
}

void p2p_introspect_ask(p2p_introspect_call_t *call, CURL *easy)
{
    if (p2p_uri_check_endpoint(call->pool, call->how->endpoint, call->allow_http)) {
        call->wrong = "is no https URL (http only for loopback, or with P2PAllowHttp)";
        call->refused = 1;
        return;
    }
    call->bytes = apr_palloc(call->pool, ANSWER_BYTES);
    perform(call, easy);
    curl_easy_reset(easy); /* keeps the connections, and nothing of the request */
    curl_slist_free_all(call->fields);
}
