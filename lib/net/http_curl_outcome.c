/* SPDX-License-Identifier: Apache-2.0 */
/* How a transfer ended, in words: libcurl's results as errors that say what to do. */
#include <apr_strings.h>
#include "net/http_curl_loop.h"

typedef struct outcome_t {
    CURLcode result;
    p2p_error_kind_t kind;
    const char *code;
    const char *sentence; /* %s is the peer */
} outcome_t;

static const outcome_t outcomes[] = {
    {CURLE_COULDNT_RESOLVE_HOST, P2P_E_UNAVAILABLE, "unreachable",
     "%s cannot be reached: its name is not known to the DNS. Check the host name and this host's resolver."},
    {CURLE_COULDNT_CONNECT, P2P_E_UNAVAILABLE, "unreachable",
     "%s cannot be reached: it accepts no connection. Check that it is up and that no firewall is in between."},
    {CURLE_OPERATION_TIMEDOUT, P2P_E_UNAVAILABLE, "timed-out",
     "%s did not answer the attempt to connect in time. Check that it is up and that no firewall is in between."},
    {CURLE_PEER_FAILED_VERIFICATION, P2P_E_UNAVAILABLE, "tls-refused",
     "The certificate of %s is not trusted, has run out or names another host. Mend it, or name its authority with "
     "P2PCAFile."},
    {CURLE_SSL_CACERT_BADFILE, P2P_E_UNAVAILABLE, "tls-refused",
     "%s was not asked: the file of trusted certificates cannot be read. Check P2PCAFile."},
    {CURLE_SSL_CERTPROBLEM, P2P_E_UNAVAILABLE, "tls-refused",
     "%s was not asked: our client certificate or its key cannot be used. Check P2PTargetAuth certificate."},
    {CURLE_SSL_CONNECT_ERROR, P2P_E_UNAVAILABLE, "tls-refused",
     "%s and this program found no way to speak TLS (1.2 or later). Check the server's TLS settings."},
    {CURLE_PARTIAL_FILE, P2P_E_UNAVAILABLE, "cut-short", "%s ended its answer before it was whole."},
    {CURLE_GOT_NOTHING, P2P_E_UNAVAILABLE, "cut-short", "%s closed the connection without an answer."},
    {CURLE_RECV_ERROR, P2P_E_UNAVAILABLE, "cut-short", "The connection to %s broke before its answer was whole."},
    {CURLE_SEND_ERROR, P2P_E_UNAVAILABLE, "cut-short", "The connection to %s broke before the request was sent."},
    {CURLE_SEND_FAIL_REWIND, P2P_E_UNAVAILABLE, "cut-short", "The connection to %s broke before the request was sent."},
    {CURLE_BAD_CONTENT_ENCODING, P2P_E_UNAVAILABLE, "cut-short",
     "%s sent an answer that cannot be decompressed, or not to its end."},
    {CURLE_WEIRD_SERVER_REPLY, P2P_E_UNAVAILABLE, "cut-short", "%s sent an answer that is not HTTP. Check the URL."},
    {CURLE_UNSUPPORTED_PROTOCOL, P2P_E_UNAVAILABLE, "cut-short", "%s sent an answer that is not HTTP. Check the URL."},
    {CURLE_ABORTED_BY_CALLBACK, P2P_E_INTERNAL, "stopped", "The request to %s was stopped: its body could not be read."},
    {CURLE_OUT_OF_MEMORY, P2P_E_INTERNAL, "out-of-memory", "No memory was left for a request to %s."},
    {CURLE_OK, P2P_E_UNAVAILABLE, "cut-short", "The request to %s failed."},
};

static const outcome_t *find(CURLcode result)
{
    const outcome_t *o = outcomes;

    while (o->result != result && o->result != CURLE_OK) o++;
    return o;
}

/* libcurl's own words, with the URL: for administrators. */
static const char *detail_of(p2p_http_transfer_t *t)
{
    const char *said = t->curl_said[0] ? t->curl_said : curl_easy_strerror(t->result);

    return apr_psprintf(t->pool, "%s %s: %s (curl %d)", t->request.method, t->request.url, said, (int)t->result);
}

const p2p_error_t *p2p_curl_outcome(p2p_http_transfer_t *t)
{
    const outcome_t *o;
    p2p_error_t *error = t->error;

    if (!error && t->result == CURLE_OK) return NULL;
    if (!error) {
        o = find(t->result);
        error = p2p_error_make(t->pool, o->kind, o->code, o->sentence, t->peer);
    }
    return p2p_error_detail(t->pool, error, detail_of(t));
}
