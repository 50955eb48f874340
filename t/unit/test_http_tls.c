/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of lib/net over TLS: whom it trusts, and client certificates. */
#include "http_call.h"
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

typedef struct identity_t {
    EVP_PKEY *key;
    X509 *cert;
} identity_t;

/* A certificate that signed itself, for a name such as "IP:127.0.0.1". */
static identity_t identity_for(const char *common_name, const char *alternative)
{
    identity_t id = {EVP_EC_gen("P-256"), X509_new()};
    X509_NAME *name = X509_get_subject_name(id.cert);
    X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alternative);

    X509_set_version(id.cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(id.cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(id.cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(id.cert), 3600);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)common_name, -1, -1, 0);
    X509_set_issuer_name(id.cert, name);
    X509_set_pubkey(id.cert, id.key);
    X509_add_ext(id.cert, names, -1);
    X509_EXTENSION_free(names);
    if (!X509_sign(id.cert, id.key, EVP_sha256())) abort();
    return id;
}

static void identity_free(identity_t *id)
{
    EVP_PKEY_free(id->key);
    X509_free(id->cert);
}

static char *text_of(apr_pool_t *p, BIO *bio)
{
    char *bytes;
    long n = BIO_get_mem_data(bio, &bytes);
    char *text = apr_pstrmemdup(p, bytes, (apr_size_t)n);

    BIO_free(bio);
    return text;
}

static char *cert_pem(apr_pool_t *p, const identity_t *id)
{
    BIO *bio = BIO_new(BIO_s_mem());

    PEM_write_bio_X509(bio, id->cert);
    return text_of(p, bio);
}

static char *key_pem(apr_pool_t *p, const identity_t *id)
{
    BIO *bio = BIO_new(BIO_s_mem());

    PEM_write_bio_PrivateKey(bio, id->key, NULL, NULL, 0, NULL, NULL);
    return text_of(p, bio);
}

/* The server answers with the client's name. */
static void answer(SSL *ssl)
{
    char head[4096], said[300], name[100] = "nobody";
    int n = SSL_read(ssl, head, sizeof head);
    X509 *client = SSL_get0_peer_certificate(ssl);

    if (n <= 0) _exit(0);
    if (client) X509_NAME_get_text_by_NID(X509_get_subject_name(client), NID_commonName, name, sizeof name);
    snprintf(said, sizeof said, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
             strlen(name), name);
    SSL_write(ssl, said, (int)strlen(said));
    SSL_shutdown(ssl);
    _exit(0);
}

static int take_any(int good, X509_STORE_CTX *store)
{
    (void)good;
    (void)store;
    return 1;
}

static void serve_tls(int listener, const identity_t *id)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    SSL_CTX_use_certificate(context, id->cert);
    SSL_CTX_use_PrivateKey(context, id->key);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, take_any);
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) _exit(1);
        if (!fork()) {
            SSL *ssl = SSL_new(context);
            SSL_set_fd(ssl, fd);
            if (SSL_accept(ssl) == 1) answer(ssl);
            _exit(0);
        }
        close(fd);
    }
}

static identity_t known, wrong_name;
static int known_port, wrong_port;
static pid_t known_server, wrong_server;
static char ca_file[] = "/tmp/p2p-test-ca-XXXXXX";

static pid_t start_tls(const identity_t *id, int *at_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    pid_t pid;

    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 8) ||
        getsockname(listener, (struct sockaddr *)&at, &len))
        abort();
    *at_port = ntohs(at.sin_port);
    pid = fork();
    if (!pid) {
        setpgid(0, 0);
        serve_tls(listener, id);
    }
    setpgid(pid, pid);
    close(listener);
    return pid;
}

static int set_up(void **state)
{
    int fd = mkstemp(ca_file);
    FILE *file = fdopen(fd, "w");

    (void)state;
    known = identity_for("known", "IP:127.0.0.1");
    wrong_name = identity_for("wrong", "DNS:elsewhere.example");
    PEM_write_X509(file, known.cert);
    PEM_write_X509(file, wrong_name.cert);
    fclose(file);
    known_server = start_tls(&known, &known_port);
    wrong_server = start_tls(&wrong_name, &wrong_port);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    kill(-known_server, SIGKILL);
    kill(-wrong_server, SIGKILL);
    waitpid(known_server, NULL, 0);
    waitpid(wrong_server, NULL, 0);
    unlink(ca_file);
    identity_free(&known);
    identity_free(&wrong_name);
    return 0;
}

static call_t ask_tls(fixture_t *f, const char *trusted, int at_port, const char *path, const p2p_http_auth_t *auth)
{
    p2p_http_curl_settings_t settings = {trusted, "p2p-test"};
    call_t call = {.f = f};
    p2p_http_request_t r = request_for(&call, "GET", path);

    assert_null(p2p_http_curl_make(f->p, &settings, &f->clock, &f->http));
    r.url = apr_psprintf(f->p, "https://127.0.0.1:%d/%s", at_port, path);
    r.auth = auth;
    ask(&call, &r);
    return call;
}

static void test_trust(void **state)
{
    call_t call = ask_tls(*state, ca_file, known_port, "whole", NULL);

    assert_string_equal(call.code, "");
    assert_string_equal(call.text, "nobody");
    call = ask_tls(*state, NULL, known_port, "whole", NULL);
    assert_string_equal(call.code, "tls-refused");
    assert_non_null(strstr(call.sentence, "P2PCAFile"));
    call = ask_tls(*state, ca_file, wrong_port, "whole", NULL);
    assert_string_equal(call.code, "tls-refused");
    call = ask_tls(*state, "/nowhere/ca.pem", known_port, "whole", NULL);
    assert_string_equal(call.code, "tls-refused");
}

static void test_client_certificate(void **state)
{
    fixture_t *f = *state;
    identity_t me = identity_for("portal", "DNS:portal.example"), other = identity_for("other", "DNS:other.example");
    p2p_http_auth_t auth = {.cert_pem = cert_pem(f->p, &me), .key_pem = key_pem(f->p, &me)};
    call_t call = ask_tls(f, ca_file, known_port, "whole", &auth);

    assert_string_equal(call.text, "portal");
    auth.key_pem = key_pem(f->p, &other);
    call = ask_tls(f, ca_file, known_port, "whole", &auth);
    assert_string_equal(call.code, "tls-refused");
    identity_free(&me);
    identity_free(&other);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, unmake)
    const struct CMUnitTest tests[] = {TEST(test_trust), TEST(test_client_certificate)};

    apr_initialize();
    atexit(apr_terminate);
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
